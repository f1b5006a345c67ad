"""From a folder of footage to clips.json: what is kept, passed over and gone on with."""

import json
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from models import facemodel
from models.data import clips, command, footage, prepare, tensors
from models.data.clips import Limits
from models.label import sound, track
from models.train import lipdata

FPS, CHUNK = 25, 640
MODEL = facemodel.load()
NOTES = json.dumps({"pictures": 200, "found": 1.0, "agreement": 0.98})


def mouth(seconds: float, seed: int) -> np.ndarray:
    """(T,) opening in code units, syllables of irregular length."""
    rng = np.random.default_rng(seed)
    knots = np.cumsum(rng.uniform(0.1, 0.3, int(seconds * 8) + 40))
    value = rng.uniform(0.3, 2, len(knots)) * (np.arange(len(knots)) % 2)
    return np.interp(np.arange(int(seconds * FPS)) / FPS, knots, value)


def put(labels: Path, name: str, late: float = 0.0, seed: int = 0, **changes) -> None:
    """A label file of eight seconds whose sound is as loud as the mouth is open, `late` pictures
    after it."""
    opening = mouth(8, seed)
    code = np.zeros((len(opening), MODEL.size), np.float32)
    code[:, 0] = opening
    face = np.stack([MODEL.decode(c) for c in code]) * 180 + 256
    face += np.random.default_rng(seed).normal(0, 0.1, face.shape)
    at = np.arange(len(opening) * CHUNK) / CHUNK - late
    level = np.interp(at, np.arange(len(opening)), opening) * 0.1
    noise = np.random.default_rng(seed + 1).normal(0, 1, len(level))
    arrays = {
        "landmarks": face.astype(np.float32),
        "valid": np.ones(len(opening), bool),
        "pcm": (np.clip(level * noise, -1, 1) * 32767).astype(np.int16),
        "notes": np.array(NOTES),
    }
    arrays = {k: v for k, v in (arrays | changes).items() if v is not None}
    (labels / "train").mkdir(exist_ok=True, parents=True)
    np.savez(labels / "train" / f"{name}.npz", **arrays)


class Ear:
    """Takes loudness for an open mouth, and counts how often it listens."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self, pcm: np.ndarray) -> np.ndarray:
        self.heard += 1
        around = np.pad(pcm, CHUNK // 2)[: len(pcm)]
        return np.sqrt((around.reshape(-1, CHUNK) ** 2).mean(1))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    put(tmp_path, "ada__one.mp4", late=2.4)
    put(tmp_path, "ada__two.mp4", late=-3.0, seed=5)
    put(tmp_path, "ada__mute.mp4", seed=6, pcm=None)
    put(tmp_path, "bob__dubbed.mp4", seed=7)
    with np.load(tmp_path / "train" / "ada__one.mp4.npz") as other:
        put(tmp_path, "bob__dubbed.mp4", seed=7, pcm=other["pcm"])
    put(tmp_path, "bob__crowd.mp4", seed=8, notes=json.dumps({"found": 1.0, "two_faces": 0.6}))
    return tmp_path


def judge(labels: Path, ear: Ear, told: footage.Known | None = None) -> clips.Table:
    return prepare.judge(labels, told or footage.Known(), ear, "ear", Limits())


def test_clips_are_measured_judged_and_read_back(labels):
    table = judge(labels, Ear())
    records = table.clips
    assert {n: r.reason.partition(" (")[0] for n, r in records.items()} == {
        "ada__one.mp4": "",
        "ada__two.mp4": "",
        "ada__mute.mp4": "no sound",
        "bob__dubbed.mp4": "sound and lips apart",
        "bob__crowd.mp4": "more than one face",
    }
    assert abs(records["ada__one.mp4"].offset - 2.4) < 0.3
    assert abs(records["ada__two.mp4"].offset + 3.0) < 0.3
    talking = lipdata.load_clips(labels)
    assert [c.name for c in talking] == ["ada__one.mp4", "ada__two.mp4"]
    for clip in talking:
        assert len(clip.pcm) == len(clip.code) * CHUNK == len(clip.valid) * CHUNK
        loud = Ear()(clip.pcm)
        assert np.corrcoef(loud, clip.code[:, 0])[0, 1] > 0.9
    assert [c.name for c in lipdata.load_clips(labels, silent=True)] == ["ada__mute.mp4"]


def test_codes_are_the_mouths_own(labels):
    tensors.ensure(labels)
    clip = tensors.read(labels, "ada__one.mp4")
    np.testing.assert_allclose(clip.code[:, 0], mouth(8, 0), atol=0.1)
    np.testing.assert_allclose(clip.opening, mouth(8, 0) * MODEL.opening[0], atol=0.01)
    assert abs(clip.face_px - 180) < 5 and np.abs(clip.pose[:, :3]).max() < 0.1


def test_what_is_done_is_not_done_again(labels):
    first, second = Ear(), Ear()
    before = judge(labels, first)
    made = {p: p.stat().st_mtime_ns for p in (labels / "tensors").iterdir()}
    assert judge(labels, second) == before
    assert first.heard == 4 and second.heard == 0
    put(labels, "bob__crowd.mp4", seed=9)
    judge(labels, second)
    again = {p.name for p, t in made.items() if p.stat().st_mtime_ns != t}
    assert second.heard == 1 and again == {"bob__crowd.mp4.npz", "bob__dubbed.mp4.npz"}


def test_a_known_offset_and_another_speaker_are_taken(labels):
    told = footage.Known({"bob/crowd.mp4": "cleo"}, {"ada/two.mp4": 5.0})
    table = judge(labels, Ear(), told)
    assert table.clips["bob__crowd.mp4"].speaker == "cleo"
    wrong = table.clips["ada__two.mp4"].heard
    assert wrong.offset == 5.0 and not wrong.own and wrong.correlation < 0.5


def test_without_a_table_our_own_footage_has_the_offsets_measured_by_hand(tmp_path):
    put(tmp_path, "lieu__lieu_60s.mp4", late=2.5)
    assert lipdata.offsets(tmp_path)["lieu__lieu_60s.mp4"] == 2.5
    assert len(lipdata.load_clips(tmp_path)[0].code) == 200 - 3


@pytest.mark.parametrize("late", [0.0, 0.05, 1.3, -2.0, -0.4])
def test_sound_and_pictures_are_cut_to_what_both_have(late):
    pcm = np.arange(100 * CHUNK, dtype=np.float32)
    cut, first, last = lipdata.aligned(pcm, 100, late)
    assert len(cut) == (last - first) * CHUNK and last - first >= 97
    if abs(late) >= lipdata.SMALL:
        assert cut[0] == first * CHUNK + round(late * CHUNK)


def film(path: Path, rate: int = 25, count: int = 50, hz: int = 16_000) -> None:
    """A grey film with a click of sound at one second."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.width = video.height = 64
        audio = container.add_stream("aac", rate=hz)
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i, np.uint8), format="rgb24")
            frame.pts = i
            container.mux(video.encode(frame))
        wave = np.zeros((1, hz * count // rate), np.float32)
        wave[0, hz : hz + 400] = 0.5
        clip = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        clip.rate, clip.pts = hz, 0
        container.mux(audio.encode(clip))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def test_sound_begins_where_it_is_asked_for(tmp_path):
    film(tmp_path / "a.mp4")
    whole = sound.read_sound(tmp_path / "a.mp4", 0.0, 50)
    later = sound.read_sound(tmp_path / "a.mp4", 0.4, 40)
    early = sound.read_sound(tmp_path / "a.mp4", -0.4, 40)
    peaks = [int(np.abs(p.astype(int)).argmax()) for p in (whole, later, early)]
    assert len(whole) == 50 * CHUNK
    assert abs(peaks[0] - peaks[1] - 6400) < 20 and abs(peaks[2] - peaks[0] - 6400) < 20


def test_a_broken_video_is_named_and_not_tried_again(tmp_path):
    root, out = tmp_path / "film", tmp_path / "out"
    (root / "ada").mkdir(parents=True)
    out.mkdir()
    broken = root / "ada" / "broken.mp4"
    broken.write_bytes(b"not a film at all" * 99)
    ok, reason = track.label(root, out, "own", 2, False, broken)
    assert not ok and reason.startswith("cannot be read")
    (video,) = footage.scan(root)
    assert (video.name, video.seconds) == ("ada__broken.mp4", 0.0)
    assert prepare.pending([video], out, "own", 2) == []
    assert prepare.pending([video], out, "own", 3) == [video]
    assert prepare.pending([video], out, "mediapipe", 2) == [video]
    broken.write_bytes(b"another")
    assert prepare.pending([video], out, "own", 2) == [video]


def test_a_video_that_failed_stands_in_the_table(labels):
    told = {"stamp": "x", "reason": "cannot be read (why)"}
    (labels / "train" / "ada__bad.mp4.failed.json").write_text(json.dumps(told))
    table = judge(labels, Ear())
    assert table.clips["ada__bad.mp4"].reason == "cannot be read (why)"
    assert ("cannot be read", 1, 0.0) in table.counts()
    assert "cannot be read" in command.report(table)


def test_a_tracker_that_stops_is_an_error_with_its_last_words(tmp_path):
    film(tmp_path / "a.mp4")
    stub = tmp_path / "python"
    stub.write_text(
        f"#!{sys.executable}\nimport sys\n"
        """print('{"file": "a.mp4", "seconds": 1.0}')\n"""
        """print("out of luck", file=sys.stderr)\nsys.exit(3)\n"""
    )
    stub.chmod(0o755)
    videos = footage.scan(tmp_path)
    with pytest.raises(ChildProcessError, match="stopped with 3: out of luck"):
        prepare.follow(tmp_path, videos, tmp_path / "out", stub, 2, 1)


def test_a_film_too_long_for_memory_is_refused(tmp_path):
    film(tmp_path / "a.mp4")
    (video,) = footage.scan(tmp_path)
    long = footage.Video(video.path, video.name, 7200.0)
    prepare.follow(tmp_path, [long], tmp_path / "out", None, 2, 1)
    told = json.loads((tmp_path / "out/train/a.mp4.failed.json").read_text())
    assert told["reason"].startswith("too long (7200 s, at most 3600")


def test_no_folder_no_video_and_no_tracker_are_clear_errors(tmp_path):
    with pytest.raises(NotADirectoryError, match="no such folder"):
        footage.scan(tmp_path / "x")
    with pytest.raises(ValueError, match="no video in it"):
        footage.scan(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        prepare.tracker(tmp_path / "python")


@pytest.mark.parametrize(
    "text", ['["a"]', '{"a": 3}', '{"a": {"who": "b"}}', '{"a": {"offset": "late"}}', "{"]
)
def test_a_wrong_speakers_json_is_refused(tmp_path, text):
    (tmp_path / "speakers.json").write_text(text)
    with pytest.raises(ValueError, match=r"speakers\.json"):
        footage.known(tmp_path / "speakers.json")


def test_speakers_json_tells_speakers_and_offsets(tmp_path):
    path = tmp_path / "speakers.json"
    path.write_text('{"a": "ada", "b/x.mp4": {"speaker": "bob", "offset": 1}, "c": {"offset": 0}}')
    told = footage.known(path)
    assert told.speakers == {"a": "ada", "b/x.mp4": "bob"}
    assert (told.offset("b__x.mp4"), told.offset("c__d__y.mov"), told.offset("a__x.mp4")) == (
        1.0,
        0.0,
        None,
    )


@pytest.mark.shared
def test_a_film_is_tracked_from_end_to_end(shared_data, tmp_path):
    source = shared_data / "train/grid/s2_pwij3p.mpg"
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada/one.mpg").write_bytes(source.read_bytes())
    command.main(["prepare", str(tmp_path), str(tmp_path / "out"), "--looks", "2"])
    assert clips.read(tmp_path / "out").clips["ada__one.mpg"].kept

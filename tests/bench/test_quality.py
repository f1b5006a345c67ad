"""Clips of our own making, whose figures are known, and folders that cannot be measured."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.quality import figures, made, sounds, tables
from bench.quality.clips import FPS, read
from engine import cli
from engine.audio import WEIGHTS
from engine.config import EngineConfig
from engine.frames import Motion, Pose
from engine.media import decode
from kernels.resample import Decimator
from models import facemodel, measures, weights

OPENINGS = Path(__file__).parent.parent / "data" / "openings.json"
CODE_A_WIDTH = 1 / facemodel.load().opening[0]
"""Of the code's first component for an opening of one face width."""


@pytest.fixture(scope="module")
def heard(speech: np.ndarray) -> np.ndarray:
    """(N,) int16 at 16 kHz, nine seconds of speech in whole pictures."""
    pcm = Decimator().push(speech.astype(np.float32) / 32768)
    count = len(pcm) // 640 * 640
    return np.clip(np.round(pcm[:count] * 32768), -32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def spoken(heard: np.ndarray) -> list[Motion]:
    """What the engine makes of it, without head and blinks."""
    frames = made.hear(heard.astype(np.float32) / 32768, EngineConfig())
    return [Motion(f.index, f.lip_code) for f in frames]


@dataclass
class Filmed:
    """A folder of label files of our own making."""

    folder: Path
    json: Path = field(init=False)
    picture: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.json, self.picture = self.folder.parent / "q.json", self.folder.parent / "q.png"

    def add(self, name: str, motions: list[Motion], pcm: np.ndarray | None) -> Path:
        """Films a face of known motion, 300 px wide, turned, moved and some of it unseen."""
        own = facemodel.load().neutral.astype(np.float64)
        faces = made.faces(own, motions)
        pose = np.array([(m.pose.yaw, m.pose.pitch, m.pose.roll) for m in motions])
        centre = measures.pivot(own)
        turned = np.einsum("tij,tnj->tni", measures.rotation(pose), faces - centre)
        arrays = {
            "landmarks": (turned * 300 + np.array([320.0, 240.0, 0.0])).astype(np.float32),
            "valid": np.ones(len(motions), bool),
        }
        if pcm is not None:
            arrays["pcm"] = pcm
        path = self.folder / f"{name}.npz"
        np.savez(path, **arrays)
        return path

    def measure(self, *flags: str) -> dict[str, dict[str, float]]:
        """Rows of the JSON of a run, by name."""
        argv = ["bench", "quality", str(self.folder), "--seeds", "2", "--json", str(self.json)]
        assert cli.main([*argv, *flags]) == 0
        return {row["name"]: row for row in json.loads(self.json.read_text())["rows"]}


@pytest.fixture
def filmed(tmp_path: Path) -> Filmed:
    return Filmed(tmp_path / "clips")


def nod(count: int, degrees: float) -> list[Pose]:
    """A head that turns to and fro, at half a turn a second."""
    angle = np.radians(degrees) * np.sin(np.pi * np.arange(count) / FPS)
    return [Pose(yaw=a, pitch=a / 2, roll=-a / 4) for a in angle]


def test_a_speaker_who_moves_as_the_engine_would_is_met_exactly(filmed, heard, spoken, capsys):
    filmed.add("me", spoken, heard)
    rows = filmed.measure()
    lips = rows["lips / me, made"]
    assert lips["r"] == pytest.approx(1, abs=1e-4)
    assert lips["lag_pictures"] == 0
    assert lips["spread"] == pytest.approx(1, abs=1e-3)
    assert lips["lmd_lips_px"] < 0.01
    assert lips["jitter_s2"] == pytest.approx(rows["lips / me, true"]["jitter_s2"], rel=1e-2)
    assert rows["lips / me, still"]["lmd_lips_px"] > 0.5
    assert "lmd_lips_px" in capsys.readouterr().out


@pytest.mark.parametrize("late", [-2, 3])
def test_lips_that_come_late_or_early_are_told_by_how_much(filmed, heard, spoken, late):
    shifted = [spoken[min(max(0, i + late), len(spoken) - 1)] for i in range(len(spoken))]
    filmed.add("me", shifted, heard)
    lips = filmed.measure("--picture", str(filmed.picture))["lips / me, made"]
    assert lips["lag_pictures"] == late
    assert lips["best_r"] > 0.99 > lips["r"]
    drawn = cv2.imread(str(filmed.picture)).astype(int)
    assert drawn.shape[1] == 1600
    for bgr in ((32, 24, 20), (36, 78, 226)):
        assert (np.abs(drawn - bgr).max(2) < 12).sum() > 500


def test_blinks_are_counted_and_the_head_is_measured_under_them(filmed, heard, spoken):
    lids = np.zeros(len(spoken))
    for start in (20, 60, 90, 150):
        lids[start : start + 5] = 0.5, 1, 1, 0.7, 0.3
    poses = nod(len(spoken), 4.0)
    filmed.add(
        "me",
        [
            replace(m, pose=pose, blink=(lid, lid))
            for m, pose, lid in zip(spoken, poses, lids, strict=True)
        ],
        heard,
    )
    rows = filmed.measure()
    eyes, head = rows["eyes and beats / me, true"], rows["head / me, true"]
    assert eyes["blinks"] == 4
    assert eyes["blinks_per_s"] == pytest.approx(4 / (len(spoken) / FPS))
    assert eyes["blink_ms"] == pytest.approx(200, abs=41)
    turned = np.degrees([p.yaw for p in poses])
    assert head["yaw_deg"] == pytest.approx(turned.std(), rel=0.01)
    assert head["pitch_deg"] == pytest.approx(turned.std() / 2, rel=0.01)
    assert head["roll_deg"] == pytest.approx(turned.std() / 4, rel=0.01)
    energy = {k: v for k, v in head.items() if k.endswith("hz_deg_s")}
    assert max(energy, key=energy.get) in ("0.2_0.5_hz_deg_s", "0.5_1_hz_deg_s")
    assert rows["lips / me, made"]["lmd_lips_px"] < 0.02


def test_the_mouth_rests_where_nobody_speaks(filmed, heard, spoken):
    filmed.add("me", spoken, heard)
    rows = filmed.measure()
    (still,) = [row for name, row in rows.items() if name.startswith("mouth movement")]
    assert still["silence"] < 1
    assert still["white noise"] < 5


def test_a_second_network_is_measured_in_the_same_run(filmed, heard, spoken):
    filmed.add("me", spoken, heard)
    rows = filmed.measure("--against", str(weights.path("lips.onnx")))
    shipped, again = rows["lips / me, made"], rows["lips / me, lips"]
    assert {**shipped, "name": ""} == {**again, "name": ""}
    assert rows["lips / change in %, the clip"]["jitter_s2"] == 0


def test_every_shipped_look_ahead_has_a_row(filmed, heard, spoken, monkeypatch):
    monkeypatch.setitem(WEIGHTS, 100, WEIGHTS[60])
    filmed.add("me", spoken, heard)
    rows = filmed.measure()
    title = "look-ahead, the network shipped for each / {} ms, mean over clips"
    assert rows[title.format(60)]["r"] == pytest.approx(1, abs=1e-4)
    assert rows[title.format(100)]["lag_pictures"] == -1  # hears 40 ms more than it was taught


def test_a_second_network_that_is_none(filmed, heard, spoken, capsys):
    filmed.add("me", spoken, heard)
    argv = ["bench", "quality", str(filmed.folder), "--against", "nowhere.onnx"]
    assert cli.main(argv) == 2
    assert "nowhere.onnx: no such network file" in one_error(capsys)


def test_a_second_clip_adds_pooled_rows(filmed, heard, spoken):
    half = len(spoken) // 2
    filmed.add("whole", spoken, heard)
    filmed.add("first_half", spoken[:half], heard[: half * 640])
    rows = filmed.measure("--only", "whole", "half")
    assert rows["lips / mean over clips, made"]["s"] == pytest.approx((half + len(spoken)) / FPS)
    assert {"lips / whole, true", "lips / first_half, made"} <= rows.keys()
    assert set(filmed.measure("--only", "half")) < set(rows)


def test_syllables_have_a_beat_each():
    path = Path(figures.__file__).parent.parent / "data" / "syllables.flac"
    samples = np.concatenate([p.samples for p in decode(path)]).astype(np.float32) / 32768
    pcm = Decimator().push(samples)
    loud = np.abs(pcm[: len(pcm) // 640 * 640].reshape(-1, 640)).max(1) > 0.05
    onsets = np.flatnonzero(loud[1:] & ~loud[:-1]) / FPS
    beats = figures.beats(pcm)
    assert all(np.abs(beats - onset).min() < 0.12 for onset in onsets)


def test_heads_that_rest_on_the_beat_align_better_than_chance():
    beat_s = np.arange(1, 20) * 0.5
    t = np.arange(250) / FPS
    angle = 0.05 * np.cos(2 * np.pi * t)  # turns back at every half second
    angles = np.stack([angle, angle / 2, angle / 3], 1)
    on, chance = figures.beat_align(angles, beat_s)
    off, _ = figures.beat_align(angles, beat_s + 0.25)
    assert on > 0.95 > 0.6 > chance > off


def test_correlation_of_real_openings_finds_a_known_delay():
    own = json.loads(OPENINGS.read_text())["lieu/lieu_60s.mp4"]
    true = np.array(own["opening"])
    speech = np.array([c == "1" for c in own["speech"]])
    r = figures.correlations(true, np.roll(true, 2), speech)
    assert int(np.argmax(r)) - figures.MAX_LAG == 2
    assert r.max() > 0.99 > 0.9 > r[figures.MAX_LAG]


def test_closures_count_where_lips_meet_within_a_picture_of_the_sound():
    opening = np.full(50, 0.05)
    opening[10] = 0.001
    told = [("b", 0.42, 0.46), ("m", 0.80, 0.90), ("aa", 0.36, 0.44), ("p", 1.98, 2.1)]
    assert figures.closed(opening, told, ("p", "b", "m")) == (1, 2)
    assert figures.closed(opening, told, ("aa",)) == (1, 1)


def test_pooling_weighs_counts_by_counts_and_spreads_by_squares():
    rows = [
        (1.0, {"pbm": 1, "pbm_shut_pct": 100.0, "yaw_deg": 3.0, "r": 0.2}),
        (3.0, {"pbm": 3, "pbm_shut_pct": 0.0, "yaw_deg": 4.0, "r": float("nan")}),
    ]
    found = tables.pool(rows)
    assert found["pbm"] == 4
    assert found["pbm_shut_pct"] == 25
    assert found["yaw_deg"] == pytest.approx(np.sqrt((9 + 3 * 16) / 4))
    assert found["r"] == pytest.approx(0.2)


def test_phones_of_a_label_file_are_read(tmp_path):
    lab = tmp_path / "a.lab"
    lab.write_text(
        "0 1300000 x^x-sil+hh=iy@x_x/A:0\n1300000 2050000 x^sil-hh+iy=t@1\n2050000 2700000 b\n"
    )
    assert sounds.read_lab(lab) == (
        ("sil", 0.0, pytest.approx(0.13)),
        ("hh", pytest.approx(0.13), pytest.approx(0.205)),
        ("b", pytest.approx(0.205), pytest.approx(0.27)),
    )


def test_closures_are_measured_where_phones_are_told(filmed, heard, spoken):
    filmed.add("me", spoken, heard)
    gap = np.array([m.lip_code @ facemodel.load().opening for m in spoken])
    shut, wide = int(np.flatnonzero(gap > 0.03)[0]) - 4, int(gap.argmax())
    rows = [(shut, "b"), (wide, "m")] if shut < wide else [(wide, "m"), (shut, "b")]
    (filmed.folder / "me.lab").write_text(
        "".join(f"{i * 400_000} {i * 400_000 + 400_000} {name}\n" for i, name in rows)
    )
    lips = filmed.measure("--alignments", str(filmed.folder))["lips / me, made"]
    assert lips["pbm"] == 2
    assert lips["pbm_shut_pct"] == 50


def test_noise_probes_stand_20_db_below_speech(heard):
    pcm = heard.astype(np.float32) / 32768
    sounds_by_name = made.probes(pcm)
    quiet, still = sounds_by_name["silence"]
    white, _ = sounds_by_name["white noise"]
    noise = float((white - quiet).std())
    said = quiet.reshape(-1, 640)[~still]
    level = np.sqrt((said**2).mean(1))
    assert 20 * np.log10(noise / np.sqrt((level[level > level.max() / 10] ** 2).mean())) == (
        pytest.approx(-20, abs=3)
    )
    assert np.abs(quiet.reshape(-1, 640)[still]).max() == 0


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The single line on stderr, with nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("visavis: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_clip_without_sound(filmed, spoken, capsys):
    path = filmed.add("me", spoken, None)
    assert cli.main(["bench", "quality", str(filmed.folder)]) == 2
    assert f"{path} holds no sound: expected" in one_error(capsys)


def test_a_clip_whose_sound_is_zero(filmed, heard, spoken, capsys):
    filmed.add("me", spoken, heard * 0)
    assert cli.main(["bench", "quality", str(filmed.folder)]) == 2
    assert "holds no sound: all of its" in one_error(capsys)


def test_a_hum_moves_no_lips_and_leaves_figures_out(filmed, heard, spoken):
    t = np.arange(len(heard)) % 160
    filmed.add("me", spoken, (1000 * np.sin(t / 160 * 2 * np.pi)).astype(np.int16))
    lips = filmed.measure()["lips / me, made"]
    assert lips["r"] is None and lips["quiet_pct"] is None
    assert lips["lmd_lips_px"] > 1


def test_a_clip_shorter_than_a_second(filmed, heard, spoken, capsys):
    filmed.add("me", spoken[:20], heard[: 20 * 640])
    assert cli.main(["bench", "quality", str(filmed.folder)]) == 2
    assert "a face and sound in 20 pictures, expected at least 25" in one_error(capsys)


@pytest.mark.parametrize(
    ("files", "flags", "words"),
    [
        ([], [], "holds no clips: expected videos or label files"),
        (["a.mp4", "b/c.mov"], [], "2 videos and no labels; make them: visavis train data prepare"),
        (["a.npz"], [], "a.npz is damaged or no label file"),
        (["a.mp4", "b.mp4.npz"], [], "a.mp4 has no labels, expected a.mp4.npz in"),
        (["a.mp4", "above__a.mp4.npz"], [], "above__a.mp4.npz is damaged or no label file"),
        (["a.mp4", "a.mp4.npz"], ["--only", "zoe"], "holds no clip named like zoe"),
        ([], ["--labels", "nowhere"], "nowhere is not a folder"),
        ([], ["--picture", "q.jpg"], "q.jpg is no name for the picture, expected one ending"),
        ([], ["--seeds", "0"], "--seeds is 0, expected 1 to 100"),
        ([], ["--render", "q.jpg"], "q.jpg is no name for the picture, expected one ending"),
        ([], ["--render-seconds", "0"], "--render-seconds is 0, expected more than 0"),
        ([], ["--teacher", "folder"], "--teacher is folder, expected --render SHEET.png beside it"),
        ([], ["--render-steps", "1", "0"], "--render-steps is 0, expected 1 to 4"),
        ([], ["--render-steps", "5"], "steps is 5, expected 0 to 4"),
    ],
)
def test_folders_and_flags_that_cannot_be_measured(tmp_path, capsys, files, flags, words):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no label file")
    assert cli.main(["bench", "quality", str(tmp_path), *flags]) == 2
    assert words in one_error(capsys)


def test_a_video_that_could_not_be_labelled(tmp_path, capsys):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.npz").touch()
    (tmp_path / "a.mp4.failed.json").write_text('{"stamp": "1", "reason": "a.mp4: no face"}')
    assert cli.main(["bench", "quality", str(tmp_path)]) == 2
    assert "a.mp4 could not be labelled: a.mp4: no face; --only" in one_error(capsys)


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert cli.main(["bench", "quality", str(tmp_path / "gone")]) == 2
    assert "gone is not a folder" in one_error(capsys)


def test_an_alignment_that_is_none(filmed, heard, spoken, capsys):
    filmed.add("me", spoken, heard)
    (filmed.folder / "me.lab").write_text("0 100 b\nhello\n")
    argv = ["bench", "quality", str(filmed.folder), "--alignments", str(filmed.folder)]
    assert cli.main(argv) == 2
    assert "me.lab: line 2 is 'hello', expected begin, end and a name" in one_error(capsys)


def test_label_files_keep_what_they_hold(filmed, heard, spoken):
    talk = read(filmed.add("folder__me.mp4", spoken, heard))
    assert (talk.name, talk.file, len(talk.points)) == ("me", "folder__me.mp4", len(spoken))
    assert talk.pcm.max() <= 1

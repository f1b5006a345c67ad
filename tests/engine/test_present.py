import subprocess
import sys
import threading
import wave
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from engine import present
from engine.config import EngineConfig
from engine.errors import AvatarError, ConfigError, MediaError
from engine.film import FilmWriter
from engine.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Motion, Pcm, Picture
from engine.metrics import StageTimes
from engine.present import present_file
from tests.engine.films import decoded

CONFIG = EngineConfig(size_px=128)
LOOKAHEAD = 2


class EchoPipeline:
    """Draws nothing, but keeps the contract: pictures come late by a look-ahead, none are lost."""

    fails_at: int | None = None
    error: type[BaseException] = MediaError

    def __init__(self, avatar, config):
        self.config = config
        self.timings = StageTimes()
        self._sound = np.zeros(0, np.int16)
        self._next = 0

    def push(self, pcm: Pcm) -> list[Picture]:
        assert pcm.pts == len(self._sound)
        self._sound = np.concatenate([self._sound, pcm.samples])
        return self._ready(len(self._sound) // FRAME_SAMPLES - LOOKAHEAD)

    def flush(self) -> list[Picture]:
        return self._ready(len(self._sound) // FRAME_SAMPLES)

    def _ready(self, end: int) -> list[Picture]:
        pictures = []
        while self._next < end:
            if self._next == self.fails_at:
                raise self.error("told to fail")
            start = self._next * FRAME_SAMPLES
            i420 = np.full((192, 128), 16 + self._next % 200, np.uint8)
            pcm = Pcm(start, self._sound[start : start + FRAME_SAMPLES])
            pictures.append(Picture(self._next, i420, pcm, Motion(self._next, np.zeros(4, "f4"))))
            self._next += 1
        return pictures


@pytest.fixture
def echo(monkeypatch) -> type[EchoPipeline]:
    pipeline = type("OneTest", (EchoPipeline,), {})
    monkeypatch.setattr(present, "Pipeline", pipeline)
    monkeypatch.setattr(present, "find", lambda name: name)
    monkeypatch.setattr(present, "names", lambda: ["someone"])
    return pipeline


def write_wav(path: Path, count: int, samples: npt.NDArray[np.int16] | None = None) -> Path:
    if samples is None:
        samples = np.random.default_rng(0).integers(-3000, 3000, count, dtype=np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.tobytes())
    return path


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(1, 1), (FRAME_SAMPLES, 1), (FRAME_SAMPLES + 1, 2), (10 * FRAME_SAMPLES - 1, 10)],
)
def test_film_is_as_long_as_the_speech_within_a_frame(tmp_path, echo, samples, frames):
    speech, out = write_wav(tmp_path / "a.wav", samples), tmp_path / "a.mp4"
    stats = present_file(speech, out, config=CONFIG)
    assert stats.frames == frames
    assert stats.speech_s == samples / SAMPLE_RATE_HZ
    with av.open(str(out)) as film:
        assert film.streams.video[0].frames == frames


def test_pictures_keep_their_order(tmp_path, echo):
    speech, out = write_wav(tmp_path / "a.wav", 60 * FRAME_SAMPLES), tmp_path / "a.mp4"
    present_file(speech, out, config=CONFIG)
    with av.open(str(out)) as film:
        shades = [int(f.to_ndarray()[:128].mean().round()) for f in film.decode(video=0)]
    assert np.abs(np.array(shades) - (16 + np.arange(60))).max() <= 2


def test_progress_counts_up_to_the_end(tmp_path, echo):
    speech = write_wav(tmp_path / "a.wav", 20 * FRAME_SAMPLES - 7)
    seen: list[tuple[int, int]] = []
    present_file(
        speech, tmp_path / "a.mp4", config=CONFIG, progress=lambda *step: seen.append(step)
    )
    assert seen == [(done, 20) for done in range(1, 21)]


def test_stages_include_encoding(tmp_path, echo):
    speech = write_wav(tmp_path / "a.wav", 5 * FRAME_SAMPLES)
    stats = present_file(speech, tmp_path / "a.mp4", config=CONFIG)
    assert stats.stages["encode"]["count"] == 5
    assert stats.fps > 0


@pytest.mark.parametrize("error", [MediaError, KeyboardInterrupt])
def test_failure_while_rendering_leaves_nothing(tmp_path, echo, error):
    echo.fails_at, echo.error = 30, error
    speech = write_wav(tmp_path / "a.wav", 60 * FRAME_SAMPLES)
    with pytest.raises(error, match="told to fail"):
        present_file(speech, tmp_path / "a.mp4", config=CONFIG)
    assert list(tmp_path.iterdir()) == [speech]
    assert not [t for t in threading.enumerate() if t.name == "encode"]


def test_full_disk_while_encoding_stops_rendering(tmp_path, echo, monkeypatch):
    written = []

    def full(self, i420, pcm, alpha=None):
        if written:
            raise MediaError("a.mp4 cannot be written: no space left on device")
        written.append(pcm)

    monkeypatch.setattr(FilmWriter, "write", full)
    # Long enough that a renderer that did not notice would be seen, and one that waits hangs.
    speech = write_wav(tmp_path / "a.wav", 200 * FRAME_SAMPLES)
    with pytest.raises(MediaError, match="no space left"):
        present_file(speech, tmp_path / "a.mp4", config=CONFIG)
    assert list(tmp_path.iterdir()) == [speech]


def test_film_over_its_own_speech_is_refused(tmp_path, echo):
    path = tmp_path / "talk.mp4"
    present_file(write_wav(tmp_path / "a.wav", 9600), path, config=CONFIG)
    before = path.read_bytes()
    with pytest.raises(MediaError, match="is the speech itself"):
        present_file(path, path, config=CONFIG)
    assert path.read_bytes() == before


def test_unknown_avatar(tmp_path, speech_path):
    with pytest.raises(AvatarError, match="'nobody' is unknown"):
        present_file(speech_path, tmp_path / "a.mp4", "nobody", CONFIG)
    assert not list(tmp_path.iterdir())


def test_no_avatar_at_all(tmp_path, speech_path, monkeypatch):
    monkeypatch.setattr(present, "names", list)
    with pytest.raises(AvatarError, match="no avatar is installed"):
        present_file(speech_path, tmp_path / "a.mp4", config=CONFIG)


def test_real_avatar_says_a_real_speech(tmp_path, speech_path, speech, avatar):
    out = tmp_path / "talk.mp4"
    stats = present_file(speech_path, out, avatar, CONFIG)
    assert stats.frames == -(-len(speech) // FRAME_SAMPLES)
    with av.open(str(out)) as film:
        length_s = float(film.duration / av.time_base)
        pictures = [frame.to_ndarray() for frame in film.decode(video=0)]
    assert abs(length_s - len(speech) / SAMPLE_RATE_HZ) <= 1 / FPS
    # Somebody is there, and moves.
    assert pictures[0][:128].std() > 10
    assert np.abs(pictures[30].astype(int) - pictures[60]).max() > 20


@pytest.mark.parametrize("name", ["talk.webm", "talk.mov"])
def test_a_transparent_film_is_the_opaque_one_cut_out(tmp_path, speech, avatar, name):
    said = tmp_path / "said.wav"
    write_wav(said, 2 * SAMPLE_RATE_HZ, speech[: 2 * SAMPLE_RATE_HZ])
    config = EngineConfig(size_px=256, steps=0)
    present_file(said, tmp_path / f"opaque{name[4:]}", avatar, config)
    present_file(said, tmp_path / name, avatar, replace(config, background="transparent"))
    clear = [f.to_ndarray(format="rgba") for f in decoded(tmp_path / name)]
    solid = [f.to_ndarray(format="rgb24") for f in decoded(tmp_path / f"opaque{name[4:]}")]
    assert len(clear) == len(solid) == 50
    face = slice(90, 180), slice(100, 156)
    for cut, whole in zip(clear, solid, strict=True):
        alpha = cut[..., 3]
        assert max(alpha[:16, :16].max(), alpha[:16, -16:].max()) == 0
        assert alpha[face].min() >= 254
        off = np.abs(cut[..., :3][face].astype(int) - whole[face])
        assert off.mean() < 3 and off.max() < 60
        # Neither is all there nor all gone, and the rim is soft.
        assert 0.2 < (alpha > 250).mean() < 0.8
        assert ((alpha > 40) & (alpha < 215)).any()
    with av.open(str(tmp_path / name)) as film:
        assert abs(film.duration / av.time_base - 2) <= 1 / FPS


def test_a_transparent_film_cannot_be_an_mp4(tmp_path, speech_path, avatar):
    with pytest.raises(MediaError, match=r"'\.mp4', a kind of film without transparency, expected"):
        present_file(
            speech_path, tmp_path / "a.mp4", avatar, replace(CONFIG, background="transparent")
        )
    assert not list(tmp_path.iterdir())


def test_who_fills_the_picture_cannot_be_cut_out(tmp_path, speech_path, avatar):
    whole = replace(avatar, matte=np.full_like(avatar.matte, 255))
    with pytest.raises(ConfigError, match="background is 'transparent', but the avatar's matte"):
        present_file(
            speech_path, tmp_path / "a.webm", whole, replace(CONFIG, background="transparent")
        )
    assert not list(tmp_path.iterdir())


def test_nobody_outside_is_told(tmp_path, speech_path, avatar):
    code = """
import sys
def tell(event, arguments):
    if event in ("os.fork", "socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        sys.stderr.write(f"{event} {arguments}\\n")
sys.addaudithook(tell)
from engine.cli import main
sys.exit(main(sys.argv[1:]))
"""
    argv = ["present", str(speech_path), "--out", str(tmp_path / "a.mp4"), "--size", "128"]
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

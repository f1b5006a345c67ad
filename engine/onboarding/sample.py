"""A short film of an avatar that says a sentence, made in memory."""

import io
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from engine.avatar import Avatar
from engine.config import EngineConfig
from engine.errors import PortraitError
from engine.frames import FPS, SAMPLE_RATE_HZ, Pcm, Picture
from engine.media import decode
from engine.pipeline import Pipeline

SENTENCE: Final = Path(__file__).with_name("hello.ogg")
"""Two sentences of our own tests/data/speech.ogg, see the README there."""
KINDS: Final[dict[str, tuple[str, str, str, dict[str, str]]]] = {
    "mp4": ("mp4", "libx264", "aac", {"preset": "veryfast", "crf": "21"}),
    "webm": ("webm", "libvpx", "libopus", {"deadline": "realtime", "cpu-used": "6"}),
}
"""By name: container, codecs of picture and sound, settings of the first."""
_VIDEO_BPS: Final = 2_000_000


@cache
def _sentence() -> npt.NDArray[np.int16]:
    return np.concatenate([pcm.samples for pcm in decode(SENTENCE)])


def film(avatar: Avatar, config: EngineConfig, kind: str = "mp4") -> bytes:
    """The avatar says the sample sentence; takes about as long as the sentence.

    Args:
        kind: a name in `KINDS`.

    Raises:
        PortraitError: there is no such kind.
        BackendError: the networks cannot run here.
    """
    if kind not in KINDS:
        raise PortraitError(f"kind of film is {kind[:20]!r}, expected one of {', '.join(KINDS)}")
    pipeline = Pipeline(avatar, replace(config, live=False))
    pictures = pipeline.push(Pcm(0, _sentence())) + pipeline.flush()
    return _film(pictures, config.size_px, kind)


def _film(pictures: list[Picture], size_px: int, kind: str) -> bytes:
    container, seen, heard, options = KINDS[kind]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as film:
        video: Any = film.add_stream(seen, FPS, options=options)
        video.width = video.height = size_px
        video.pix_fmt = "yuv420p"
        video.bit_rate = _VIDEO_BPS
        video.codec_context.thread_count = 1
        audio: Any = film.add_stream(heard, SAMPLE_RATE_HZ, layout="mono")
        samples = 0
        for number, picture in enumerate(pictures):
            if picture.i420 is None:
                continue
            frame = av.VideoFrame.from_ndarray(picture.i420, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            film.mux(video.encode(frame))
            sound = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(picture.pcm.samples)[None], format="s16", layout="mono"
            )
            sound.sample_rate = SAMPLE_RATE_HZ
            sound.pts, sound.time_base = samples, Fraction(1, SAMPLE_RATE_HZ)
            film.mux(audio.encode(sound))
            samples += len(picture.pcm.samples)
        film.mux(video.encode(None))
        film.mux(audio.encode(None))
    return out.getvalue()

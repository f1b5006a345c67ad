"""What a call does to a voice: Opus at low bitrates, with its delay taken back exactly."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from kernels import logmel
from models.train import lipdata

F32 = npt.NDArray[np.float32]

_RATE_HZ = 48000
_FRAME = 960
_DELAY = 312
"""Samples at 48 kHz by which libopus comes late (its pre-skip, RFC 7845, 4.2)."""


def opus(pcm: F32, kbps: int) -> F32:
    """A voice (N,) float32 at 16 kHz after Opus at `kbps`; same length, no delay.

    Raises:
        ValueError: a bitrate that Opus does not have.
    """
    if not 6 <= kbps <= 510:
        raise ValueError(f"Opus at {kbps} kb/s, expected 6 to 510")
    wide, _ = lipdata.resample(pcm, logmel.RATE_HZ / _RATE_HZ)
    count = -(-(len(wide) + _DELAY) // _FRAME) * _FRAME
    padded = np.clip(np.pad(wide, (0, count - len(wide))), -1, 1)
    samples = np.round(padded * 32767).astype(np.int16)
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = _RATE_HZ, "mono", "s16"
    encoder.bit_rate = kbps * 1000
    encoder.options = {"application": "voip", "frame_duration": "20"}
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = _RATE_HZ, "mono"
    heard = []
    for at in range(0, count, _FRAME):
        frame = av.AudioFrame.from_ndarray(samples[None, at : at + _FRAME], "s16", "mono")
        frame.sample_rate, frame.pts = _RATE_HZ, at
        for packet in encoder.encode(frame):
            heard += [f.to_ndarray()[0] for f in decoder.decode(packet)]
    for packet in encoder.encode(None):
        heard += [f.to_ndarray()[0] for f in decoder.decode(packet)]
    out = np.concatenate(heard)
    late = np.pad(out[_DELAY:], (0, max(0, len(wide) + _DELAY - len(out))))[: len(wide)]
    scaled = np.asarray(late / (32768 if late.dtype == np.int16 else 1), np.float32)
    return np.asarray(lipdata.resample(scaled, _RATE_HZ / logmel.RATE_HZ)[0][: len(pcm)])


def write_opus(pcm: F32, path: Path, kbps: int = 32) -> None:
    """Writes a voice (N,) float32 at 16 kHz as Ogg Opus; players take its delay back themselves."""
    wide, _ = lipdata.resample(pcm, logmel.RATE_HZ / _RATE_HZ)
    samples = np.round(np.clip(wide, -1, 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libopus", rate=_RATE_HZ, layout="mono")
        stream.bit_rate = kbps * 1000
        for at in range(0, len(samples), _FRAME):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + _FRAME], "s16", "mono")
            frame.sample_rate, frame.pts = _RATE_HZ, at
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))

"""What the engine makes of a clip's sound: lip codes, motion, and a face that moves by them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.audio import AudioStage
from engine.config import EngineConfig
from engine.frames import AudioFrame, Motion, Pcm
from engine.motion import MotionStage
from kernels import logmel
from models import facemodel, measures, topology
from models.train import face, lipdata

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_LID_FALL, _LID_RISE = 0.97, 0.12
"""How far a blink moves the upper and the lower lid, in openings, as in `engine.rig`."""
_AFTER_S = 4.0
_RESTED_S = 0.5
"""After speech, or where a noise begins, the gate may need this long."""


@dataclass(frozen=True, slots=True)
class Upright:
    """A clip's faces with the head's pose taken off.

    Attributes:
        points: (T, 478, 3) in widths of the speaker's own face, upright and frontal.
        own: (478, 3), the speaker's face with a shut mouth.
    """

    points: F64
    own: F64


def upright(points: F64, valid: npt.NDArray[np.bool_]) -> Upright:
    """Lays every face of a clip over the speaker's own shut-mouth face, (T, 478, 3) px."""
    model = facemodel.load()
    stable = model.stable.astype(np.int64)
    laid = measures.align(points, model.neutral.astype(np.float64), stable)
    own = face.shut_face(laid[valid])
    laid = measures.align(laid, own, stable)
    gap = measures.inner_gap(laid)
    shut = laid[valid & (gap <= face.SHUT)]
    if len(shut) >= 6:
        own = np.median(shut, 0)
        laid = measures.align(laid, own, stable)
    width = float(np.linalg.norm(own[face.RIGHT] - own[face.LEFT]))
    return Upright(laid / width, np.asarray(own / width, np.float64))


def hear(pcm: F32, config: EngineConfig, network: Path | None = None) -> list[AudioFrame]:
    """The audio stage over a whole sound, (N,) float32 at 16 kHz: a frame for every picture.

    Args:
        pcm: the sound.
        config: the engine's.
        network: a lip network other than the shipped one.
    """
    loud = lipdata.resample(pcm, logmel.RATE_HZ / 48_000)[0]
    samples = np.clip(np.round(loud * 32768), -32768, 32767).astype(np.int16)
    stage = AudioStage(config) if network is None else AudioStage(config, network)
    return stage.push(Pcm(0, samples)) + stage.flush()


def codes(frames: list[AudioFrame]) -> F32:
    """(T, K) lip codes."""
    return np.stack([f.lip_code for f in frames])


def move(frames: list[AudioFrame], config: EngineConfig, before_s: float = 0.0) -> list[Motion]:
    """The motion stage over a clip; with `before_s` it has heard as much of the clip's end (or of
    the clip over and over) before, so that it does not begin at rest."""
    count = round(before_s * lipdata.FPS)
    heard = [*(frames * (count // len(frames) + 1))[-count:], *frames] if count else frames
    stage = MotionStage(config)
    motions = [m for i, f in enumerate(heard) for m in stage.push(replace(f, index=i))]
    return (motions + stage.flush())[-len(frames) :]


def poses(motions: list[Motion]) -> F64:
    """(T, 3) yaw, pitch, roll in radians."""
    return np.array([(m.pose.yaw, m.pose.pitch, m.pose.roll) for m in motions])


def faces(own: F64, motions: list[Motion]) -> F64:
    """(T, 478, 3) faces that speak and blink, upright: a face's own neutral, moved."""
    model = facemodel.load()
    out = np.stack([own + (model.decode(m.lip_code) - model.neutral) for m in motions])
    blink = np.array([m.blink for m in motions])
    for eye in (0, 1):
        _shut_lids(out, topology.UPPER_LIDS[eye], topology.LOWER_LIDS[eye], blink[:, eye])
    out[:, topology.BROWS, 1] -= np.array([m.brow for m in motions])[:, None]
    return out


def _shut_lids(
    points: F64, upper: npt.NDArray[np.int64], lower: npt.NDArray[np.int64], closure: F64
) -> None:
    inner = slice(1, -1)
    top, bottom = points[:, upper[inner]], points[:, lower[inner]]
    way = (bottom - top) * closure[:, None, None]
    top, bottom = top + _LID_FALL * way, bottom - _LID_RISE * way
    crossed = (bottom[..., 1] < top[..., 1])[..., None]
    meet = (top + bottom) / 2
    points[:, upper[inner]] = np.where(crossed, meet, top)
    points[:, lower[inner]] = np.where(crossed, meet, bottom)


def probes(pcm: F32) -> dict[str, tuple[F32, npt.NDArray[np.bool_]]]:
    """Sounds in which nobody speaks after (or before) a clip's speech, and when nobody does.

    Noise is steady and 20 dB below the clip's loud pictures; it begins 4 s before the speech, goes
    on under it, and ends 4 s after it. Half a second at each edge is left to the voice gate.

    Returns:
        By name: the sound, and (T,) bool, where the mouth should rest.
    """
    speech = ~lipdata.quiet(pcm)
    last = int(np.flatnonzero(speech)[-1]) + 1
    said = pcm[: last * lipdata.CHUNK]
    level = float(np.sqrt((said.reshape(-1, lipdata.CHUNK)[speech[:last]] ** 2).mean()))
    after = round(_AFTER_S * lipdata.FPS)
    rested = round(_RESTED_S * lipdata.FPS)
    rest = np.zeros(after * lipdata.CHUNK, np.float32)
    whole = np.concatenate([rest, said, rest])
    still = np.zeros(len(whole) // lipdata.CHUNK, bool)
    still[rested : after - rested] = True
    still[after + last + rested :] = True
    rng = np.random.default_rng(0)
    found = {"silence": (whole, still)}
    for name, slope in (("white noise", 0.0), ("pink noise", 1.0)):
        noise = _noise(len(whole), slope, rng) * level / 10
        found[name] = (np.asarray(whole + noise, np.float32), still)
    return found


def _noise(count: int, slope: float, rng: np.random.Generator) -> F32:
    """Noise of unit level whose power falls by frequency to the minus `slope`, above 50 Hz."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    hz = np.fft.rfftfreq(count, 1 / logmel.RATE_HZ)
    shaped = np.fft.irfft(spectrum * np.maximum(hz, 50.0) ** (-slope / 2), count)
    return np.asarray(shaped / shaped.std(), np.float32)

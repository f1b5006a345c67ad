"""The sync expert: by how much lips and sound of a clip are apart, and how surely.

It is the lip-audio pair of `models/nets/contrast.py`: the lip network's embedding of the sound and
an encoder of the lips, trained so that what belongs together lies close (InfoNCE); beside it the
lips that the network reads from the sound (`models/likeness.py`). NumPy and the engine's own
backend suffice; no score of another lip-sync network can be compared with its own.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from engine import backends
from kernels import logmel
from models import weights
from models.likeness import comparable

F32 = npt.NDArray[np.float32]

REACH = 15
"""Offsets tried are -REACH to REACH pictures of 40 ms."""
LEAST = 5
"""Pictures that must be left to compare at the furthest offset."""
LOOKAHEAD_MS = 60
_HOPS = 4
_WARM_UP = 25


@dataclass(frozen=True, slots=True)
class _Pair:
    """Weights of sync.npz: two convolutions over pictures and a matrix for lips, two for sound."""

    arrays: dict[str, F32]

    def of_lips(self, codes: F32) -> F32:
        """(T, K) -> (T, D) of unit length."""
        speed = np.diff(codes, axis=0, prepend=codes[:1])
        x = np.concatenate([codes, 2 * speed], 1)
        for name in ("lips.0", "lips.3"):
            x = _gelu(_convolve(x, self.arrays[name + ".weight"], self.arrays[name + ".bias"]))
        x = _convolve(x, self.arrays["lips.5.weight"], self.arrays["lips.5.bias"])
        return _unit(x)

    def of_audio(self, embedding: F32) -> F32:
        """(T, E) -> (T, D) of unit length."""
        x = embedding @ self.arrays["audio.0.weight"].T + self.arrays["audio.0.bias"]
        return _unit(_gelu(x) @ self.arrays["audio.2.weight"].T + self.arrays["audio.2.bias"])


def _unit(x: F32) -> F32:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9), np.float32)


def _gelu(x: F32) -> F32:
    """Hendrycks and Gimpel 2016, with erf by Abramowitz and Stegun 7.1.26 (error below 2e-7)."""
    z = np.abs(x) / np.sqrt(2.0)
    t = 1 / (1 + 0.3275911 * z)
    series = ((((1.061405429 * t - 1.453152027) * t) + 1.421413741) * t - 0.284496736) * t
    erf = np.sign(x) * (1 - (series + 0.254829592) * t * np.exp(-z * z))
    return np.asarray(0.5 * x * (1 + erf), np.float32)


def _convolve(x: F32, weight: F32, bias: F32) -> F32:
    """(T, I) with (O, I, N) and zeros around -> (T, O)."""
    size = weight.shape[2]
    padded = np.pad(x, ((size // 2, size // 2), (0, 0)))
    near = np.lib.stride_tricks.sliding_window_view(padded, size, axis=0)
    return np.asarray(np.einsum("tik,oik->to", near, weight) + bias, np.float32)


@lru_cache(maxsize=1)
def _load() -> _Pair:
    with np.load(weights.path("sync.npz")) as data:
        return _Pair({k: data[k] for k in data.files})


def embeddings(pcm: F32) -> F32:
    """(T, E) the lip network's embedding at each picture of a sound (N,) float32 in [-1, 1] at
    16 kHz, after a second of silence."""
    network = backends.load("openvino", weights.path("lips.onnx"))
    ahead = LOOKAHEAD_MS // 10
    silent = np.zeros(ahead * logmel.HOP, np.float32)
    mel = logmel.LogMel().push(np.concatenate([pcm, silent]))[ahead - _HOPS :]
    mel = np.concatenate([np.tile(logmel.SILENCE, (_WARM_UP * _HOPS, 1)), mel])
    state = np.zeros((1, network.inputs["state"][1]), np.float32)
    found = []
    for chunk in mel[: len(mel) // _HOPS * _HOPS].reshape(-1, 1, _HOPS, logmel.BANDS):
        out = network.run({"mel": chunk, "state": state})
        state = out["next_state"]
        found.append(out["embedding"][0])
    return np.asarray(found[_WARM_UP:], np.float32)


def likeness(codes: F32, pcm: F32) -> F32:
    """(31,) mean likeness of lips (T, K) and sound at offsets of -15 to 15 pictures.

    At offset o, picture i + o is laid over the sound of picture i.

    Raises:
        ValueError: `codes` are not (T, 6), or lips or sound are too short.
    """
    pair = _load()
    size = pair.arrays["lips.0.weight"].shape[1] // 2
    if codes.ndim != 2 or codes.shape[1] != size:
        raise ValueError(f"codes are {codes.shape}, expected (T, {size})")
    count = min(len(codes), len(pcm) // (_HOPS * logmel.HOP))
    if count < REACH + LEAST:
        raise ValueError(f"{count} pictures with sound, expected at least {REACH + LEAST}")
    seen, heard = codes[:count].astype(np.float32), embeddings(pcm.astype(np.float32))[:count]
    lips = comparable(pair.of_lips(seen), seen)
    audio = comparable(pair.of_audio(heard), heard[:, :size])
    found = []
    for o in range(-REACH, REACH + 1):
        a = audio[max(0, -o) : count - max(0, o)]
        b = lips[max(0, o) : count + min(0, o)]
        found.append(float((a * b).sum(1).mean()))
    return np.asarray(found, np.float32)


def offset(codes: F32, pcm: F32) -> tuple[int, float]:
    """By how many pictures a clip's lips come after its sound, and how surely.

    Args:
        codes: (T, 6) lip codes at 25 pictures a second.
        pcm: (N,) float32 in [-1, 1] at 16 kHz, its first sample at the first picture's time.

    Returns:
        The offset in [-15, 15] of the highest likeness, and how far this stands above the median
        of all offsets (0 when nothing belongs together; `lips.md` tells what real clips have).

    Raises:
        ValueError: see `likeness`.
    """
    found = likeness(codes, pcm)
    best = int(found.argmax())
    return best - REACH, float(found[best] - np.median(found))

"""Which sound is spoken when in real speech, and what lips do for each sound.

Where the words are known (GRID's file names spell them), flite can say the same words; dynamic
time warping of the two recordings (Sakoe and Chiba 1978) carries flite's exact times over. A
ridge regression from the sounds around a picture to its lip code then gives lips to speech that
has none.
"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models.train import lipdata
from models.train.speech import flite, sounds

F32 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int8]

_WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {c: c for c in "bcdefghijklmnopqrstuvxyz"} | {"a": "a."},
    dict(
        zip("z123456789", "zero one two three four five six seven eight nine".split(), strict=True)
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
_SENTENCES = {
    "obama__addr_00.mp4": "But here's the thing. We have the answers to these problems.",
    "obama__addr_01.mp4": "We all know the past few years have been difficult for",
    "obama__addr_03.mp4": "in town halls and in the places they work. We talked about their "
    "struggles,",
    "obama__addr_04.mp4": "actually help working families get ahead.",
    "obama__addr_05.mp4": "a bad situation could become dramatically worse.",
    "obama__addr_06.mp4": "about the progress we expect to make in each of these areas.",
    "obama__addr_07.mp4": "about the very real and very serious challenges their families face "
    "every day",
}
"""What other clips say, from the names that their files had where they come from."""
OFFSETS = range(-16, 21, 2)
"""Where around a picture the regression looks, in hops of 10 ms."""
_RIDGE = 10.0


def text_of(name: str) -> str | None:
    """What a clip says, by its label file's name; None where that is not known."""
    if not name.startswith("grid"):
        return _SENTENCES.get(name)
    code = re.split(r"[_.]", name.split("__", 1)[1].removesuffix(".mpg").removesuffix("_hires"))[-1]
    return " ".join(words[c] for words, c in zip(_WORDS, code, strict=True))


def read_speech(folder: Path) -> list[tuple[F32, str]]:
    """(pcm, words) of a folder laid out like LJSpeech: NAME.wav, metadata.csv of NAME|raw|words."""
    found = []
    for line in (folder / "metadata.csv").read_text().splitlines():
        name, _, words = line.split("|")
        pcm = lipdata.read_wav(folder / f"{name}.wav")
        found.append((pcm[: len(pcm) // lipdata.CHUNK * lipdata.CHUNK], words))
    return found


def timed(labels: Path, name: str) -> list[tuple[str, float, float]] | None:
    """(sound, begin_s, end_s) of a labelled clip, from LABELS/sounds.npz; None if not there.

    Times are those of the clip's pictures: picture i is at i * 0.04 s.
    """
    with np.load(labels / "sounds.npz") as data:
        return segments(data[name]) if name in data.files else None


def segments(hops: I8) -> list[tuple[str, float, float]]:
    """(sound, begin_s, end_s) of classes (N,) at each 10 ms; pauses are left out."""
    edges = np.flatnonzero(np.diff(hops, prepend=-2, append=-2))
    return [
        (sounds.SOUNDS[hops[a]], float(a) * 0.01, float(b) * 0.01)
        for a, b in pairwise(edges)
        if hops[a] > 0
    ]


def cepstra(mel: F32) -> F32:
    """(N, 80) log-mel -> (N, 24) normalised cepstra and their slopes."""
    k, n = np.arange(1, 13), np.arange(logmel.BANDS) + 0.5
    c = mel @ np.cos(np.pi * np.outer(n, k) / logmel.BANDS)
    both = np.concatenate([c, 2 * np.gradient(c, axis=0)], 1)
    return np.asarray((both - both.mean(0)) / (both.std(0) + 1e-3), np.float32)


def warp(a: F32, b: F32) -> npt.NDArray[np.int64]:
    """For each row of `a` the row of `b` that dynamic time warping lays beside it."""
    cost = np.sqrt(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0))
    rows, cols = cost.shape
    total = np.full((rows + 1, cols + 1), np.inf)
    total[0, 0] = 0
    for i in range(1, rows + 1):
        ready = np.minimum(total[i - 1, 1:], total[i - 1, :-1])
        left = np.inf
        line, spent = total[i], cost[i - 1]
        for j in range(cols):
            left = spent[j] + min(ready[j], left)
            line[j + 1] = left
    path = np.zeros(rows, np.int64)
    i, j = rows, cols
    while i > 0:
        path[i - 1] = j - 1
        steps = (total[i - 1, j - 1], total[i - 1, j], total[i, j - 1])
        best = int(np.argmin(steps))
        i, j = (i - (best != 2), j - (best != 1))
        if j == 0:
            break
    return path


def spoken_part(mel: F32) -> slice:
    """From a little before the first loud hop to a little after the last."""
    level = np.convolve(mel[:, 4:70].mean(1), np.ones(5) / 5, "same")
    floor, top = np.quantile(level, [0.1, 0.95])
    loud = np.flatnonzero(
        np.convolve(level > floor + 0.6 * (top - floor), np.ones(5), "valid") == 5
    )
    return slice(max(0, int(loud[0]) - 6), int(loud[-1]) + 5 + 11)


def align(pcm: F32, text: str, voices: tuple[str, ...] = ("rms", "slt")) -> I8:
    """Class of the sound at each 10 ms of speech, (N,), by the voice that fits it best."""
    mel = logmel.LogMel().push(pcm)
    part = spoken_part(mel)
    features, best, found = cepstra(mel[part]), np.inf, np.zeros(len(mel), np.int8)
    for voice in voices:
        voiced, hops = flite.speak(text, voice, 1.15)
        said = logmel.LogMel().push(voiced)
        inner = np.flatnonzero(hops)
        cut = slice(int(inner[0]), int(inner[-1]) + 1)
        other = cepstra(said[: len(hops)][cut])
        path = warp(features, other)
        error = float(((features - other[path]) ** 2).sum(1).mean())
        if error < best:
            best = error
            found[:] = 0
            found[part] = hops[cut][path]
    return found


def context(hops: F32 | I8, pictures: int, count: int = 41, rest: float = 1.0) -> F32:
    """(T, F) what is spoken around each picture, from classes (N,) or shares (N, C) a hop; `rest`
    is the first share in silence."""
    hot = np.eye(count, dtype=np.float32)[hops] if hops.ndim == 1 else hops.astype(np.float32)
    pad = np.zeros((40, count), np.float32)
    pad[:, 0] = rest
    hot = np.concatenate([pad, hot, pad, pad])
    kernel = np.ones(3, np.float32) / 3
    hot = np.apply_along_axis(lambda x: np.convolve(x, kernel, "same"), 0, hot).astype(np.float32)
    at = 40 + 4 * np.arange(pictures)
    parts = [hot[np.minimum(at + o, len(hot) - 1)] for o in OFFSETS]
    return np.concatenate([*parts, np.ones((pictures, 1), np.float32)], 1)


def fit(rows: F32, codes: F32, weights: F32) -> F32:
    """(F, K) ridge regression."""
    scaled = rows * weights[:, None]
    gram = scaled.T @ rows + _RIDGE * np.eye(rows.shape[1], dtype=np.float32)
    return np.asarray(np.linalg.solve(gram, scaled.T @ codes), np.float32)


def lips(rows: F32, weights: F32, hops: I8) -> F32:
    """(T, K) codes for contexts (T, F); shut where p, b or m is spoken, and in silence."""
    code = rows @ weights
    shut = np.isin(hops, [sounds.CLASS[s] for s in "pbm"])
    near = shut[: len(code) * 4].reshape(-1, 4).mean(1)
    quiet = np.convolve(hops != 0, np.ones(25), "same")[: len(code) * 4 : 4] == 0
    code[:, 0] = np.maximum(code[:, 0] * (1 - np.clip(1.5 * near, 0, 1)), 0)
    code[quiet] = 0
    return np.asarray(code, np.float32)

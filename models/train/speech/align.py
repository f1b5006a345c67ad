"""Phone times of real speech whose words are known.

visavis train align LABELS [--words FOLDER]        writes LABELS/sounds.npz

Dynamic time warping against a synthetic reading of the words (`phones.align`) gives a first path.
Then a hidden Markov model of one Gaussian a third of a phone learns the speaker's own sounds on
that path and finds a better one, and so on (Viterbi training, Rabiner 1989). A pause may stand
between words; where word times are known, the path keeps to them within 50 ms.
"""

import argparse
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kernels import logmel
from models.train import lipdata
from models.train.speech import flite, phones, sounds

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Words = list[tuple[str, float, float]]
"""(word, begin_s, end_s)."""

_THIRDS = 3
"""States of a phone, each at least one hop of 10 ms long."""
_ROUNDS = 2
_LEAST_S = 15.0
"""Of less speech there is nothing to learn by going round."""
_PRIOR_HOPS = 8.0
"""Hops that the mean sound counts for in each Gaussian."""
_FLOOR = 0.05
"""Least variance, of that of all sound."""
_SILENCES = 6
_SLACK_S = 0.05
_FORBIDDEN = -300.0


@dataclass(frozen=True, slots=True)
class Talk:
    """Speech with its words: pcm (N,) float32 at 16 kHz; `words` only where their times are known.

    Attributes:
        start: (N / 160,) a first guess of the sound at each 10 ms; None to warp a reading.
    """

    pcm: F32
    text: str
    words: Words | None = None
    start: I8 | None = None


def features(pcm: F32) -> F32:
    """(N, 39) cepstra less their mean over the louder half, slopes and slopes of slopes."""
    mel = logmel.LogMel().push(pcm)
    k, n = np.arange(13), np.arange(logmel.BANDS) + 0.5
    still = mel @ np.cos(np.pi * np.outer(n, k) / logmel.BANDS)
    level = mel.mean(1)
    still = still - still[level >= np.quantile(level, 0.5)].mean(0)

    def slope(x: F64) -> F64:
        return np.stack([np.convolve(c, (0.2, 0.1, 0, -0.1, -0.2), "same") for c in x.T], 1)

    moving = slope(still)
    return np.concatenate([still, 3 * moving, 6 * slope(moving)], 1).astype(np.float32)


def split(text: str) -> list[str]:
    """Words of a text without their punctuation; "a." is the letter."""
    return re.findall(r"a\.|[a-z']+|\d+", text.lower())


@dataclass(frozen=True, slots=True)
class Route:
    """The states that words allow: `states` (S,) numbered `sound * 3 + third`, `owner` (S,) the
    word of each, -1 in a pause (which may be skipped)."""

    states: I64
    owner: I64

    @staticmethod
    def of(words: list[str]) -> "Route":
        """All words in order, with pauses between them and around."""
        states, owner = [0], [-1]
        for i, word in enumerate(words):
            for sound in flite.pronounce(word):
                states += [sound * _THIRDS + third for third in range(_THIRDS)]
                owner += [i] * _THIRDS
            states.append(0)
            owner.append(-1)
        return Route(np.array(states), np.array(owner))

    def best(self, likely: F64) -> I64:
        """(N,) the most likely path through log likelihoods (N, S), as places in `states`.

        Raises:
            ValueError: the sound is too short for the words.
        """
        count, size = likely.shape
        least = int((self.owner >= 0).sum())
        if count < least:
            raise ValueError(f"{count * 10} ms of sound, too short for {least} states of words")
        never = np.full(2, -np.inf)
        jump = np.full(size, -np.inf)
        jump[2:] = np.where(self.owner[1:-1] < 0, 0.0, -np.inf)
        score = np.full(size, -np.inf)
        score[:2] = likely[0, :2]
        back = np.zeros((count, size), np.int8)
        for t in range(1, count):
            before = np.concatenate([never, score])
            options = np.stack([score, before[1:-1], before[:-2] + jump])
            back[t] = options.argmax(0)
            score = options.max(0) + likely[t]
        at = size - 1 if score[-1] >= score[-2] else size - 2
        path = np.zeros(count, np.int64)
        for t in range(count - 1, -1, -1):
            path[t] = at
            at -= int(back[t, at])
        return path

    def allowed(self, count: int, words: Words) -> F64:
        """(count, S) 0 where a word's states keep to its known time, very unlikely elsewhere."""
        at, out = np.arange(count) * 0.01, np.zeros((count, len(self.states)))
        for i, (_, begin, end) in enumerate(words):
            outside = (at < begin - _SLACK_S) | (at >= end + _SLACK_S)
            out[np.ix_(outside, self.owner == i)] = _FORBIDDEN
        return out


class Voice:
    """One speaker's Gaussians: a diagonal one for each state, several for silence."""

    def __init__(self, heard: list[tuple[F32, I64]]) -> None:
        """From features (N, D) and the state of each hop (N,)."""
        x, z = (np.concatenate(part) for part in zip(*heard, strict=True))
        size = len(sounds.SOUNDS) * _THIRDS
        mean, spread = x.mean(0, dtype=np.float64), x.var(0, dtype=np.float64)
        self.mean, self.spread = np.tile(mean, (size, 1)), np.tile(spread, (size, 1))
        for state in np.unique(z):
            own = x[z == state].astype(np.float64)
            total = len(own) + _PRIOR_HOPS
            centre = (own.sum(0) + _PRIOR_HOPS * mean) / total
            self.mean[state] = centre
            self.spread[state] = (((own - centre) ** 2).sum(0) + _PRIOR_HOPS * spread) / total
        self.spread = np.maximum(self.spread, _FLOOR * spread)
        self._silences(x[z < _THIRDS], spread)

    def _silences(self, quiet: F32, spread: F64) -> None:
        """Clusters silence (breath, hum, clicks) by k-means."""
        rng = np.random.default_rng(0)
        centres = quiet[rng.choice(len(quiet), _SILENCES)].astype(np.float64)
        spreads, nearest = np.tile(spread, (_SILENCES, 1)), np.zeros(len(quiet), np.int64)
        for _ in range(8):
            nearest = ((quiet[:, None] - centres) ** 2 / spread).sum(2).argmin(1)
            for j in range(_SILENCES):
                mine = quiet[nearest == j]
                if len(mine) > 5:
                    centres[j] = mine.mean(0)
                    spreads[j] = np.maximum(mine.var(0), _FLOOR * spread)
        self.silence, self.silence_spread = centres, spreads
        share = np.bincount(nearest, minlength=_SILENCES) / max(1, len(nearest))
        self.silence_share = np.log(share + 1e-3)

    def likely(self, x: F32, states: I64) -> F64:
        """(N, S) log likelihood of features (N, D) in each state."""
        names, place = np.unique(states, return_inverse=True)
        table = np.stack([_normal(x, self.mean[s], self.spread[s]) for s in names], 1)
        if names[0] == 0:
            parts = zip(self.silence, self.silence_spread, self.silence_share, strict=True)
            table[:, 0] = np.max([_normal(x, m, v) + w for m, v, w in parts], 0)
        return np.asarray(table[:, place])


def _normal(x: F32, mean: F64, spread: F64) -> F64:
    return np.asarray(-0.5 * (np.log(spread).sum() + ((x - mean) ** 2 / spread).sum(1)))


def _states(hops: I8) -> I64:
    """State of each hop when every phone is cut in thirds."""
    edges = np.flatnonzero(np.diff(hops, prepend=-2, append=-2))
    out = np.zeros(len(hops), np.int64)
    for a, b in pairwise(edges):
        if hops[a] > 0:
            out[a:b] = hops[a] * _THIRDS + np.arange(b - a) * _THIRDS // (b - a)
    return out


def align(talks: list[Talk]) -> list[tuple[I8, Words]]:
    """Class of the sound at each 10 ms and the words' times, of one speaker's speech.

    Raises:
        ValueError: a sound is too short for its words.
    """
    heard, routes, limits = [], [], []
    rounds = _ROUNDS if sum(len(t.pcm) for t in talks) >= _LEAST_S * logmel.RATE_HZ else 0
    for talk in talks:
        x = features(talk.pcm)
        start = phones.align(talk.pcm, talk.text) if talk.start is None else talk.start
        count = min(len(x), len(start))
        heard.append((x[:count], _states(start[:count])))
        route = Route.of(split(talk.text))
        routes.append(route)
        limits.append(0.0 if talk.words is None else route.allowed(count, talk.words))
    paths: list[I64] = []
    for _ in range(rounds + 1):
        voice = Voice(heard)
        paths = [
            route.best(voice.likely(x, route.states) + limit)
            for (x, _), route, limit in zip(heard, routes, limits, strict=True)
        ]
        heard = [
            (x, route.states[path])
            for (x, _), route, path in zip(heard, routes, paths, strict=True)
        ]
    found = []
    for talk, route, path in zip(talks, routes, paths, strict=True):
        owner, times = route.owner[path], []
        for i, word in enumerate(split(talk.text)):
            mine = np.flatnonzero(owner == i)
            times.append((word, mine[0] * 0.01, (mine[-1] + 1) * 0.01))
        found.append(((route.states[path] // _THIRDS).astype(np.int8), times))
    return found


def grid_words(folder: Path, name: str) -> Words | None:
    """Word times of a GRID clip by its label's name, from FOLDER/SENTENCE.align, in 40 us."""
    sentence = name.split("__")[-1].removesuffix(".mpg").split("_")[-1]
    path = folder / f"{sentence}.align"
    if not name.startswith("grid") or not path.exists():
        return None
    rows = (line.split() for line in path.read_text().splitlines())
    return [(w, int(a) / 25000, int(b) / 25000) for a, b, w in rows if w not in ("sil", "sp")]


def write_sounds(labels: Path, words: Path | None) -> None:
    """Writes LABELS/sounds.npz: the class of the sound at each 10 ms where the words are known."""
    speakers: dict[str, dict[str, Talk]] = {}
    offsets = lipdata.offsets(labels)
    for clip in lipdata.load_clips(labels):
        text = phones.text_of(clip.name)
        if text is not None:
            known = grid_words(words, clip.name) if words else None
            if known:  # told in the film's own sound, of which the clip's begins later
                late = lipdata.begins(offsets.get(clip.name, 0.0)) / logmel.RATE_HZ
                known = [(w, a - late, b - late) for w, a, b in known]
            speakers.setdefault(clip.speaker, {})[clip.name] = Talk(clip.pcm, text, known)
    found = {}
    for talks in tqdm(speakers.values(), desc="speakers"):
        for name, (hops, _) in zip(talks, align(list(talks.values())), strict=True):
            found[name] = hops
    np.savez_compressed(labels / "sounds.npz", **found)  # type: ignore[arg-type]


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="visavis train align", description="Phone times of speech whose words are known."
    )
    parser.add_argument("labels", type=Path, help="labelled footage, by models.label.track")
    parser.add_argument("--words", type=Path, help="folder with GRID's word times (*.align)")
    args = parser.parse_args(argv)
    write_sounds(args.labels, args.words)

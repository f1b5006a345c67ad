"""What lips do for the sounds around a picture.

visavis train shapes LABELS SHAPES.npz        fit on film whose sounds are known
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import facemodel
from models.train import lipdata
from models.train.speech import phones, sounds

F32 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int8]

TRUST = 0.5
"""Weight of a picture whose lips were inferred from its sounds, against one of real footage."""
SHUT = 0.01
"""Face widths; lips less far apart count as shut."""
HELD_OUT = ("aoc", "lieu", "grid_lbax4n", "grid_sbia1a")
_TRAITS = """
shut: p b m; teeth: f v; tongue: th dh; hiss: s z; flare: sh zh ch jh; tip: t d n l.7 rr.7;
back: k g ng kh; tight: w uw.6 ue.6; front: y iy ih.7 ee.9 ey.8 eh.4 ae.4 ay.3 oy.2 ue.3 oe.3 a.1;
round: w r.6 uw ue uh.6 oo.9 ow.8 oe.8 ao.6 oy.6 aw.4 er.3;
open: aa ae a ay aw ao.8 eh.7 ah.6 ey.5 ow.5 oy.5 oo.4 oe.4 ax.3 er.3 ee.3 ih.2 uh.2;
vowel: aa ae ah ao aw ax ay eh er ey ih iy ow oy uh uw a ee oo ue oe
"""
"""What lips and jaw do alike for several sounds, 1 where no number stands: sounds that film never
or seldom shows move as those they share traits with."""
_TRAIT_SCALE, _SOUND_SCALE = 2.0, 0.7
"""A ridge shrinks what is scaled down: shared traits explain first, single sounds the rest."""


def _table() -> F32:
    """(C, D) row of each class: itself, then its traits."""
    traits = [line.split(":") for line in _TRAITS.replace("\n", " ").split(";")]
    shared = np.zeros((len(sounds.SOUNDS), len(traits)), np.float32)
    for column, (_, members) in enumerate(traits):
        for member in members.split():
            name, _, tenths = member.partition(".")
            shared[sounds.CLASS[name], column] = float(f"0.{tenths}") if tenths else 1.0
    alone = np.eye(len(sounds.SOUNDS), dtype=np.float32)
    return np.concatenate([_SOUND_SCALE * alone, _TRAIT_SCALE * shared], 1)


TABLE = _table()
_FADE_S = 0.03
"""Lips part within this time of a closure. With it, and a closure kept for the middle 30 % of p, b
and m, all of them shut and the correlation of the opening stays what it was (0.82 on GRID)."""
_KEPT = 0.3
_REST_S = 0.12
"""Lips rest this long before and after speech."""


def context(hops: I8, pictures: int) -> F32:
    """(T, F) what is spoken around each picture, for classes (N,)."""
    return phones.context(TABLE[hops] - TABLE[0], pictures, TABLE.shape[1], 0.0)


def parted(hops: I8, pictures: int) -> F32:
    """(T,) 0 where lips are shut on p, b or m, 1 where they need not be, for classes (N,)."""
    at = np.arange(pictures) * 0.04
    out = np.ones(pictures, np.float32)
    for name, begin, end in phones.segments(hops):
        if sounds.CLASS[name] in sounds.SHUT:
            middle = (begin + end) / 2
            away = np.abs(at - middle) - max(_KEPT * (end - begin) / 2, 0.012)
            out = np.minimum(out, np.clip(away / _FADE_S, 0, 1).astype(np.float32))
            out[min(round(middle * 25), pictures - 1)] = 0
    return out


@dataclass(frozen=True, slots=True)
class Lips:
    """Lips for sounds: a ridge regression of codes on `context`, (F, K)."""

    weights: F32

    @staticmethod
    def load(path: Path) -> "Lips":
        """Reads LIPS.npz."""
        with np.load(path) as data:
            return Lips(np.asarray(data["weights"], np.float32))

    def save(self, path: Path) -> None:
        """Writes LIPS.npz."""
        np.savez_compressed(path, weights=self.weights)

    def codes(self, hops: I8) -> F32:
        """(T, K) lip codes for classes (4 T,): shut on p, b and m, and in silence."""
        pictures = len(hops) // 4
        code = context(hops, pictures) @ self.weights
        code[:, 0] = np.maximum(code[:, 0], 0) * parted(hops, pictures)
        reach = round(_REST_S * 100)
        voiced = np.convolve(hops != 0, np.ones(2 * reach + 1), "same")[: pictures * 4 : 4]
        code[voiced == 0] = 0
        return np.asarray(code, np.float32)


@dataclass(frozen=True, slots=True)
class Example:
    """A clip to fit on: its context (T, F), codes (T, K), weights (T,), and classes (4 T,)."""

    name: str
    rows: F32
    codes: F32
    use: F32
    hops: I8


def examples(labels: Path) -> list[Example]:
    """Clips in LABELS whose sounds are known, less those of held-out speakers.

    Raises:
        ValueError: there are none.
    """
    out, clips = [], lipdata.load_clips(labels)
    with np.load(labels / "sounds.npz") as data:
        known = dict(data)
    habit = habits(clips)
    for clip in clips:
        if clip.name in known and clip.speaker not in HELD_OUT:
            hops = np.asarray(known[clip.name], np.int8)
            count = min(len(clip.code), len(hops) // 4)
            codes = clip.code[:count] * clip.gain - habit[clip.speaker]
            use = clip.valid[:count].astype(np.float32)
            out.append(Example(clip.name, context(hops, count), codes, use, hops))
    if not out:
        raise ValueError(f"{labels}: none of its {len(clips)} clips has known sounds")
    return out


def habits(clips: list[lipdata.Clip]) -> dict[str, F32]:
    """(K,) by which each speaker's mean code in speech differs from that of all; the opening, which
    is zero when shut, by nothing."""
    means = {}
    for speaker in {c.speaker for c in clips}:
        own = [c.code[c.valid] * c.gain for c in clips if c.speaker == speaker]
        means[speaker] = np.concatenate(own).mean(0)
    middle = np.mean([m for s, m in means.items() if s not in HELD_OUT], 0)
    return {s: np.asarray((m - middle) * (np.arange(len(m)) > 0)) for s, m in means.items()}


def fit(told: list[Example]) -> Lips:
    """The ridge regression of codes on sounds."""
    parts = [(e.rows, e.codes, e.use) for e in told]
    rows, codes, use = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Lips(phones.fit(rows, codes, use))


@dataclass(frozen=True, slots=True)
class Fit:
    """How well sounds explain lips, by fits on other clips.

    Attributes:
        correlation: mean over clips, of the opening in speech.
        shut: share of p, b and m at which their own lips are shut.
    """

    correlation: float
    shut: float


def cross_validate(told: list[Example], folds: int = 5) -> Fit:
    """Measures each clip by a fit on the clips of the other four parts."""
    opening = facemodel.load().opening
    order = np.random.default_rng(0).permutation(len(told))
    found, shut = [], []
    for k in range(folds):
        left = {int(i) for i in order[k::folds]}
        lips = fit([e for i, e in enumerate(told) if i not in left])
        for e in (told[i] for i in left):
            made, own = lips.codes(e.hops) @ opening, e.codes @ opening
            count, spoken = min(len(made), len(own)), np.flatnonzero(e.hops[::4])
            use = slice(max(0, spoken[0] - 5), min(count, spoken[-1] + 6))
            found.append(float(np.corrcoef(made[use], own[use])[0, 1]))
            shut += closures(own, phones.segments(e.hops))
    return Fit(float(np.mean(found)), float(np.mean(shut)))


def closures(opening: F32, told: list[tuple[str, float, float]]) -> list[bool]:
    """For each p, b and m of known times, whether the opening (T,) in face widths is below `SHUT`
    in the picture nearest to its beginning, middle or end."""
    out = []
    for name, begin, end in told:
        if sounds.CLASS[name] in sounds.SHUT:
            shown = {round(t * 25) for t in (begin, (begin + end) / 2, end)}
            out.append(min(float(opening[i]) for i in shown if i < len(opening)) < SHUT)
    return out


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="visavis train shapes", description="Fits lips to sounds, on film."
    )
    parser.add_argument("labels", type=Path, help="labelled footage with its sounds.npz")
    parser.add_argument("out", type=Path, help="SHAPES.npz, for `visavis train speech --lips`")
    args = parser.parse_args(argv)
    told = examples(args.labels)
    found = cross_validate(told)
    sys.stdout.write(
        f"{len(told)} clips; opening by fits on other clips: r {found.correlation:.3f}; "
        f"own lips shut on {100 * found.shut:.0f} % of p, b, m\n"
    )
    fit(told).save(args.out)

"""How well a split of expressions gives lips and lids back, and whether they change each other.

A split is anything that gives codes of displacements from a face at rest, and displacements of
codes: the autoencoder, or the linear one that the engine draws from (lip basis of face.npz, one
mode an eye). Everything is measured on people that none of them was made from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models import expression, facemodel, faceshape, measures
from models.expression import Split
from models.facemodel import FaceModel
from models.faceshape import FaceShape
from models.topology import LANDMARKS, LID_FOLDS, LOWER_LIDS, UPPER_LIDS
from models.train import face
from models.train.faceshape import AXES, FLIP, HELD_OUT, REGIONS, rest_frames

F64 = npt.NDArray[np.float64]

PAIRS = 2000
REST_MODES = 8
LEAST_REST = 4
"""Frames at rest that a clip's rest face takes; with fewer it is the model's."""


@dataclass(frozen=True, slots=True)
class Person:
    """A speaker's frames laid upright: the face at rest (T, 478, 3) of each frame's clip, and
    displacements from it: as seen (T, 478, 3) and as fitted expressions (T, E)."""

    rest: F64
    seen: F64
    expression: F64


class Splitter(Protocol):
    """Codes of a person's frames, and the way back."""

    def split(self, person: Person) -> Split:
        """Codes of each frame."""

    def join(self, codes: Split) -> F64:
        """Codes -> displacements (T, 478, 3)."""


def regions(mean: F64) -> tuple[F64, F64]:
    """(478,), (478,) share of a landmark that is mouth and jaw, and that is lid."""
    lids = np.zeros(LANDMARKS)
    lids[np.concatenate(LID_FOLDS)] = 0.5
    lids[np.concatenate([*UPPER_LIDS, *LOWER_LIDS])] = 1.0
    return face.falloff(mean) * (1 - lids), lids


def from_rest(track: face.Track, shape: FaceShape) -> Person:
    """A fitted clip, taken from the rest face of its own: shut mouth and usual, open eyes."""
    points = track.landmarks[track.valid].astype(np.float64)
    fit = faceshape.fit(points, model=shape)
    # Depth is told by the fit, lest its error turn into the picture's plane with the head.
    points[..., 2] = fit.faces[..., 2]
    laid = (points - fit.shift[:, None]) @ fit.rotation / fit.scale[:, None, None]
    still = rest_frames(laid)
    if still.sum() >= LEAST_REST:
        rest, at = np.median(laid[still], 0), np.median(fit.expression[still], 0)
    else:
        at = np.zeros(len(shape.expression))
        rest = shape.face(fit.identity, at)
    return Person(np.broadcast_to(rest, laid.shape), laid - rest, fit.expression - at)


def people(labels: Path, shape: FaceShape, only: Sequence[str]) -> dict[str, Person]:
    """Speakers' fitted footage."""
    parts: dict[str, list[Person]] = {}
    for t in face.load_tracks(labels / "train"):
        if t.speaker in only and "idle" not in t.name and t.valid.any():
            parts.setdefault(t.speaker, []).append(from_rest(t, shape))
    return {
        speaker: Person(
            np.concatenate([c.rest for c in clips]),
            np.concatenate([c.seen for c in clips]),
            np.concatenate([c.expression for c in clips]),
        )
        for speaker, clips in parts.items()
    }


class Network:
    """The autoencoder."""

    def __init__(self, shape: FaceShape, net: expression.Expression) -> None:
        self._shape, self._net = shape, net

    def split(self, person: Person) -> Split:
        """See `Splitter`."""
        return self._net.split(person.expression)

    def join(self, codes: Split) -> F64:
        """See `Splitter`."""
        return np.asarray(np.tensordot(self._net.join(codes), self._shape.expression, 1))


def lip_basis(labels: Path, without: Sequence[str]) -> FaceModel:
    """The shipped face model, its lip basis fitted anew without some speakers."""
    shipped = facemodel.load()
    neutral = shipped.neutral.astype(np.float64)
    tracks = [t for t in face.load_tracks(labels / "train") if t.speaker not in without]
    stable, mirror = shipped.stable.astype(np.int64), shipped.mirror.astype(np.int64)
    moves, _ = face.displacements(tracks, neutral, stable, mirror)
    basis, opening, _ = face.fit_basis(*face.lip_samples(tracks, moves, 600), neutral)
    return replace(shipped, basis=basis.astype(np.float32), opening=opening.astype(np.float32))


class Linear:
    """A lip basis like face.npz's, a mode for each eye's lids, principal components of the rest."""

    def __init__(self, shape: FaceShape, lips: FaceModel, made_of: Sequence[Person]) -> None:
        self._lips = lips
        self._share = face.falloff(self._lips.neutral.astype(np.float64))[:, None]
        mouth, self._lids = regions(shape.mean)
        self._other = (1 - mouth - self._lids)[:, None]
        moves = np.concatenate([p.seen for p in made_of])
        share = np.concatenate([np.full(len(p.seen), len(p.seen) ** -0.5) for p in made_of])
        self._blink = self._lid_modes(shape.mean, moves, share)
        self._rest = self._rest_modes(moves, share)

    def _lid_modes(self, mean: F64, moves: F64, share: F64) -> F64:
        """(2, 478, 3) mean displacement of an eye's lids for one unit of closing."""
        modes = np.zeros((2, LANDMARKS, 3))
        for eye, (upper, lower) in enumerate(zip(UPPER_LIDS, LOWER_LIDS, strict=True)):
            closing = (moves[:, upper[2:-2], 1] - moves[:, lower[2:-2], 1]).mean(1)
            side = (mean[:, 0] < 0) if eye == 0 else (mean[:, 0] >= 0)
            lids = (self._lids * side)[:, None]
            modes[eye] = lids * np.tensordot(share * closing, moves, 1) / (share @ closing**2)
        return modes

    def _rest_modes(self, moves: F64, share: F64) -> F64:
        flat = (moves * self._other * AXES).reshape(len(moves), -1)
        _, vectors = np.linalg.eigh((flat * share[:, None]).T @ flat)
        return np.asarray(vectors[:, -REST_MODES:].T.reshape(-1, LANDMARKS, 3) / AXES)

    def _solve(self, modes: F64, moves: F64) -> F64:
        a = (modes * AXES).reshape(len(modes), -1)
        b = (moves * AXES).reshape(len(moves), -1)
        return np.asarray(np.linalg.solve(a @ a.T, a @ b.T).T)

    def split(self, person: Person) -> Split:
        """See `Splitter`."""
        seen = person.seen
        even = (seen + seen[:, self._lips.mirror] * FLIP) / 2
        lip = self._lips.encode((even * self._share).astype(np.float32)).astype(np.float64)
        return Split(
            lip,
            self._solve(self._blink, seen * self._lids[:, None]),
            self._solve(self._rest, seen * self._other),
        )

    def join(self, codes: Split) -> F64:
        """See `Splitter`."""
        lips = np.tensordot(codes.lip, self._lips.basis.astype(np.float64), 1)
        return np.asarray(
            lips
            + np.tensordot(codes.blink, self._blink, 1)
            + np.tensordot(codes.rest, self._rest, 1)
        )


def aspect(faces: F64) -> F64:
    """(T,) mean eye aspect."""
    return np.asarray(measures.eye_aspect(faces).mean(1))


def reach(x: F64) -> float:
    """From the lowest to the highest of all but a hundredth."""
    low, high = np.quantile(x, [0.005, 0.995])
    return float(high - low)


def score(splitter: Splitter, person: Person, ranges: tuple[float, float]) -> dict[str, float]:
    """Errors of a split on a person, distances in percent of the face width.

    Args:
        splitter: the split.
        person: someone it was not made from.
        ranges: of the eye aspect and of the opening, for the swaps (percent of these).
    """
    codes = splitter.split(person)
    back = splitter.join(codes)
    off = np.linalg.norm((back - person.seen)[..., :2], axis=-1)
    seen, given = person.rest + person.seen, person.rest + back
    out = {n: 100 * float(off[:, i].mean()) for n, i in REGIONS.items()}
    gap = measures.inner_gap
    out["opening"] = 100 * float(np.sqrt(((gap(given) - gap(seen)) ** 2).mean()))
    out["aspect"] = float(np.sqrt(((aspect(given) - aspect(seen)) ** 2).mean()))
    rng = np.random.default_rng(0)
    a, b = rng.integers(len(seen), size=(2, PAIRS))
    lips = splitter.join(Split(codes.lip[b], codes.blink[a], codes.rest[a]))
    lids = splitter.join(Split(codes.lip[a], codes.blink[b], codes.rest[a]))
    rest, before = person.rest[a], given[a]
    moved = 100 * np.abs(aspect(rest + lips) - aspect(before)) / ranges[0]
    opened = 100 * np.abs(gap(rest + lids) - gap(before)) / ranges[1]
    out |= {"lip>eye": float(moved.mean()), "p95": float(np.quantile(moved, 0.95))}
    out |= {"eye>lip": float(opened.mean()), "p95 ": float(np.quantile(opened, 0.95))}
    # What the swap is for: the opening follows the lip code, the lids the blink code.
    follow = gap(rest + lips) - gap(person.rest[a] + back[b])
    shut = aspect(rest + lids) - aspect(person.rest[a] + back[b])
    out["opens"] = 100 * float(np.abs(follow).mean()) / ranges[1]
    out["shuts"] = 100 * float(np.abs(shut).mean()) / ranges[0]
    return out


def report(
    labels: Path,
    shape: FaceShape,
    networks: Mapping[str, expression.Expression],
    only: Sequence[str],
) -> list[str]:
    """The table of networks against the linear split, a line a split and person. `shipped` is
    made of face.npz, whose basis has seen everybody; `linear` of one without these people."""
    speakers = {t.speaker for t in face.load_tracks(labels / "train")}
    others = people(labels, shape, sorted(speakers - {*HELD_OUT, *only}))
    found = people(labels, shape, only)
    made_of = list(others.values())
    splits: dict[str, Splitter] = {
        "shipped": Linear(shape, facemodel.load(), made_of),
        "linear": Linear(shape, lip_basis(labels, [*HELD_OUT, *only]), made_of),
    }
    splits |= {n: Network(shape, net) for n, net in networks.items()}
    whole = [p.rest + p.seen for p in found.values()]
    pooled = reach(np.concatenate([aspect(f) for f in whole]))
    lines: list[str] = []
    for name, splitter in splits.items():
        for speaker, person in found.items():
            own = person.rest + person.seen
            row = score(splitter, person, (reach(aspect(own)), reach(measures.inner_gap(own))))
            if not lines:
                head = " ".join(f"{n:>8}" for n in row)
                lines.append(f"{'split':12} {'person':12} {'range':>7} {head}")
            cells = " ".join(f"{v:8.3f}" for v in row.values())
            lines.append(f"{name:12} {speaker:12} {reach(aspect(own)):7.3f} {cells}")
    return [*lines, f"range of the eye aspect over all: {pooled:.3f}"]

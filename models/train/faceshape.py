"""Labelled footage and stills -> the whole face's model (face_shape.npz), and its residual.

    visavis train faceshape build LABELS OUT [--without NAME ...] [--ict FOLDER]
    visavis train faceshape measure LABELS [--shape FILE] [--only NAME ...]

LABELS is what `models.label.track` wrote (train/, stills/, portraits/). Expression modes are the
principal components of displacements from the rest face (shut mouth, open eyes) of the same clip;
identity modes are those of the stills' faces with their fitted expression taken off, alternated.
Every sample comes with its mirror image. FOLDER holds the ICT face model (Li et al. 2020), whose
modes can be added as samples. People of `HELD_OUT` are never built from.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import facemodel, measures
from models.faceshape import NOISE, FaceShape, bounded, fit, load, read
from models.topology import (
    BROWS,
    LANDMARKS,
    LOWER_LIDS,
    LOWER_LIP,
    MOUTH_CORNERS,
    OUTER_MOUTH_CORNERS,
    UPPER_LIDS,
    UPPER_LIP,
)
from models.train import face

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

HELD_OUT = ("aoc", "lieu", "grid_lbax4n", "grid_sbia1a")
SAME_PEOPLE = ("S001150", "S000510", "V000128", "J000291")
"""Stills of people who also sit for the portraits, on which the model is measured."""
STILLS_KEPT = 5
"""One in so many people of the stills is measured on and never built from."""
IDENTITIES, EXPRESSIONS = 60, 40
IDENTITY_BOUND = 4.0
MARGIN, LEAST = 1.25, 3.0
"""Expression bounds lie so far out beyond all but a thousandth of the footage; the least bound."""
GAP_WEIGHT = 10.0
UPPER, LOWER = facemodel.INNER_UPPER, facemodel.INNER_LOWER
AXES = np.array([1.0, 1.0, 0.35])
LIDS = np.unique(np.concatenate([*UPPER_LIDS, *LOWER_LIDS]))
LID_WEIGHT = 2.0
FLIP = np.array([-1.0, 1.0, 1.0])
REGIONS = {
    "lips": np.concatenate([UPPER_LIP, LOWER_LIP, (*MOUTH_CORNERS, *OUTER_MOUTH_CORNERS)]),
    "lids": LIDS,
    "brows": BROWS,
}


@dataclass(frozen=True, slots=True)
class Faces:
    """A clip: faces laid over the mean face and their moves from its rest face, (T, 478, 3)."""

    speaker: str
    name: str
    points: F64
    moves: F64


def still_kept(name: str) -> bool:
    """Whether a still belongs to the people that are measured on."""
    person = name.rpartition("__")[2].split(".")[0]
    person = person.split("_")[0] if name.startswith("us-") else person.split("_")[-1]
    return int(hashlib.sha1(person.encode()).hexdigest(), 16) % STILLS_KEPT == 0


def stills(labels: Path, kept: bool) -> list[face.Track]:
    """Labelled stills of the people that are measured on (`kept`) or built from."""
    found = face.load_tracks(labels / "stills")
    usable = (t for t in found if not any(p in t.name for p in SAME_PEOPLE))
    return [t for t in usable if still_kept(t.name) == kept]


def mirrored(points: F64, mirror: I64) -> F64:
    """(T, 478, 3) and their mirror images behind them."""
    return np.concatenate([points, points[:, mirror] * FLIP])


def rest_frames(points: F64) -> npt.NDArray[np.bool_]:
    """(T,) frames of laid faces with a shut mouth and usual, open eyes."""
    gap, aspect = measures.inner_gap(points), measures.eye_aspect(points).mean(1)
    low, high = np.quantile(aspect, [0.3, 0.9])
    return np.asarray((gap <= face.SHUT) & (aspect >= low) & (aspect <= high))


def footage(labels: Path, without: Sequence[str]) -> Iterator[Faces]:
    """Clips of all but some speakers, as displacements from rest; broken frames left out."""
    m = facemodel.load()
    mean, stable = m.neutral.astype(np.float64), m.stable.astype(np.int64)
    by: dict[str, list[tuple[str, F64]]] = {}
    for t in face.load_tracks(labels / "train"):
        if t.speaker not in without and t.valid.any():
            laid = measures.align(t.landmarks[t.valid].astype(np.float64), mean, stable)
            by.setdefault(t.speaker, []).append((t.name, laid))
    for speaker, clips in by.items():
        whole = np.concatenate([p for _, p in clips])
        rest = rest_frames(whole)
        if rest.sum() < 6:
            rest = measures.inner_gap(whole) <= np.quantile(measures.inner_gap(whole), 0.1)
        own = np.median(whole[rest], 0)
        for name, points in clips:
            usable = rest_frames(points)
            base = np.median(points[usable], 0) if usable.sum() >= 6 else own
            moves = measures.align(points, base, stable) - base
            yield Faces(speaker, name, points, moves)


def principal(samples: F64, share: F64, metric: F64, count: int) -> F64:
    """(count, 478, 3) principal components under a landmark metric, one root mean square long."""
    flat = (samples * metric).reshape(len(samples), -1)
    values, vectors = np.linalg.eigh((flat * share[:, None]).T @ flat / share.sum())
    size = np.sqrt(np.maximum(values[::-1][:count], 0))
    shapes = vectors[:, ::-1][:, :count].T * size[:, None]
    return np.asarray(shapes.reshape(-1, LANDMARKS, 3) / metric)


def expression_samples(clips: list[Faces], per_speaker: int = 1500) -> tuple[F64, F64]:
    """Displacements (N, 478, 3) and shares (N,): no speaker drowns the others, blinks stay in."""
    rng = np.random.default_rng(0)
    samples, share = [], []
    for speaker in sorted({c.speaker for c in clips}):
        moves = np.concatenate([c.moves for c in clips if c.speaker == speaker])
        aspect = np.concatenate(
            [measures.eye_aspect(c.points).mean(1) for c in clips if c.speaker == speaker]
        )
        shut = aspect < measures.BLINK_DEPTH * np.quantile(aspect, 0.7)
        order = np.argsort(rng.random(len(moves)) - shut)[:per_speaker]
        samples.append(moves[order])
        share.append(np.full(len(order), len(order) ** -0.5))
    return np.concatenate(samples), np.concatenate(share)


def ict_modes(folder: Path) -> tuple[F64, F64]:
    """Identity (100, 478, 3) and expression (57, 478, 3) displacements of the ICT face model in
    face widths. Landmarks without a vertex take the mean of their nearest ones; irises stay."""
    index = np.load(folder.parent / "mediapipe_to_ict_vertex.npy").astype(np.int64)
    mean = facemodel.load().neutral.astype(np.float64)
    known = np.flatnonzero(index >= 0)
    with np.load(folder / "ict_facekit_light.npz") as data:
        base = data["neutral"][index[known]] * np.array([1, -1, -1])
        width = (
            1
            / measures.similarity(
                base[None].astype(np.float64), mean[known], np.arange(len(known))
            ).scale
        )
        out = []
        for name in ("identity", "expression"):
            raw = data[name][:, index[known]].astype(np.float64) * np.array([1, -1, -1]) / width
            full = np.zeros((len(raw), LANDMARKS, 3))
            full[:, known] = raw
            for missing in np.setdiff1d(np.arange(468), known):
                far = ((mean[known] - mean[missing]) ** 2).sum(1)
                near = np.argsort(far)[:6]
                weight = 1 / (far[near] + 1e-6)
                full[:, missing] = np.tensordot(weight / weight.sum(), raw[:, near], (0, 1))
            out.append(full)
    return out[0], out[1]


def draw(modes: F64, count: int, spread: F64, sparse: float, rng: np.random.Generator) -> F64:
    """Random mixtures (count, 478, 3) of modes, each used with probability `sparse`."""
    weight = spread * (rng.random((count, len(modes))) < sparse)
    return np.asarray(np.tensordot(weight, modes, 1))


def fit_expression(clips: list[Faces], mirror: I64, extra: F64 | None, count: int) -> F64:
    """Expression modes (count, 478, 3) of footage and, where given, of further displacements."""
    samples, share = expression_samples(clips)
    if extra is not None:
        samples = np.concatenate([samples, extra])
        share = np.concatenate([share, np.full(len(extra), 0.25 * share.sum() / len(extra))])
    metric = np.ones((LANDMARKS, 1)) * AXES
    metric[LIDS] *= LID_WEIGHT
    return principal(mirrored(samples, mirror), np.tile(share, 2), metric, count)


def contact(faces: F64) -> F64:
    """Faces (..., 478, 3) with their inner lips touching."""
    out = faces.copy()
    out[..., UPPER, :] = out[..., LOWER, :] = (faces[..., UPPER, :] + faces[..., LOWER, :]) / 2
    return out


def fit_identity(
    faces: F64, expression: F64, limits: tuple[F64, F64], mirror: I64, extra: F64 | None, count: int
) -> tuple[F64, F64]:
    """Mean face and identity modes, with shut mouths, of faces (N, 478, 3) laid over one another.

    Each face's expression is fitted along with its identity and taken off; the gap between its
    lips belongs to the expression alone.
    """
    metric = np.ones((LANDMARKS, 1)) * AXES

    def rows(x: F64) -> F64:
        gap = GAP_WEIGHT * (x[:, LOWER, 1] - x[:, UPPER, 1])
        return np.concatenate([(x * metric).reshape(len(x), -1), gap], 1)

    identity = np.zeros((0, LANDMARKS, 3))
    mean = contact(faces.mean(0))
    for _ in range(5):
        a, b, k = rows(np.concatenate([identity, expression])), rows(faces - mean), len(identity)
        lows, highs = (
            np.concatenate([np.full(k, side * IDENTITY_BOUND), limit])
            for side, limit in zip((-1, 1), limits, strict=True)
        )
        noise = NOISE if k else 10 * NOISE
        code = bounded(a @ a.T + noise**2 * np.eye(len(a)), b @ a.T, lows, highs)[:, k:]
        both = mirrored(contact(faces - np.tensordot(code, expression, 1)), mirror)
        mean = both.mean(0)
        samples, share = both - mean, np.ones(len(both))
        if extra is not None:
            samples = np.concatenate([samples, mirrored(contact(extra), mirror)])
            share = np.concatenate([share, np.full(2 * len(extra), 0.25 * len(both) / len(extra))])
        identity = principal(samples, share, metric, count)
    return mean, identity


def build(
    labels: Path,
    without: Sequence[str] = HELD_OUT,
    ict: Path | None = None,
    sizes: tuple[int, int] = (IDENTITIES, EXPRESSIONS),
) -> FaceShape:
    """The model of all footage and stills but of some speakers and of the stills kept back."""
    m = facemodel.load()
    mirror, stable = m.mirror.astype(np.int64), m.stable.astype(np.int64)
    neutral = m.neutral.astype(np.float64)
    rng = np.random.default_rng(0)
    clips = list(footage(labels, without))
    shapes = moves = None
    if ict is not None:
        people, faces = ict_modes(ict)
        shapes = draw(people, 400, rng.normal(size=(400, len(people))), 1.0, rng)
        moves = draw(faces, 800, rng.random((800, len(faces))), 0.06, rng)
    expression = fit_expression(clips, mirror, moves, sizes[1])
    low, high = bounds(clips, expression, mirror)
    points = [
        measures.align(t.landmarks.astype(np.float64), neutral, stable)[0]
        for t in stills(labels, kept=False)
    ]
    rests = {c.name: (c.points - c.moves).mean(0) for c in clips}
    own = [
        np.mean([rests[c.name] for c in clips if c.speaker == s], 0)
        for s in sorted({c.speaker for c in clips})
    ]
    mean, identity = fit_identity(
        np.array([*points, *own]), expression, (low, high), mirror, shapes, sizes[0]
    )
    return FaceShape(mean, identity, expression, IDENTITY_BOUND, low, high, stable)


def bounds(clips: list[Faces], expression: F64, mirror: I64) -> tuple[F64, F64]:
    """Lowest and highest expression (E,), (E,): what the footage and its mirror image reach."""
    a = (expression * AXES).reshape(len(expression), -1)
    solve = np.linalg.solve(a @ a.T + NOISE**2 * np.eye(len(a)), a)
    codes = [
        (moves * AXES).reshape(len(moves), -1) @ solve.T
        for c in clips
        for moves in (c.moves, c.moves[:, mirror] * FLIP)
    ]
    low, high = np.quantile(np.concatenate(codes), [0.0005, 0.9995], axis=0) * MARGIN
    return np.minimum(low, -LEAST), np.maximum(high, LEAST)


def measure(shape: FaceShape, labels: Path, only: Sequence[str]) -> list[dict[str, float | str]]:
    """Residuals of a model, in percent of the face width, on speakers' footage (one identity a
    clip), on the stills kept back and on the portraits (one identity a picture)."""
    sets: dict[str, tuple[list[F64], bool]] = {}
    for t in face.load_tracks(labels / "train"):
        if t.speaker in only and "idle" not in t.name and t.valid.any():
            tracks, _ = sets.setdefault(t.speaker, ([], True))
            tracks.append(t.landmarks[t.valid].astype(np.float64))
    sets["stills"] = ([np.concatenate([t.landmarks for t in stills(labels, kept=True)])], False)
    portraits = list(face.load_tracks(labels / "portraits"))
    sets["portraits"] = ([np.concatenate([t.landmarks for t in portraits])], False)
    rows: list[dict[str, float | str]] = []
    for name, (tracks, shared) in sets.items():
        fits = [fit(p, shared=shared, model=shape) for p in tracks]
        seen, faces = np.concatenate(tracks), np.concatenate([f.faces for f in fits])
        size = np.concatenate([f.residual for f in fits])
        off = np.linalg.norm((faces - seen)[..., :2], axis=-1)
        share = 100 * size / off.mean(1)
        aspect = measures.eye_aspect(faces) - measures.eye_aspect(seen)
        gap = measures.opening(faces) - measures.opening(seen)
        row: dict[str, float | str] = {"on": name, "frames": float(len(seen))}
        row |= {"mean": 100 * float(size.mean()), "p95": 100 * float(np.quantile(size, 0.95))}
        row["worst"] = 100 * float(size.max())
        for region, index in REGIONS.items():
            row[region] = float((off[:, index].mean(1) * share).mean())
        row["aspect"] = float(np.sqrt((aspect**2).mean()))
        row["opening"] = 100 * float(np.sqrt((gap**2).mean()))
        rows.append(row)
    return rows


def write(shape: FaceShape, out: Path) -> None:
    """Writes a model; modes as float16."""
    np.savez_compressed(
        out,
        version=np.array(1, np.int32),
        mean=shape.mean.astype(np.float32),
        identity=shape.identity.astype(np.float16),
        expression=shape.expression.astype(np.float16),
        identity_bound=np.array(shape.identity_bound, np.float32),
        low=shape.low.astype(np.float32),
        high=shape.high.astype(np.float32),
        stable=shape.stable.astype(np.int32),
    )


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="visavis train faceshape", description="Builds and measures the whole face's model."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="labels -> face_shape.npz")
    make.add_argument("labels", type=Path, help="folder of labels, with train/ and stills/")
    make.add_argument("out", type=Path, help="the face_shape.npz to write")
    make.add_argument("--without", nargs="*", default=[], help="further speakers to leave out")
    make.add_argument("--ict", type=Path, help="folder of the ICT face model, to add its modes")
    make.add_argument(
        "--sizes",
        type=int,
        nargs=2,
        default=(IDENTITIES, EXPRESSIONS),
        metavar=("IDENTITY", "EXPRESSION"),
        help="how many modes of each",
    )
    test = commands.add_parser("measure", help="residuals on people never built from")
    test.add_argument("labels", type=Path, help="folder of labels: train/, stills/, portraits/")
    test.add_argument("--shape", type=Path, help="a face_shape.npz; the shipped one by default")
    test.add_argument("--only", nargs="*", default=HELD_OUT, help="speakers to measure on")
    args = parser.parse_args(argv)
    if args.command == "build":
        face.known(args.without, args.labels / "train")
        without = (*HELD_OUT, *args.without)
        write(build(args.labels, without, args.ict, tuple(args.sizes)), args.out)
        return
    face.known(args.only, args.labels / "train")
    shape = read(args.shape) if args.shape else load()
    for i, row in enumerate(measure(shape, args.labels, args.only)):
        if not i:
            sys.stdout.write(" ".join(f"{n:>11}" for n in row) + "\n")
        cells = (f"{v:11.3f}" if isinstance(v, float) else f"{v:>11}" for v in row.values())
        sys.stdout.write(" ".join(cells) + "\n")

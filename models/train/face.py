"""Landmark tracks -> the face model (face.npz): neutral face, lip basis, stable points.

    visavis train face LABELS MESH_OBJ OUT

LABELS is what `models.label.track` wrote (folders train/ and stills/), MESH_OBJ MediaPipe's
canonical face model, which gives the left-right pairs of landmarks.

Every frame is laid over its speaker's face by a similarity on points that speech does not move
(Umeyama 1991, eq. 34 to 43). Displacements from the speaker's own shut mouth, made symmetric,
give the basis: component 0 is the mean displacement that goes with the opening of the inner
lips, the others are the principal components of what is left. All lengths are face widths.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import measures
from models.data import clips
from models.facemodel import INNER_LOWER, INNER_UPPER
from models.topology import FACE_SIDES, LANDMARKS

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

LEFT, RIGHT = FACE_SIDES
align, opening = measures.align, measures.inner_gap
SHUT = 0.006
"""Below this opening, in face widths, a mouth counts as shut."""
SEED_STABLE = np.array([10, 67, 109, 297, 338, 151, 9, 8, 168, 6, 197, 33, 133, 263, 362, 127, 356])
STABLE_COUNT = 48
COMPONENTS = 6
Z_WEIGHT = 0.35
"""MediaPipe's depth is its least certain axis."""


@dataclass(frozen=True, slots=True)
class Track:
    """One labelled clip: name, speaker, landmarks (T, 478, 3) px, valid (T,), sound or None."""

    name: str
    speaker: str
    landmarks: F32
    valid: npt.NDArray[np.bool_]
    pcm: npt.NDArray[np.int16] | None


def known(speakers: Sequence[str], folder: Path) -> None:
    """Makes sure that a folder of labels has all these speakers.

    Raises:
        ValueError: it lacks one.
    """
    told, names = clips.speakers(folder.parent), [p.stem for p in folder.glob("*.npz")]
    found = sorted({told.get(n) or clips.speaker_of(n) for n in names})
    if missing := [s for s in speakers if s not in found]:
        raise ValueError(f"{folder}: speaker {missing[0]!r} is not there, only {found}")


def load_tracks(folder: Path) -> Iterator[Track]:
    """Every labelled clip of a folder, by name; speakers as in the clips.json beside the folder.

    Raises:
        FileNotFoundError: the folder holds no label files.
    """
    if not (paths := sorted(folder.glob("*.npz"))):
        raise FileNotFoundError(f"{folder}: no label files (*.npz) of `models.label.track`")
    told = clips.speakers(folder.parent)
    for path in paths:
        with np.load(path) as data:
            name = path.name.removesuffix(".npz")
            pcm = data.get("pcm", None)
            speaker = told.get(name) or clips.speaker_of(name)
            yield Track(name, speaker, data["landmarks"], data["valid"], pcm)


def mirror_map(obj: Path) -> I64:
    """(478,) index of each landmark's mirror image, from the canonical mesh and the irises."""
    rows = [line.split()[1:4] for line in obj.read_text().splitlines() if line.startswith("v ")]
    mesh = np.array(rows, np.float64)
    flipped = mesh * (-1, 1, 1)
    pairs = np.array([np.argmin(((mesh - p) ** 2).sum(1)) for p in flipped])
    irises = [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]
    out = np.concatenate([pairs, irises])
    if not np.array_equal(out[out], np.arange(LANDMARKS)):
        raise ValueError(f"{obj}: the mesh of {len(mesh)} vertices is not symmetric")
    return out


def upright(face: F64) -> F64:
    """A face (478, 3) made upright, frontal, one face width wide, centred between its sides."""
    x = face[RIGHT] - face[LEFT]
    y = face[152] - face[10]
    x = x / np.linalg.norm(x)
    y = y - x * (x @ y)
    y = y / np.linalg.norm(y)
    frame = np.stack([x, y, np.cross(x, y)])
    out = (face - (face[LEFT] + face[RIGHT]) / 2) @ frame.T
    return np.asarray(out / np.linalg.norm(face[RIGHT] - face[LEFT]))


def shut_face(points: F64) -> F64:
    """Median of the frames with a shut mouth, or of the twentieth that is nearest to it."""
    gap = opening(points)
    return np.asarray(np.median(points[gap <= max(SHUT, np.quantile(gap, 0.05))], 0))


def falloff(neutral: F64) -> F64:
    """(478,) share of a landmark's displacement that is speech: 1 at lips and jaw, 0 from the
    nose's bridge up and at the sides, where what is left of motion is tracking error."""
    mouth = (neutral[13] + neutral[14]) / 2
    eyes = neutral[[33, 133, 263, 362], 1].mean()
    rise = (mouth[1] - neutral[:, 1]) / (mouth[1] - eyes)
    vertical = 1 - np.clip((rise - 0.30) / 0.45, 0, 1)
    side = np.abs(neutral[:, 0]) / 0.5
    lateral = np.where(neutral[:, 1] > mouth[1], 1.0, 1 - np.clip((side - 0.75) / 0.25, 0, 1))
    share = vertical * lateral
    return np.asarray(share * share * (3 - 2 * share))


def displacements(
    tracks: list[Track], mean: F64, stable: I64, mirror: I64
) -> tuple[dict[str, F64], dict[str, F64]]:
    """Symmetric displacements from the speaker's shut mouth a clip (T, 478, 3), and the speakers'
    shut faces (478, 3), all in the mean face's frame."""
    laid: dict[str, F64] = {}
    by_speaker: dict[str, list[F64]] = {}
    for track in tracks:
        points = align(track.landmarks.astype(np.float64), mean, stable)
        laid[track.name] = points
        by_speaker.setdefault(track.speaker, []).append(points[track.valid])
    faces = {s: shut_face(np.concatenate(p)) for s, p in by_speaker.items()}
    out: dict[str, F64] = {}
    flip = np.array([-1.0, 1.0, 1.0])
    for track in tracks:
        own = faces[track.speaker]
        points = align(laid[track.name], own, stable)
        usable = points[track.valid & (opening(points) <= SHUT)]
        base = np.median(usable, 0) if len(usable) >= 6 else own
        delta = align(points, base, stable) - base
        out[track.name] = (delta + delta[:, mirror] * flip) / 2
    return out, faces


def mean_face(faces: list[F64], mirror: I64) -> F64:
    """Symmetric mean of shut faces, its inner lips touching."""
    mean = np.mean([upright(f) for f in faces], 0)
    mean = upright((mean + mean[mirror] * np.array([-1.0, 1.0, 1.0])) / 2)
    contact = (mean[INNER_UPPER] + mean[INNER_LOWER]) / 2
    mean[INNER_UPPER] = mean[INNER_LOWER] = contact
    return np.asarray(mean)


def landmark_metric(neutral: F64) -> F64:
    """(478, 3) weight of an error at a landmark: highest at the lips, lower in depth."""
    near = np.exp(-(((neutral[:, :2] - neutral[[13, 14], :2].mean(0)) / 0.22) ** 2).sum(1))
    return np.asarray(np.sqrt(0.15 + near)[:, None] * np.array([1, 1, Z_WEIGHT]))


def fit_basis(samples: F64, weights: F64, neutral: F64) -> tuple[F64, F64, F64]:
    """Basis (K, 478, 3), its opening functional (K,), share of energy explained (K,)."""
    share = falloff(neutral)
    data = samples * share[:, None]
    gap = opening(data)
    first = np.einsum("t,t,tnc->nc", weights, gap, data) / (weights @ gap**2)
    metric = landmark_metric(neutral)
    rest = (data - gap[:, None, None] * first) * metric
    flat = rest.reshape(len(rest), -1)
    cov = (flat * weights[:, None]).T @ flat / weights.sum()
    values, vectors = np.linalg.eigh(cov)
    order = np.argsort(values)[::-1][: COMPONENTS - 1]
    shapes = vectors[:, order].T.reshape(-1, LANDMARKS, 3) / metric
    basis = np.concatenate([first[None], shapes])
    code = encode(data, basis, metric)
    scale = np.sqrt((weights @ code**2) / weights.sum())
    basis = basis * scale[:, None, None]
    whole = weights @ ((data * metric) ** 2).sum((1, 2))
    explained = []
    for k in range(1, COMPONENTS + 1):
        error = data - np.einsum("tk,knc->tnc", encode(data, basis[:k], metric), basis[:k])
        explained.append(1 - weights @ ((error * metric) ** 2).sum((1, 2)) / whole)
    return basis, opening(basis), np.array(explained)


def encode(delta: F64, basis: F64, metric: F64) -> F64:
    """Least-squares lip codes (T, K) of displacements (T, 478, 3) under a landmark metric."""
    a = (basis * metric).reshape(len(basis), -1)
    b = (delta * metric).reshape(len(delta), -1)
    return np.asarray(np.linalg.solve(a @ a.T, a @ b.T).T)


def choose_stable(moves: list[F64], mean: F64, mirror: I64) -> I64:
    """The stillest points of the upper face under the seed's alignment, in left-right pairs."""
    rms = np.sqrt(np.mean([(d[:, :, :2] ** 2).sum(2).mean(0) for d in moves], 0))
    upper = mean[:, 1] < mean[[33, 263], 1].mean() + 0.12
    chosen = np.argsort(np.where(upper, rms, np.inf))[:STABLE_COUNT]
    return np.unique(np.concatenate([chosen, mirror[chosen], SEED_STABLE, mirror[SEED_STABLE]]))


def still_faces(folder: Path, stable: I64, mean: F64) -> list[F64]:
    """Shut, nearly frontal faces among labelled stills, laid over the mean face."""
    faces = []
    for track in load_tracks(folder):
        face = align(track.landmarks.astype(np.float64), mean, stable)
        yaw = abs(
            np.linalg.norm(face[0, 1] - face[0, LEFT]) - np.linalg.norm(face[0, 1] - face[0, RIGHT])
        )
        if opening(face)[0] <= SHUT and yaw < 0.05:
            faces.append(face[0])
    return faces


def lip_samples(tracks: list[Track], moves: dict[str, F64], per_speaker: int) -> tuple[F64, F64]:
    """Displacements (N, 478, 3) and weights (N,): so many a speaker at most."""
    rng = np.random.default_rng(0)
    picked = []
    for s in sorted({t.speaker for t in tracks}):
        whole = np.concatenate([moves[t.name][t.valid] for t in tracks if t.speaker == s])
        picked.append(whole[rng.permutation(len(whole))[:per_speaker]])
    weights = np.concatenate([np.full(len(d), len(d) ** -0.5) for d in picked])
    return np.concatenate(picked), weights


def build(labels: Path, obj: Path, per_speaker: int = 600) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of face.npz from labelled footage."""
    mirror = mirror_map(obj)
    tracks = list(load_tracks(labels / "train"))
    speakers = sorted({t.speaker for t in tracks})
    first = {t.speaker: t.landmarks[:1].astype(np.float64) for t in tracks}
    mean = mean_face([f[0] for f in first.values()], mirror)
    stable = SEED_STABLE
    for _ in range(2):
        moves, faces = displacements(tracks, mean, stable, mirror)
        mean = mean_face(list(faces.values()), mirror)
        by = {
            s: np.concatenate([moves[t.name][t.valid] for t in tracks if t.speaker == s])
            for s in speakers
        }
        stable = choose_stable(list(by.values()), mean, mirror)
    stills = still_faces(labels / "stills", stable, mean)
    neutral = mean_face([*faces.values(), *stills], mirror)
    # The displacements are taken once more, in the final frame and over the final points.
    moves, _ = displacements(tracks, neutral, stable, mirror)
    samples, weights = lip_samples(tracks, moves, per_speaker)
    basis, functional, explained = fit_basis(samples, weights, neutral)
    code = encode(samples, basis, landmark_metric(neutral))
    return {
        "version": np.array(1, np.int32),
        "neutral": neutral.astype(np.float32),
        "basis": basis.astype(np.float32),
        "code_std": np.sqrt((weights @ code**2) / weights.sum()).astype(np.float32),
        "opening": functional.astype(np.float32),
        "explained": explained.astype(np.float32),
        "stable": stable.astype(np.int32),
        "mirror": mirror.astype(np.int32),
        "metric": landmark_metric(neutral).astype(np.float32),
        "people": np.array(len(speakers) + len(stills), np.int32),
    }


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="visavis train face", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("labels", type=Path, help="folder of labels, with train/ and stills/")
    parser.add_argument("mesh_obj", type=Path, help="MediaPipe's canonical_face_model.obj")
    parser.add_argument("out", type=Path, help="the face.npz to write")
    args = parser.parse_args(argv)
    arrays = build(args.labels, args.mesh_obj)
    np.savez_compressed(args.out, **arrays)  # type: ignore[arg-type]
    sys.stdout.write(
        f"{int(arrays['people'])} faces, {len(arrays['stable'])} stable points, energy explained "
        + " ".join(f"{e:.3f}" for e in arrays["explained"])
        + "\nopening a unit of code "
        + " ".join(f"{o:+.4f}" for o in arrays["opening"])
        + "\n"
    )

"""How like the truth the engine's pictures of clips are, by steps, beside guide and copy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bench.quality.clips import Talk
from bench.quality.made import hear
from bench.reenact import pictures
from bench.reenact.footage import Film
from bench.reenact.samples import at, closure, cut
from bench.reenact.sitter import Frame, Sitter, portraits
from engine.config import EngineConfig
from engine.errors import MediaError
from engine.frames import Motion
from engine.paint import NetworkPainter, RenderNetwork, paint
from engine.painters import painter_folder
from models import topology as topo
from models import window

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

COPY, WARP, GUIDE, TRUE = "copy", "warp", "guide", "true"
"""The portrait as it is; moved by geometry; with the plates of teeth and tongue; the truth."""
TEACHER_STEPS = 16
_WINDOW_PX = 128
"""Side of the square around the mouth that figures are taken in."""
_STILLEST = 0.2
"""Share of the pictures that follow each other in which a head counts as still."""
_ENDS = 0.2
"""Share of a clip that counts as its beginning, and as its end."""
_SHEET_ROWS = 6
_NO_CODE = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One picture of a clip drawn in every way, windows around the true mouth.

    Attributes:
        index: of the picture in its video.
        points: (478, 3) its landmarks, pixels of the square.
        windows: (128, 128, 3) uint8 by the name of the way, `TRUE` among them.
        faces: (S, S, 3) uint8 by the same names.
        lips: (128, 128) float32, where the lips and what they enclose are.
        face: (S, S) float32, where the face is.
    """

    index: int
    points: F64
    windows: dict[str, U8]
    faces: dict[str, U8]
    lips: F32
    face: F32


def draw(
    talk: Talk,
    video: Path,
    steps: Sequence[int],
    seconds: float,
    config: EngineConfig,
    teacher: Path | None = None,
) -> list[Drawn]:
    """Draws the beginning of a clip from its one best portrait, led by its own landmarks.

    Args:
        talk: the clip's labels and sound.
        video: its pictures.
        steps: in how many the render network paints.
        seconds: to draw.
        config: of the engine.
        teacher: folder of another render network's files, drawn in `TEACHER_STEPS`.

    Raises:
        MediaError: the video has no picture at the times of its labels.
    """
    film = Film.open(video)
    labels = np.concatenate([np.repeat(talk.points[:1], talk.first, 0), talk.points])
    valid = np.concatenate([np.zeros(talk.first, bool), talk.valid])
    points, usable = film.points(labels), film.usable(valid)
    if not usable.any():
        raise MediaError(f"{video}: no picture at the times of its labels")
    (best,) = portraits(points, usable, 1)
    begin = film.times[np.flatnonzero(usable)[0]]
    wanted = np.flatnonzero(usable & (film.times < begin + seconds)).tolist()
    seen = film.see({best, *wanted})
    frame = Frame.of(points[best])
    sitter = Sitter(frame.picture(seen[best]), frame.points(points[best]))
    painters = painters_of(sitter, steps, config, teacher)
    heard = hear(talk.pcm, config)
    drawn = []
    for i in wanted:
        if i == best:
            continue
        at_points = frame.points(points[i])
        embedding = heard[min(film.label(i) - talk.first, len(heard) - 1)].embedding
        blink = closure(at_points, sitter.points)
        motion = Motion(i, _NO_CODE, blink=blink, embedding=embedding)
        drawn.append(one(sitter, painters, at_points, frame.picture(seen[i]), motion))
    return drawn


def painters_of(
    sitter: Sitter, steps: Sequence[int], config: EngineConfig, teacher: Path | None = None
) -> dict[str, NetworkPainter]:
    """The render network by its number of steps, and a teacher; see `draw`."""
    network = RenderNetwork(config.backend, folder=painter_folder(config.painter))
    painters = {f"{n} step{'s' * (n > 1)}": NetworkPainter(sitter.rig, n, network) for n in steps}
    if teacher is not None:
        taught = RenderNetwork(config.backend, folder=teacher)
        painters["teacher"] = NetworkPainter(sitter.rig, TEACHER_STEPS, taught)
    return painters


def one(
    sitter: Sitter,
    painters: Mapping[str, NetworkPainter],
    points: F64,
    truth: U8,
    motion: Motion,
) -> Drawn:
    """A picture drawn in every way, led by its landmarks (478, 3)."""
    led = sitter.lead(points, motion)
    faces = {COPY: sitter.picture, WARP: sitter.compose(led)}
    faces[GUIDE] = sitter.compose(led, sitter.plates.plates(led.guided[0]))
    for name, painter in painters.items():
        (patches,) = paint(led, [painter])
        faces[name] = sitter.compose(led, patches)
    faces[TRUE] = truth
    return _windows(motion.index, faces, points)


def _windows(index: int, faces: dict[str, U8], points: F64) -> Drawn:
    truth, corner = cut(faces[TRUE], points, _WINDOW_PX)
    windows = {name: at(face, corner, _WINDOW_PX) for name, face in faces.items()}
    windows[TRUE] = truth
    lips = window.region(points, corner, (_WINDOW_PX, _WINDOW_PX), window.FACE_PX)
    hull = cv2.convexHull(points[: topo.IRISES[0][0], :2].astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros(faces[TRUE].shape[:2], np.uint8), hull, 1)
    return Drawn(index, points, windows, faces, lips, np.asarray(face, np.float32))


def figures(drawn: Sequence[Drawn]) -> dict[str, dict[str, float]]:
    """Figures by the name of the way; `gain_db` is over the guide, `sharp` over the truth."""
    names = list(drawn[0].windows)
    lips = [d.lips for d in drawn]
    table: dict[str, dict[str, float]] = {}
    for name in names:
        own = [d.windows[name] for d in drawn]
        row = {"energy": float(np.mean([pictures.energy(w) for w in own]))}
        row["cpbd"] = _mean(pictures.cpbd(w) for w in own)
        row["flicker"], row["still_flicker"] = _flicker(drawn, name)
        if name != TRUE:
            pairs = [(d.windows[name], d.windows[TRUE]) for d in drawn]
            faces = [(d.faces[name], d.faces[TRUE], d.face) for d in drawn]
            row["mouth_db"] = _mean(pictures.psnr(*p, r) for p, r in zip(pairs, lips, strict=True))
            row["mouth_ssim"] = _mean(
                pictures.ssim(*p, r) for p, r in zip(pairs, lips, strict=True)
            )
            row["window_ssim"] = _mean(pictures.ssim(*p, np.ones_like(lips[0])) for p in pairs)
            row["face_db"] = _mean(pictures.psnr(*f) for f in faces)
            likeness = [pictures.ssim(*f) for f in faces]
            row["face_ssim"], row["kept"] = _mean(likeness), _kept(likeness)
        table[name] = row
    true = table.pop(TRUE)
    for row in table.values():
        row["gain_db"] = row["mouth_db"] - table[GUIDE]["mouth_db"]
        row["sharp"] = row.pop("energy") / true["energy"]
        for ratio in ("flicker", "still_flicker", "cpbd"):
            row[ratio] = row[ratio] / true[ratio]
    return table


def _mean(values: Iterable[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")


def _kept(likeness: Sequence[float]) -> float:
    """Mean of the last fifth over that of the first, of pictures in their order."""
    part = max(1, round(_ENDS * len(likeness)))
    return _mean(likeness[-part:]) / _mean(likeness[:part])


def _flicker(drawn: Sequence[Drawn], name: str) -> tuple[float, float]:
    """Change between pictures that follow each other: of all, and of those that move least."""
    pairs = [(a, b) for a, b in pairwise(drawn) if b.index == a.index + 1]
    pairs.sort(key=lambda pair: float(np.abs(pair[1].points - pair[0].points).mean()))
    changes = [pictures.change(a.windows[name], b.windows[name]) for a, b in pairs]
    return _mean(changes), _mean(changes[: max(1, round(_STILLEST * len(changes)))])


def sheet(path: Path, talks: Mapping[str, Sequence[Drawn]]) -> None:
    """Writes a contact sheet: for each clip some rows, the portrait, every way, and the truth.

    Raises:
        MediaError: it cannot be written.
    """
    rows = []
    for drawn in talks.values():
        chosen = np.linspace(0, len(drawn) - 1, min(_SHEET_ROWS, len(drawn))).astype(int)
        rows += [np.hstack(list(drawn[i].windows.values())) for i in chosen]
    names = list(next(iter(talks.values()))[0].windows)
    head = np.full((24, rows[0].shape[1], 3), 255, np.uint8)
    for number, name in enumerate(names):
        place = (number * _WINDOW_PX + 6, 17)
        cv2.putText(head, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.vstack([head, *rows])[..., ::-1]):
        raise MediaError(f"{path} cannot be written, expected a name ending in .png")

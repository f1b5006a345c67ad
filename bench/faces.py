"""`visavis bench faces`: our faces and landmarks against labels, on pictures never trained on."""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bench.reenact.footage import Film
from bench.report import Report
from engine.errors import MediaError
from engine.faces import Finder, open_finder
from models import topology as topo
from models.faces import FoundFace, frame_of
from models.train.landmarks import pack

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
NEAR = 0.35
"""A face is the labelled one if its middle is nearer than this share of the label's size."""
TILE_PX = 260
PARTS = {
    "lips": np.concatenate([topo.UPPER_LIP, topo.LOWER_LIP, topo.MOUTH_CORNERS]),
    "lids": np.concatenate([*topo.UPPER_LIDS, *topo.LOWER_LIDS]),
    "irises": np.concatenate(topo.IRISES),
}


@dataclass(slots=True)
class Seen:
    """What was found in one group of pictures.

    Attributes:
        errors: a row a face that was found, each landmark's distance in % of that of the eyes.
        depth: mean error of z, the mean taken off, in % of the eyes' distance.
        looked, others: pictures; faces found where no label is.
        took_ms: a picture's time.
        tiles: pictures with both sets of landmarks.
    """

    errors: list[F32] = field(default_factory=list)
    depth: list[float] = field(default_factory=list)
    looked: int = 0
    others: int = 0
    took_ms: list[float] = field(default_factory=list)
    tiles: list[U8] = field(default_factory=list)

    def add(self, truth: F32, face: FoundFace) -> None:
        """Notes a face that was found against its label."""
        eyes = pack.eyes_px(truth)
        off = np.linalg.norm((face.landmarks - truth)[:, :2], axis=1) * (100 / eyes)
        self.errors.append(off.astype(np.float32))
        deep = face.landmarks[:, 2] - truth[:, 2]
        self.depth.append(float(np.abs(deep - deep.mean()).mean() * 100 / eyes))

    def row(self) -> dict[str, float]:
        """Its figures."""
        made: dict[str, float] = {"pictures": self.looked, "others": self.others}
        made["found_pct"] = 100 * len(self.errors) / max(self.looked, 1)
        if self.errors:
            each = np.stack(self.errors)
            mean = each.mean(1)
            made |= {"error_pct": float(mean.mean()), "p95_pct": float(np.percentile(mean, 95))}
            made |= {f"{name}_pct": float(each[:, at].mean()) for name, at in PARTS.items()}
            made["depth_pct"] = float(np.mean(self.depth))
        if self.took_ms:
            made["p50_ms"] = float(np.median(self.took_ms))
        return made


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    pair = ("PICTURES", "LABELS")
    parser.add_argument("--stills", type=Path, nargs=2, metavar=pair, help="those kept for tests")
    parser.add_argument("--portraits", type=Path, nargs=2, metavar=pair, help="all of them")
    parser.add_argument(
        "--clips", type=Path, nargs=2, metavar=("FOOTAGE", "LABELS"), help="the held-out people's"
    )
    parser.add_argument("--backgrounds", type=Path, metavar="FOLDER", help="without a face")
    parser.add_argument("--landmarker", type=Path, metavar="FILE", help="measure MediaPipe's file")
    parser.add_argument("--backend", default="openvino", help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of the networks (%(default)s)")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw landmarks here")
    parser.add_argument("--tiles", type=int, default=24, help="stills on the sheet (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Measures what was given, prints the table, writes JSON and sheet.

    Raises:
        MediaError: nothing was given to measure, or a folder holds nothing of use.
        BackendError: the finder cannot be opened.
    """
    finder = open_finder(args.backend, args.threads, args.landmarker)
    report, tiles = Report("faces against labels, errors in % of the eyes' distance"), list[U8]()
    if args.stills is not None:
        pictures, labels = args.stills
        stills = _measure(finder, pack.stills(pictures, labels, test=True))
        report.row("stills", **stills.row())
        step = max(1, len(stills.tiles) // max(args.tiles, 1))
        tiles += stills.tiles[::step][: args.tiles]
    if args.portraits is not None:
        portraits = _measure(finder, _labelled(*args.portraits))
        report.row("portraits", **portraits.row())
        tiles += portraits.tiles
    if args.clips is not None:
        for name, clip in _clips(finder, *args.clips):
            report.row(name, **clip.row())
    if args.backgrounds is not None:
        report.row("backgrounds", **_nothing(finder, args.backgrounds).row())
    if not report.rows:
        raise MediaError("nothing to measure: give --stills, --portraits, --clips, --backgrounds")
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    if args.sheet is not None and tiles:
        _draw(args.sheet, tiles)
    return 0


def _timed(look: Callable[[], list[FoundFace]], seen: Seen) -> list[FoundFace]:
    begun = time.perf_counter()
    found = look()
    seen.took_ms.append(1e3 * (time.perf_counter() - begun))
    return found


def _measure(finder: Finder, labelled: Iterator[tuple[str, U8, F32]]) -> Seen:
    seen = Seen()
    for name, picture, truth in labelled:
        found = _timed(partial(finder.find, picture), seen)
        mine = [face for face in found if _near(truth, face)]
        seen.looked, seen.others = seen.looked + 1, seen.others + len(found) - len(mine[:1])
        if mine:
            seen.add(truth, mine[0])
        seen.tiles.append(_tile(name, picture, truth, found))
    if not seen.looked:
        raise MediaError("no labelled picture is there to measure")
    return seen


def _near(truth: F32, face: FoundFace) -> bool:
    one, other = frame_of(truth), frame_of(face.landmarks)
    return float(np.hypot(one.x - other.x, one.y - other.y)) < NEAR * one.size


def _labelled(folder: Path, labels: Path) -> Iterator[tuple[str, U8, F32]]:
    """Pictures with the labels that `models.label.track` wrote of them."""
    for path in sorted(labels.glob("*.npz")):
        with np.load(path) as data:
            name, points = str(data["path"]), np.asarray(data["landmarks"][0], np.float32)
        yield name, _rgb(folder / name), points


def _clips(finder: Finder, folder: Path, labels: Path) -> Iterator[tuple[str, Seen]]:
    """Each held-out clip, followed from picture to picture."""
    for path in sorted(labels.glob("*.npz")):
        if not any(word in path.name for word in pack.HELD_OUT_CLIPS):
            continue
        with np.load(path) as data:
            name, valid = str(data["path"]), data["valid"]
            tracks = data["landmarks"].astype(np.float64)
        film = Film.open(folder / name)
        truth = film.points(tracks).astype(np.float32)
        usable = set(map(int, np.flatnonzero(film.usable(valid))))
        seen, before, gaps = Seen(), None, list[tuple[float, float]]()
        for at, picture in film.see(usable).items():
            begun = time.perf_counter()
            face = None if before is None else finder.follow(picture, before)
            if face is None:
                face = next(iter(finder.find(picture, 1)), None)
            seen.took_ms.append(1e3 * (time.perf_counter() - begun))
            before = None if face is None else face.landmarks
            seen.looked += 1
            if face is not None and _near(truth[at], face):
                seen.add(truth[at], face)
                gaps.append((_gap(truth[at]), _gap(face.landmarks)))
        yield f"{name} (lip gap r {np.corrcoef(np.array(gaps).T)[0, 1]:.3f})", seen


def _gap(points: F32) -> float:
    """Opening of the inner lips in face widths."""
    width = float(np.linalg.norm(np.subtract(*points[list(topo.FACE_SIDES)])))
    return float(np.linalg.norm(points[13, :2] - points[14, :2])) / width


def _nothing(finder: Finder, folder: Path) -> Seen:
    seen = Seen()
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES):
        picture = _rgb(path)
        seen.others += len(_timed(partial(finder.find, picture), seen))
        seen.looked += 1
    if not seen.looked:
        raise MediaError(f"{folder} holds no pictures")
    return seen


def _rgb(path: Path) -> U8:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise MediaError(f"{path}: no picture that can be read")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def _tile(name: str, picture: U8, truth: F32, found: list[FoundFace]) -> U8:
    """The labelled face with the label (red) and what was found (green)."""
    frame = frame_of(truth)
    scale = TILE_PX / (1.5 * frame.size)
    move = np.array([[scale, 0, TILE_PX / 2 - scale * frame.x], [0, scale, 0]])
    move[1, 2] = TILE_PX / 2 - scale * frame.y
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    made = cv2.warpAffine(picture, move, (TILE_PX, TILE_PX), flags=way)
    for points, colour in ((truth, (255, 60, 60)), *((f.landmarks, (60, 255, 60)) for f in found)):
        for x, y in points[:, :2] @ move[:, :2].T + move[:, 2]:
            cv2.circle(made, (round(x * 4), round(y * 4)), 4, colour, -1, cv2.LINE_AA, 2)
    score = f"{found[0].score:.2f}" if found else "none"
    text = f"{Path(name).stem[:20]} {score}"
    cv2.putText(made, text, (4, TILE_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 0), 1)
    return np.asarray(made, np.uint8)


def _draw(path: Path, tiles: list[U8]) -> None:
    across = 8
    blank = np.zeros_like(tiles[0])
    tiles = tiles + [blank] * (-len(tiles) % across)
    rows = [np.hstack(tiles[at : at + across]) for at in range(0, len(tiles), across)]
    if not cv2.imwrite(str(path), np.vstack(rows)[..., ::-1]):
        raise MediaError(f"{path}: the picture cannot be written")

"""A pack: portraits with their mattes, compressed, in one npz file."""

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.nets.matte import SIDE_PX

U8 = npt.NDArray[np.uint8]

KINDS = ("still", "head", "frame")
HELD_FILMS = ("aoc", "lieu", "lbax4n", "sbia1a")
_HELD_EVERY = 10
_WATCHED = {"still": 24, "head": 10, "frame": 8}
"""Held-out pictures that a pack carries, for the curve."""
_DOUBT = {"still": 11.0, "frame": 11.0}
"""Labels are left out whose rim is wider than this, in pixels."""
_MOST_LOOSE = 0.08
_MATTE_QUALITY = 70
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One portrait.

    Attributes:
        name: unique.
        kind: one of `KINDS`.
        held: never trained on.
        picture: (H, W, 3) uint8 RGB.
        matte: (H, W) uint8.
    """

    name: str
    kind: str
    held: bool
    picture: U8
    matte: U8


def labelled(folder: Path, rejected: frozenset[str] = frozenset()) -> Iterator[Labelled]:
    """What `models.label.segment` wrote, less doubtful labels; every tenth still is held out.

    Raises:
        FileNotFoundError: the folder holds no `figures.csv`.
    """
    with (folder / "figures.csv").open(newline="") as file:
        rows = sorted((name, float(doubt), float(loose)) for name, doubt, loose in csv.reader(file))
    stills = 0
    for name, doubt, loose in rows:
        kind = "frame" if "@" in name else "still"
        held = stills % _HELD_EVERY == 0 if kind == "still" else _held_film(name)
        stills += kind == "still"
        if doubt > _DOUBT[kind] or loose > _MOST_LOOSE or name in rejected:
            _log.info("%s: label left out (rim %.1f px, loose %.2f)", name, doubt, loose)
            continue
        laid = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        if laid is None:
            raise FileNotFoundError(f"{folder / name}.png: missing or damaged")
        picture = np.ascontiguousarray(laid[..., 2::-1], np.uint8)
        yield Labelled(name, kind, held, picture, np.asarray(laid[..., 3], np.uint8))


def _held_film(name: str) -> bool:
    return any(film in name for film in HELD_FILMS)


def heads(folder: Path, each: int) -> Iterator[Labelled]:
    """Pictures of synthetic heads with exact mattes, `each` of a person, evenly chosen."""
    for number, path in enumerate(sorted(folder.glob("*.npz"))):
        with np.load(path) as head:
            shots = np.concatenate([head["portrait"][None], head["shots"]])
            mattes = head["mattes"]
        for shot in np.unique(np.linspace(0, len(shots) - 1, each).astype(int)):
            held = number % _HELD_EVERY == 0
            yield Labelled(f"{path.stem}#{shot}", "head", held, shots[shot], mattes[shot])


def write(out: Path, items: list[Labelled], quality: int) -> dict[str, int]:
    """Writes the pack: all that may be trained on, and a few that are held out.

    Args:
        quality: of the WebP pictures, 1 to 100.

    Returns:
        How many of each kind there are, and of those held out.

    Raises:
        ValueError: nothing to train on.
    """
    watched = dict.fromkeys(KINDS, 0)
    chosen = []
    for kind in KINDS:
        held = [item for item in items if item.held and item.kind == kind]
        step = max(len(held) // _WATCHED[kind], 1)
        chosen += [item for item in items if not item.held and item.kind == kind]
        chosen += held[::step][: _WATCHED[kind]]
        watched[kind] = len(held[::step][: _WATCHED[kind]])
    if not any(not item.held for item in chosen):
        raise ValueError(f"{len(items)} labelled pictures, none of them to train on")
    blobs = [_webp(item.picture[..., ::-1], quality) for item in chosen]
    blobs += [_webp(item.matte, _MATTE_QUALITY) for item in chosen]
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        out,
        bytes=np.frombuffer(b"".join(blobs), np.uint8),
        ends=np.cumsum([len(blob) for blob in blobs]),
        names=np.array([item.name for item in chosen]),
        kinds=np.array([KINDS.index(item.kind) for item in chosen], np.uint8),
        held=np.array([item.held for item in chosen]),
    )
    counts = {kind: sum(i.kind == kind and not i.held for i in chosen) for kind in KINDS}
    return counts | {f"{kind} held out": n for kind, n in watched.items()}


def _webp(picture: U8, quality: int) -> bytes:
    done, data = cv2.imencode(
        ".webp", np.ascontiguousarray(picture), [cv2.IMWRITE_WEBP_QUALITY, quality]
    )
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} cannot be written as WebP")
    return bytes(data)


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A pack in memory, letterboxed to the network's side.

    Attributes:
        pictures: (N, 3, S, S) uint8 RGB.
        mattes: (N, 1, S, S) uint8.
        kinds: (N,) uint8, indices of `KINDS`.
        held: (N,) bool.
        names: N of them.
    """

    pictures: U8
    mattes: U8
    kinds: U8
    held: npt.NDArray[np.bool_]
    names: list[str]


def read(path: Path) -> Pack:
    """Reads a pack.

    Raises:
        ValueError: it is damaged or no pack.
    """
    with np.load(path) as file:
        if not {"bytes", "ends", "names", "kinds", "held"} <= set(file.files):
            raise ValueError(f"{path}: no pack of portraits, it holds {sorted(file.files)}")
        data, ends, names = file["bytes"], file["ends"], [str(n) for n in file["names"]]
        kinds, held = file["kinds"], file["held"]
    starts = np.concatenate([[0], ends[:-1]])
    pictures = np.empty((len(names), 3, SIDE_PX, SIDE_PX), np.uint8)
    mattes = np.empty((len(names), 1, SIDE_PX, SIDE_PX), np.uint8)
    for at in range(len(names)):
        bgr = cv2.imdecode(data[starts[at] : ends[at]], cv2.IMREAD_COLOR)
        mask = at + len(names)
        matte = cv2.imdecode(data[starts[mask] : ends[mask]], cv2.IMREAD_GRAYSCALE)
        if bgr is None or matte is None:
            raise ValueError(f"{path}: {names[at]} is damaged")
        pictures[at] = boxed(np.asarray(bgr[..., ::-1], np.uint8)).transpose(2, 0, 1)
        mattes[at, 0] = boxed(np.asarray(matte, np.uint8))
    return Pack(pictures, mattes, kinds, held, names)


def boxed(picture: U8) -> U8:
    """Fitted into a square of the network's side, its rims drawn out: (S, S, ...) uint8."""
    high, wide = picture.shape[:2]
    scale = SIDE_PX / max(high, wide)
    size = max(round(wide * scale), 1), max(round(high * scale), 1)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    fitted = cv2.resize(np.ascontiguousarray(picture), size, interpolation=way)
    left, top = (SIDE_PX - size[0]) // 2, (SIDE_PX - size[1]) // 2
    return np.asarray(
        cv2.copyMakeBorder(
            fitted,
            top,
            SIDE_PX - size[1] - top,
            left,
            SIDE_PX - size[0] - left,
            cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )

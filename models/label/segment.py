"""Person mattes for stills and films: MediaPipe's selfie segmentation, several looks, cleaned.

One look at 256x256 is coarse and trembles; the mean of mirrored and shifted looks at the whole and
at the head is steadier; a guided filter and closed-form matting lay it on the picture's edges. How
wide the mean's rim is says how doubtful a label is.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from kernels.guided import coefficients
from models.label import closed_form

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
FILMS = {".mp4", ".mov", ".mpg", ".avi", ".mkv", ".webm"}
_SHIFT = 0.06
"""How far the piece of picture of a look is shifted and shrunk, in its sides."""
_MASK_RADIUS, _MASK_RIDGE = 3, 4e-4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Segmented:
    """A labelled picture.

    Attributes:
        matte: (H, W) uint8, 255 where the person is.
        doubt: mean width of the rim in which the looks are unsure, pixels.
        loose: share of what was taken for people that did not hang together with the largest piece.
    """

    matte: U8
    doubt: float
    loose: float


class Segmenter:
    """MediaPipe's selfie segmentation, seen several times a picture."""

    def __init__(self) -> None:
        import mediapipe as mp

        self._net = mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)

    def see(self, rgb: U8) -> Segmented:
        """The matte of a picture (H, W, 3) uint8 RGB with one person."""
        looks = np.stack([self._look(rgb, *piece) for piece in _pieces(rgb.shape)])
        weight = np.isfinite(looks)
        mean = np.nansum(looks, 0) / weight.sum(0)
        rim = max(float((np.abs(mean - 0.5) < 0.4).sum()), 1.0)
        length = max(_rim_length(mean), 1.0)
        kept, loose = _main_piece(np.asarray(mean, np.float32))
        alpha = closed_form.refine(rgb, _laid_on(kept, rgb))
        return Segmented(np.asarray(np.rint(alpha * 255), np.uint8), rim / length, loose)

    def _look(self, rgb: U8, window: tuple[slice, slice], mirrored: bool) -> F32:
        piece = np.ascontiguousarray(rgb[window][:, ::-1] if mirrored else rgb[window])
        found = self._net.process(piece).segmentation_mask
        out = np.full(rgb.shape[:2], np.nan, np.float32)
        out[window] = found[:, ::-1] if mirrored else found
        return out


def _pieces(shape: tuple[int, ...]) -> list[tuple[tuple[slice, slice], bool]]:
    high, wide = shape[:2]
    dx, dy = round(wide * _SHIFT), round(high * _SHIFT)
    windows = [
        (slice(0, high), slice(0, wide)),
        (slice(0, high - dy), slice(dx, wide)),
        (slice(0, high - 2 * dy), slice(dx, wide - dx)),
        (slice(dy, high), slice(0, wide - dx)),
    ]
    return [(window, mirrored) for window in windows for mirrored in (False, True)]


def _rim_length(alpha: F32) -> float:
    lines, _ = cv2.findContours(
        (alpha > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return float(sum(len(line) for line in lines))


def _main_piece(alpha: F32) -> tuple[F32, float]:
    """The largest piece, holes closed; the share of all that was cut."""
    solid = (alpha > 0.5).astype(np.uint8)
    count, marks, figures, _ = cv2.connectedComponentsWithStats(solid)
    if count < 2:
        return alpha, 1.0
    best = 1 + int(np.argmax(figures[1:, cv2.CC_STAT_AREA]))
    main = (marks == best).astype(np.uint8)
    lines, _ = cv2.findContours(main, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = cv2.drawContours(np.zeros_like(main), lines, -1, 1, cv2.FILLED)
    holes = (whole > 0) & (solid == 0) & (alpha < 0.5)
    near = cv2.dilate(whole, np.ones((9, 9), np.uint8)) > 0
    kept = np.where(near, alpha, 0)
    kept = np.where(holes & (cv2.erode(whole, np.ones((9, 9), np.uint8)) > 0), 1, kept)
    loose = 1 - float(main.sum()) / max(float(solid.sum()), 1.0)
    return np.asarray(kept, np.float32), loose


def _laid_on(alpha: F32, rgb: U8) -> F32:
    """A sharpened mask on the picture's own edges: a colour guided filter (He 2010)."""
    guide = rgb.astype(np.float32) / np.float32(255)
    firm = np.clip((alpha - 0.5) * 1.6 + 0.5, 0, 1).astype(np.float32)
    slope, base = coefficients(guide, firm, _MASK_RADIUS, _MASK_RIDGE)
    return np.asarray(np.clip((slope * guide).sum(-1) + base, 0, 1), np.float32)


def label(pictures: Path, out: Path, every: int) -> None:
    """Labels the stills, and every so many pictures of the films, under a folder.

    Writes `NAME.png` (RGB and alpha) and `figures.csv` with the doubt of each; goes on where it
    was broken off.
    """
    out.mkdir(parents=True, exist_ok=True)
    table = out / "figures.csv"
    known = set()
    if table.exists():
        known = {line.split(",")[0] for line in table.read_text().splitlines()}
    segmenter = Segmenter()
    with table.open("a") as file:
        for path in sorted(p for p in pictures.rglob("*") if p.is_file()):
            name = "__".join(path.relative_to(pictures).parts)
            for number, rgb in _pictures(path, name, known, every):
                found = segmenter.see(rgb)
                stem = name if number is None else f"{name}@{number}"
                laid = np.dstack([rgb[..., ::-1], found.matte])
                cv2.imwrite(str(out / f"{stem}.png"), laid)
                file.write(f"{stem},{found.doubt:.2f},{found.loose:.3f}\n")
                file.flush()


def _pictures(
    path: Path, name: str, known: set[str], every: int
) -> Iterator[tuple[int | None, U8]]:
    """Pictures of a file that are not labelled yet, each with its number where it is a film."""
    if path.suffix.lower() in SUFFIXES and name not in known:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            _log.warning("%s: cannot be read, left out", path)
        else:
            yield None, np.ascontiguousarray(bgr[..., ::-1])
    elif path.suffix.lower() in FILMS:
        film, number = cv2.VideoCapture(str(path)), 0
        while film.grab():
            if number % every == 0 and f"{name}@{number}" not in known:
                done, bgr = film.retrieve()
                if done:
                    yield number, np.ascontiguousarray(bgr[..., ::-1])
            number += 1


def main(argv: Sequence[str] | None = None) -> None:
    """Reads arguments and labels a folder."""
    parser = argparse.ArgumentParser(
        prog="python -m models.label.segment", description="Mattes of people, by MediaPipe."
    )
    parser.add_argument("pictures", type=Path, help="folder of stills and films")
    parser.add_argument("out", type=Path, help="folder for the labelled pictures")
    parser.add_argument("--every", type=int, default=25, help="of a film's pictures")
    args = parser.parse_args(argv)
    if not args.pictures.is_dir():
        parser.error(f"{args.pictures}: no such folder")
    label(args.pictures, args.out, args.every)


if __name__ == "__main__":
    main()

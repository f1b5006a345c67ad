"""Contact sheets: a portrait and its shots a row, many people."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from models import topology

from .store import Made, load

CELL_PX = 192
ROWS = 12
LINES = (
    topology.UPPER_INNER_LIP,
    topology.LOWER_INNER_LIP,
    *topology.UPPER_LIDS,
    *topology.LOWER_LIDS,
)


def draw(files: list[Path], picture: Path, marked: bool, most: int) -> None:
    """Writes a sheet of at most `most` people, evenly chosen, in columns of `ROWS`."""
    if len(files) > most:
        files = [files[i] for i in np.linspace(0, len(files) - 1, most).round().astype(int)]
    strips = [_strip(load(path), marked) for path in files]
    wide = max(strip.width for strip in strips)
    columns = -(-len(strips) // ROWS)
    sheet = Image.new("RGB", (wide * columns, CELL_PX * min(len(strips), ROWS)))
    for number, strip in enumerate(strips):
        sheet.paste(strip, (number // ROWS * wide, number % ROWS * CELL_PX))
    picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(picture)


def _strip(made: Made, marked: bool) -> Image.Image:
    pictures = [made.portrait, *made.shots]
    strip = Image.new("RGB", (CELL_PX * len(pictures), CELL_PX))
    for number, cells in enumerate(pictures):
        if marked:
            tile = _marked(cells, made.landmarks[number], made.mouths[number])
        else:
            tile = Image.fromarray(cells)
        strip.paste(
            tile.resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS), (CELL_PX * number, 0)
        )
    return strip


def _marked(
    cells: npt.NDArray[np.uint8],
    points: npt.NDArray[np.float32],
    mouth: npt.NDArray[np.uint8],
) -> Image.Image:
    """The picture with the mouth's inside tinted, landmarks as dots, lips and lids as lines."""
    tinted = cells.copy()
    inside = mouth > 0
    tinted[inside] = tinted[inside] // 2 + np.array([0, 90, 127], np.uint8)
    tile = Image.fromarray(tinted)
    pen = ImageDraw.Draw(tile)
    for x, y in points[:, :2].tolist():
        pen.point((x, y), fill=(80, 255, 80))
    for line in LINES:
        pen.line([(x, y) for x, y in points[line, :2].tolist()], fill=(255, 220, 0))
    for iris in topology.IRISES:
        ring = points[iris[1:], :2].tolist()
        pen.line([(x, y) for x, y in [*ring, ring[0]]], fill=(255, 60, 60))
    return tile

"""The room behind a person: a soft, out-of-focus gradient, and the picture over it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from .people import Person

Bytes = npt.NDArray[np.uint8]


def backdrop(person: Person, size_px: int) -> npt.NDArray[np.float32]:
    """(size, size, 3) float32 sRGB in [0, 1]: two colours, a warm glow, a vignette, fine grain."""
    rng = np.random.default_rng(person.seed)
    y, x = np.mgrid[0:size_px, 0:size_px].astype(np.float32) / size_px
    left, right, glow = (np.asarray(c, np.float32) for c in person.backdrop)
    side = 1 / (1 + np.exp(-6 * (x - 0.5)))
    picture = left + (right - left) * side[..., None]
    for _ in range(7):
        at_x, at_y, radius = rng.uniform(0, 1), rng.uniform(0, 0.8), rng.uniform(0.1, 0.3)
        near = np.exp(-(((x - at_x) / radius) ** 2 + ((y - at_y) / (radius * 1.6)) ** 2))
        picture *= (1 + rng.uniform(-0.16, 0.12) * near)[..., None]
    warm = np.exp(-(((x - 0.86) / 0.30) ** 2 + ((y - 0.28) / 0.42) ** 2))
    picture += (glow - picture) * 0.38 * warm[..., None]
    picture *= (1 - 0.30 * ((x - 0.5) ** 2 + (y - 0.45) ** 2))[..., None]
    picture += rng.normal(0, 0.004, picture.shape)
    return np.clip(picture, 0, 1).astype(np.float32)


def close_parting(cells: npt.NDArray[np.float32], top: float, bottom: float) -> None:
    """Closes the gap that strands leave along a middle parting, in place.

    The hair on either side is stretched over it. `cells` is (H, W, 4) in [0, 1].
    """
    size = cells.shape[0]
    middle, zone = size // 2, round(0.05 * size)
    rows = np.arange(round(top * size), round(bottom * size))
    ease = np.clip((rows[-1] - rows) / (0.03 * size), 0, 1)[:, None]
    gap = 0.0085 * size * ease
    x = np.arange(middle - zone, middle + zone + 1)[None]
    side = np.where(x < middle, -1.0, 1.0)
    away = np.abs(x - middle)
    at = middle + side * (gap + away * (zone - gap) / zone)
    low = np.floor(at).astype(int)
    part = (at - low)[..., None].astype(np.float32)
    source = cells.copy()
    laid = source[rows[:, None], low] * (1 - part) + source[rows[:, None], low + 1] * part
    shadow = 1 - 0.3 * ease * np.exp(-((away / (0.002 * size)) ** 2))
    laid[..., :3] *= shadow[..., None]
    cells[rows[0] : rows[-1] + 1, x[0]] = laid


def compose(rgba: Path, person: Person) -> tuple[Bytes, Bytes]:
    """Lays a rendered RGBA picture over the person's backdrop.

    Returns:
        (H, W, 3) uint8 sRGB picture and (H, W) uint8 matte.
    """
    with Image.open(rgba) as opened:
        cells = np.array(opened.convert("RGBA"), np.float32) / np.float32(255)
    if person.parting:
        close_parting(cells, *person.parting)
    alpha = cells[..., 3:]
    picture = cells[..., :3] * alpha + backdrop(person, cells.shape[0]) * (1 - alpha)
    return (
        np.rint(picture * 255).astype(np.uint8),
        np.rint(alpha[..., 0] * 255).astype(np.uint8),
    )

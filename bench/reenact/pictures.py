"""Figures of pictures against the true ones, each a plain function of arrays.

Pictures are (H, W, 3) uint8, regions (H, W) float32 in [0, 1].
"""

import cv2
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

_GREY = np.array([0.299, 0.587, 0.114])
_BLOCK_PX = 64
_EDGES = 0.002
"""Share of a block that has to be edges for it to count."""
_JUST_SEEN = 0.63


def psnr(picture: U8, truth: U8, region: F32) -> float:
    """dB over a soft region: 10 log10(255^2 / MSE), the error weighted by the region."""
    error = ((picture.astype(np.float64) - truth) ** 2).mean(-1)
    mean = float((error * region).sum() / region.sum())
    return float(10 * np.log10(255**2 / max(mean, 1e-6)))


def ssim(picture: U8, truth: U8, region: F32) -> float:
    """Structural similarity (Wang 2004), 11x11 Gaussian of 1.5 px; mean over channels, region."""
    a, b = picture.astype(np.float64), truth.astype(np.float64)

    def mean(x: F64) -> F64:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), np.float64)

    one, two = mean(a), mean(b)
    first, second = mean(a * a) - one * one, mean(b * b) - two * two
    both = mean(a * b) - one * two
    c, d = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = (2 * one * two + c) * (2 * both + d) / ((one**2 + two**2 + c) * (first + second + d))
    return float((found.mean(-1) * region).sum() / region.sum())


def energy(picture: U8, region: F32 | None = None) -> float:
    """Mean squared gradient of the brightness, over a region or the whole."""
    grey = picture @ _GREY
    found = np.diff(grey, axis=1)[:-1] ** 2 + np.diff(grey, axis=0)[:, :-1] ** 2
    if region is None:
        return float(found.mean())
    inner = region[:-1, :-1]
    return float((found * inner).sum() / inner.sum())


def cpbd(picture: U8) -> float:
    """Cumulative probability of blur detection (Narvekar, Karam 2011): 1 is sharp.

    Widths of upright edges, from the minimum to the maximum of the brightness along the row, in
    blocks of 64 px.
    """
    grey = (picture @ _GREY).astype(np.float64)
    edges = cv2.Canny(np.rint(grey).astype(np.uint8), 60, 120) > 0
    chances = []
    for top in range(0, grey.shape[0] - _BLOCK_PX + 1, _BLOCK_PX):
        for left in range(0, grey.shape[1] - _BLOCK_PX + 1, _BLOCK_PX):
            block = slice(top, top + _BLOCK_PX), slice(left, left + _BLOCK_PX)
            if edges[block].mean() < _EDGES:
                continue
            wide = 5.0 if np.ptp(grey[block]) <= 50 else 3.0
            for y, x in zip(*np.nonzero(edges[block]), strict=True):
                width = _edge_width(grey[top + y], left + x)
                chances.append(1 - np.exp(-((width / wide) ** 3.6)))
    return float(np.mean(np.array(chances) <= _JUST_SEEN)) if chances else float("nan")


def _edge_width(row: F64, at: int) -> int:
    rises = row[min(at + 1, len(row) - 1)] >= row[max(at - 1, 0)]
    sign = 1.0 if rises else -1.0
    right = at
    while right + 1 < len(row) and sign * (row[right + 1] - row[right]) > 0:
        right += 1
    left = at
    while left > 0 and sign * (row[left] - row[left - 1]) > 0:
        left -= 1
    return right - left


def change(before: U8, after: U8) -> float:
    """Mean absolute change from picture to picture, in levels of 255."""
    return float(np.abs(after.astype(np.float64) - before).mean())

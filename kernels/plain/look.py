"""`kernels/cuda/look.cu` in NumPy."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels.look import Shown, Size

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
_HALF = np.float32(0.5)


def region(shown: Shown, taps: F32, size: Size) -> F32:
    """Where a network may paint: (height, width) float32.

    Args:
        shown: of the window.
        taps: (2 * reach + 1,) float32 of the blur.
        size: (width, height) of the window.
    """
    may = _within(shown.hull, np.float32(shown.rim_px), size)
    return _blurred(_blurred(may, taps).T, taps).T


def seen(values: F32 | U8, size: Size) -> F32:
    """A window (height, width) at a network's size (width, height)."""
    known = values.astype(np.float32)
    down = [_spanned(at, known.shape[0], size[1]) for at in range(size[1])]
    across = [_spanned(at, known.shape[1], size[0]) for at in range(size[0])]
    return _resized(known, across, down)


def guide(window: U8, gains: F32, size: Size) -> F32:
    """(height, width, 3) uint8 as a network is shown it: (3, H, W) float32."""
    planes = (
        np.minimum(seen(window[..., i], size) * (gain / np.float32(127.5)) - np.float32(1), 1)
        for i, gain in enumerate(gains)
    )
    return np.stack([np.asarray(plane, np.float32) for plane in planes])


def painted(window: U8, may: F32, gains: F32, shown: F32, made: F32) -> U8:
    """What becomes of a network's picture: (height, width, 3) uint8, see `kernels.look.painted`."""
    height, width, _ = window.shape
    down = [_between(at, made.shape[1], height) for at in range(height)]
    across = [_between(at, made.shape[2], width) for at in range(width)]
    out = np.empty_like(window)
    for i, gain in enumerate(gains):
        change = _resized((made[i] - shown[i]) / gain * np.float32(127.5), across, down)
        colour = window[..., i].astype(np.float32)
        most = np.float32(255) / gain
        clipped = np.where(may > 0, np.minimum(colour, most), colour)
        out[..., i] = np.clip(np.rint((clipped if most < 255 else colour) + change), 0, 255)
    return out


def _within(hull: F32, rim_px: np.float32, size: Size) -> F32:
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(*(np.arange(side) for side in size)))
    nearest = np.full(x.shape, 3.0e38, np.float32)
    left, right = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    for (from_x, from_y), (to_x, to_y) in zip(hull, np.roll(hull, -1, 0), strict=True):
        along_x, along_y = to_x - from_x, to_y - from_y
        beside_x, beside_y = x - from_x, y - from_y
        length = along_x * along_x + along_y * along_y
        share = np.zeros_like(x)
        if length > 0:
            share = (beside_x * along_x + beside_y * along_y) / length
        share = np.clip(share, 0, 1)
        off_x, off_y = beside_x - share * along_x, beside_y - share * along_y
        nearest = np.minimum(nearest, off_x * off_x + off_y * off_y)
        side = along_x * beside_y - along_y * beside_x
        left |= side > 0
        right |= side < 0
    outside = np.where(left & right, np.sqrt(nearest), -np.sqrt(nearest))
    return np.asarray(np.clip(rim_px + np.float32(1) - outside, 0, 1), np.float32)


def _blurred(values: F32, taps: F32) -> F32:
    """Along rows, mirrored at their ends."""
    reach, width = len(taps) // 2, values.shape[1]
    at = np.arange(width)
    sums = np.zeros_like(values)
    for i, weight in enumerate(taps):
        place = np.abs(at + i - reach)
        place = np.where(place >= width, 2 * width - 2 - place, place).clip(0, width - 1)
        sums = sums + weight * values[:, place]
    return sums


Span = list[tuple[int, np.float32]]
"""Pixels along an axis, and how much of each makes one at another size."""


def _between(at: int, given: int, made: int) -> Span:
    scale = np.float32(given) / np.float32(made)
    middle = (np.float32(at) + _HALF) * scale - _HALF
    place = np.clip(middle, np.float32(0), np.float32(given - 1))
    first = int(place)
    right = place - np.float32(first)
    if first + 1 >= given:
        return [(first, np.float32(1))]
    return [(first, np.float32(1) - right), (first + 1, right)]


def _spanned(at: int, given: int, made: int) -> Span:
    if given <= made:
        return _between(at, given, made)
    scale = np.float32(given) / np.float32(made)
    begin = np.float32(at) * scale
    end = begin + scale
    cells = range(int(begin), min(int(np.ceil(end)) - 1, given - 1) + 1)
    one = np.float32(1)
    return [
        (n, (min(np.float32(n) + one, end) - max(np.float32(n), begin)) / (end - begin))
        for n in cells
    ]


def _resized(values: F32, across: Sequence[Span], down: Sequence[Span]) -> F32:
    lines = np.zeros((values.shape[0], len(across)), np.float32)
    for x, span in enumerate(across):
        for column, weight in span:
            lines[:, x] = lines[:, x] + weight * values[:, column]
    out = np.zeros((len(down), len(across)), np.float32)
    for y, span in enumerate(down):
        for row, weight in span:
            out[y] = out[y] + weight * lines[row]
    return out

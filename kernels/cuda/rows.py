"""Wrapper of `rows.cu`."""

import numpy as np

from kernels.gpu import Device

_THREADS, _MOST_BLOCKS = 256, 8
_VECTOR = 4


def copy(device: Device, rows: int, count: int, longest: int) -> None:
    """Launches copies of rows.

    Args:
        device: where everything lies.
        rows: address of (count,) `kernels.gpu.ROW`.
        count: rows, up to 65535.
        longest: floats of the longest.
    """
    _launch(device, "rows_copy", rows, count, longest)


def mix(
    device: Device, rows: int, count: int, longest: int, of_from: float, of_into: float
) -> None:
    """Launches `into = from * of_from + into * of_into` for each row; see `copy`."""
    shares = np.float32(of_from), np.float32(of_into)
    _launch(device, "rows_mix", rows, count, longest, *shares)


def _launch(
    device: Device, kernel: str, rows: int, count: int, longest: int, *given: np.float32
) -> None:
    wide = min(max(-(-longest // (_VECTOR * _THREADS)), 1), _MOST_BLOCKS)
    device.launch("rows.cu", kernel, (wide, count, 1), (_THREADS, 1, 1), np.uint64(rows), *given)

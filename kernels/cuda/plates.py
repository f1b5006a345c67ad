"""Wrapper of `plates.cu`, and the form in which mouths lie on a device."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels.gpu import Array, Device, blocks
from kernels.plates import Mouth

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_BLOCK = (32, 4, 1)
_NO_TINT = (1.0, 1.0, 1.0)


def inverted(placements: F64) -> F32:
    """(P, 2, 3), from plates to the picture -> (P, 6) float32, from the picture to plates."""
    (a, b, x), (c, d, y) = np.moveaxis(placements, 0, -1)
    over = a * d - b * c
    rows = np.stack([d, -b, b * y - d * x, -c, a, c * x - a * y], axis=-1)
    return np.asarray(rows / over[:, None], np.float32)


def fill_mouths(table: Array, mouths: Sequence[Mouth]) -> None:
    """Writes what mouths are into (M,) `kernels.gpu.MOUTH`: all but addresses."""
    table["plate_count"] = [len(mouth.placements) for mouth in mouths]
    table["rim_count"] = [len(mouth.rim) for mouth in mouths]
    table["corner"] = [mouth.corner for mouth in mouths]
    table["size"] = [mouth.size for mouth in mouths]
    table["deep_px"] = [mouth.deep_px for mouth in mouths]
    table["light"] = [mouth.opened * mouth.light for mouth in mouths]
    table["tint"] = [_NO_TINT if mouth.tint is None else mouth.tint for mouth in mouths]


def draw_plates(device: Device, mouths: int, count: int, size: tuple[int, int]) -> None:
    """Launches the drawing of each.

    Args:
        device: where everything lies.
        mouths: address of (count,) `kernels.gpu.MOUTH`.
        count: mouths, up to 65535.
        size: (width, height) of the widest and the highest.
    """
    device.launch("plates.cu", "plates", blocks(*size, count, _BLOCK), _BLOCK, np.uint64(mouths))

"""The mouth's inside from plates: teeth and tongue pictures moved behind the lips."""

import cv2
import numpy as np
import numpy.typing as npt

from engine import topology as topo
from engine.render import Guided, polygon_mask, window_around
from engine.rig import Rig
from kernels.warp_composite import Patch

F32 = npt.NDArray[np.float32]

_FINE = 41
_MARGIN_PX = 3.0
_FULL_GAP_PX = 2.0


class MouthPainter:
    """Paints what shows between the lips. Stateless: its session state is None."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._smooth = _catmull_rom(len(topo.UPPER_INNER_LIP), _FINE)
        self._cavity = np.array([42, 16, 15], np.float32)

    def start(self) -> None:
        return None

    def paint(self, guided: Guided, state: object) -> tuple[list[Patch], object]:
        upper = self._smooth @ guided.landmarks[topo.UPPER_INNER_LIP]
        lower = self._smooth @ guided.landmarks[topo.LOWER_INNER_LIP]
        gap = lower[:, 1] - upper[:, 1]
        if gap.max() < 0.3:
            return [], state
        shut = np.minimum(gap, 0.0) / 2
        upper[:, 1] += shut
        lower[:, 1] -= shut
        rim = np.concatenate([upper, lower[::-1]])
        window = window_around(rim, _MARGIN_PX, self._rig.size_px)
        if window is None:
            return [], state
        alpha = polygon_mask(rim, window)
        fade = min(float(gap.max()) / _FULL_GAP_PX, 1.0)
        if fade < 1.0:
            alpha = cv2.convertScaleAbs(alpha, alpha=fade)
        rgb = np.empty((*alpha.shape, 3), np.uint8)
        rgb[:] = self._cavity
        return [Patch(window[1].start, window[0].start, rgb, alpha)], state


def _catmull_rom(points: int, fine: int) -> F32:
    """Matrix (fine, points) that draws a Catmull-Rom spline through points in a row."""
    matrix = np.zeros((fine, points), np.float32)
    for row, at in enumerate(np.linspace(0, points - 1, fine)):
        k = min(int(at), points - 2)
        t = at - k
        weights = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (t**3 - t**2) / 2,
        )
        for i, weight in zip(range(k - 1, k + 3), weights, strict=True):
            if i < 0:  # past an end the row goes straight on
                matrix[row, 0] += 2 * weight
                matrix[row, 1] -= weight
            elif i >= points:
                matrix[row, -1] += 2 * weight
                matrix[row, -2] -= weight
            else:
                matrix[row, i] += weight
    return matrix

"""Composite stage: the whole picture, and its planes for the encoder."""

import numpy as np
import numpy.typing as npt

from engine.render import Guided
from engine.rig import Rig
from kernels.color import rgb_to_i420
from kernels.warp_composite import lay_over, warp


class CompositeStage:
    """Guided pictures in, (H * 3 // 2, W) uint8 I420 pictures out."""

    def __init__(self, rig: Rig) -> None:
        self._source = rig.source
        self._scale = np.float32(rig.scale)
        axis = np.arange(rig.size_px, dtype=np.float32) * self._scale + (self._scale - 1) / 2
        self._base = np.stack(np.meshgrid(axis, axis), axis=-1)

    def reset(self) -> None:
        """Nothing is kept between pictures."""

    def flush(self) -> list[npt.NDArray[np.uint8]]:
        """Nothing is held back."""
        return []

    def push(self, guided: Guided) -> list[npt.NDArray[np.uint8]]:
        """One guided picture gives one I420 picture."""
        return [rgb_to_i420(self.picture(guided))]

    def picture(self, guided: Guided) -> npt.NDArray[np.uint8]:
        """The same as (H, W, 3) uint8 RGB."""
        picture = warp(self._source, guided.flow * self._scale, self._base)
        for patch in guided.patches:
            lay_over(picture, patch)
        return picture

"""Composite stage: the whole picture, and its planes for the encoder."""

import cv2
import numpy as np
import numpy.typing as npt

from engine.kept import kept_with_first
from engine.render import Guided
from engine.rig import Rig
from kernels.color import rgb_to_i420
from kernels.warp_composite import lay_between, lay_over, warp

U8 = npt.NDArray[np.uint8]


class CompositeStage:
    """Guided pictures in, (H * 3 // 2, W) uint8 I420 pictures out.

    Args:
        rig: the avatar.
        behind: (H, W, 3) uint8 RGB, what the person moves over; the rig's own background if none
            is given. A rig without alpha moves with its background and takes none.

    Raises:
        ValueError: the background is of another size, or the rig has no alpha.
    """

    def __init__(self, rig: Rig, behind: U8 | None = None) -> None:
        wanted = (rig.size_px, rig.size_px, 3)
        if behind is not None and (rig.alpha is None or behind.shape != wanted):
            known = "no alpha" if rig.alpha is None else f"pictures of {wanted}"
            raise ValueError(f"background is {behind.shape}, but the rig has {known}")
        self._source = _layered(rig)
        self._behind = rig.behind if behind is None else behind
        self._scale = np.float32(rig.scale)
        axis = np.arange(rig.size_px, dtype=np.float32) * self._scale + (self._scale - 1) / 2
        self._base = np.stack(np.meshgrid(axis, axis), axis=-1)

    def reset(self) -> None:
        """Nothing is kept between pictures."""

    def flush(self) -> list[U8]:
        """Nothing is held back."""
        return []

    def push(self, guided: Guided) -> list[U8]:
        """One guided picture gives one I420 picture."""
        return [rgb_to_i420(self.picture(guided))]

    def picture(self, guided: Guided) -> U8:
        """The same as (H, W, 3) uint8 RGB."""
        warped = warp(self._source, guided.flow * self._scale, self._base)
        picture = np.asarray(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), np.uint8)
        for patch in guided.patches:
            lay_over(picture, patch)
        if self._behind is None:
            return picture
        alpha = np.asarray(cv2.extractChannel(warped, 3), np.uint8)
        return lay_between(picture, alpha, self._behind)


@kept_with_first
def _layered(rig: Rig) -> U8:
    """Colours and alpha as one picture, once for all sessions: (H', W', 4).

    Four channels are sampled in half the time that three take, so it has alpha in any case.
    """
    alpha = np.full(rig.source.shape[:2], 255, np.uint8) if rig.alpha is None else rig.alpha
    return np.dstack([rig.source, alpha])

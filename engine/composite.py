"""Composite stage: the whole picture, and its planes for the encoder."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.kept import kept_with_first
from engine.render import Guided
from engine.rig import Rig
from kernels.color import rgb_to_i420
from kernels.warp_composite import lay_between, lay_over, warp

U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """One picture as encoders take it.

    Attributes:
        i420: (H * 3 // 2, W) uint8, see `Picture.i420`.
        alpha: (H, W) uint8, see `Picture.alpha`.
    """

    i420: U8
    alpha: U8 | None


class CompositeStage:
    """Guided pictures in, `Planes` out.

    Args:
        rig: the avatar.
        behind: (H, W, 3) uint8 RGB, what the person moves over; the rig's own background if none
            is given. A rig without alpha moves with its background and takes none.
        transparent: nothing is behind the person, and pictures keep their alpha.

    Raises:
        ValueError: the background is of another size or one too many, or the rig has no alpha.
    """

    def __init__(self, rig: Rig, behind: U8 | None = None, transparent: bool = False) -> None:
        wanted = (rig.size_px, rig.size_px, 3)
        if behind is not None and (rig.alpha is None or behind.shape != wanted):
            known = "no alpha" if rig.alpha is None else f"pictures of {wanted}"
            raise ValueError(f"background is {behind.shape}, but the rig has {known}")
        if transparent and (rig.alpha is None or behind is not None):
            known = "the rig has no alpha" if rig.alpha is None else "a background is given"
            raise ValueError(f"pictures are to be transparent, but {known}")
        self._transparent = transparent
        self._source = _layered(rig)
        self._behind = rig.behind if behind is None else behind
        self._scale = np.float32(rig.scale)
        axis = np.arange(rig.size_px, dtype=np.float32) * self._scale + (self._scale - 1) / 2
        self._base = np.stack(np.meshgrid(axis, axis), axis=-1)

    def reset(self) -> None:
        """Nothing is kept between pictures."""

    def flush(self) -> list[Planes]:
        """Nothing is held back."""
        return []

    def push(self, guided: Guided) -> list[Planes]:
        """One guided picture gives one picture's planes."""
        picture, alpha = self._drawn(guided)
        return [Planes(rgb_to_i420(picture), alpha)]

    def picture(self, guided: Guided) -> U8:
        """The same as (H, W, 3) uint8 RGB, without alpha."""
        return self._drawn(guided)[0]

    def _drawn(self, guided: Guided) -> tuple[U8, U8 | None]:
        warped = warp(self._source, guided.flow * self._scale, self._base)
        picture = np.asarray(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), np.uint8)
        for patch in guided.patches:
            lay_over(picture, patch)
        if self._behind is None:
            return picture, None
        alpha = np.asarray(cv2.extractChannel(warped, 3), np.uint8)
        if self._transparent:
            return picture, alpha
        return lay_between(picture, alpha, self._behind), None


@kept_with_first
def _layered(rig: Rig) -> U8:
    """Colours and alpha as one picture, once for all sessions: (H', W', 4).

    Four channels are sampled in half the time that three take, so it has alpha in any case.
    """
    alpha = np.full(rig.source.shape[:2], 255, np.uint8) if rig.alpha is None else rig.alpha
    return np.dstack([rig.source, alpha])

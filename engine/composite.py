"""Pictures drawn together: guided by geometry, painted, and composed into planes for encoders."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engine.backdrop import backdrop
from engine.config import TRANSPARENT
from engine.kept import kept_with_first
from engine.mouth import MouthPainter, mouths, plates_of
from engine.render import Guided
from engine.rig import STEP_PX, Rig
from kernels import dispatch
from kernels.dispatch import (
    Backdrop,
    Face,
    Kernels,
    Looks,
    Moved,
    Overlay,
    Planes,
    Plates,
    Portrait,
)
from kernels.look import Shown, Size
from kernels.rows import Held
from models import window

__all__ = ["Batch", "Planes", "drawn_plates_of", "face_of", "room_of"]

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

_FRAME = Held(window.frame()[None])


class Batch:
    """Guided pictures of one size, of any avatars, and the kernels that draw them.

    Args:
        kernels: what draws.
        guided: at least one.

    Attributes:
        kernels, guided: as given.

    Raises:
        ValueError: they differ in size, or are none or too many.
    """

    def __init__(self, kernels: Kernels, guided: Sequence[Guided]) -> None:
        self.guided = guided
        self.kernels = kernels
        moved = [Moved(face_of(g.rig, kernels.name), g.drivers, g.lines) for g in guided]
        self._guides = kernels.guide(moved)
        self._eyes = kernels.eyeballs(self._guides, [g.eyes for g in guided])

    def plates(
        self, painters: Sequence[MouthPainter], tints: Sequence[F32 | None] | None = None
    ) -> list[list[Overlay]]:
        """What shows between each picture's lips: one overlay, none where they touch.

        Args:
            painters: of each picture.
            tints: see `engine.mouth.mouths`.
        """
        shown = mouths(painters, self.guided, tints)
        plates = [drawn_plates_of(painter.rig, self.kernels.name) for painter in painters]
        return [[] if one is None else [one] for one in self.kernels.mouths(plates, shown)]

    def look(
        self,
        numbers: Sequence[int],
        patches: Sequence[Sequence[Overlay]],
        shown: Sequence[Shown],
        size: Size,
    ) -> Looks:
        """What the render network is shown of some pictures: the portrait, before eyeballs are
        laid over it and alpha cuts it out.

        Args:
            numbers: which pictures.
            patches: laid over each.
            shown: of each.
            size: (width, height) of all windows.
        """
        guides = self._guides.only(numbers)
        return self.kernels.look(guides, patches, shown, size, _FRAME.by(self.kernels))

    def planes(
        self, painted: Sequence[Sequence[Overlay]], backgrounds: Sequence[str]
    ) -> list[Planes]:
        """Finished pictures.

        Args:
            painted: what `engine.paint.paint` gives for each.
            backgrounds: of each, see `engine.backdrop`.

        Raises:
            ConfigError: a background that cannot be had.
        """
        clear = [background == TRANSPARENT for background in backgrounds]
        behind = self._behind(backgrounds)
        return self.kernels.pictures(self._guides, self._over(painted), behind, clear)

    def pictures(
        self, painted: Sequence[Sequence[Overlay]], backgrounds: Sequence[str]
    ) -> list[U8]:
        """The same as (H, W, 3) uint8 RGB, without alpha."""
        side, corners = self.guided[0].rig.size_px, [(0, 0)] * len(self.guided)
        over, behind = self._over(painted), self._behind(backgrounds)
        return self.kernels.windows(self._guides, over, corners, (side, side), behind)

    def _over(self, painted: Sequence[Sequence[Overlay]]) -> list[list[Overlay]]:
        return [[*eyes, *patches] for eyes, patches in zip(self._eyes, painted, strict=True)]

    def _behind(self, backgrounds: Sequence[str]) -> list[Backdrop | None]:
        return [
            room_of(guided.rig, background, self.kernels.name)
            for guided, background in zip(self.guided, backgrounds, strict=True)
        ]


@kept_with_first
def face_of(rig: Rig, kernels: str) -> Face:
    """A rig's portrait where kernels of that name find it; once for all sessions.

    Raises:
        GpuError: see `kernels.dispatch.load`.
    """
    portrait = Portrait(rig.source, rig.scale, STEP_PX, rig.upper, rig.lower, rig.alpha, rig.head)
    return dispatch.load(kernels).prepare(portrait)


@kept_with_first
def drawn_plates_of(rig: Rig, kernels: str) -> Plates:
    """A rig's teeth and tongue where kernels of that name find them; once for all sessions.

    Raises:
        GpuError: see `face_of`.
    """
    return dispatch.load(kernels).plates([plate.rgba for plate in plates_of(rig)])


@kept_with_first
def room_of(rig: Rig, background: str, kernels: str) -> Backdrop | None:
    """What is behind a rig's person, once for all sessions; None where nothing is.

    Raises:
        ConfigError: a background that cannot be had.
        GpuError: see `face_of`.
    """
    picture = backdrop(rig, background)
    return None if picture is None else dispatch.load(kernels).backdrop(picture)

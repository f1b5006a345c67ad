"""The kernels on OpenCV and NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernels.color import rgb_to_i420
from kernels.dispatch import (
    Guides,
    Moved,
    Portrait,
    check_batch,
    check_patches,
    check_rgb,
    check_windows,
    own,
)
from kernels.guide import joined_flow, lattice
from kernels.warp_composite import Patch, lay_over, warp

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Face:
    """A portrait, with the places of lattice (G, G, 2) and pixels (H, W, 2), in its own pixels."""

    portrait: Portrait
    nodes: F32
    base: F32


@dataclass(frozen=True, slots=True, eq=False)
class _Guides:
    """Flows (H, W, 2) in the portraits' own pixels."""

    faces: list[_Face]
    flows: list[F32]

    def __len__(self) -> int:
        return len(self.faces)


class CpuKernels:
    """See `kernels.dispatch.Kernels`."""

    def prepare(self, portrait: Portrait) -> _Face:
        """See `Kernels.prepare`."""
        scale = np.float32(portrait.scale)
        axis = np.arange(portrait.size_px, dtype=np.float32) * scale + (scale - 1) / 2
        base = np.stack(np.meshgrid(axis, axis), axis=-1)
        return _Face(portrait, lattice(portrait.size_px, portrait.step_px), base)

    def guide(self, batch: Sequence[Moved]) -> _Guides:
        """See `Kernels.guide`."""
        check_batch(batch)
        faces, flows = [], []
        for moved in batch:
            face = own(moved.face, _Face)
            known = face.portrait
            flow = joined_flow(
                known.upper, known.lower, moved.drivers, moved.lines, face.nodes, known.step_px
            )
            faces.append(face)
            flows.append(flow * np.float32(known.scale))
        return _Guides(faces, flows)

    def windows(
        self,
        guides: Guides,
        patches: Sequence[Sequence[Patch]],
        corners: Sequence[tuple[int, int]],
        size: tuple[int, int],
    ) -> list[U8]:
        """See `Kernels.windows`."""
        known = own(guides, _Guides)
        check_patches(len(known), patches)
        check_windows(len(known), corners, size, known.faces[0].portrait.size_px)
        made = []
        for face, flow, over, (x, y) in zip(
            known.faces, known.flows, patches, corners, strict=True
        ):
            part = slice(y, y + size[1]), slice(x, x + size[0])
            picture = warp(face.portrait.source, flow[part], face.base[part])
            for patch in over:
                lay_over(picture, Patch(patch.x - x, patch.y - y, patch.rgb, patch.alpha))
            made.append(picture)
        return made

    def pictures(self, guides: Guides, patches: Sequence[Sequence[Patch]]) -> list[U8]:
        """See `Kernels.pictures`."""
        known = own(guides, _Guides)
        side = known.faces[0].portrait.size_px
        whole = self.windows(known, patches, [(0, 0)] * len(known), (side, side))
        return [rgb_to_i420(picture) for picture in whole]

    def i420(self, rgb: U8) -> list[U8]:
        """See `Kernels.i420`."""
        check_rgb(rgb)
        return [rgb_to_i420(picture) for picture in rgb]

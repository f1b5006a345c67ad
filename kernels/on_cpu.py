"""The kernels on OpenCV and NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from kernels.checks import (
    check_backdrop,
    check_batch,
    check_behind,
    check_eyes,
    check_mouths,
    check_patches,
    check_plates,
    check_rgb,
    check_windows,
)
from kernels.color import rgb_to_i420
from kernels.dispatch import (
    Behind,
    Guides,
    Looks,
    Moved,
    Overlay,
    Planes,
    Plates,
    Portrait,
    own,
)
from kernels.eyeballs import POSE_DRIVERS, Eyeball, eyeballs
from kernels.guide import forward_field, joined_flow, lattice
from kernels.look import Shown, Size, fitted, painted, region, seen
from kernels.plates import Mouth, mouth
from kernels.rows import HostRows, Rows
from kernels.warp_composite import Patch, lay_between, lay_over, warp

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Part = tuple[slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class _Face:
    """A portrait, its colours and alpha as one picture, and places in its own pixels.

    Attributes:
        layers: (H', W', 4) uint8: four channels are sampled in half the time that three take, so
            it has alpha in any case.
        nodes, base: of the lattice (G, G, 2) and of the picture's pixels (H, W, 2).
    """

    portrait: Portrait
    layers: U8
    nodes: F32
    base: F32


@dataclass(frozen=True, slots=True, eq=False)
class _Backdrop:
    rgb: U8

    @property
    def size_px(self) -> int:
        return len(self.rgb)


@dataclass(frozen=True, slots=True, eq=False)
class _Plates:
    pictures: tuple[F32, ...]

    @property
    def count(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True, slots=True, eq=False)
class _Guides:
    """Flows (H, W, 2) in the portraits' own pixels, and the drivers that they were made of."""

    faces: list[_Face]
    flows: list[F32]
    drivers: list[F32]

    def __len__(self) -> int:
        return len(self.faces)

    def only(self, numbers: Sequence[int]) -> "_Guides":
        return _Guides(
            [self.faces[n] for n in numbers],
            [self.flows[n] for n in numbers],
            [self.drivers[n] for n in numbers],
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Looks:
    """Windows, where each may be painted, and what the network is shown of it."""

    windows: list[U8]
    may: list[F32]
    shown: Sequence[Shown]
    guide: F32
    region: F32


class CpuKernels(HostRows):
    """See `kernels.dispatch.Kernels`."""

    name = "cpu"

    def prepare(self, portrait: Portrait) -> _Face:
        """See `Kernels.prepare`."""
        scale = np.float32(portrait.scale)
        axis = np.arange(portrait.size_px, dtype=np.float32) * scale + (scale - 1) / 2
        base = np.stack(np.meshgrid(axis, axis), axis=-1)
        alpha = portrait.alpha
        if alpha is None:
            alpha = np.full(portrait.source.shape[:2], 255, np.uint8)
        nodes = lattice(portrait.size_px, portrait.step_px)
        return _Face(portrait, np.dstack([portrait.source, alpha]), nodes, base)

    def backdrop(self, rgb: U8) -> _Backdrop:
        """See `Kernels.backdrop`."""
        check_backdrop(rgb)
        return _Backdrop(rgb)

    def plates(self, pictures: Sequence[F32]) -> _Plates:
        """See `Kernels.plates`."""
        check_plates(pictures)
        return _Plates(tuple(pictures))

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
            flow *= np.float32(known.scale)
            faces.append(face)
            flows.append(flow)
        return _Guides(faces, flows, [moved.drivers for moved in batch])

    def eyeballs(self, guides: Guides, eyes: Sequence[Sequence[Eyeball]]) -> list[list[Overlay]]:
        """See `Kernels.eyeballs`."""
        known = own(guides, _Guides)
        check_eyes(known.faces, eyes)
        return [_eyeballs(known, number, each) for number, each in enumerate(eyes)]

    def mouths(
        self, plates: Sequence[Plates], mouths: Sequence[Mouth | None]
    ) -> list[Overlay | None]:
        """See `Kernels.mouths`."""
        check_mouths(plates, mouths)
        known = [own(kept, _Plates) for kept in plates]
        return [
            None if seen is None else mouth(kept.pictures, seen)
            for kept, seen in zip(known, mouths, strict=True)
        ]

    def windows(
        self,
        guides: Guides,
        patches: Sequence[Sequence[Overlay]],
        corners: Sequence[tuple[int, int]],
        size: Size,
        behind: Behind | None = None,
    ) -> list[U8]:
        """See `Kernels.windows`."""
        known = own(guides, _Guides)
        check_patches(len(known), patches)
        check_windows(len(known), corners, size, known.faces[0].portrait.size_px)
        far, _ = check_behind(known.faces, behind, None)
        made = []
        for number, (x, y) in enumerate(corners):
            part = slice(y, y + size[1]), slice(x, x + size[0])
            warped = _warped(known, number, part)
            picture = _covered(warped, patches[number], (x, y))
            if (back := far[number]) is not None:
                picture = _between(picture, warped, own(back, _Backdrop).rgb[part])
            made.append(picture)
        return made

    def pictures(
        self,
        guides: Guides,
        patches: Sequence[Sequence[Overlay]],
        behind: Behind | None = None,
        transparent: Sequence[bool] | None = None,
    ) -> list[Planes]:
        """See `Kernels.pictures`."""
        known = own(guides, _Guides)
        check_patches(len(known), patches)
        far, clear = check_behind(known.faces, behind, transparent)
        made = []
        for number, over in enumerate(patches):
            warped = _warped(known, number, (slice(None), slice(None)))
            picture = _covered(warped, over, (0, 0))
            if (back := far[number]) is not None:
                picture = _between(picture, warped, own(back, _Backdrop).rgb)
            alpha = _alpha(warped) if clear[number] else None
            made.append(Planes(rgb_to_i420(picture), alpha))
        return made

    def look(
        self,
        guides: Guides,
        patches: Sequence[Sequence[Overlay]],
        shown: Sequence[Shown],
        size: Size,
        frame: Rows,
    ) -> _Looks:
        """See `Kernels.look`."""
        (fade,) = self.fetch(frame)
        windows = self.windows(guides, patches, [each.corner for each in shown], size)
        seen_size = fade.shape[1], fade.shape[0]
        may = [region(each, size) for each in shown]
        guide = [
            seen(window, each.gains, seen_size) for window, each in zip(windows, shown, strict=True)
        ]
        places = [(fitted(each, seen_size) * fade)[None] for each in may]
        return _Looks(windows, may, shown, np.stack(guide), np.stack(places))

    def painted(self, looks: Looks, made: Rows) -> list[Patch]:
        """See `Kernels.painted`."""
        known, pictures = own(looks, _Looks), self.fetch(made)
        parts = zip(known.windows, known.may, known.shown, known.guide, pictures, strict=True)
        done = []
        for window, may, shown, guide, picture in parts:
            rgb = painted(window, may, shown.gains, guide, picture)
            done.append(Patch(*shown.corner, rgb, np.full(rgb.shape[:2], 255, np.uint8)))
        return done

    def i420(self, rgb: U8) -> list[U8]:
        """See `Kernels.i420`."""
        check_rgb(rgb)
        return [rgb_to_i420(picture) for picture in rgb]


def _eyeballs(guides: _Guides, number: int, eyes: Sequence[Eyeball]) -> list[Overlay]:
    portrait = guides.faces[number].portrait
    if not eyes or portrait.head is None:
        return []
    head = forward_field(portrait.head, guides.drivers[number][:POSE_DRIVERS])
    return list(eyeballs(portrait.source, portrait.scale, head, eyes, portrait.step_px))


def _warped(guides: _Guides, number: int, part: Part) -> U8:
    face = guides.faces[number]
    return warp(face.layers, guides.flows[number][part], face.base[part])


def _covered(warped: U8, patches: Sequence[Overlay], corner: tuple[int, int]) -> U8:
    """Colours of (h, w, 4), patches laid over them: (h, w, 3)."""
    picture = np.asarray(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), np.uint8)
    x, y = corner
    for patch in (own(overlay, Patch) for overlay in patches):
        lay_over(picture, Patch(patch.x - x, patch.y - y, patch.rgb, patch.alpha))
    return picture


def _alpha(warped: U8) -> U8:
    return np.asarray(cv2.extractChannel(warped, 3), np.uint8)


def _between(picture: U8, warped: U8, behind: U8) -> U8:
    return lay_between(picture, _alpha(warped), np.ascontiguousarray(behind))

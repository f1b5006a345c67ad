"""Eyeballs and mouths on a GPU, drawn into memory where pictures that they lie over are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from kernels.checks import check_mouths, check_plates
from kernels.cuda.eyeballs import draw_eyeballs, fill_eyes
from kernels.cuda.plates import draw_plates, fill_mouths, inverted
from kernels.dispatch import Overlay, Plates, Portrait, own
from kernels.eyeballs import Eyeball
from kernels.gpu import EYEBALL, MOUTH, PLATE, Arena, Array, Memory
from kernels.look import Size
from kernels.plates import Mouth
from kernels.rows_on_cuda import RowsOnCuda

F32 = npt.NDArray[np.float32]
U64 = npt.NDArray[np.uint64]

_POINT_BYTES = 2 * np.dtype(np.float32).itemsize


@dataclass(frozen=True, slots=True, eq=False)
class CudaFace:
    """A portrait on the device: its source as RGBA, its fields plane by plane, its head if any."""

    portrait: Portrait
    source: Memory
    fields: Memory
    head: Memory | None


@dataclass(frozen=True, slots=True, eq=False)
class CudaOverlay:
    """A patch on the device: rgb (height, width, 3) and alpha (height, width) uint8 by address, an
    alpha of 255 everywhere by none."""

    x: int
    y: int
    size: Size
    rgb: int
    alpha: int
    kept: Memory


@dataclass(frozen=True, slots=True, eq=False)
class _Plates:
    """Plates on the device, (h, w, 4) float32 each: addresses and (width, height)."""

    addresses: list[int]
    sizes: list[tuple[int, int]]
    kept: tuple[Memory, ...]

    @property
    def count(self) -> int:
        return len(self.addresses)


class OverlaysOnCuda(RowsOnCuda):
    """The part of `kernels.dispatch.Kernels` that is about overlays, on a GPU."""

    def plates(self, pictures: Sequence[F32]) -> _Plates:
        """See `Kernels.plates`."""
        check_plates(pictures)
        kept = tuple(self._upload(picture) for picture in pictures)
        self._device.wait()
        sizes = [(picture.shape[1], picture.shape[0]) for picture in pictures]
        return _Plates([memory.address for memory in kept], sizes, kept)

    def mouths(
        self, plates: Sequence[Plates], mouths: Sequence[Mouth | None]
    ) -> list[Overlay | None]:
        """See `Kernels.mouths`."""
        check_mouths(plates, mouths)
        known = [own(each, _Plates) for each in plates]
        seen = [(kept, one) for kept, one in zip(known, mouths, strict=True) if one is not None]
        if not seen:
            return [None] * len(mouths)
        every = [mouth for _, mouth in seen]
        counts = [kept.count for kept, _ in seen]
        rims = np.concatenate([mouth.rim for mouth in every])
        nbytes = rims.nbytes + sum(counts) * PLATE.itemsize + len(every) * MOUTH.itemsize
        arena = Arena(self._device, nbytes, 3)
        listed, at_plates = arena.reserve((sum(counts),), PLATE)
        listed["rgba"] = [address for kept, _ in seen for address in kept.addresses]
        listed["size"] = [size for kept, _ in seen for size in kept.sizes]
        listed["place"] = inverted(np.concatenate([mouth.placements for mouth in every]))
        table, at = arena.reserve((len(every),), MOUTH)
        fill_mouths(table, every)
        table["plates"] = at_plates + PLATE.itemsize * before(counts)
        table["rim"] = arena.add(rims) + _POINT_BYTES * before([len(m.rim) for m in every])
        made = iter(self._overlays(table, every))
        arena.send()
        draw_plates(self._device, at, len(every), _most(every))
        return [None if mouth is None else next(made) for mouth in mouths]

    def _eyes(
        self, faces: Sequence[CudaFace], drivers: U64, eyes: Sequence[Eyeball]
    ) -> list[CudaOverlay]:
        """Draws eyeballs, at least one; of each, its face and where its face's drivers lie."""
        rims = np.concatenate([eye.rim for eye in eyes])
        arena = Arena(self._device, rims.nbytes + len(eyes) * EYEBALL.itemsize, 2)
        table, at = arena.reserve((len(eyes),), EYEBALL)
        fill_eyes(table, eyes)
        table["rim"] = arena.add(rims) + _POINT_BYTES * before([len(eye.rim) for eye in eyes])
        table["source"] = [face.source.address for face in faces]
        table["source_size"] = [face.portrait.source.shape[1::-1] for face in faces]
        table["scale"] = [face.portrait.scale for face in faces]
        table["head"] = [0 if face.head is None else face.head.address for face in faces]
        table["drivers"] = drivers
        made = self._overlays(table, eyes)
        arena.send()
        portrait = faces[0].portrait
        side, step_px = portrait.upper.shape[0], portrait.step_px
        draw_eyeballs(self._device, at, len(eyes), side, step_px, _most(eyes))
        return made

    def _overlays(self, table: Array, drawn: Sequence[Eyeball | Mouth]) -> list[CudaOverlay]:
        """Where each will be when it is drawn; a table of what is drawn is told so."""
        areas = [each.size[0] * each.size[1] for each in drawn]
        memory = self._device.empty(4 * sum(areas))
        rgb = memory.address + 4 * before(areas)
        alpha = rgb + np.array([3 * area for area in areas], np.uint64)
        table["rgb"], table["alpha"] = rgb, alpha
        places = zip(rgb.tolist(), alpha.tolist(), strict=True)
        return [
            CudaOverlay(*window.corner, window.size, *place, memory)
            for window, place in zip(drawn, places, strict=True)
        ]

    def _upload(self, array: npt.NDArray[np.generic]) -> Memory:
        memory, _ = self._sent(array)
        return memory


def _most(drawn: Sequence[Eyeball | Mouth]) -> tuple[int, int]:
    """Width of the widest and height of the highest."""
    return max(each.size[0] for each in drawn), max(each.size[1] for each in drawn)


def before(counts: list[int]) -> U64:
    """How many come before each."""
    return np.fromiter(accumulate(counts[:-1], initial=0), np.uint64, len(counts))

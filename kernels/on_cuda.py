"""The kernels on a GPU: one copy in, launches in a row, one copy of finished pixels out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from kernels.checks import (
    check_backdrop,
    check_batch,
    check_behind,
    check_eyes,
    check_patches,
    check_rgb,
    check_windows,
)
from kernels.cuda.eyeballs import packed_head
from kernels.cuda.guide import guide, packed_fields, packed_lines, plane_of
from kernels.cuda.look import blur_taps, look, painted
from kernels.cuda.rgb_to_i420 import rgb_to_i420
from kernels.cuda.warp_composite import packed_source, warp_composite
from kernels.dispatch import (
    Behind,
    Guides,
    Looks,
    Moved,
    Overlay,
    Planes,
    Portrait,
    own,
)
from kernels.eyeballs import Eyeball
from kernels.gpu import (
    FACE,
    LINE,
    LOOK,
    PATCH,
    PICTURE,
    Arena,
    Array,
    Memory,
)
from kernels.look import Shown, Size, reach_px
from kernels.overlays_on_cuda import CudaFace, CudaOverlay, OverlaysOnCuda, before
from kernels.rows import Rows
from kernels.rows_on_cuda import CudaRows
from kernels.warp_composite import Patch

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]

_FLOW_BYTES = 2 * np.dtype(np.float32).itemsize
_FORWARDS, _FLOWS = 2, 3


@dataclass(frozen=True, slots=True, eq=False)
class _Backdrop:
    """A background on the device, as RGBX."""

    size_px: int
    pixels: Memory


@dataclass(frozen=True, slots=True, eq=False)
class _Guides:
    """Where each face's flows (3, plane, 2) float32, drivers and lines lie on the device."""

    faces: list[CudaFace]
    flows: U64
    drivers: U64
    lines: U64
    counts: list[int]
    kept: tuple[Memory, ...]

    def __len__(self) -> int:
        return len(self.faces)

    def only(self, numbers: Sequence[int]) -> "_Guides":
        chosen = list(numbers)
        return _Guides(
            [self.faces[n] for n in chosen],
            self.flows[chosen],
            self.drivers[chosen],
            self.lines[chosen],
            [self.counts[n] for n in chosen],
            self.kept,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Looks:
    """(B,) `LOOK` and what it names, on the device."""

    table: Array
    corners: list[tuple[int, int]]
    size: Size
    seen: Size
    guide: CudaRows
    region: CudaRows
    kept: tuple[Memory, ...]


class CudaKernels(OverlaysOnCuda):
    """See `kernels.dispatch.Kernels`. What comes back lies in pinned memory.

    Not for several threads at once: a device does one thing after the other.
    """

    name = "cuda"

    def prepare(self, portrait: Portrait) -> CudaFace:
        """See `Kernels.prepare`."""
        source = self._upload(packed_source(portrait.source, portrait.alpha))
        fields = self._upload(packed_fields(portrait.upper, portrait.lower))
        known = portrait.head
        head = None if known is None else self._upload(packed_head(known))
        self._device.wait()
        return CudaFace(portrait, source, fields, head)

    def backdrop(self, rgb: U8) -> _Backdrop:
        """See `Kernels.backdrop`."""
        check_backdrop(rgb)
        pixels = self._upload(packed_source(rgb))
        self._device.wait()
        return _Backdrop(len(rgb), pixels)

    def guide(self, batch: Sequence[Moved]) -> _Guides:
        """See `Kernels.guide`."""
        check_batch(batch)
        faces = [own(moved.face, CudaFace) for moved in batch]
        known = faces[0].portrait
        side, drivers = known.upper.shape[0], known.upper.shape[2]
        forward_bytes, flow_bytes = (n * plane_of(side) * _FLOW_BYTES for n in (_FORWARDS, _FLOWS))
        forward = self._device.empty(len(batch) * forward_bytes)
        flows = self._device.empty(len(batch) * flow_bytes)
        counts = [len(moved.lines) for moved in batch]
        moves = np.stack([moved.drivers for moved in batch])
        packed = packed_lines([line for moved in batch for line in moved.lines], known.step_px)
        nbytes = moves.nbytes + packed.nbytes + len(batch) * FACE.itemsize
        arena = Arena(self._device, nbytes, 3)
        lines = arena.add(packed) + LINE.itemsize * before(counts)
        number = np.arange(len(batch), dtype=np.uint64)
        table, at = arena.reserve((len(batch),), FACE)
        table["fields"] = [face.fields.address for face in faces]
        moved_by = arena.add(moves) + moves[0].nbytes * number
        table["drivers"] = moved_by
        table["lines"], table["line_count"] = lines, counts
        table["forward"] = forward.address + forward_bytes * number
        table["flows"] = flows.address + flow_bytes * number
        arena.send()
        guide(self._device, at, len(batch), drivers, side, known.step_px)
        flows_at, kept = table["flows"].copy(), (forward, flows, arena.memory)
        return _Guides(faces, flows_at, moved_by, lines, counts, kept)

    def eyeballs(self, guides: Guides, eyes: Sequence[Sequence[Eyeball]]) -> list[list[Overlay]]:
        """See `Kernels.eyeballs`."""
        known = own(guides, _Guides)
        check_eyes(known.faces, eyes)
        every = [eye for each in eyes for eye in each]
        if not every:
            return [[] for _ in eyes]
        of = [number for number, each in enumerate(eyes) for _ in each]
        made = iter(self._eyes([known.faces[number] for number in of], known.drivers[of], every))
        return [[next(made) for _ in each] for each in eyes]

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
        self._check(known, patches, corners, size)
        far, clear = check_behind(known.faces, behind, None)
        done = self._made(known, patches, corners, size, far, clear, "rgb")
        pixels = self._device.fetch(done, 3 * size[0] * size[1] * len(known))
        return list(pixels.reshape(len(known), size[1], size[0], 3))

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
        count, side = len(known), known.faces[0].portrait.size_px
        corners = [(0, 0)] * count
        done = self._made(known, patches, corners, (side, side), far, clear, "i420")
        end = count * side * side * 3 // 2
        pixels = self._device.fetch(done, end + side * side * sum(clear))
        made = pixels[:end].reshape(count, side * 3 // 2, side)
        alphas = iter(pixels[end:].reshape(-1, side, side))
        return [
            Planes(i420, next(alphas) if asked else None)
            for i420, asked in zip(made, clear, strict=True)
        ]

    def look(
        self,
        guides: Guides,
        patches: Sequence[Sequence[Overlay]],
        shown: Sequence[Shown],
        size: Size,
        frame: Rows,
    ) -> _Looks:
        """See `Kernels.look`."""
        known, fade = own(guides, _Guides), own(frame, CudaRows)
        corners = [each.corner for each in shown]
        self._check(known, patches, corners, size)
        far, clear = check_behind(known.faces, None, None)
        windows = self._made(known, patches, corners, size, far, clear, "rgb")
        count, area = len(shown), size[0] * size[1]
        high, wide = fade.shape
        guide, region = (self._room(count, (n, high, wide)) for n in (3, 1))
        soft = self._device.empty(2 * 4 * area * count)
        taps = {width: blur_taps(width) for width in {each.soft_px for each in shown}}
        given = [*taps.values(), *(each.hull for each in shown)]
        nbytes = sum(array.nbytes for array in given) + count * LOOK.itemsize
        arena = Arena(self._device, nbytes, len(given) + 1)
        table, at = arena.reserve((count,), LOOK)
        number = np.arange(count, dtype=np.uint64)
        table["window"] = windows.address + 3 * area * number
        places = {width: arena.add(weights) for width, weights in taps.items()}
        table["taps"] = [places[each.soft_px] for each in shown]
        table["reach"] = [reach_px(each.soft_px) for each in shown]
        table["hull"] = [arena.add(each.hull) for each in shown]
        table["hull_count"] = [len(each.hull) for each in shown]
        table["rim_px"] = [each.rim_px for each in shown]
        table["gains"] = [each.gains for each in shown]
        table["rows"] = soft.address + 8 * area * number
        table["may"] = table["rows"] + 4 * area
        table["guide"], table["region"] = guide.addresses, region.addresses
        arena.send()
        look(self._device, at, count, size, int(fade.addresses[0]), (wide, high))
        kept = windows, soft, arena.memory
        return _Looks(table.copy(), corners, size, (wide, high), guide, region, kept)

    def painted(self, looks: Looks, made: Rows) -> list[CudaOverlay]:
        """See `Kernels.painted`."""
        known, pictures = own(looks, _Looks), own(made, CudaRows)
        count, each = len(known.table), 3 * known.size[0] * known.size[1]
        done = self._device.empty(each * count)
        arena = Arena(self._device, known.table.nbytes, 1)
        table, at = arena.reserve((count,), LOOK)
        table[...] = known.table
        table["made"] = pictures.addresses
        table["out"] = done.address + each * np.arange(count, dtype=np.uint64)
        arena.send()
        painted(self._device, at, count, known.size, known.seen)
        return [
            CudaOverlay(x, y, known.size, done.address + each * number, 0, done)
            for number, (x, y) in enumerate(known.corners)
        ]

    def i420(self, rgb: U8) -> list[U8]:
        """See `Kernels.i420`."""
        check_rgb(rgb)
        batch, height, width, _ = rgb.shape
        given = self._upload(rgb)
        nbytes = batch * height * width * 3 // 2
        done = self._device.empty(nbytes)
        rgb_to_i420(self._device, given, done, (width, height), batch)
        return list(self._device.fetch(done, nbytes).reshape(batch, -1, width))

    def _made(
        self,
        guides: _Guides,
        patches: Sequence[Sequence[Overlay]],
        corners: Sequence[tuple[int, int]],
        size: Size,
        behind: Behind,
        clear: Sequence[bool],
        form: Literal["rgb", "i420"],
    ) -> Memory:
        """Pictures one after the other, then the alpha of those that are clear."""
        count, area = len(guides), size[0] * size[1]
        each = area * 3 if form == "rgb" else area * 3 // 2
        done = self._device.empty(count * each + area * sum(clear))
        arena, table, at = self._table(guides, patches)
        table["corner"] = corners
        table["out"] = done.address + each * np.arange(count, dtype=np.uint64)
        place = done.address + count * each + area * before([int(asked) for asked in clear])
        table["alpha"] = np.where(clear, place, 0)
        backs = [None if back is None else own(back, _Backdrop) for back in behind]
        table["behind"] = [0 if back is None else back.pixels.address for back in backs]
        arena.send()
        portrait = guides.faces[0].portrait
        side, step_px = portrait.upper.shape[0], portrait.step_px
        warp_composite(self._device, at, count, side, step_px, size, form)
        return done

    def _check(
        self,
        guides: _Guides,
        patches: Sequence[Sequence[Overlay]],
        corners: Sequence[tuple[int, int]],
        size: Size,
    ) -> None:
        check_patches(len(guides), patches)
        check_windows(len(guides), corners, size, guides.faces[0].portrait.size_px)

    def _table(
        self, guides: _Guides, patches: Sequence[Sequence[Overlay]]
    ) -> tuple[Arena, Array, int]:
        """(B,) `PICTURE`, all but what comes out, its address, and what holds its patches."""
        every = [patch for each in patches for patch in each]
        pixels = sum(4 * patch.alpha.size for patch in every if isinstance(patch, Patch))
        nbytes = pixels + len(every) * PATCH.itemsize + len(guides) * PICTURE.itemsize
        arena = Arena(self._device, nbytes, 2 * len(every) + 2)
        listed, at_patches = arena.reserve((len(every),), PATCH)
        there = [_sent(arena, patch) for patch in every]
        if every:
            listed["rgb"] = [patch.rgb for patch in there]
            listed["alpha"] = [patch.alpha for patch in there]
            listed["corner"] = [(patch.x, patch.y) for patch in there]
            listed["size"] = [patch.size for patch in there]
        table, at = arena.reserve((len(guides),), PICTURE)
        table["source"] = [face.source.address for face in guides.faces]
        table["source_size"] = [face.portrait.source.shape[1::-1] for face in guides.faces]
        table["scale"] = [face.portrait.scale for face in guides.faces]
        table["side_px"] = guides.faces[0].portrait.size_px
        table["flows"] = guides.flows
        table["lines"], table["line_count"] = guides.lines, guides.counts
        counts = [len(each) for each in patches]
        table["patches"] = at_patches + PATCH.itemsize * before(counts)
        table["patch_count"] = counts
        return arena, table, at


def _sent(arena: Arena, patch: Overlay) -> CudaOverlay:
    """A patch where the device finds it: in an arena that is about to be sent, or there already."""
    if not isinstance(patch, Patch):
        return own(patch, CudaOverlay)
    size = patch.alpha.shape[1], patch.alpha.shape[0]
    return CudaOverlay(
        patch.x, patch.y, size, arena.add(patch.rgb), arena.add(patch.alpha), arena.memory
    )

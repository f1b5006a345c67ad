"""Every kernel at sizes that do not fill its blocks, for a sanitizer to watch: FOLDER WHAT."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from kernels.cuda.rgb_to_i420 import rgb_to_i420
from kernels.dispatch import Guides
from kernels.gpu import KERNELS
from kernels.look import Shown
from kernels.on_cuda import CudaKernels
from tests.kernels.host import HostDevice
from tests.kernels.overlays import eyes, mouth, plates
from tests.kernels.portraits import headed, moved, patches, portrait, room


def exercise(device: HostDevice) -> None:
    kernels = CudaKernels(device)
    for shape in ((1, 2, 2, 3), (3, 6, 10, 3), (2, 10, 24, 3)):
        kernels.i420(np.zeros(shape, np.uint8))
    for size_px, source_px in ((64, (64, 64)), (92, (31, 57))):
        known = portrait(1, size_px, source_px, cut=True)
        guides = kernels.guide([moved(kernels, known, seed) for seed in (2, 3)])
        over = [patches(1, size_px), []]
        far = [kernels.backdrop(room(1, size_px)), None]
        kernels.pictures(guides, over)
        kernels.pictures(guides, over, far, [False, True])
        corners = [(size_px - 13, 0), (1, size_px - 7)]
        kernels.windows(guides, over, corners, (13, 7), far)
        for seen in ((13, 7), (9, 5), (30, 16)):
            shown(kernels, guides, corners, seen)
    known = headed(1, 92, (31, 57))
    guides = kernels.guide([moved(kernels, known, seed) for seed in (2, 3)])
    asked, over = eyes(1, 92), plates(1)
    kept = [kernels.plates(over), kernels.plates([each[:1, :1] for each in over])]
    places = ((0.98, 0.98), (0.02, 0.02))
    drawn = kernels.mouths(kept, [mouth(i, 92, at) for i, at in enumerate(places)])
    seen = kernels.eyeballs(guides, [asked, asked[1:]])
    kernels.pictures(guides, [[*each, one] for each, one in zip(seen, drawn, strict=True)])
    for by in (1e9, 1e38, np.inf, np.nan):
        place = replace(mouth(1, 92), rim=mouth(1, 92).rim * np.float32(by))
        kernels.mouths(kept[:1], [replace(place, placements=place.placements * by)])
    wild = moved(kernels, headed(1, 64), 2)
    for by in (1e9, 1e38, np.inf, np.nan):
        wild.drivers[:] = by
        guides = kernels.guide([wild])
        kernels.eyeballs(guides, [[replace(eyes(1, 64)[0], gaze_px=(by, by))]])
        kernels.pictures(guides, [[]])


def shown(
    kernels: CudaKernels, guides: Guides, corners: list[tuple[int, int]], seen: tuple[int, int]
) -> None:
    """Windows through a network's sizes that do not fit theirs, and rows of odd lengths."""
    hull = np.array([[2, 1], [20, 2], [3, 30]], np.float32)
    asked = [Shown(corner, hull, 2, 1.5, np.ones(3, np.float32)) for corner in corners]
    looks = kernels.look(
        guides, [[], []], asked, (13, 7), kernels.put(np.ones((1, *seen[::-1]), np.float32))
    )
    given = kernels.stacked([looks.guide[1:], looks.guide[:1]])
    kernels.painted(looks, kernels.mixed(given, kernels.put(kernels.fetch(given)), 0.5, 0.5))
    kernels.fetch(looks.region)


def cropped(device: HostDevice) -> None:
    """Lays a picture over a backdrop that lacks its last two pixels."""
    kernels = CudaKernels(device)
    guides = kernels.guide([moved(kernels, portrait(1, 64, cut=True), 2)])
    whole = kernels.backdrop(room(1, 64))
    kernels.pictures(guides, [[]], [replace(whole, pixels=device.empty(4 * 64 * 64 - 8))])


def half_a_head(device: HostDevice) -> None:
    """Draws an eyeball of a face whose head lacks its last points."""
    kernels = CudaKernels(device)
    one = moved(kernels, headed(1, 64), 2)
    guides = kernels.guide([replace(one, face=replace(one.face, head=device.empty(16 * 9)))])
    kernels.eyeballs(guides, [eyes(1, 64)])


def torn(device: HostDevice) -> None:
    """Draws a mouth whose first plate lacks its last row."""
    kernels = CudaKernels(device)
    kept, known = kernels.plates(plates(1)), plates(1)[0].shape
    less = device.empty(16 * (known[0] - 12) * known[1])
    addresses = [less.address, *kept.addresses[1:]]
    kernels.mouths([replace(kept, addresses=addresses, kept=(less, *kept.kept))], [mouth(1, 92)])


def short(device: HostDevice, given: int, made: int) -> None:
    """Converts a picture of 16 x 8 with so many bytes lacking of what goes in or comes out."""
    rgb, i420 = device.empty(16 * 8 * 3 - given), device.empty(16 * 8 * 3 // 2 - made)
    rgb_to_i420(device, rgb, i420, (16, 8), 1)


_SHORT = {"short backdrop": cropped, "short head": half_a_head, "short plate": torn}


def main() -> None:
    folder, what = Path(sys.argv[1]), sys.argv[2]
    device = HostDevice({source: folder / f"{source}.so" for source in KERNELS})
    if what == "all":
        exercise(device)
    elif what in _SHORT:
        _SHORT[what](device)
    else:
        short(device, *((1, 0) if what == "short input" else (0, 1)))
    sys.stdout.write("exercised\n")


if __name__ == "__main__":
    main()

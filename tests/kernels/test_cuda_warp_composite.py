import numpy as np
import pytest

from kernels.dispatch import Portrait
from kernels.on_cpu import CpuKernels
from kernels.on_cuda import CudaKernels
from kernels.plain.guide import flows
from kernels.plain.rgb_to_i420 import rgb_to_i420
from kernels.plain.warp_composite import warp_composite
from kernels.warp_composite import Patch
from tests.kernels.devices import device, everywhere
from tests.kernels.portraits import STEP_PX, drivers, lines, moved, patches, portrait

SIZE = 104


def reference(
    known: Portrait, seed: int, over: list[Patch], corner: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    parted = lines(seed, known.size_px)
    made = flows(known.upper, known.lower, drivers(seed, known.size_px), parted, STEP_PX)
    return warp_composite(known.source, known.scale, made, parted, over, STEP_PX, corner, size)


def batch() -> tuple[list[Portrait], list[list[Patch]]]:
    """Sources smaller, larger and no square; patches many and none."""
    sources = [None, (SIZE * 2, SIZE * 2), (SIZE, SIZE + 30), (70, 71)]
    known = [portrait(i, SIZE, source) for i, source in enumerate(sources)]
    return known, [patches(i, SIZE) if i != 1 else [] for i in range(len(known))]


@everywhere
def test_pictures_of_a_batch_are_bit_equal_to_the_reference(name: str) -> None:
    kernels = CudaKernels(device(name))
    known, over = batch()
    guides = kernels.guide([moved(kernels, face, 20 + i) for i, face in enumerate(known)])
    found = kernels.pictures(guides, over)
    for i, picture in enumerate(found):
        expected = reference(known[i], 20 + i, over[i], (0, 0), (SIZE, SIZE))
        np.testing.assert_array_equal(picture, rgb_to_i420(expected))


@everywhere
def test_windows_are_cut_from_the_same_pictures(name: str) -> None:
    kernels = CudaKernels(device(name))
    known, over = batch()
    guides = kernels.guide([moved(kernels, face, 20 + i) for i, face in enumerate(known)])
    corners, size = [(0, 0), (17, 40), (SIZE - 31, SIZE - 23), (33, 2)], (31, 23)
    found = kernels.windows(guides, over, corners, size)
    for i, window in enumerate(found):
        np.testing.assert_array_equal(
            window, reference(known[i], 20 + i, over[i], corners[i], size)
        )


@everywhere
def test_what_is_drawn_twice_from_one_guide_is_the_same(name: str) -> None:
    kernels = CudaKernels(device(name))
    known = portrait(0, SIZE)
    face = kernels.prepare(known)
    guides = kernels.guide([moved(kernels, known, seed, face) for seed in (1, 2)])
    first = [picture.copy() for picture in kernels.pictures(guides, [[], []])]
    kernels.windows(guides, [patches(0, SIZE), []], [(3, 3), (0, 0)], (8, 8))
    again = kernels.pictures(guides, [[], []])
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first[0] != first[1]).any()


@everywhere
def test_pictures_kept_are_not_overwritten_by_later_ones(name: str) -> None:
    kernels = CudaKernels(device(name))
    known = portrait(0, SIZE)
    face = kernels.prepare(known)
    kept = [
        kernels.pictures(kernels.guide([moved(kernels, known, seed, face)]), [[]])[0]
        for seed in range(4)
    ]
    for seed, picture in enumerate(kept):
        expected = reference(known, seed, [], (0, 0), (SIZE, SIZE))
        np.testing.assert_array_equal(picture, rgb_to_i420(expected))


@pytest.mark.parametrize("seed", range(3))
def test_reference_agrees_with_the_path_on_the_cpu(seed: int) -> None:
    known, over = portrait(seed, SIZE), patches(seed, SIZE)
    kernels = CpuKernels()
    guides = kernels.guide([moved(kernels, known, seed)])
    (found,) = kernels.windows(guides, [over], [(0, 0)], (SIZE, SIZE))
    expected = reference(known, seed, over, (0, 0), (SIZE, SIZE))
    apart = np.abs(found.astype(int) - expected)
    # The fields differ by OpenCV's 32nds of a cell, and the portrait is noise.
    assert apart.mean() < 1.0
    still = kernels.guide([moved(kernels, known, seed)])
    assert len(still) == 1

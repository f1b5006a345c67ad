from dataclasses import dataclass

import numpy as np
import pytest

from kernels.cuda.warp_composite import packed_source
from kernels.dispatch import Backdrop, Kernels, Portrait
from kernels.on_cpu import CpuKernels
from kernels.on_cuda import CudaKernels
from kernels.plain.guide import flows
from kernels.plain.rgb_to_i420 import rgb_to_i420
from kernels.plain.warp_composite import warp_composite
from kernels.warp_composite import Patch, lay_between
from tests.kernels.devices import device, everywhere
from tests.kernels.portraits import STEP_PX, drivers, lines, moved, patches, portrait, room

SIZE = 104


def reference(
    known: Portrait,
    seed: int,
    over: list[Patch],
    corner: tuple[int, int] = (0, 0),
    size: tuple[int, int] = (SIZE, SIZE),
    behind: np.ndarray | None = None,
) -> np.ndarray:
    parted = lines(seed, known.size_px)
    made = flows(known.upper, known.lower, drivers(seed, known.size_px), parted, STEP_PX)
    layers = packed_source(known.source, known.alpha)
    return warp_composite(layers, known.scale, made, parted, over, STEP_PX, corner, size, behind)


@dataclass
class Asked:
    """A batch: sources smaller, larger and no square; cut out or whole; patches many and none;
    over a background, over nothing with its alpha, over nothing without."""

    known: list[Portrait]
    over: list[list[Patch]]
    behind: list[np.ndarray | None]
    transparent: list[bool]

    def backdrops(self, kernels: Kernels) -> list[Backdrop | None]:
        return [None if rgb is None else kernels.backdrop(rgb) for rgb in self.behind]


def batch() -> Asked:
    sources = [None, (SIZE * 2, SIZE * 2), (SIZE, SIZE + 30), (70, 71), None, None]
    known = [portrait(i, SIZE, source, cut=i > 1) for i, source in enumerate(sources)]
    over = [patches(i, SIZE) if i != 1 else [] for i in range(len(known))]
    behind = [room(i, SIZE) if i in (2, 5) else None for i in range(len(known))]
    return Asked(known, over, behind, [i in (3, 4) for i in range(len(known))])


@everywhere
def test_pictures_of_a_batch_are_bit_equal_to_the_reference(name: str) -> None:
    kernels, asked = CudaKernels(device(name)), batch()
    guides = kernels.guide([moved(kernels, face, 20 + i) for i, face in enumerate(asked.known)])
    found = kernels.pictures(guides, asked.over, asked.backdrops(kernels), asked.transparent)
    for i, planes in enumerate(found):
        expected = reference(asked.known[i], 20 + i, asked.over[i], behind=asked.behind[i])
        picture = np.ascontiguousarray(expected[..., :3])
        np.testing.assert_array_equal(planes.i420, rgb_to_i420(picture))
        if asked.transparent[i]:
            np.testing.assert_array_equal(planes.alpha, expected[..., 3])
            assert {0, 255} < set(np.unique(expected[..., 3]).tolist())
        else:
            assert planes.alpha is None


@everywhere
def test_windows_are_cut_from_the_same_pictures(name: str) -> None:
    kernels, asked = CudaKernels(device(name)), batch()
    guides = kernels.guide([moved(kernels, face, 20 + i) for i, face in enumerate(asked.known)])
    corners = [(0, 0), (17, 40), (SIZE - 31, SIZE - 23), (33, 2), (1, 1), (5, SIZE - 23)]
    size, backdrops = (31, 23), asked.backdrops(kernels)
    for far, behind in ((None, [None] * len(guides)), (backdrops, asked.behind)):
        found = kernels.windows(guides, asked.over, corners, size, far)
        for i, window in enumerate(found):
            expected = reference(asked.known[i], 20 + i, asked.over[i], corners[i], size, behind[i])
            np.testing.assert_array_equal(window, expected[..., :3])


@everywhere
def test_some_of_a_batch_are_as_in_the_whole(name: str) -> None:
    kernels, asked = CudaKernels(device(name)), batch()
    guides = kernels.guide([moved(kernels, face, 20 + i) for i, face in enumerate(asked.known)])
    backdrops, chosen = asked.backdrops(kernels), [4, 0, 2]
    whole = kernels.pictures(guides, asked.over, backdrops, asked.transparent)
    given = (asked.over, backdrops, asked.transparent)
    some = kernels.pictures(guides.only(chosen), *([each[i] for i in chosen] for each in given))
    assert len(some) == 3
    for planes, i in zip(some, chosen, strict=True):
        np.testing.assert_array_equal(planes.i420, whole[i].i420)
    np.testing.assert_array_equal(some[0].alpha, whole[4].alpha)


@everywhere
def test_what_is_drawn_twice_from_one_guide_is_the_same(name: str) -> None:
    kernels = CudaKernels(device(name))
    known = portrait(0, SIZE)
    face = kernels.prepare(known)
    guides = kernels.guide([moved(kernels, known, seed, face) for seed in (1, 2)])
    first = [planes.i420.copy() for planes in kernels.pictures(guides, [[], []])]
    kernels.windows(guides, [patches(0, SIZE), []], [(3, 3), (0, 0)], (8, 8))
    again = [planes.i420 for planes in kernels.pictures(guides, [[], []])]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first[0] != first[1]).any()


@everywhere
def test_pictures_kept_are_not_overwritten_by_later_ones(name: str) -> None:
    kernels = CudaKernels(device(name))
    known = portrait(0, SIZE)
    face = kernels.prepare(known)
    kept = [
        kernels.pictures(kernels.guide([moved(kernels, known, seed, face)]), [[]])[0].i420
        for seed in range(4)
    ]
    for seed, picture in enumerate(kept):
        expected = np.ascontiguousarray(reference(known, seed, [])[..., :3])
        np.testing.assert_array_equal(picture, rgb_to_i420(expected))


@pytest.mark.parametrize("seed", range(3))
def test_reference_agrees_with_the_path_on_the_cpu(seed: int) -> None:
    known, over, behind = portrait(seed, SIZE, cut=True), patches(seed, SIZE), room(seed, SIZE)
    kernels = CpuKernels()
    guides = kernels.guide([moved(kernels, known, seed)])
    far = [kernels.backdrop(behind)]
    (found,) = kernels.windows(guides, [over], [(0, 0)], (SIZE, SIZE), far)
    (planes,) = kernels.pictures(guides, [over], transparent=[True])
    expected = reference(known, seed, over, behind=behind)
    # The fields differ by OpenCV's 32nds of a cell, and the portrait is noise.
    assert np.abs(found.astype(int) - expected[..., :3]).mean() < 1.0
    assert np.abs(planes.alpha.astype(int) - expected[..., 3]).mean() < 0.2
    np.testing.assert_array_equal(kernels.pictures(guides, [over], far)[0].i420, rgb_to_i420(found))


def test_laying_between_is_opencvs_for_every_pair_and_alpha() -> None:
    """The plain reference rounds both shares as the CPU's path does."""
    front, alpha = (np.ascontiguousarray(a.astype(np.uint8)) for a in np.mgrid[:256, :256])
    for far in range(256):
        behind = np.full((256, 256), far)
        plain = (front * alpha.astype(int) + 127) // 255 + (behind * (255 - alpha) + 127) // 255
        three = [np.dstack([a.astype(np.uint8)] * 3) for a in (front, behind)]
        np.testing.assert_array_equal(lay_between(three[0], alpha, three[1])[..., 0], plain)

from dataclasses import dataclass

import numpy as np
import pytest

from kernels import look
from kernels.cuda.look import blur_taps
from kernels.look import Shown, hull_of
from kernels.on_cpu import CpuKernels
from kernels.on_cuda import CudaKernels
from kernels.plain import look as plain
from kernels.warp_composite import Patch
from tests.kernels.devices import device, everywhere
from tests.kernels.portraits import moved, patches, portrait

SIZE = 104
SEEN = (28, 24)
FRAME = np.linspace(0, 1, SEEN[0] * SEEN[1], dtype=np.float32).reshape(SEEN[::-1])
sizes = pytest.mark.parametrize("size", [SEEN, (41, 35), (19, 16)], ids=str)


def shown(seed: int, corner: tuple[int, int], size: tuple[int, int]) -> Shown:
    """A mouth in the middle of a window; the second reaches its edge."""
    rng = np.random.default_rng(seed)
    around = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    reach = np.array([[0.3], [0.2]]) * np.array(size)[:, None] * (1.7 if seed == 1 else 1.0)
    points = (np.array(size) / 2 + (reach * [np.cos(around), np.sin(around)]).T).astype(np.float32)
    points += rng.normal(0, 0.3, points.shape).astype(np.float32)
    gains = np.array([0.8, 1.0, 1.3], np.float32) if seed else np.ones(3, np.float32)
    return Shown(corner, hull_of(points), 1 + seed % 2, 1.2 + 0.2 * seed, gains)


@dataclass
class Asked:
    size: tuple[int, int]
    shown: list[Shown]
    over: list[list[Patch]]

    @staticmethod
    def of(size: tuple[int, int]) -> "Asked":
        corners = [(0, 0), (17, 40), (SIZE - size[0], SIZE - size[1])]
        known = [shown(seed, corner, size) for seed, corner in enumerate(corners)]
        return Asked(size, known, [patches(1, SIZE), [], patches(2, SIZE)])


@everywhere
@sizes
def test_what_is_shown_and_painted_is_bit_equal_to_the_reference(
    name: str, size: tuple[int, int]
) -> None:
    kernels, asked = CudaKernels(device(name)), Asked.of(size)
    guides = kernels.guide([moved(kernels, portrait(seed, SIZE), seed) for seed in range(3)])
    corners = [each.corner for each in asked.shown]
    windows = kernels.windows(guides, asked.over, corners, size)
    looks = kernels.look(guides, asked.over, asked.shown, size, kernels.put(FRAME[None]))
    guide, region = kernels.fetch(looks.guide), kernels.fetch(looks.region)
    rng = np.random.default_rng(3)
    made = np.clip(guide + 0.3 * rng.standard_normal(guide.shape), -1, 1).astype(np.float32)
    overlays = kernels.painted(looks, kernels.put(made))
    finished = kernels.windows(guides, [[overlay] for overlay in overlays], corners, size)
    for i, (each, window) in enumerate(zip(asked.shown, windows, strict=True)):
        may = plain.region(each, blur_taps(each.soft_px), size)
        np.testing.assert_array_equal(guide[i], plain.guide(window, each.gains, SEEN))
        np.testing.assert_array_equal(region[i, 0], plain.seen(may, SEEN) * FRAME)
        painted = plain.painted(window, may, each.gains, guide[i], made[i])
        assert (painted != window).any()
        np.testing.assert_array_equal(finished[i], painted)


@sizes
def test_the_reference_agrees_with_the_path_on_the_cpu(size: tuple[int, int]) -> None:
    kernels, asked = CpuKernels(), Asked.of(size)
    guides = kernels.guide([moved(kernels, portrait(seed, SIZE), seed) for seed in range(3)])
    looks = kernels.look(guides, asked.over, asked.shown, size, kernels.put(FRAME[None]))
    rng = np.random.default_rng(3)
    for i, each in enumerate(asked.shown):
        window, may = looks.windows[i], plain.region(each, blur_taps(each.soft_px), size)
        # OpenCV resizes bytes to bytes and draws its outline in 16ths of a pixel.
        tolerance = 0 if size == SEEN else 1.01 * each.gains.max() / 127.5
        np.testing.assert_allclose(
            looks.guide[i], plain.guide(window, each.gains, SEEN), atol=tolerance
        )
        assert np.abs(may - looks.may[i]).max() < 0.15 and np.abs(may - looks.may[i]).mean() < 0.02
        shown_as = looks.guide[i]
        made = np.clip(shown_as + 0.2 * rng.standard_normal(shown_as.shape), -1, 1)
        made = made.astype(np.float32)
        found = plain.painted(window, looks.may[i], each.gains, shown_as, made)
        expected = look.painted(window, looks.may[i], each.gains, shown_as, made)
        assert np.abs(found.astype(int) - expected).max() <= (0 if size == SEEN else 1)


@everywhere
def test_a_network_that_changes_nothing_leaves_the_window_as_it_was(name: str) -> None:
    kernels, asked = CudaKernels(device(name)), Asked.of((41, 35))
    guides = kernels.guide([moved(kernels, portrait(seed, SIZE), seed) for seed in range(3)])
    for each in asked.shown:
        each.gains[:] = 1
    looks = kernels.look(guides, asked.over, asked.shown, asked.size, kernels.put(FRAME[None]))
    overlays = kernels.painted(looks, looks.guide)
    before = kernels.pictures(guides, asked.over)
    after = kernels.pictures(guides, [[*p, o] for p, o in zip(asked.over, overlays, strict=True)])
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.i420, other.i420)

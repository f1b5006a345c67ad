import numpy as np
import pytest

from kernels.cuda.eyeballs import packed_head
from kernels.cuda.warp_composite import packed_source
from kernels.dispatch import Moved, Portrait
from kernels.eyeballs import POSE_DRIVERS, Eyeball
from kernels.on_cpu import CpuKernels
from kernels.on_cuda import CudaKernels
from kernels.plain.eyeballs import bell, eyeball
from kernels.warp_composite import Patch
from tests.kernels.devices import device, everywhere
from tests.kernels.overlays import eyes, fetched
from tests.kernels.portraits import STEP_PX, drivers, headed, lines

SIZE = 104


def reference(known: Portrait, by: np.ndarray, eye: Eyeball) -> Patch:
    source = packed_source(known.source, known.alpha)
    return eyeball(source, known.scale, known.head, by[:POSE_DRIVERS], eye, STEP_PX)


@everywhere
def test_eyeballs_of_a_batch_are_bit_equal_to_the_reference(name: str) -> None:
    on = device(name)
    kernels = CudaKernels(on)
    known = [
        headed(i, SIZE, source) for i, source in enumerate([None, (70, 71), (SIZE * 3, SIZE * 3)])
    ]
    moves = [drivers(10 + i, SIZE) for i in range(3)]
    guides = kernels.guide(
        [
            Moved(kernels.prepare(face), by, lines(i, SIZE))
            for i, (face, by) in enumerate(zip(known, moves, strict=True))
        ]
    )
    asked = [eyes(1, SIZE), [], eyes(2, SIZE)[1:]]
    found = kernels.eyeballs(guides, asked)
    assert [len(each) for each in found] == [2, 0, 1]
    for face, by, each, made in zip(known, moves, asked, found, strict=True):
        for eye, overlay in zip(each, made, strict=True):
            expected, patch = reference(face, by, eye), fetched(on, overlay)
            assert (patch.x, patch.y) == eye.corner
            np.testing.assert_array_equal(patch.rgb, expected.rgb)
            np.testing.assert_array_equal(patch.alpha, expected.alpha)
            assert patch.alpha.max() == round(255 * eye.fade) and patch.alpha.min() == 0


@everywhere
def test_eyeballs_are_laid_over_pictures_where_they_are(name: str) -> None:
    kernels = CudaKernels(device(name))
    known, by = headed(0, SIZE), drivers(3, SIZE)
    guides = kernels.guide([Moved(kernels.prepare(known), by, lines(0, SIZE))])
    asked = eyes(1, SIZE)
    (there,) = kernels.pictures(guides, kernels.eyeballs(guides, [asked]))
    (sent,) = kernels.pictures(guides, [[reference(known, by, eye) for eye in asked]])
    (without,) = kernels.pictures(guides, [[]])
    np.testing.assert_array_equal(there.i420, sent.i420)
    assert (there.i420 != without.i420).any()


@everywhere
def test_some_of_a_batch_have_their_own_eyeballs(name: str) -> None:
    on = device(name)
    kernels = CudaKernels(on)
    known, moves = headed(0, SIZE), [drivers(i, SIZE) for i in range(3)]
    face = kernels.prepare(known)
    guides = kernels.guide([Moved(face, by, []) for by in moves])
    found = kernels.eyeballs(guides.only([2, 0]), [eyes(1, SIZE)] * 2)
    for number, made in zip((2, 0), found, strict=True):
        expected = reference(known, moves[number], eyes(1, SIZE)[0])
        np.testing.assert_array_equal(fetched(on, made[0]).rgb, expected.rgb)


def test_heads_lie_point_by_point() -> None:
    head = np.arange(3 * 3 * 4, dtype=np.float32).reshape(3, 3, 4)
    assert (packed_head(head)[5] == head[1, 2]).all()


def test_the_bell_is_the_exponential() -> None:
    t = np.linspace(0, 80, 100_000, dtype=np.float32)
    exact = np.exp(-t.astype(np.float64))
    assert (np.abs(bell(t) - exact) / exact).max() < 1e-5
    assert np.abs(bell(t) - exact).max() < 3e-7


@pytest.mark.parametrize("seed", range(3))
def test_reference_agrees_with_the_path_on_the_cpu(seed: int) -> None:
    known, by = headed(seed, SIZE), drivers(seed, SIZE)
    kernels = CpuKernels()
    guides = kernels.guide([Moved(kernels.prepare(known), by, [])])
    (found,) = kernels.eyeballs(guides, [eyes(seed, SIZE)])
    for patch, eye in zip(found, eyes(seed, SIZE), strict=True):
        expected = reference(known, by, eye)
        # OpenCV samples fields at 32nds of a cell, and the portrait is noise.
        assert np.abs(patch.rgb.astype(int) - expected.rgb).mean() < 1.5
        apart = np.abs(patch.alpha.astype(int) - expected.alpha)
        # Its anti-aliased lines are dotted, and pixels of the rim are many in so small a picture.
        assert apart.mean() < 8 and apart.max() < 110

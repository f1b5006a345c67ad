from dataclasses import replace

import numpy as np
import pytest

from kernels.cuda.plates import inverted
from kernels.on_cpu import CpuKernels
from kernels.on_cuda import CudaKernels
from kernels.plain.plates import mouth as plain_mouth
from tests.kernels.devices import device, everywhere
from tests.kernels.overlays import fetched, mouth, plates

SIZE = 104
PLACES = ((0.5, 0.7), (0.03, 0.5), (0.9, 0.97))


@everywhere
def test_mouths_of_a_batch_are_bit_equal_to_the_reference(name: str) -> None:
    on = device(name)
    kernels = CudaKernels(on)
    pictures = [plates(i, side) for i, side in enumerate((40, 12, 150))]
    asked = [mouth(i, SIZE, at, 0.3 * i) for i, at in enumerate(PLACES)]
    kept = [kernels.plates(each) for each in pictures]
    found = kernels.mouths([kept[0], *kept], [None, *asked])
    assert found[0] is None
    for known, seen, overlay in zip(pictures, asked, found[1:], strict=True):
        expected, patch = plain_mouth(known, seen), fetched(on, overlay)
        assert (patch.x, patch.y) == seen.corner
        np.testing.assert_array_equal(patch.rgb, expected.rgb)
        np.testing.assert_array_equal(patch.alpha, expected.alpha)
        assert patch.alpha.max() == 255 and patch.alpha.min() == 0
        assert patch.rgb.std() > 10


@everywhere
def test_without_a_mouth_nothing_is_drawn(name: str) -> None:
    kernels = CudaKernels(device(name))
    kept = kernels.plates(plates(0))
    assert kernels.mouths([kept] * 2, [None] * 2) == [None] * 2


def test_plates_are_put_into_the_light_that_a_tint_takes_away() -> None:
    kernels, pictures, plain = CpuKernels(), plates(1), mouth(1, SIZE)
    assert plain.tint is None
    kept, tint = kernels.plates(pictures), np.array([0.5, 1.0, 2.0], np.float32)
    one, lit = kernels.mouths([kept] * 2, [plain, replace(plain, tint=tint)])
    expected = np.minimum(one.rgb / tint, 255).astype(np.uint8)
    np.testing.assert_array_equal(lit.rgb, expected)
    assert (lit.rgb[..., 0] == 255).any() and (lit.rgb[..., 2] < one.rgb[..., 2]).any()
    np.testing.assert_array_equal(lit.alpha, one.alpha)


def test_a_placement_is_inverted() -> None:
    placements = mouth(3, SIZE).placements
    for there, back in zip(placements, inverted(placements), strict=True):
        both = np.vstack([there, [0, 0, 1]]) @ np.vstack([back.reshape(2, 3), [0, 0, 1]])
        np.testing.assert_allclose(both, np.eye(3), atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_reference_agrees_with_the_path_on_the_cpu(seed: int) -> None:
    kernels, pictures, seen = CpuKernels(), plates(seed), mouth(seed, SIZE, PLACES[seed])
    (found,) = kernels.mouths([kernels.plates(pictures)], [seen])
    expected = plain_mouth(pictures, seen)
    inside = expected.alpha > 127
    apart = np.abs(found.rgb.astype(int) - expected.rgb)[inside]
    assert apart.mean() < 3 and np.quantile(apart, 0.99) < 25
    alphas = np.abs(found.alpha.astype(int) - expected.alpha)
    # OpenCV's anti-aliased lines are dotted, and pixels of the rim are many in so small a picture.
    assert alphas.mean() < 8 and alphas.max() < 110

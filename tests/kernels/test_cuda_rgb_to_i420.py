import numpy as np
import pytest

from kernels.color import rgb_to_i420 as by_opencv
from kernels.gpu import Device
from kernels.on_cuda import CudaKernels
from kernels.plain.rgb_to_i420 import rgb_to_i420
from tests.kernels.devices import device, everywhere


def pictures(batch: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (batch, height, width, 3), np.uint8)


@everywhere
@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 6, 10), (2, 18, 24), (2, 64, 336), (5, 34, 62)])
def test_kernel_is_bit_equal_to_the_reference(name: str, shape: tuple[int, int, int]) -> None:
    rgb = pictures(*shape)
    found = CudaKernels(device(name)).i420(rgb)
    assert len(found) == len(rgb)
    for one, picture in zip(found, rgb, strict=True):
        np.testing.assert_array_equal(one, rgb_to_i420(picture))


def test_reference_is_bit_equal_to_opencv_for_every_colour() -> None:
    axis = np.arange(256, dtype=np.uint8)
    for red in range(256):
        green, blue = np.meshgrid(axis, axis)
        rgb = np.stack([np.full_like(green, red), green, blue], axis=-1)
        # Every pixel in the upper left of four once, where chroma is read.
        wide = rgb.repeat(2, axis=0).repeat(2, axis=1)
        np.testing.assert_array_equal(rgb_to_i420(wide), by_opencv(wide))


def test_reference_reads_chroma_where_opencv_does() -> None:
    (rgb,) = pictures(1, 38, 46)
    np.testing.assert_array_equal(rgb_to_i420(rgb), by_opencv(rgb))


@pytest.mark.parametrize("shape", [(1, 3, 4, 3), (1, 4, 3, 3), (0, 4, 4, 3), (4, 4, 3)])
def test_other_shapes_are_refused_with_their_shape(shape: tuple[int, ...]) -> None:
    never: Device = None  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"rgb is \(.*expected"):
        CudaKernels(never).i420(np.zeros(shape, np.uint8))

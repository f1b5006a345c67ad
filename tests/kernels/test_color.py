import numpy as np
import pytest

from kernels.color import rgb_to_i420


def reference_luma(rgb: np.ndarray) -> np.ndarray:
    """BT.601, limited range, in floating point."""
    r, g, b = np.moveaxis(rgb.astype(np.float64), -1, 0)
    return 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255


def test_luma_follows_bt601_within_a_step() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    i420 = rgb_to_i420(rgb)
    assert i420.shape == (48, 48)
    assert np.abs(i420[:32] - reference_luma(rgb)).max() <= 1.0


def test_gray_has_neutral_chroma() -> None:
    i420 = rgb_to_i420(np.full((16, 16, 3), 128, np.uint8))
    assert (i420[16:] == 128).all()


@pytest.mark.parametrize("shape", [(15, 16, 3), (16, 15, 3), (16, 16), (16, 16, 4)])
def test_other_shapes_are_refused_with_their_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        rgb_to_i420(np.zeros(shape, np.uint8))

import numpy as np
import pytest

from kernels.guided import coefficients

GUIDE = np.random.default_rng(2).random((40, 48, 3)).astype(np.float32)


def filtered(guide: np.ndarray, mask: np.ndarray, radius: int, ridge: float) -> np.ndarray:
    slope, base = coefficients(guide, mask, radius, ridge)
    return (slope * guide).sum(-1) + base


def test_a_mask_that_is_linear_in_the_colours_is_kept() -> None:
    mask = GUIDE @ np.array([0.5, -0.2, 0.3], np.float32) + 0.1
    assert np.abs(filtered(GUIDE, mask, 3, 1e-6) - mask).max() < 1e-3


def test_a_strong_ridge_gives_the_mean_alone() -> None:
    mask = (np.arange(48) > 20).astype(np.float32) * np.ones((40, 1), np.float32)
    smooth = filtered(GUIDE, mask, 2, 1e4)
    assert np.abs(smooth[:, 15:16]).max() < 1e-2 and np.abs(smooth[:, 26:] - 1).max() < 1e-2
    assert (np.diff(smooth[20, 16:26]) > -1e-4).all()


def test_a_blurred_mask_is_laid_on_the_edge_of_the_picture() -> None:
    columns = np.arange(48)
    guide = np.where(columns[None, :, None] < 24, 0.2, 0.8) * np.ones((40, 48, 3))
    mask = np.clip((columns - 18) / 12, 0, 1) * np.ones((40, 1))
    found = filtered(guide.astype(np.float32), mask.astype(np.float32), 6, 1e-4)
    assert found[20, 24] - found[20, 23] > 0.3 > (mask[20, 24] - mask[20, 23]) * 3


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mask \(3, 4\), expected"):
        coefficients(GUIDE, np.zeros((3, 4), np.float32), 2, 1e-4)

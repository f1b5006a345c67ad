import numpy as np

from kernels.warp_composite import Patch, lay_between, lay_over, warp

PICTURE = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)


def places() -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(32), np.arange(24)), axis=-1).astype(np.float32)


def test_no_flow_returns_the_picture() -> None:
    base = places()
    assert (warp(PICTURE, np.zeros_like(base), base) == PICTURE).all()


def test_flow_points_to_where_a_pixel_comes_from() -> None:
    base = places()
    flow = np.zeros_like(base)
    flow[..., 0] = 3
    warped = warp(PICTURE, flow, base)
    assert (warped[:, :-3] == PICTURE[:, 3:]).all()
    assert (warped[:, -3:] == PICTURE[:, -1:]).all()


def test_opaque_patch_replaces_and_clear_patch_does_not() -> None:
    white = np.full((4, 6, 3), 255, np.uint8)
    for alpha, expected in ((255, 255), (0, 7)):
        picture = np.full((24, 32, 3), 7, np.uint8)
        lay_over(picture, Patch(5, 3, white, np.full((4, 6), alpha, np.uint8)))
        assert (picture[3:7, 5:11] == expected).all()
        assert (picture[:3] == 7).all() and (picture[:, 11:] == 7).all()


def test_half_clear_patch_mixes_in_equal_parts() -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    patch = Patch(0, 0, np.full((8, 8, 3), 200, np.uint8), np.full((8, 8), 128, np.uint8))
    lay_over(picture, patch)
    assert (picture == 150).all()


def test_patch_over_the_border_is_cut_off() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    patch = Patch(-2, 6, np.full((4, 4, 3), 9, np.uint8), np.full((4, 4), 255, np.uint8))
    lay_over(picture, patch)
    assert (picture[6:, :2] == 9).all()
    assert picture.sum() == 2 * 2 * 3 * 9


def test_patch_outside_the_picture_changes_nothing() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    patch = Patch(20, 20, np.full((4, 4, 3), 9, np.uint8), np.full((4, 4), 255, np.uint8))
    lay_over(picture, patch)
    assert not picture.any()


def test_a_picture_is_laid_between_by_its_alpha() -> None:
    behind = PICTURE[::-1].copy()
    for alpha, expected in ((255, PICTURE), (0, behind)):
        assert (lay_between(PICTURE, np.full((24, 32), alpha, np.uint8), behind) == expected).all()
    alpha = np.random.default_rng(3).integers(0, 256, (24, 32), np.uint8)
    share = alpha[..., None] / 255
    wanted = share * PICTURE + (1 - share) * behind
    assert np.abs(lay_between(PICTURE, alpha, behind) - wanted).max() <= 1

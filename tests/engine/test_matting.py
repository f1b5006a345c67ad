"""The shipped network against exact mattes, and what is done with a matte."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine import backends
from engine.avatar import find, names
from engine.matting import CLEAR, fill, foreground, matte
from models import weights

U8 = npt.NDArray[np.uint8]
RED, GREEN = np.array([200.0, 40.0, 30.0]), np.array([20.0, 180.0, 60.0])


@pytest.fixture(scope="module")
def network() -> backends.Network:
    return backends.load("openvino", weights.path(weights.MATTE))


def disc(side: int = 512, radius: int = 150, soft: float = 4.0) -> U8:
    """Alpha of a disc with a soft rim."""
    solid = np.zeros((side, side), np.uint8)
    cv2.circle(solid, (side // 2, side // 2), radius, 255, -1)
    return np.asarray(cv2.GaussianBlur(solid, (0, 0), soft), np.uint8)


def mixed(alpha: U8) -> U8:
    share = alpha[..., None] / 255
    return np.rint(share * RED + (1 - share) * GREEN).astype(np.uint8)


def overlap(found: U8, truth: U8) -> float:
    inside, wanted = found > 127, truth > 127
    return float((inside & wanted).sum() / (inside | wanted).sum())


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("side", [320, 1024])
def test_built_in_avatars_are_told_from_their_background(
    network: backends.Network, name: str, side: int
) -> None:
    avatar = find(name)
    picture, truth = (
        np.asarray(cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        for p in (avatar.portrait, avatar.matte)
    )
    found = matte(picture, network)
    assert overlap(found, truth) > 0.99
    assert np.abs(found.astype(float) - truth).mean() / 255 < 0.008


def test_a_person_on_another_background_is_found_too(network: backends.Network) -> None:
    avatar = find("maya")
    noise = np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)
    room = cv2.resize(noise, avatar.matte.shape, interpolation=cv2.INTER_CUBIC)
    share = avatar.matte[..., None] / 255
    front = foreground(avatar.portrait, avatar.matte)
    picture = np.rint(front * share + room * (1 - share)).astype(np.uint8)
    assert overlap(matte(picture, network), avatar.matte) > 0.97


def test_a_picture_that_is_not_square_keeps_its_shape(network: backends.Network) -> None:
    avatar = find("kofi")
    picture = np.ascontiguousarray(avatar.portrait[:, 150:874])
    found = matte(picture, network)
    assert found.shape == picture.shape[:2]
    assert overlap(found, avatar.matte[:, 150:874]) > 0.98


def test_foreground_holds_nothing_of_the_background() -> None:
    alpha = disc()
    picture = mixed(alpha)
    rim = (alpha > 60) & (alpha < 200)
    assert np.abs(picture[rim] - RED).max() > 80
    assert np.abs(foreground(picture, alpha)[rim] - RED).max() < 12


def test_foreground_is_the_picture_inside_and_goes_on_outside() -> None:
    alpha = disc()
    picture = mixed(alpha)
    found = foreground(picture, alpha)
    assert (found[alpha == 255] == picture[alpha == 255]).all()
    assert np.abs(found[alpha < CLEAR] - RED).max() < 12


def test_filling_leaves_no_trace_of_the_person() -> None:
    alpha = disc()
    ramp = np.linspace(60, 190, 512)[None, :, None] * np.ones((512, 1, 3))
    share = alpha[..., None] / 255
    picture = np.rint(share * RED + (1 - share) * ramp).astype(np.uint8)
    found = fill(picture, alpha)
    assert np.abs(found - ramp).max() < 12
    away = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((61, 61), np.uint8)) == 0
    assert (found[away] == picture[away]).all()


def test_filling_where_no_background_is_known_gives_one_colour() -> None:
    picture = np.random.default_rng(5).integers(0, 256, (40, 30, 3), np.uint8)
    found = fill(picture, np.full((40, 30), 255, np.uint8))
    assert (found == found[0, 0]).all()


def test_what_does_not_fit_is_refused(network: backends.Network) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"picture is \(8, 8\) uint8, expected"):
        matte(picture[..., 0], network)
    with pytest.raises(ValueError, match=r"alpha is \(4, 4\) uint8, expected \(8, 8\)"):
        foreground(picture, np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="float64, expected"):
        fill(picture, np.zeros((8, 8)))  # type: ignore[arg-type]

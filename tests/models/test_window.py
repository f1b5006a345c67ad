"""What the render network sees and where it may paint."""

import numpy as np
import pytest

from models import facemodel, window
from models import topology as topo


@pytest.fixture
def face():
    return facemodel.load().neutral[:, :2] * window.FACE_PX + 160.0


def test_the_region_holds_the_lips_and_little_else(face):
    x, y = window.centre(face)
    corner = int(x) - 64, int(y) - 64
    region = window.region(face, corner, (128, 128), window.FACE_PX)
    assert region.shape == (128, 128) and region.min() == 0 and region.max() <= 1
    for row in (topo.UPPER_INNER_LIP, topo.LOWER_INNER_LIP):
        at = np.rint(face[row[2:-2]] - corner).astype(int)
        assert region[at[:, 1], at[:, 0]].min() > 0.9
    nose, chin = (np.rint(face[i] - corner).astype(int) for i in (1, topo.CHIN))
    assert region[nose[1].clip(0, 127), nose[0]] == 0
    assert region[chin[1].clip(0, 127), chin[0]] == 0


def test_the_region_is_the_same_share_of_a_face_of_any_size(face):
    big = face * 2
    small = window.region(face, (0, 0), (320, 320), window.FACE_PX)
    large = window.region(big, (0, 0), (640, 640), 2 * window.FACE_PX)
    assert large.mean() == pytest.approx(small.mean(), rel=0.05)


def test_a_shut_mouth_fits_the_window_and_painting_fades_at_its_border(face):
    x, y = window.centre(face)
    size = window.WIDE_PX, window.HIGH_PX
    corner = int(x) - size[0] // 2, int(y) - size[1] // 2
    region, frame = window.region(face, corner, size, window.FACE_PX), window.frame()
    assert region.shape == frame.shape == (window.HIGH_PX, window.WIDE_PX)
    np.testing.assert_allclose(region * frame, region, atol=0.01)
    assert frame.max() == 1 and max(frame[0].max(), frame[:, -1].max()) == 0


def test_silence_about_the_sound_is_told_apart_from_a_zero_embedding():
    pose = np.zeros((4, 2), np.float32)
    none = window.conditions(pose, (0.0, 0.0), None)
    zero = window.conditions(pose, (0.0, 0.0), np.zeros(window.EMBEDDING, np.float32))
    assert none.shape == (window.CONDITIONS,) and none.dtype == np.float32
    assert (none != zero).sum() == 1


def test_pose_and_blink_have_their_places():
    pose = np.arange(8, dtype=np.float32).reshape(4, 2)
    told = window.conditions(pose, (0.25, 0.75), None)
    np.testing.assert_array_equal(told[: window.POSE], np.arange(8))
    np.testing.assert_array_equal(told[window.POSE : window.POSE + 2], [0.25, 0.75])


@pytest.mark.parametrize(
    ("light", "over_green", "least", "most"),
    [([1.0, 1.0, 0.6], 2, 0.65, 0.75), ([1.3, 1.0, 1.0], 0, 0.2, 0.3)],
    ids=["blue", "red"],
)
def test_tone_takes_blue_for_the_lights_and_leaves_most_red_to_skin(
    light: list[float], over_green: int, least: float, most: float
) -> None:
    plain = np.random.default_rng(0).uniform(0.2, 0.6, (2, 3, 4, 5)).astype(np.float32)
    tinted = plain * np.array(light, np.float32).reshape(1, 3, 1, 1)
    grey = np.array([0.299, 0.587, 0.114])
    hues = []
    for before in (plain, tinted):
        after = (before * window.tone(before)[..., None, None]).mean((2, 3))
        np.testing.assert_allclose(before.mean((2, 3)) @ grey, after @ grey, rtol=1e-3)
        hues.append(np.log(after[:, over_green] / after[:, 1]))
    taken = 1 - (hues[1] - hues[0]) / np.log(light[over_green])
    assert ((least < taken) & (taken < most)).all(), taken


def test_tone_of_a_black_window_is_finite() -> None:
    assert np.isfinite(window.tone(np.zeros((1, 3, 8, 8), np.float32))).all()

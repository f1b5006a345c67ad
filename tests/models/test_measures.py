import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import facemodel, measures
from models.topology import CHIN, LOWER_LIDS, UPPER_LIDS

NEUTRAL = facemodel.load().neutral.astype(np.float64)
ANGLE = st.floats(-0.6, 0.6)


def posed(angles: tuple[float, float, float], size: float, at: tuple[float, float]) -> np.ndarray:
    """(1, 478, 3) the mean face turned about the pivot, which lies at a place in the picture."""
    turn = measures.rotation(np.array(angles))
    pivot = measures.pivot(NEUTRAL)
    return ((NEUTRAL - pivot) @ turn.T * size + np.array([*at, 0.0]))[None]


@given(ANGLE, ANGLE, ANGLE)
def test_angles_are_read_back_from_a_rotation(yaw: float, pitch: float, roll: float) -> None:
    turn = measures.rotation(np.array([yaw, pitch, roll]))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(measures.angles(turn), [yaw, pitch, roll], atol=1e-9)


@pytest.mark.parametrize(
    ("angles", "axis", "sign"), [((0.2, 0, 0), 0, 1), ((0, 0.2, 0), 1, 1), ((0, 0, 0.2), 0, -1)]
)
def test_the_nose_goes_right_with_yaw_and_down_with_pitch_and_the_chin_left_with_roll(
    angles: tuple[float, float, float], axis: int, sign: int
) -> None:
    point = CHIN if angles[2] else 1
    moved = posed(angles, 200.0, (0.0, 0.0))[0] - posed((0, 0, 0), 200.0, (0.0, 0.0))[0]
    assert moved[point, axis] * sign > 1


@given(ANGLE, ANGLE, ANGLE, st.floats(50, 500))
def test_a_pose_is_read_back(yaw: float, pitch: float, roll: float, size: float) -> None:
    found = measures.pose(posed((yaw, pitch, roll), size, (300.0, 200.0)))[0]
    wanted = [yaw, pitch, roll, 300 / size, 200 / size, np.log(size)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_turning_on_the_spot_does_not_shift_the_head() -> None:
    faces = np.concatenate([posed((a, a / 2, 0.0), 200.0, (256.0, 240.0)) for a in (-0.3, 0, 0.3)])
    assert np.ptp(measures.pose(faces)[:, 3:5], axis=0).max() < 1e-6


def test_the_opening_is_that_of_the_code_in_any_pose() -> None:
    model = facemodel.load()
    code = np.array([2.0, 0, 0, 0, 0, 0], np.float32)
    face = model.decode(code).astype(np.float64)
    turn = measures.rotation(np.array([0.3, -0.2, 0.1]))
    seen = (face @ turn.T * 180 + 250)[None]
    assert measures.opening(seen)[0] == pytest.approx(float(code @ model.opening), abs=2e-3)


def test_one_shut_eye_lowers_its_own_aspect() -> None:
    face = NEUTRAL.copy()
    face[UPPER_LIDS[0]] = face[LOWER_LIDS[0]]
    open_left, open_right = measures.eye_aspect(NEUTRAL[None])[0]
    left, right = measures.eye_aspect(face[None])[0]
    assert left < 0.05 < open_left
    assert right == open_right


def test_blinks_are_counted_from_where_the_lid_falls() -> None:
    aspect = np.full(100, 0.3)
    aspect[20:26] = [0.25, 0.1, 0.05, 0.1, 0.2, 0.26]
    aspect[60:63] = [0.1, 0.05, 0.15]
    assert measures.blinks(aspect) == [(20, 26), (60, 63)]


def test_eyes_that_stay_shut_do_not_blink() -> None:
    aspect = np.full(100, 0.3)
    aspect[40:70] = 0.05
    assert measures.blinks(aspect) == []

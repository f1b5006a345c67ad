from dataclasses import fields

import numpy as np
import pytest

from engine.frames import Motion, Pose
from engine.mouth import MouthPainter, mouths
from engine.render import flow, guide, guides
from engine.rig import Rig, build
from kernels.rim import mask
from models import facemodel
from models import topology as topo
from tests.engine.draw import draw
from tests.engine.faces import plain_avatar

FACE = facemodel.load()
SHUT = np.zeros(FACE.size, np.float32)
OPEN = np.eye(FACE.size, dtype=np.float32)[0] * 1.5


@pytest.fixture(scope="module")
def rig() -> Rig:
    return build(plain_avatar(), 512, FACE)


def test_rest_is_the_portrait_itself(rig: Rig) -> None:
    guided = guide(rig, Motion(0, SHUT))
    assert np.abs(flow(rig, guided.drivers)).max() < 1e-3
    assert guided.eyes == MouthPainter(rig).plates(guided) == []
    (picture,) = draw(rig, Motion(0, SHUT))
    assert np.abs(picture.astype(int) - plain_avatar().portrait).max() <= 2


def test_motion_moves_landmarks_and_picture_alike(rig: Rig) -> None:
    motion = Motion(0, OPEN, Pose(yaw=0.1, pitch=-0.05, roll=0.08, x=0.02))
    guided = guide(rig, motion)
    moved, way = guided.landmarks, flow(rig, guided.drivers)
    for landmark in (1, 50, 280, 4, 205, 425, 18, 164):
        x, y = np.round(moved[landmark]).astype(int)
        came_from = np.array([x, y]) + way[y, x]
        assert np.abs(came_from - rig.landmarks[landmark, :2]).max() < 2.0, landmark


def test_background_and_shoulders_stay_where_they_are(rig: Rig) -> None:
    motion = Motion(0, OPEN, Pose(yaw=0.15, roll=0.1, x=0.05))
    way = flow(rig, guide(rig, motion).drivers)
    for row, column in ((5, 5), (5, 506), (500, 20), (500, 256), (505, 500)):
        assert np.abs(way[row, column]).max() < 0.2


def test_turn_moves_the_nose_more_than_the_ears(rig: Rig) -> None:
    moved = guide(rig, Motion(0, SHUT, Pose(yaw=0.15))).landmarks - rig.landmarks[:, :2]
    nose, sides = moved[1, 0], moved[list(topo.FACE_SIDES), 0]
    assert nose > 10
    assert np.abs(sides).max() < 0.5 * nose


def test_nod_moves_the_nose_down(rig: Rig) -> None:
    moved = guide(rig, Motion(0, SHUT, Pose(pitch=0.1))).landmarks - rig.landmarks[:, :2]
    assert moved[1, 1] > 3


def test_open_mouth_shows_its_inside_between_the_lips_only(rig: Rig) -> None:
    guided = guide(rig, Motion(0, OPEN))
    (patch,) = MouthPainter(rig).plates(guided)
    upper, lower = guided.landmarks[13], guided.landmarks[14]
    assert lower[1] - upper[1] == pytest.approx(OPEN @ FACE.opening * rig.face_px, rel=0.1)
    middle = ((upper + lower) / 2).astype(int) - [patch.x, patch.y]
    assert patch.alpha[middle[1], middle[0]] == 255
    assert patch.alpha[0].max() == patch.alpha[-1].max() == 0


def test_lips_pressed_beyond_touching_show_no_inside(rig: Rig) -> None:
    assert MouthPainter(rig).plates(guide(rig, Motion(0, -OPEN))) == []


def test_lids_cover_the_eyeball_as_they_fall(rig: Rig) -> None:
    def seen(blink: float) -> float:
        eyes = guide(rig, Motion(0, SHUT, blink=(blink, blink))).eyes
        return sum(float(eye.fade * mask(eye.rim, eye.corner, eye.size).sum()) for eye in eyes)

    assert seen(0.01) > 1.5 * seen(0.5) > 0
    assert seen(1.0) == 0


def test_face_half_off_the_picture_still_draws(rig: Rig) -> None:
    (picture,) = draw(rig, Motion(0, OPEN, Pose(x=1.4, y=-1.2), blink=(0.5, 0.5)))
    assert picture.shape == (512, 512, 3)


def test_lip_code_of_another_length_is_refused(rig: Rig) -> None:
    with pytest.raises(ValueError, match=r"lip code is \(3,\), expected"):
        guide(rig, Motion(0, np.zeros(3, np.float32)))


def test_a_batch_is_guided_as_each_alone(rig: Rig) -> None:
    other = build(plain_avatar(), 256, FACE)
    asked = [
        (rig, Motion(0, OPEN, Pose(yaw=0.1, roll=0.05), (0.4, 0.0), (0.1, -0.05))),
        (other, Motion(1, 0.5 * OPEN, Pose(x=1.3), (0.2, 0.3))),
        (rig, Motion(2, SHUT)),
        (other, Motion(3, SHUT, blink=(0.0, 1.0), smile=0.4)),
    ]
    painters = [MouthPainter(rig) for rig, _ in asked]
    together = guides(asked)
    apart = [guide(rig, motion) for rig, motion in asked]
    assert [len(one.eyes) for one in together] == [2, 1, 0, 0], "one is off the picture"
    for one, alone in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.landmarks, alone.landmarks)
        for line, other_line in zip(one.lines, alone.lines, strict=True):
            assert_same(line, other_line)
        for eye, other_eye in zip(one.eyes, alone.eyes, strict=True):
            assert_same(eye, other_eye)
    seen = mouths(painters, together)
    assert [one is None for one in seen] == [False, False, True, True]
    for number, one in enumerate(seen):
        (alone_seen,) = mouths([painters[number]], [apart[number]])
        assert (one is None) == (alone_seen is None)
        if one is not None:
            assert_same(one, alone_seen)


def assert_same(one: object, other: object) -> None:
    assert type(one) is type(other)
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_a_smile_lifts_the_corners_and_keeps_the_lips_together(rig: Rig) -> None:
    guided = guide(rig, Motion(0, SHUT, smile=0.5))
    way = (guided.landmarks - rig.landmarks[:, :2]) / rig.face_px
    left, right = way[list(topo.OUTER_MOUTH_CORNERS)]
    assert left[0] < -0.01 and left[1] < -0.01
    assert right[0] > 0.01 and right[1] < -0.01
    gap = guided.landmarks[topo.LOWER_INNER_LIP] - guided.landmarks[topo.UPPER_INNER_LIP]
    assert np.abs(gap).max() < 0.05
    assert MouthPainter(rig).plates(guided) == [], "no inside shows"
    assert np.abs(way[[topo.FOREHEAD, *topo.IRISES[0]]]).max() < 0.003
    fallen = guide(rig, Motion(0, SHUT, smile=-0.2)).landmarks - rig.landmarks[:, :2]
    assert (fallen[list(topo.OUTER_MOUTH_CORNERS), 1] > 0).all()

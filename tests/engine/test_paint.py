"""The render network in the engine: what it may touch; that it neither drifts nor flickers."""

from dataclasses import replace

import numpy as np
import pytest

from engine import backends
from engine.composite import Batch
from engine.frames import EMBEDDING, Motion, Pose
from engine.mouth import MouthPainter
from engine.paint import NetworkPainter, RenderNetwork
from engine.render import guide
from engine.rig import Rig, build
from kernels import dispatch
from models import facemodel, weights, window
from tests.engine.draw import draw
from tests.engine.faces import FACE_PX, plain_avatar

SHUT = np.zeros(facemodel.load().size, np.float32)
OPEN = facemodel.load().opening / (facemodel.load().opening ** 2).sum() * np.float32(0.1)
HEARD = np.random.default_rng(0).standard_normal(EMBEDDING).astype(np.float32)


@pytest.fixture(scope="module")
def rig() -> Rig:
    return build(plain_avatar(), 512, facemodel.load())


@pytest.fixture(scope="module")
def painter(rig: Rig) -> NetworkPainter:
    return NetworkPainter(rig, 1, RenderNetwork("openvino"))


def touched(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(x, y) of the pixels that differ."""
    return np.argwhere((one != other).any(-1))[:, ::-1]


def test_it_paints_the_mouth_and_nothing_else(rig: Rig, painter: NetworkPainter) -> None:
    motion = Motion(0, OPEN, Pose(yaw=0.1, roll=0.05), (0.5, 0.5), embedding=HEARD)
    (plain,), (painted,) = draw(rig, motion), draw(rig, motion, painter=painter)
    places = touched(plain, painted)
    landmarks = guide(rig, motion).landmarks
    away = np.abs(places - np.array(window.centre(landmarks)))
    assert len(places) > 200
    assert away.max() < 0.3 * FACE_PX


def test_the_sound_alone_changes_the_mouth_alone(rig: Rig, painter: NetworkPainter) -> None:
    quiet = Motion(0, OPEN, embedding=np.zeros(EMBEDDING, np.float32))
    (one,) = draw(rig, quiet, painter=painter)
    (other,) = draw(rig, replace(quiet, embedding=HEARD), painter=painter)
    places = touched(one, other)
    assert len(places) and np.abs(places - np.array(window.centre(rig.landmarks))).max() < 60


@pytest.mark.parametrize("precision", backends.PRECISIONS)
def test_lids_alone_change_the_eyes_and_leave_the_mouth(
    rig: Rig, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = RenderNetwork("openvino")
    loaded = backends.load("openvino", weights.path(weights.PAINTER), 1, precision)
    monkeypatch.setattr(network, "_network", loaded)
    painter = NetworkPainter(rig, 1, network)
    open_eyes = Motion(0, OPEN, embedding=HEARD)
    (one,), (other,) = (
        draw(rig, motion, painter=painter)
        for motion in (open_eyes, replace(open_eyes, blink=(1.0, 1.0)))
    )
    middle = np.array(window.centre(rig.landmarks))
    mouth = np.abs(touched(one, other) - middle).max(1) < 50
    apart = np.abs(one.astype(int) - other)
    x, y = middle.astype(int)
    assert (~mouth).sum() > 100
    assert apart[y - 30 : y + 60, x - 50 : x + 50].max() == 0


def test_the_same_motion_gives_the_same_picture_whatever_was_before(
    rig: Rig, painter: NetworkPainter
) -> None:
    """So a still mouth does not flicker, and an hour cannot drift."""
    motion = Motion(0, OPEN, embedding=HEARD)
    (own,) = draw(rig, motion, painter=painter)
    others = [Motion(i, OPEN * i / 9, Pose(yaw=i / 50), embedding=HEARD * i) for i in range(9)]
    assert (draw(rig, *others, motion, painter=painter)[-1] == own).all()


@pytest.mark.parametrize("size_px", [128, 256, 720])
def test_every_size_of_picture_is_painted(size_px: int) -> None:
    rig = build(plain_avatar(), size_px, facemodel.load())
    (plain,) = draw(rig, Motion(0, OPEN))
    painter = NetworkPainter(rig, 2, RenderNetwork("openvino"))
    (painted,) = draw(rig, Motion(0, OPEN, embedding=HEARD), painter=painter)
    places = touched(plain, painted) * (512 / size_px)
    assert len(places) > 10
    assert np.abs(places - np.array([256, 260])).max() < 0.5 * FACE_PX


def test_a_mouth_half_off_the_picture_is_painted_too(rig: Rig, painter: NetworkPainter) -> None:
    for pose in (Pose(x=1.2), Pose(y=-1.3), Pose(x=1.45, y=1.4)):
        (picture,) = draw(rig, Motion(0, OPEN, pose), painter=painter)
        assert picture.shape == (512, 512, 3)


def test_plates_are_put_into_the_light_that_the_gains_take_away(rig: Rig) -> None:
    batch = Batch(dispatch.load("cpu"), [guide(rig, Motion(0, OPEN))])
    gains = np.array([0.5, 1.0, 2.0], np.float32)
    ((plain,),), ((lit,),) = (batch.plates([MouthPainter(rig)], tints) for tints in (None, [gains]))
    assert (lit.rgb == np.minimum(plain.rgb / gains, 255).astype(np.uint8)).all()
    assert plain.rgb[..., 0].max() > 127, "some of it is clipped"
    assert (lit.x, lit.y) == (plain.x, plain.y) and (lit.alpha == plain.alpha).all()

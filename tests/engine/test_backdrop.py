"""What the person moves over."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.backdrop import MAX_FILE_BYTES, backdrop
from engine.composite import Batch
from engine.errors import ConfigError
from engine.frames import Motion, Pose
from engine.render import guide
from engine.rig import Rig, build
from kernels import dispatch
from models import facemodel
from tests.engine.draw import draw
from tests.engine.faces import plain_avatar

FACE = facemodel.load()
TURNED = Pose(yaw=0.2, pitch=-0.1, roll=0.1, x=0.05)
SIDE_PX = 256


@pytest.fixture(scope="module")
def rig() -> Rig:
    return build(plain_avatar(), SIDE_PX, FACE)


@pytest.fixture(scope="module")
def whole() -> Rig:
    """Of a portrait whose matte knows no background."""
    avatar = plain_avatar()
    return build(replace(avatar, matte=np.full_like(avatar.matte, 255)), SIDE_PX, FACE)


def drawn(rig: Rig, background: str, pose: Pose) -> np.ndarray:
    motion = Motion(0, np.zeros(FACE.size, np.float32), pose)
    (picture,) = draw(rig, motion, background=background)
    return picture


def free() -> np.ndarray:
    """Pixels over which the head never comes, in `plain_avatar` turned or not."""
    head = cv2.resize(plain_avatar().matte, (SIDE_PX, SIDE_PX))
    return cv2.dilate(head, np.ones((61, 61), np.uint8)) == 0


def test_the_background_stays_while_the_head_moves(rig: Rig) -> None:
    rest, turned = (drawn(rig, "still", pose) for pose in (Pose(), TURNED))
    assert (rest[free()] == turned[free()]).all()
    rest, turned = (drawn(rig, "#000000", pose) for pose in (Pose(), TURNED))
    assert (rest[free()] == turned[free()]).all()
    assert np.abs(rest.astype(int) - turned)[~free()].max() > 50


def test_at_rest_the_still_background_is_the_portrait(rig: Rig) -> None:
    portrait = cv2.resize(plain_avatar().portrait, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    assert np.abs(drawn(rig, "still", Pose()).astype(int) - portrait).max() <= 12
    assert np.abs(drawn(rig, "still", Pose()).astype(int) - portrait)[free()].max() <= 1


def test_a_blurred_background_is_smoother_and_as_bright(rig: Rig) -> None:
    rows = np.where(np.arange(SIDE_PX) % 8 < 4, 40, 200).astype(np.uint8)
    stripes = np.ascontiguousarray(np.broadcast_to(rows[:, None, None], rig.behind.shape))
    soft = backdrop(replace(rig, behind=stripes), "blur")
    assert stripes.std() == 80 and soft[32:-32].std() < 3
    assert abs(soft.mean() - 120) < 3


def test_a_colour_is_all_that_is_behind(rig: Rig) -> None:
    picture = drawn(rig, "#20c0Fe", TURNED)
    assert (picture[free()] == (0x20, 0xC0, 0xFE)).all()


def test_a_picture_fills_the_square_from_its_middle(rig: Rig, tmp_path: Path) -> None:
    wide = np.zeros((90, 300, 3), np.uint8)
    wide[:, 105:195] = (10, 120, 250)  # the middle square, BGR
    cv2.imwrite(str(tmp_path / "room.png"), wide)
    found = backdrop(rig, str(tmp_path / "room.png"))
    assert found.shape == (SIDE_PX, SIDE_PX, 3)
    assert (found == (250, 120, 10)).all()


def test_transparent_pictures_laid_over_a_colour_are_those_of_the_colour(rig: Rig) -> None:
    motion = Motion(0, np.zeros(FACE.size, np.float32), TURNED)
    batch = Batch(dispatch.load("cpu"), [guide(rig, motion)])
    assert backdrop(rig, "transparent") is None
    ((picture,), (planes,)) = (
        finished([[]], ["transparent"]) for finished in (batch.pictures, batch.planes)
    )
    alpha = planes.alpha
    assert alpha is not None and alpha.shape == (SIDE_PX, SIDE_PX)
    assert (alpha[free()] == 0).all() and (alpha == 255).mean() > 0.2
    share = alpha[..., None] / 255
    laid = picture * share + np.array([255, 0, 255]) * (1 - share)
    assert np.abs(laid - drawn(rig, "#ff00ff", TURNED)).max() <= 1
    assert batch.planes([[]], ["still"])[0].alpha is None


def test_a_portrait_without_background_moves_as_a_whole(whole: Rig) -> None:
    assert backdrop(whole, "still") is None
    rest, turned = (drawn(whole, "still", pose) for pose in (Pose(), TURNED))
    portrait = cv2.resize(plain_avatar().portrait, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    assert np.abs(rest.astype(int) - portrait).max() <= 2
    assert np.abs(rest.astype(int) - turned).max() > 5
    with pytest.raises(ConfigError, match="background is 'blur', but the avatar's matte leaves no"):
        backdrop(whole, "blur")
    with pytest.raises(ConfigError, match="'transparent', but the avatar's matte leaves no"):
        backdrop(whole, "transparent")


@pytest.mark.parametrize("text", ["#12345", "#gggggg", "#1234567"])
def test_a_colour_that_is_none_is_refused(rig: Rig, text: str) -> None:
    with pytest.raises(ConfigError, match=f"background is '{text}', expected a colour"):
        backdrop(rig, text)


def test_a_file_that_is_no_picture_is_refused(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        backdrop(rig, str(tmp_path / "gone.png"))
    with pytest.raises(ConfigError, match="is a directory"):
        backdrop(rig, str(tmp_path))
    with pytest.raises(ConfigError, match="null"):
        backdrop(rig, "a\0b")
    for name, data in (("empty.png", b""), ("text.jpg", b"not a picture")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigError, match=f"{name}: no picture that can be read, expected"):
            backdrop(rig, str(tmp_path / name))
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ConfigError, match=f"limit {MAX_FILE_BYTES}"):
        backdrop(rig, str(tmp_path / "large.png"))

"""The shipped networks and a picture: a built-in avatar photographed again comes back."""

import numpy as np
import pytest

from engine.avatar import find
from engine.errors import PortraitError
from engine.onboarding import faces, make
from engine.onboarding.cut import cut, face_px
from engine.onboarding.photo import read
from tests.engine.portraits import GREY, encoded, photograph


@pytest.fixture(scope="module")
def tools() -> make.Tools:
    return make.open_tools("openvino")


@pytest.mark.parametrize("name", ["maya", "kofi"])
@pytest.mark.parametrize("tilt", [0.0, 14.0])
def test_a_photographed_avatar_is_found_and_parted_from_the_background(tools, name, tilt):
    avatar = find(name)
    picture, shares = photograph(avatar, tilt=tilt)
    photo = read(encoded(picture))
    face = faces.choose(faces.find(photo.rgb, tools.finder))
    truth = shares * np.array([1200, 900, 1200])
    off = np.linalg.norm((face.landmarks - truth)[:, :2], axis=1) / face_px(truth)
    assert off.mean() < 0.025
    info = make.confirmed("again", "Again", "a test", "photo.jpg")
    made = make.avatar_of(cut(photo, face.landmarks), info, tools.matte)
    person = np.abs(made.portrait.astype(int) - GREY).max(-1) > 12
    assert ((made.matte > 128) == person).mean() > 0.93
    nose = made.landmarks[4, :2].astype(int)
    assert made.matte[nose[1], nose[0]] > 250
    assert made.matte[6, 6] < 5


def test_two_people_are_two_faces(tools):
    both = [
        photograph(find(name), head_px=560, at=at)[0]
        for name, at in (("maya", (0.28, 0.5)), ("kofi", (0.74, 0.5)))
    ]
    picture = np.where(np.arange(1200)[None, :, None] < 600, *both)
    found = faces.find(picture.astype(np.uint8), tools.finder)
    assert len(found) == 2
    assert not any(face.refused for face in found)


def test_where_nobody_is_no_face_is_found(tools):
    dice = np.random.default_rng(4)
    for picture in (
        np.full((600, 800, 3), GREY, np.uint8),
        dice.integers(0, 255, (600, 800, 3), np.uint8),
    ):
        with pytest.raises(PortraitError, match="no face was found"):
            faces.find(picture, tools.finder)

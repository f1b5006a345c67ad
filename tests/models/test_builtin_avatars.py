"""The shipped avatars can be animated: whole faces, shut mouths, open eyes, true mattes."""

import json

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine.avatar import BUILT_IN, Avatar, find, names
from engine.frames import Motion
from engine.rig import build
from models import facemodel
from models import topology as topo
from tests.engine.draw import draw

Colour = npt.NDArray[np.float64]

FACE = facemodel.load()
MAX_FILE_BYTES = 1_300_000
INNER_LIP_PAIRS = ((81, 178), (13, 14), (311, 402))
EYES = ((33, 133, 159, 145), (263, 362, 386, 374))
"""Outer corner, inner corner, upper lid, lower lid."""


def face_width(avatar: Avatar) -> float:
    return float(np.linalg.norm(avatar.landmarks[234, :2] - avatar.landmarks[454, :2]))


@pytest.fixture(params=names(), ids=str)
def avatar(request: pytest.FixtureRequest) -> Avatar:
    return find(request.param)


def test_four_avatars_are_built_in() -> None:
    assert names() == ["kofi", "maya", "pippa", "tomas"]


def test_no_two_avatars_look_alike() -> None:
    small = [
        cv2.resize(find(name).portrait, (32, 32), interpolation=cv2.INTER_AREA) for name in names()
    ]
    for k, one in enumerate(small):
        for other in small[:k]:
            assert np.abs(one.astype(int) - other).mean() > 15


def test_portrait_is_large_and_its_file_small(avatar: Avatar) -> None:
    assert avatar.portrait.shape == (1024, 1024, 3)
    assert (BUILT_IN / f"{avatar.info.name}.avatar").stat().st_size < MAX_FILE_BYTES


def test_origin_is_told(avatar: Avatar) -> None:
    assert avatar.info.title
    assert avatar.info.licence == "CC0-1.0"


def test_face_fills_the_middle_of_the_picture(avatar: Avatar) -> None:
    side = avatar.portrait.shape[0]
    assert avatar.landmarks.shape == (478, 3)
    assert 0.30 < face_width(avatar) / side < 0.45
    assert abs(avatar.landmarks[:, 0].mean() / side - 0.5) < 0.03
    assert 0.36 < avatar.landmarks[[33, 263], 1].mean() / side < 0.48


def test_mouth_is_shut(avatar: Avatar) -> None:
    for upper, lower in INNER_LIP_PAIRS:
        gap = np.linalg.norm(avatar.landmarks[upper, :2] - avatar.landmarks[lower, :2])
        assert gap < 0.015 * face_width(avatar)


def test_lip_line_is_darker_than_the_lips(avatar: Avatar) -> None:
    grey = cv2.cvtColor(avatar.portrait, cv2.COLOR_RGB2GRAY).astype(float)
    x, line = avatar.landmarks[13, :2]
    above, below = avatar.landmarks[0, 1], avatar.landmarks[17, 1]
    column = grey[:, int(x) - 3 : int(x) + 4].mean(axis=1)
    lips = column[int(above) : int(below)]
    darkest = int(above) + int(lips.argmin())
    assert abs(darkest - line) < 0.02 * face_width(avatar)


def test_eyes_are_open(avatar: Avatar) -> None:
    for outer, inner, upper, lower in EYES:
        width = np.linalg.norm(avatar.landmarks[outer, :2] - avatar.landmarks[inner, :2])
        opening = np.linalg.norm(avatar.landmarks[upper, :2] - avatar.landmarks[lower, :2])
        assert opening > 0.22 * width


def test_skin_begins_below_the_lower_lids(avatar: Avatar) -> None:
    for upper, lower in zip(topo.UPPER_LIDS, topo.LOWER_LIDS, strict=True):
        for above, below in zip(upper[3:6], lower[3:6], strict=True):
            x, y = avatar.landmarks[below, :2]
            opening = y - avatar.landmarks[above, 1]

            def seen(share: float, x: float = x, y: float = y, size: float = opening) -> Colour:
                row, column = int(y + share * size), int(x)
                return avatar.portrait[row - 1 : row + 2, column - 2 : column + 3].mean((0, 1))

            rim, skin, eye = seen(0.15), seen(0.5), seen(-0.35)
            assert np.linalg.norm(rim - skin) < np.linalg.norm(rim - eye)


def test_shut_lids_leave_no_slit(avatar: Avatar) -> None:
    rig = build(avatar, 1024, FACE)
    rest = np.zeros(FACE.size, np.float32)
    opened, shut = draw(rig, Motion(0, rest), Motion(1, rest, blink=(1.0, 1.0)))
    changed = np.abs(shut.astype(int) - opened).sum(axis=2)
    for upper, lower in zip(topo.UPPER_LIDS, topo.LOWER_LIDS, strict=True):
        ring = avatar.landmarks[np.concatenate([upper, lower[::-1]]), :2]
        eye = np.zeros(changed.shape, np.uint8)
        cv2.fillPoly(eye, [np.round(ring).astype(np.int32)], 1)
        eye = cv2.erode(eye, np.ones((5, 5), np.uint8))
        assert (changed[eye > 0] > 24).mean() > 0.94


def test_matte_holds_the_face_and_not_the_upper_corners(avatar: Avatar) -> None:
    xy = avatar.landmarks[:468, :2].astype(int)
    # The face's outline itself may lie a pixel beyond the cheek.
    assert (avatar.matte[xy[:, 1], xy[:, 0]] > 200).mean() > 0.98
    assert avatar.matte[:40, :40].max() == 0
    assert avatar.matte[:40, -40:].max() == 0


def test_plates_are_placed_within_their_pictures() -> None:
    about = json.loads((BUILT_IN / "mouth" / "plates.json").read_text(encoding="utf-8"))
    assert set(about["plates"]) == {"upper_teeth", "lower_teeth", "tongue"}
    for plate in about["plates"].values():
        picture = cv2.imread(str(BUILT_IN / "mouth" / plate["file"]), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert list(picture.shape[1::-1]) == plate["size_px"]
        assert picture.shape[2] == 4
        assert 0 <= plate["anchor_px"][0] <= picture.shape[1]
        assert 0 <= plate["anchor_px"][1] <= picture.shape[0]
        assert 0.5 < picture.shape[1] / about["px_per_mouth_width"] < 2

"""Lids are laid on the rims of what is seen of the eyeballs."""

import cv2
import numpy as np
import pytest

from models import topology as topo
from models.avatars.render.lids import (
    LOWER_OVERLAP,
    UPPER_OVERLAP,
    LandmarkError,
    open_lids,
)
from tests.engine.faces import SIDE_PX, plain_avatar

BORDER_PX = 1.5


def eyes_mask(scale: float = 1.0, drop_px: int = 0) -> np.ndarray:
    """Two ellipses about the plain face's eyes, `scale` times two fifths of their width high."""
    points = plain_avatar().landmarks
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    for lids in topo.UPPER_LIDS:
        left, right = points[lids[[0, -1]], :2]
        middle = (left + right) / 2
        wide = float(right[0] - left[0])
        centre = (round(float(middle[0])), round(float(middle[1])) + drop_px)
        cv2.ellipse(mask, centre, (round(wide / 2), round(wide * scale / 5)), 0, 0, 360, 255, -1)
    return mask


def test_lids_lie_on_the_rim() -> None:
    mask = eyes_mask(1.2)
    moved = open_lids(plain_avatar().landmarks, mask)
    for upper, lower in zip(topo.UPPER_LIDS, topo.LOWER_LIDS, strict=True):
        for above, below in zip(upper[2:-2], lower[2:-2], strict=True):
            seen = np.flatnonzero(mask[:, round(float(moved[above, 0]))])
            top = seen[0] - UPPER_OVERLAP * len(seen)
            assert abs(moved[above, 1] - top) < BORDER_PX
            seen = np.flatnonzero(mask[:, round(float(moved[below, 0]))])
            bottom = seen[-1] + 1 + LOWER_OVERLAP * len(seen)
            assert abs(moved[below, 1] - bottom) < BORDER_PX


def test_only_the_skin_around_the_eyes_goes_along() -> None:
    before = plain_avatar().landmarks
    after = open_lids(before, eyes_mask(1.2))
    irises = np.concatenate(topo.IRISES)
    assert np.array_equal(after[irises], before[irises])
    assert np.array_equal(after[:, 2], before[:, 2])
    for far in (topo.CHIN, topo.FOREHEAD, 61, 291, 1, *topo.FACE_SIDES):
        assert np.abs(after[far] - before[far]).max() < 0.5


def test_no_eyeball_is_an_error() -> None:
    with pytest.raises(LandmarkError, match="no eyeball is seen"):
        open_lids(plain_avatar().landmarks, np.zeros((SIDE_PX, SIDE_PX), np.uint8))


def test_rim_far_from_the_landmarks_is_an_error() -> None:
    with pytest.raises(LandmarkError, match="expected"):
        open_lids(plain_avatar().landmarks, eyes_mask(drop_px=14))

"""Labels for the matting network: what is made of MediaPipe's masks (not MediaPipe itself)."""

import cv2
import numpy as np
import pytest

from models.label import closed_form, segment


def test_looks_cover_the_picture_and_come_in_mirrored_pairs():
    seen = np.zeros((100, 80), int)
    pieces = segment._pieces((100, 80, 3))
    for window, _ in pieces:
        seen[window] += 1
    assert seen.min() >= 2 and len(pieces) == 8
    assert sum(mirrored for _, mirrored in pieces) == 4


def test_the_largest_piece_is_kept_and_its_holes_closed():
    alpha = np.zeros((120, 120), np.float32)
    cv2.circle(alpha, (60, 60), 40, 1.0, -1)
    cv2.circle(alpha, (60, 60), 6, 0.0, -1)
    cv2.circle(alpha, (8, 8), 5, 1.0, -1)
    kept, loose = segment._main_piece(alpha)
    assert kept[60, 60] == 1 and kept[8, 8] == 0 and kept[60, 95] == 1
    assert 0.005 < loose < 0.05
    assert segment._main_piece(np.zeros((9, 9), np.float32))[1] == 1.0


def test_films_and_stills_are_read_once(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 30, 3), (1, 2, 3), np.uint8))
    film = cv2.VideoWriter(str(tmp_path / "b.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 32))
    for shade in range(5):
        film.write(np.full((32, 32, 3), 40 * shade, np.uint8))
    film.release()
    (number, rgb), *rest = segment._pictures(tmp_path / "a.png", "a.png", set(), 2)
    assert number is None and not rest and (rgb == (3, 2, 1)).all()
    assert not list(segment._pictures(tmp_path / "a.png", "a.png", {"a.png"}, 2))
    frames = dict(segment._pictures(tmp_path / "b.avi", "b.avi", {"b.avi@2"}, 2))
    assert sorted(frames) == [0, 4]
    assert frames[4].mean() > frames[0].mean() + 100


def test_closed_form_matting_finds_a_strand_that_the_mask_missed():
    pytest.importorskip("scipy")
    truth = np.zeros((60, 60), np.float32)
    truth[20:, 15:45] = 1
    truth[17:20, 30] = 1  # a strand that stands out of the rim
    rgb = (truth[..., None] * (30, 20, 20) + (1 - truth[..., None]) * (220, 210, 180)).astype("u1")
    mask = np.zeros_like(truth)
    mask[20:, 15:45] = 1
    mask = cv2.GaussianBlur(mask, (0, 0), 1.5)
    found = closed_form.refine(rgb, mask)
    assert np.abs(found - truth).mean() < 0.5 * np.abs(mask - truth).mean()
    assert found[18, 30] > 0.7 and found[18, 40] < 0.3
    assert (closed_form.refine(rgb, np.zeros_like(mask)) == 0).all()

"""`bench faces` on the built-in avatars, whose landmarks are known."""

import argparse
import json

import cv2
import numpy as np
import pytest

from bench import faces
from engine.avatar import find, names
from engine.errors import MediaError


def options(*words):
    parser = argparse.ArgumentParser()
    faces.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def folders(tmp_path):
    """Pictures, their labels, and pictures without a face."""
    made = [tmp_path / name for name in ("pictures", "labels", "nothing")]
    for folder in made:
        folder.mkdir()
    for name in names():
        avatar = find(name)
        cv2.imwrite(str(made[0] / f"{name}.png"), avatar.portrait[..., ::-1])
        np.savez(made[1] / f"{name}.npz", landmarks=avatar.landmarks[None], path=f"{name}.png")
    cv2.imwrite(str(made[2] / "grey.png"), np.full((300, 400, 3), 128, np.uint8))
    return made


def test_portraits_and_backgrounds_are_measured(folders, tmp_path, capsys):
    pictures, labels, nothing = folders
    sheet, told = tmp_path / "sheet.png", tmp_path / "faces.json"
    words = ("--portraits", pictures, labels, "--backgrounds", nothing)
    assert faces.run(options(*words, "--sheet", sheet, "--json", told)) == 0
    assert "portraits" in capsys.readouterr().out
    portraits, backgrounds = json.loads(told.read_text())["rows"]
    assert portraits["found_pct"] == 100 and portraits["others"] == 0
    assert 0 < portraits["error_pct"] < 4
    assert backgrounds["pictures"] == 1 and backgrounds["others"] == 0
    assert cv2.imread(str(sheet)).shape == (faces.TILE_PX, 8 * faces.TILE_PX, 3)


def test_a_label_elsewhere_counts_as_missed(folders, tmp_path):
    pictures, labels, _ = folders
    path = next(labels.iterdir())
    with np.load(path) as data:
        arrays = dict(data)
    np.savez(path, landmarks=arrays["landmarks"] + np.float32([150, 0, 0]), path=arrays["path"])
    told = tmp_path / "faces.json"
    faces.run(options("--portraits", pictures, labels, "--json", told))
    (row,) = json.loads(told.read_text())["rows"]
    assert row["found_pct"] == 100 * (1 - 1 / len(names())) and row["others"] == 1


def test_nothing_to_measure_is_an_error(folders, tmp_path):
    with pytest.raises(MediaError, match="nothing to measure"):
        faces.run(options())
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MediaError, match="holds no pictures"):
        faces.run(options("--backgrounds", empty))

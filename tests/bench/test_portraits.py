"""`bench portraits` on a built-in avatar's own pictures, as it speaks and at rest."""

import argparse
import json

import cv2
import numpy as np
import pytest

from bench import portraits
from engine.avatar import find
from engine.config import EngineConfig
from engine.errors import ConfigError, MediaError
from engine.frames import Motion
from engine.renderer import Renderer, Scene
from models import facemodel


def options(*words):
    parser = argparse.ArgumentParser()
    portraits.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Maya with an open mouth, and with a shut one."""
    folder = tmp_path_factory.mktemp("pictures")
    scene = Scene.of(find("maya"), EngineConfig(size_px=720))
    code = np.zeros(facemodel.load().size, np.float32)
    for name, opened in (("open", 2.5), ("shut", 0.0)):
        code[0] = opened
        (planes,) = Renderer().render([(scene, Motion(0, code))])
        bgr = cv2.cvtColor(planes.i420, cv2.COLOR_YUV2BGR_I420)
        cv2.imwrite(str(folder / f"{name}.png"), bgr)
    return folder


def test_an_open_mouth_is_measured_and_a_shut_one_passed_over(pictures, tmp_path, capsys):
    sheet, told = tmp_path / "sheet.png", tmp_path / "told.json"
    assert portraits.run(options(pictures, "--sheet", sheet, "--json", told)) == 0
    assert "with open mouths: 1, others passed over: 1" in capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(told.read_text())["rows"]}
    painted = rows["open, 1 step"]
    # The mouth that is opened again shows her lips where they were.
    assert painted["mouth_db"] > 15 and painted["mouth_ssim"] > 0.5
    assert rows["open, guide"]["gain_db"] == 0
    assert rows["all, 1 step"]["worst_gain_db"] == pytest.approx(painted["gain_db"])
    assert rows["all, 1 step"]["above"] == (painted["gain_db"] >= 0)
    assert cv2.imread(str(sheet)).shape[1] == 5 * 128


def test_what_cannot_be_measured_is_said(pictures, tmp_path):
    with pytest.raises(MediaError, match="none of 1 pictures shows one face with an open mouth"):
        portraits.run(options(pictures / "shut.png"))
    with pytest.raises(MediaError, match="holds no pictures"):
        portraits.run(options(tmp_path))
    with pytest.raises(ConfigError, match="--steps is 0"):
        portraits.run(options(pictures, "--steps", 0))

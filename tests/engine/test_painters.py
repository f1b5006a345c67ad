"""The render network is chosen by name or folder; `base` loads, paints, and computes in float16."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine import avatar as avatars
from engine import backends
from engine.cli import main
from engine.composite import Planes
from engine.config import EngineConfig, preset
from engine.errors import ConfigError
from engine.frames import EMBEDDING, Motion
from engine.painters import painter_folder
from engine.renderer import Renderer, Scene
from models import facemodel, weights, window

UNKNOWN = (
    "painter 'bass' is unknown, expected one of ['base', 'lite'] "
    "or a folder that holds painter.onnx and painter_portrait.onnx"
)
BASE = weights.PAINTERS["base"]
PORTRAIT = BASE / weights.PORTRAIT
INPUTS = ("features", "code")


def windows(count: int) -> dict[str, np.ndarray]:
    """Feeds of the shipped `base`: smooth pictures, a region, a portrait read by its own part."""
    rng = np.random.default_rng(5)
    size = window.HIGH_PX, window.WIDE_PX
    rough = rng.uniform(-0.8, 0.8, (count, 3, size[0] // 16, size[1] // 16))
    guide = np.kron(rough, np.ones((1, 1, 16, 16))).astype(np.float32)
    region = np.zeros((count, 1, *size), np.float32)
    region[:, :, 32:64, 32:80] = 1
    sit = backends.load("onnxruntime", PORTRAIT)
    sat = [sit.run({"portrait": guide[row : row + 1]}) for row in range(count)]
    return {
        "noisy": np.repeat(window.noise()[None], count, 0),
        "t": np.ones(count, np.float32),
        "guide": guide,
        "region": region,
        "told": rng.normal(0, 0.3, (count, window.CONDITIONS)).astype(np.float32),
        **{name: np.concatenate([each[name] for each in sat]) for name in INPUTS},
    }


def luma(planes: Planes, size_px: int) -> np.ndarray:
    return planes.i420.reshape(-1, size_px)[:size_px].astype(int)


def test_names_are_folders_of_shipped_files() -> None:
    assert EngineConfig().painter == "lite"
    assert preset("base", backend="torch") == EngineConfig(painter="base", backend="torch")
    assert painter_folder("lite") == weights.FOLDER
    for name in weights.PAINTERS:
        for file in (weights.PAINTER, weights.PORTRAIT):
            assert (painter_folder(name) / file).is_file()


def test_base_is_two_files_and_its_card() -> None:
    held = {path.name for path in BASE.iterdir()}
    assert held == {weights.PAINTER, weights.PORTRAIT, "painter.md"}


def test_an_unknown_painter_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(UNKNOWN)):
        EngineConfig(painter="bass")
    with pytest.raises(ConfigError, match="painter '' is unknown"):
        EngineConfig(painter="")
    shutil.copy(weights.FOLDER / weights.PAINTER, tmp_path)
    with pytest.raises(ConfigError, match=r"holds painter\.onnx and painter_portrait\.onnx"):
        EngineConfig(painter=str(tmp_path))
    shutil.copy(weights.FOLDER / weights.PORTRAIT, tmp_path)
    assert painter_folder(EngineConfig(painter=str(tmp_path)).painter) == tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--port", "0"],
        ["present", "gone.wav", "--out", "gone.mp4"],
        ["bench", "batches"],
        ["bench", "drift"],
        ["bench", "portraits", "."],
        ["bench", "quality", "."],
        ["bench", "render"],
    ],
)
def test_every_command_says_it_in_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--painter", "bass"]) == 2
    assert capsys.readouterr().err == f"visavis: error: {UNKNOWN}\n"


@pytest.mark.parametrize(("painter", "told"), [("base", True), ("lite", False)])
def test_a_server_on_a_cpu_is_told_that_base_is_for_gpus(
    painter: str, told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engine.server.serve", lambda *given: None)
    assert main(["serve", "--painter", painter]) == 0
    assert ("painter 'base' is for GPUs" in caplog.text) == told


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_base_paints_the_same_levels_everywhere(name: str) -> None:
    if name == "torch":
        pytest.importorskip("torch", reason="torch is not installed")
    given = windows(2)
    usual, other = (
        backends.load(n, BASE / weights.PAINTER, batch=2) for n in ("onnxruntime", name)
    )
    assert other.inputs == usual.inputs
    wanted, found = usual.run(given), other.run(given)
    painted = 127.5 * np.abs(wanted["picture"] - given["guide"])
    assert painted.max() > 10  # the network does something here
    for key in wanted:
        assert found[key].dtype == np.float32
        apart = 127.5 * np.abs(found[key] - wanted[key])
        assert apart.max() < 1 and apart.mean() < 0.05
    outside = np.broadcast_to(given["region"] == 0, given["guide"].shape)
    assert (found["picture"][outside] == given["guide"][outside]).all()


def test_base_is_kept_in_half_and_takes_any_batch() -> None:
    assert 15e6 < (BASE / weights.PAINTER).stat().st_size < 17e6
    assert 4e6 < PORTRAIT.stat().st_size < 5e6
    network = backends.load("openvino", BASE / weights.PAINTER, batch=backends.ANY)
    whole = network.run(given := windows(3))
    for row in range(3):
        own = network.run({name: value[row : row + 1] for name, value in given.items()})
        np.testing.assert_allclose(own["picture"][0], whole["picture"][row], atol=2e-3)


def test_base_draws_a_mouth_like_that_of_lite_and_nothing_else() -> None:
    opened = facemodel.load().opening / (facemodel.load().opening ** 2).sum() * np.float32(0.1)
    heard = np.random.default_rng(0).standard_normal(EMBEDDING).astype(np.float32)
    motion = Motion(0, opened, embedding=heard)
    avatar = avatars.find(avatars.names()[0])
    scenes = [
        Scene.of(avatar, EngineConfig(size_px=256, painter="lite", steps=0)),
        Scene.of(avatar, EngineConfig(size_px=256, painter="lite")),
        Scene.of(avatar, EngineConfig(size_px=256, painter="base")),
    ]
    drawn = Renderer().render([(scene, motion) for scene in scenes])
    plain, lite, base = (luma(planes, 256) for planes in drawn)
    touched = np.argwhere(np.abs(base - plain) > 4)
    assert len(touched) > 100 and np.ptp(touched, axis=0).max() < 90
    assert (base != lite).any()
    mouth = np.abs(lite - plain) > 4
    assert np.abs(base - lite)[mouth].mean() < np.abs(lite - plain)[mouth].mean()

"""The TensorRT backend on a GPU; skipped where there is none."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import backends
from engine.backends import driver, tensorrt, tensorrt_builder
from engine.errors import BackendError
from kernels.gpu import GpuError, require
from models import weights, window


@pytest.fixture(autouse=True)
def _gpu(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    try:
        tensorrt_builder.library()
        driver.first_gpu()
        require()
    except (BackendError, GpuError) as error:
        pytest.skip(str(error))
    # One folder for all tests: engines are compiled once.
    folder = tmp_path_factory.getbasetemp() / "engines"
    monkeypatch.setenv("VISAVIS_ENGINES", str(folder))


def feeds(rows: int, seed: int = 0) -> backends.Arrays:
    rng = np.random.default_rng(seed)
    size = window.HIGH_PX, window.WIDE_PX

    def noise(*shape: int) -> np.ndarray:
        return (0.3 * rng.normal(size=(rows, *shape))).astype(np.float32)

    return {
        "noisy": np.repeat(window.noise()[None], rows, 0),
        "t": np.ones(rows, np.float32),
        "guide": noise(3, *size).clip(-1, 1),
        "region": np.ones((rows, 1, *size), np.float32),
        "told": noise(window.CONDITIONS),
        "features": noise(48, 24, 28),
        "code": noise(128),
    }


def usual(file: str = weights.PAINTER) -> backends.Network:
    return backends.load("openvino", weights.path(file), batch=backends.ANY)


@pytest.mark.parametrize("rows", [1, 3, 4, 16, 17, 64, 65])
def test_the_float16_network_paints_the_same_levels(rows: int) -> None:
    network = backends.load("tensorrt", weights.path(weights.PAINTER), precision="fastest")
    for seed in range(2):  # a graph must read each run's inputs, not those of its capture
        given = feeds(rows, seed)
        found, wanted = network.run(given)["picture"], usual().run(given)["picture"]
        apart = 127.5 * (found - wanted)
        assert np.abs(apart).max() < 2 and np.sqrt((apart**2).mean()) < 0.2  # of 255


@pytest.mark.parametrize("file", ["lips.onnx", "motion.onnx", weights.PORTRAIT])
def test_float32_networks_agree(file: str) -> None:
    network = backends.load("tensorrt", weights.path(file))
    rng = np.random.default_rng(1)
    given = {
        name: (0.3 * rng.normal(size=[max(side, 1) for side in shape])).astype(np.float32)
        for name, shape in network.inputs.items()
    }
    for name, value in usual(file).run(given).items():
        np.testing.assert_allclose(network.run(given)[name], value, atol=1e-3)


def test_threads_share_an_engine_and_not_their_values() -> None:
    path = weights.path(weights.PAINTER)
    own = [backends.load("tensorrt", path, precision="fastest") for _ in range(4)]
    given = [feeds(rows, rows) for rows in (1, 2, 4, 9)]
    alone = [own[0].run(each)["picture"] for each in given]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            together = pool.map(lambda pair: pair[0].run(pair[1]), zip(own, given, strict=True))
            for found, expected in zip(together, alone, strict=True):
                np.testing.assert_array_equal(found["picture"], expected)


def test_the_engine_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_ENGINES", str(tmp_path))
    tensorrt._shared.cache_clear()
    path = weights.path("motion.onnx")
    backends.load("tensorrt", path)
    (kept,) = tmp_path.glob("*.engine")
    before = kept.stat().st_mtime_ns
    tensorrt._shared.cache_clear()
    backends.load("tensorrt", path)
    assert kept.stat().st_mtime_ns == before
    assert "is ready" in tensorrt.state(path)

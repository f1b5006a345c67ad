"""The torch backend on an NVIDIA GPU. Needs nothing of a call: no OpenVINO, no media libraries."""

import importlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import backends
from models import weights

FILES = [
    ("lips.onnx", 1.0, 1e-4),
    ("motion.onnx", 1.0, 1e-4),
    ("painter.onnx", 0.3, 2e-3),
    ("painter_portrait.onnx", 0.3, 2e-3),
]


@pytest.fixture
def torch() -> Any:
    found = pytest.importorskip("torch", reason="the torch extra is not installed")
    pytest.importorskip("onnxruntime", reason="the onnxruntime extra is not installed")
    if not found.cuda.is_available():
        pytest.skip("torch finds no NVIDIA GPU")
    return found


def network(path: Path, kind: str = "f32", graphs: bool = True) -> backends.Network:
    module = importlib.import_module("engine.backends.torch")
    made: backends.Network = module.TorchNetwork(path, 1, kind, 1, graphs)
    return made


def feeds(like: backends.Network, size: float, seed: int = 0) -> backends.Arrays:
    rng = np.random.default_rng(seed)
    return {n: (size * rng.normal(size=s)).astype(np.float32) for n, s in like.inputs.items()}


@pytest.mark.parametrize("graphs", [True, False], ids=["graph", "eager"])
@pytest.mark.parametrize(("file", "size", "apart"), FILES)
def test_networks_agree_with_onnxruntime(
    torch: Any, file: str, size: float, apart: float, graphs: bool
) -> None:
    path = weights.path(file)
    usual, own = backends.load("onnxruntime", path), network(path, graphs=graphs)
    assert own.inputs == usual.inputs
    for seed in range(3):  # a graph must read each run's inputs, not those of its capture
        given = feeds(usual, size, seed)
        found = own.run(given)
        assert sorted(found) == sorted(usual.outputs)
        for key, value in usual.run(given).items():
            np.testing.assert_allclose(found[key], value, atol=apart)


def test_int8_agrees_on_the_whole(torch: Any) -> None:
    path = weights.path("painter_int8.onnx")
    usual, own = backends.load("onnxruntime", path), network(path)
    given = feeds(usual, 0.3)
    apart = np.abs(usual.run(given)["picture"] - own.run(given)["picture"])
    assert apart.mean() < 0.01


def test_tensorfloat_is_near_and_float32_is_not_it(torch: Any) -> None:
    path = weights.path("painter.onnx")
    usual = backends.load("onnxruntime", path)
    given = feeds(usual, 0.3)
    true = usual.run(given)["picture"]
    exact, near = (network(path, kind).run(given)["picture"] for kind in ("f32", "tf32"))
    assert np.abs(exact - true).max() < 2e-4
    if torch.cuda.get_device_capability() >= (8, 0):
        assert 0 < np.abs(near - exact).max() < 2e-2


def test_results_kept_are_not_overwritten(torch: Any) -> None:
    own = network(weights.path("painter.onnx"))
    given = feeds(own, 0.3, seed=1)
    kept = own.run(given)["picture"]
    before = kept.copy()
    own.run(feeds(own, 0.3, seed=2))
    np.testing.assert_array_equal(kept, before)
    np.testing.assert_array_equal(own.run(given)["picture"], before)


def test_sessions_in_threads_share_a_graph_and_not_their_values(torch: Any) -> None:
    own = [network(weights.path("motion.onnx")) for _ in range(4)]
    given = [feeds(own[0], 1.0, seed) for seed in range(4)]
    alone = [own[0].run(each)["pose"] for each in given]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            together = pool.map(lambda pair: pair[0].run(pair[1]), zip(own, given, strict=True))
            for found, expected in zip(together, alone, strict=True):
                np.testing.assert_array_equal(found["pose"], expected)


@pytest.mark.parametrize(("file", "apart"), [("painter.onnx", 1e-5), ("painter_fp16.onnx", 0.02)])
def test_any_batch_is_filled_up_to_a_size_that_was_captured(
    torch: Any, file: str, apart: float
) -> None:
    usual = backends.load("onnxruntime", weights.path("painter.onnx"), batch=backends.ANY)
    own = backends.load("torch", weights.path(file))
    assert own.inputs["noisy"][0] == backends.ANY
    for rows in (1, 3, 16, 65):
        given = {
            name: 0.3 * np.random.default_rng(rows).normal(size=(rows, *shape[1:]))
            for name, shape in own.inputs.items()
        }
        given = {name: value.astype(np.float32) for name, value in given.items()}
        found, wanted = own.run(given), usual.run(given)
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, atol=apart)


def test_fastest_names_what_it_tried(torch: Any, caplog: pytest.LogCaptureFixture) -> None:
    backends._fastest.cache_clear()
    with caplog.at_level(logging.INFO):
        backends.load("torch", weights.path("painter.onnx"), precision="fastest")
    for name in ("painter f32", "painter tf32", "painter_fp16 f32"):
        assert name in caplog.messages[-1]

import importlib
import logging
import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from engine import backends
from engine.errors import BackendError
from models import weights, window

LIPS = weights.path("lips.onnx")
OTHERS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            find_spec(name) is None, reason=f"the {name} extra is not installed"
        ),
    )
    for name in ("onnxruntime", "torch")
]


def feeds(network: backends.Network) -> backends.Arrays:
    rng = np.random.default_rng(0)
    return {n: rng.normal(size=s).astype(np.float32) for n, s in network.inputs.items()}


def test_an_unknown_backend_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        BackendError,
        match=r"'tpu' is unknown, .*'onnxruntime', 'openvino', 'tensorrt', 'torch'",
    ):
        backends.load("tpu", LIPS)


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def refuse(name: str) -> ModuleType:
        if name == "engine.backends.onnxruntime":
            raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")
        return real(name)

    monkeypatch.setattr(backends, "import_module", refuse)
    with pytest.raises(BackendError, match=r"pip install -e '\.\[onnxruntime\]'"):
        backends.load("onnxruntime", LIPS)


def test_a_missing_or_broken_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no such network file"):
        backends.load("openvino", tmp_path / "none.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(BackendError, match="refuses the network"):
        backends.load("openvino", broken)


def test_wrong_inputs_are_named() -> None:
    network = backends.load("openvino", LIPS)
    good = feeds(network)
    with pytest.raises(BackendError, match="'state' is missing or unknown"):
        network.run({"mel": good["mel"]})
    with pytest.raises(BackendError, match=r"'mel' is \(1, 4, 79\), expected \(1, 4, 80\)"):
        network.run(good | {"mel": good["mel"][:, :, 1:]})
    with pytest.raises(BackendError, match="'mel' is float64"):
        network.run(good | {"mel": good["mel"].astype(np.float64)})


def test_two_sessions_of_one_network_do_not_share_results() -> None:
    one, other = backends.load("openvino", LIPS), backends.load("openvino", LIPS)
    first = one.run(feeds(one))
    kept = first["code"].copy()
    other.run({n: np.zeros(s, np.float32) for n, s in other.inputs.items()})
    one.run({n: np.zeros(s, np.float32) for n, s in one.inputs.items()})
    assert (first["code"] == kept).all()


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(BackendError, match="'int3' is unknown, expected one of"):
        backends.load("openvino", LIPS, precision="int3")


@pytest.mark.parametrize("name", ["openvino", OTHERS[0]])
def test_int8_still_agrees_and_is_taken_where_it_is_the_fastest(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    painter, whole = weights.path("painter.onnx"), weights.path("painter_int8.onnx")
    exact, small = (backends.load(name, path) for path in (painter, whole))
    given = {key: 0.3 * value for key, value in feeds(exact).items()}
    given["region"], given["t"] = np.ones_like(given["region"]), np.ones((1,), np.float32)
    apart = np.abs(exact.run(given)["picture"] - small.run(given)["picture"])
    assert 0 < apart.mean() < 0.02  # of a range of 2
    backends._fastest.cache_clear()
    with caplog.at_level(logging.INFO):
        fast = backends.load(name, painter, precision="fastest")
    table = caplog.messages[-1]
    took = [float(ms) for ms in re.findall(r"([\d.]+) ms", table)]
    kinds = re.findall(r"(\w+ \w+) [\d.]+ ms", table)
    assert {"painter f32", "painter_int8 f32"} <= set(kinds)
    assert table.startswith(kinds[took.index(min(took))])
    assert fast.run(given)["picture"].dtype == np.float32
    choice = backends.choose(name, painter)
    assert table.startswith(f"{choice.name} is used")
    assert choice.took_ms[choice.name] == min(choice.took_ms.values())


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    ("file", "size", "apart"),
    [
        ("lips.onnx", 1.0, 1e-4),
        ("motion.onnx", 1.0, 1e-4),
        ("painter.onnx", 0.3, 2e-3),
        ("painter_portrait.onnx", 0.3, 2e-3),
        ("matte.onnx", 0.3, 1e-4),
    ],
)
def test_other_backends_agree_with_openvino(
    other: str, file: str, size: float, apart: float
) -> None:
    usual, network = (backends.load(n, weights.path(file)) for n in ("openvino", other))
    assert network.inputs == usual.inputs
    given = {key: size * value for key, value in feeds(usual).items()}
    found = network.run(given)
    assert sorted(found) == sorted(usual.outputs)
    for key, value in usual.run(given).items():
        np.testing.assert_allclose(value, found[key], atol=apart)


def windows(rows: int) -> backends.Arrays:
    """What the render network is shown: smooth pictures, everywhere to be painted."""
    rng = np.random.default_rng(5)
    size = window.WIDE_PX, window.HIGH_PX

    def pictures() -> np.ndarray:
        coarse = rng.uniform(-1, 1, (rows, 12, 14, 3)).astype(np.float32)
        smooth = [cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in coarse]
        return np.ascontiguousarray(np.stack(smooth).transpose(0, 3, 1, 2))

    portrait = backends.load("openvino", weights.path(weights.PORTRAIT), batch=backends.ANY)
    return {
        "noisy": np.repeat(window.noise()[None], rows, 0),
        "t": np.linspace(1, 0.25, rows, dtype=np.float32),
        "guide": pictures(),
        "region": np.ones((rows, 1, *size[::-1]), np.float32),
        "told": rng.normal(size=(rows, window.CONDITIONS)).astype(np.float32),
        **portrait.run({"portrait": pictures()}),
    }


@pytest.mark.parametrize("name", ["openvino", *OTHERS])
def test_a_batch_is_its_rows_one_by_one(name: str) -> None:
    path = weights.path(weights.PAINTER)
    alone, any_, three = (backends.load(name, path, batch=n) for n in (1, backends.ANY, 3))
    given = windows(5)
    assert {n: (-1, *s[1:]) for n, s in alone.inputs.items()} == any_.inputs
    assert alone.inputs["noisy"][0] == 1 and three.inputs["noisy"][0] == 3
    whole = any_.run(given)
    some = three.run({key: value[1:4] for key, value in given.items()})
    for row in range(5):
        own = alone.run({key: value[row : row + 1] for key, value in given.items()})
        for key, value in own.items():
            np.testing.assert_allclose(whole[key][row : row + 1], value, atol=1e-5)
            if 1 <= row < 4:
                np.testing.assert_allclose(some[key][row - 1 : row], value, atol=1e-5)


def test_batches_that_cannot_be_are_refused() -> None:
    path = weights.path(weights.PAINTER)
    for batch in (0, -2):
        with pytest.raises(BackendError, match=f"batch is {batch}, expected at least 1"):
            backends.load("openvino", path, batch=batch)
    with pytest.raises(BackendError, match="'mel' takes a batch of 1, expected 4"):
        backends.load("openvino", LIPS, batch=4)
    network = backends.load("openvino", path, batch=backends.ANY)
    given = windows(2)
    with pytest.raises(BackendError, match="'told' has a batch of 1, expected 2"):
        network.run(given | {"told": given["told"][:1]})
    with pytest.raises(BackendError, match="has a batch of 0, expected at least 1"):
        network.run({key: value[:0] for key, value in given.items()})


@pytest.mark.parametrize("name", ["openvino", OTHERS[0]])
def test_float16_paints_the_same_levels(name: str) -> None:
    most = 0.5  # of 255: as much as rounding to bytes takes away
    path = weights.path(weights.PAINTER)
    half = weights.beside(path, "fp16")
    exact, own = (backends.load(name, p, batch=backends.ANY) for p in (path, half))
    given = windows(3)
    assert own.inputs == exact.inputs and own.outputs == exact.outputs
    found, wanted = own.run(given), exact.run(given)
    painted = 127.5 * np.abs(wanted["picture"] - given["guide"])
    assert painted.mean() > 2  # the network does something here
    for key in wanted:
        assert found[key].dtype == np.float32
        apart = 127.5 * np.abs(found[key] - wanted[key])
        assert apart.max() < most and apart.mean() < most / 10


def test_float16_leaves_alone_what_is_not_painted() -> None:
    half = weights.beside(weights.path(weights.PAINTER), "fp16")
    given = windows(2)
    given["region"][:, :, :, 50:] = 0
    found = backends.load("openvino", half, batch=2).run(given)["picture"]
    assert (found[..., 50:] == given["guide"][..., 50:]).all()


def test_networks_of_one_file_run_at_once_on_any_core(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = importlib.import_module("engine.backends.openvino")
    monkeypatch.setattr(openvino, "cores", lambda: 2)
    made = [openvino._shared(LIPS, 1, "f32", 1) for _ in range(3)]
    assert made[0] is not made[1] and made[2] is made[0]
    assert made[0].get_property("ENABLE_CPU_PINNING") is False


def test_small_networks_stay_on_the_cpu() -> None:
    assert [backends.beside(name) for name in ("openvino", "onnxruntime")] == [
        "openvino",
        "onnxruntime",
    ]
    assert {backends.beside(name) for name in ("torch", "tensorrt")} == {"openvino"}

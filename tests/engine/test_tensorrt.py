"""The TensorRT backend against a strict stand-in: no GPU is needed, and nothing is timed."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import backends
from engine.backends import driver, tensorrt, tensorrt_builder
from engine.backends.cuda_stream import Turns
from engine.backends.engine_cache import EngineCache
from engine.backends.tensorrt_builder import Library, Target
from engine.errors import BackendError
from kernels.gpu import GpuError
from kernels.rows import on_device
from tests.engine import fake_tensorrt
from tests.engine.fake_tensorrt import FakeStream

GPU = driver.Gpu("NVIDIA L4", (8, 9), 24 * 2**30, (13, 0))


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A machine with a GPU and the stand-in for TensorRT."""
    trt = fake_tensorrt.module()
    monkeypatch.setenv("VISAVIS_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setattr(tensorrt_builder, "import_module", {"tensorrt": trt}.__getitem__)
    monkeypatch.setattr(driver, "first_gpu", lambda: GPU)
    monkeypatch.setattr(tensorrt, "CudaStream", FakeStream)
    tensorrt._shared.cache_clear()
    yield
    tensorrt._shared.cache_clear()


def feeds(rows: int, seed: int = 0) -> backends.Arrays:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.integers(-9, 9, (rows, 3, 2)).astype(np.float32),
        "t": rng.integers(-9, 9, rows).astype(np.float32),
    }


def check(network: backends.Network, rows: int, seed: int) -> None:
    given_ = feeds(rows, seed)
    sums = given_["x"].sum((1, 2)) + given_["t"]
    found = network.run(given_)
    assert found["y"].shape == (rows, 2) and found["z"].shape == (rows,)
    np.testing.assert_array_equal(found["y"], np.stack([sums, sums], 1))
    np.testing.assert_array_equal(found["z"], sums + 1)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 150), min_size=1, max_size=4))
def test_any_batches_in_any_order_give_each_row_its_own(tmp_path: Path, batches: list[int]) -> None:
    network = backends.load("tensorrt", fake_tensorrt.write(tmp_path / "net.onnx"))
    assert network.inputs == {"x": (-1, 3, 2), "t": (-1,)}
    for seed, rows in enumerate(batches):
        check(network, rows, seed)


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_what_kernels_made_is_taken_where_it_lies(tmp_path: Path, rows: int) -> None:
    network = backends.load("tensorrt", fake_tensorrt.write(tmp_path / "net.onnx"))
    there, device = on_device(network), FakeStream.last
    assert there is not None and there.most == 64
    for seed in range(2):
        given_ = feeds(rows, seed)
        device.events.clear()
        with there.bound(device, rows) as bound:
            assert {name: place.shape for name, place in bound.inputs.items()} == {
                "x": (3, 2),
                "t": (),
            }
            for name, array in given_.items():
                device.send(array, SimpleNamespace(address=bound.inputs[name].address))
            bound.launch()
            assert device.events == ["send", "send", "launch"], "nothing waits"
            made = SimpleNamespace(address=bound.outputs["z"].address)
            found = device.fetch(made, 4 * rows).view(np.float32)
        np.testing.assert_array_equal(found, given_["x"].sum((1, 2)) + given_["t"] + 1)
    check(network, rows, 5)


def test_a_networks_memory_is_one_devices_at_a_time() -> None:
    class Waits:
        times = 0

        def wait(self) -> None:
            self.times += 1

    turns, one, other = Turns(), Waits(), Waits()
    for device in (one, one, other, None, None, one):
        with turns.take(device):
            pass
    assert (one.times, other.times) == (1, 1)


def test_each_size_is_captured_once_and_before_the_first_run(tmp_path: Path) -> None:
    network = backends.load("tensorrt", fake_tensorrt.write(tmp_path / "net.onnx"))
    events = FakeStream.last.events
    assert events.count("capture") == len(backends.SIZES) and "launch" not in events
    events.clear()
    for rows in (1, 3, 16, 40, 65, 1):
        network.run(feeds(rows))
    # 65 rows are a batch of 64 and one of 1; memory is taken beforehand.
    assert events == ["send", "launch"] * 7


def test_a_fixed_batch_makes_only_its_own_size_ready(tmp_path: Path) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx")
    network = backends.load("tensorrt", path, batch=3)
    assert network.inputs == {"x": (3, 3, 2), "t": (3,)}
    assert FakeStream.last.events.count("capture") == 1
    check(network, 3, 0)
    with pytest.raises(BackendError, match=r"'x' is \(2, 3, 2\), expected \(3, 3, 2\)"):
        network.run(feeds(2))


def test_a_file_of_one_row_has_one_graph_and_no_profile(tmp_path: Path) -> None:
    fixed = {"inputs": {"x": [1, 3, 2], "t": [1]}, "outputs": {"y": [1, 2], "z": [1]}}
    network = backends.load("tensorrt", fake_tensorrt.write(tmp_path / "net.onnx", **fixed))
    assert network.inputs == {"x": (1, 3, 2), "t": (1,)}
    assert FakeStream.last.events.count("capture") == 1
    assert on_device(network) is None, "there its memory holds one row, whatever comes"
    for seed in range(3):
        check(network, 1, seed)


def test_sessions_share_an_engine_and_results_stay(tmp_path: Path) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx")
    one, other = (backends.load("tensorrt", path) for _ in range(2))
    first = one.run(feeds(4, 1))
    before = first["y"].copy()
    other.run(feeds(4, 2))
    np.testing.assert_array_equal(first["y"], before)
    assert fake_tensorrt.made.builds == 1


def test_fastest_takes_the_float16_file(tmp_path: Path) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx", unbuildable=True)
    fake_tensorrt.write(tmp_path / "net_fp16.onnx")
    choice = backends.choose("tensorrt", path)
    assert choice.path.name == "net_fp16.onnx" and not choice.took_ms
    check(backends.load("tensorrt", path, precision="fastest"), 2, 0)


def test_the_next_process_finds_the_engine(tmp_path: Path) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx")
    backends.load("tensorrt", path)
    tensorrt._shared.cache_clear()
    backends.load("tensorrt", path)
    assert fake_tensorrt.made.builds == 1
    (kept,) = (tmp_path / "engines").glob("*.engine")
    assert kept.name.startswith("net-nvidia-l4-sm_89-")
    kept.write_bytes(kept.read_bytes()[:-1])
    tensorrt._shared.cache_clear()
    check(backends.load("tensorrt", path), 2, 0)
    assert fake_tensorrt.made.builds == 2


def test_whether_an_engine_is_ready_is_said_without_building(tmp_path: Path) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx")
    assert tensorrt.state(path).endswith("is compiled first: visavis engine build")
    assert fake_tensorrt.made.builds == 0
    backends.load("tensorrt", path)
    assert tensorrt.state(path) == "tensorrt 1.2.3 on sm_89, its engine is ready"


def test_an_engine_that_the_library_refuses_is_built_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx")
    found, wanted = tensorrt_builder.library(), Target("NVIDIA L4", "sm_89")
    cache = EngineCache(tmp_path / "engines")
    kept = tensorrt.compile_ahead(found, path, wanted, cache)
    cache.write(kept, b'{"of": "another library"}')
    with caplog.at_level(logging.WARNING):
        assert tensorrt.opened(found, path, wanted, cache) is not None
    assert "is built anew" in caplog.text and fake_tensorrt.made.builds == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"unbuildable": True}, "cannot build an engine: no kernel for it"),
        ({"failing": True}, "batch of 1: TensorRT refuses to run"),
        ({"full": True}, "is the GPU's memory full"),
        ({"halves": ["y"]}, "'y' is DataType.HALF, expected float32"),
        ({"unknown": True}, "batch of 1: TensorRT refuses inputs of .*: infer_shapes error"),
    ],
)
def test_what_fails_is_said(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx", **more)
    with pytest.raises(BackendError, match=message):
        backends.load("tensorrt", path)


def test_an_engine_that_lacks_a_profile_is_an_error(tmp_path: Path) -> None:
    text = {"inputs": {"x": [-1, 3, 2], "t": [-1]}, "outputs": {"y": [-1, 2], "z": [-1]}}
    engine = fake_tensorrt.Engine(text | {"sizes": [1]})
    runs = tensorrt.Runs(tmp_path / "net.onnx", tensorrt_builder.library(), engine, FakeStream())
    runs.prepare(1)
    with pytest.raises(BackendError, match=r"batch of 4: TensorRT refuses inputs of .*profile"):
        runs.prepare(4)


def test_inputs_that_are_open_elsewhere_are_named(tmp_path: Path) -> None:
    wide = {"inputs": {"x": [-1, 3, -1], "t": [-1]}}
    with pytest.raises(BackendError, match=r"net\.onnx: inputs are .*-1 for first sides alone"):
        backends.load("tensorrt", fake_tensorrt.write(tmp_path / "net.onnx", **wide))


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_text("no network")
    with pytest.raises(BackendError, match=r"net\.onnx: tensorrt refuses the network: not a"):
        backends.load("tensorrt", path)


def test_without_the_library_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(tensorrt_builder, "import_module", refuse)
    with pytest.raises(BackendError, match=r"No module named.*pip install -e '\.\[tensorrt\]'"):
        backends.load("tensorrt", fake_tensorrt.write(tmp_path / "net.onnx"))


def test_without_a_gpu_or_cupy_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx")

    def no_cupy() -> Any:
        raise GpuError("CUDA kernels need CuPy: .venv/bin/pip install -e '.[gpu]'")

    monkeypatch.setattr(tensorrt, "CudaStream", no_cupy)
    with pytest.raises(BackendError, match=r"'tensorrt' cannot run here: .*'\.\[gpu\]"):
        backends.load("tensorrt", path)

    def no_gpu() -> Any:
        raise BackendError("NVIDIA's driver is not installed")

    monkeypatch.setattr(driver, "first_gpu", no_gpu)
    with pytest.raises(BackendError, match="driver is not installed"):
        backends.load("tensorrt", path)
    assert fake_tensorrt.made.builds == 0


def test_rtx_runs_without_a_graph_where_it_may_not_be_captured(tmp_path: Path) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx")
    stream, rtx = FakeStream(), Library(tensorrt_builder.RTX, fake_tensorrt.module())
    for capturable in (True, False):
        text = {"inputs": {"x": [-1, 3, 2], "t": [-1]}, "outputs": {"y": [-1, 2], "z": [-1]}}
        engine = fake_tensorrt.Engine(
            text | {"sizes": list(backends.SIZES), "capturable": capturable, "rtx": True}
        )
        stream.events.clear()
        runs = tensorrt.Runs(path, rtx, engine, stream)
        runs.prepare(4)
        assert ("capture" in stream.events) == capturable
        given_ = feeds(3)
        np.testing.assert_array_equal(
            runs.run(given_)["z"], given_["x"].sum((1, 2)) + given_["t"] + 1
        )


def test_what_cannot_be_captured_runs_without_a_graph(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx", uncapturable=True)
    with caplog.at_level(logging.WARNING):
        network = backends.load("tensorrt", path)
    assert caplog.text.count("TensorRT refuses to run: runs for") == len(backends.SIZES)
    for rows in (1, 3, 65):
        check(network, rows, rows)
    assert "launch" not in FakeStream.last.events


@pytest.mark.parametrize("kind", ["Builder", "Runtime"])
def test_where_tensorrt_does_not_work_its_own_words_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = fake_tensorrt.write(tmp_path / "net.onnx")
    trt = fake_tensorrt.module()

    def refuse(log: Any) -> Any:
        log.log(trt.ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    setattr(trt, kind, refuse)
    monkeypatch.setattr(tensorrt_builder, "import_module", {"tensorrt": trt}.__getitem__)
    message = f"TensorRT makes no {kind.lower()}: CUDA initialization failure with error: 35"
    with pytest.raises(BackendError, match=message):
        backends.load("tensorrt", path)


def test_another_architecture_is_for_rtx_alone() -> None:
    found = tensorrt_builder.library()
    assert tensorrt_builder.target(found) == Target("NVIDIA L4", "sm_89")
    rtx = Library(tensorrt_builder.RTX, None)
    assert tensorrt_builder.target(rtx) == Target("any", "sm_89")
    assert tensorrt_builder.target(rtx, "sm_75") == Target("any", "sm_75")
    with pytest.raises(BackendError, match=r"here alone, got 'sm_75': .*'\.\[tensorrt-rtx\]"):
        tensorrt_builder.target(found, "sm_75")


@given(st.integers(1, 300))
def test_batches_are_cut_and_filled_into_sizes(rows: int) -> None:
    given_ = {"a": np.arange(rows, dtype=np.float32)[:, None], "b": np.ones(rows, np.float32)}
    sizes = []

    def run(part: backends.Arrays, size: int) -> backends.Arrays:
        whole = backends.filled(part, size)
        assert {len(array) for array in whole.values()} == {size}
        sizes.append(size)
        return {"sum": whole["a"][:, 0] + whole["b"]}

    found = backends.in_sizes(run, given_)["sum"]
    np.testing.assert_array_equal(found, np.arange(1, rows + 1))
    assert set(sizes) <= set(backends.SIZES) and sizes[:-1] == [64] * (-(-rows // 64) - 1)
    assert sizes[-1] == min(size for size in backends.SIZES if size >= (rows - 1) % 64 + 1)

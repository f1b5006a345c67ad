"""TensorRT and a CUDA stream as the backend sees them, on the CPU: strict about their order.

A "network file" is JSON: {"inputs": {name: shape}, "outputs": {name: shape}}, -1 where any batch
goes. Its engine adds up each row of every input; every output is that, plus the output's place.
Work on the stream is done late, when something waits for it, as on a GPU.
"""

import ctypes
import json
from collections.abc import Callable
from enum import Enum, IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.kernels.host import HostDevice

HANDLE = 7


class FakeStream(HostDevice):
    """`engine.backends.cuda_stream.Stream`; its queue runs when waited for."""

    handle = HANDLE
    last: "FakeStream"

    def __init__(self) -> None:
        super().__init__({})
        self._queue: list[Callable[[], None]] = []
        self._captured: list[Callable[[], None]] | None = None
        self.events: list[str] = []
        FakeStream.last = self

    @property
    def capturing(self) -> bool:
        """Whether it is in a capture."""
        return self._captured is not None

    def add(self, work: Callable[[], None]) -> None:
        """Asks for something."""
        (self._queue if self._captured is None else self._captured).append(work)

    def send(self, host: Any, memory: Any) -> None:
        copy = super().send
        self.events.append("send")
        self.add(lambda: copy(host, memory))

    def wait(self) -> None:
        assert self._captured is None, "nothing may wait in a capture"
        queue, self._queue = self._queue, []
        for work in queue:
            work()

    def empty(self, nbytes: int) -> Any:
        assert self._captured is None, "nothing may be allocated in a capture"
        self.events.append("empty")
        return super().empty(nbytes)

    def fetch(self, memory: Any, nbytes: int) -> Any:
        self.wait()
        return super().fetch(memory, nbytes)

    def capture(self, step: Callable[[], None]) -> Callable[[Any], None]:
        assert not self._queue, "work is left from before the capture"
        self.events.append("capture")
        self._captured = []
        try:
            step()
        finally:
            graph, self._captured = self._captured, None

        def launch(device: Any) -> None:
            assert device is self
            self.events.append("launch")
            for work in graph:
                self.add(work)

        return launch


class Context:
    """`IExecutionContext`."""

    def __init__(self, engine: "Engine", lazy: bool) -> None:
        self._engine, self._profile, self._lazy = engine, None, lazy
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._runs = 0

    def set_optimization_profile_async(self, number: int, stream: int) -> bool:
        assert stream == HANDLE and not self._shapes, "the profile comes first"
        if number >= max(1, len(self._engine.sizes)):
            raise RuntimeError("Error in set optimization profile async.")
        self._profile = number
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self._profile is not None and not self._runs
        self._shapes[name] = shape
        sizes, wanted = self._engine.sizes, self._engine.inputs[name]
        size = sizes[self._profile] if sizes else None
        return shape == tuple(size if side == -1 else side for side in wanted)

    def infer_shapes(self) -> list[str]:
        if self._engine.unknown:
            raise RuntimeError("infer_shapes error code: -1")
        return [name for name in self._engine.inputs if name not in self._shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        rows = next(iter(self._shapes.values()))[0]
        return tuple(rows if side == -1 else side for side in self._engine.outputs[name])

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert not self._runs, "addresses are set once"
        self._addresses[name] = address
        return address % 4 == 0

    def is_stream_capturable(self, stream: int) -> bool:
        return stream == HANDLE and self._engine.capturable

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == HANDLE and not self.infer_shapes()
        assert set(self._addresses) == {*self._engine.inputs, *self._engine.outputs}
        if FakeStream.last.capturing:
            assert self._runs, "what it must still allocate would be refused"
            assert not self._lazy, "kernels that stand in for others would stay in the graph"
            if self._engine.uncapturable:
                return False
        self._runs += 1
        FakeStream.last.add(self._compute)
        return not self._engine.failing

    def _compute(self) -> None:
        sums = np.zeros(next(iter(self._shapes.values()))[0], np.float32)
        for name, shape in self._shapes.items():
            sums += self._array(name, shape).reshape(len(sums), -1).sum(1)
        for place, name in enumerate(self._engine.outputs):
            shape = self.get_tensor_shape(name)
            column = (len(sums), *[1] * (len(shape) - 1))
            self._array(name, shape)[...] = sums.reshape(column) + place

    def _array(self, name: str, shape: tuple[int, ...]) -> Any:
        count = int(np.prod(shape))
        found = (ctypes.c_float * count).from_address(self._addresses[name])
        return np.ctypeslib.as_array(found).reshape(shape)


class Engine:
    """`ICudaEngine`, of what a `Builder` wrote."""

    def __init__(self, text: dict[str, Any]) -> None:
        self.inputs = {name: tuple(shape) for name, shape in text["inputs"].items()}
        self.outputs = {name: tuple(shape) for name, shape in text["outputs"].items()}
        self.sizes = text.get("sizes", [])
        self.halves = text.get("halves", [])
        self.failing, self.full = text.get("failing", False), text.get("full", False)
        self.capturable = text.get("capturable", True)
        self.uncapturable, self.rtx = text.get("uncapturable", False), text.get("rtx", False)
        self.unknown = text.get("unknown", False)
        self.num_io_tensors = len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, at: int) -> str:
        return [*self.outputs, *self.inputs][at]

    def get_tensor_dtype(self, name: str) -> "DataType":
        return DataType.HALF if name in self.halves else DataType.FLOAT

    def get_tensor_mode(self, name: str) -> "TensorIOMode":
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {**self.inputs, **self.outputs}[name]

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(dynamic_shapes_kernel_specialization_strategy=Specialization.LAZY)

    def create_execution_context(self, settings: Any = None) -> Context | None:
        if settings is None:
            settings = self.create_runtime_config()
        strategy = settings.dynamic_shapes_kernel_specialization_strategy
        lazy = self.rtx and strategy == Specialization.LAZY
        return None if self.full else Context(self, lazy)


class Runtime:
    """`Runtime`."""

    def __init__(self, logger: Any) -> None:
        pass

    def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
        text = json.loads(data)
        return None if text.get("of") != made.version else Engine(text)


class Builder:
    """`Builder`, and `create_network`'s and `create_builder_config`'s objects."""

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def create_network(self, flags: int) -> Any:
        assert flags == 1 << DataFlag.STRONGLY_TYPED
        return SimpleNamespace(text=None, num_inputs=0)

    def create_builder_config(self) -> Any:
        profiles: list[dict[str, Any]] = []

        def add(profile: Any) -> int:
            profiles.append(profile.shapes)
            return len(profiles) - 1

        cleared: list[Any] = []
        return SimpleNamespace(
            profiles=profiles,
            add_optimization_profile=add,
            clear_flag=cleared.append,
            cleared=cleared,
            progress_monitor=None,
        )

    def create_optimization_profile(self) -> Any:
        shapes: dict[str, Any] = {}

        def set_shape(name: str, *three: tuple[int, ...]) -> None:
            if min(three[0]) < 0:
                # No ValueError, whatever the library's manual says.
                raise RuntimeError("Shape provided for min is inconsistent with other shapes.")
            shapes[name] = three

        return SimpleNamespace(shapes=shapes, set_shape=set_shape)

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        made.builds += 1
        assert config.cleared == [BuilderFlag.TF32]
        if network.text.get("unbuildable"):
            self.logger.log(ILogger.Severity.ERROR, "no kernel for it")
            return None
        if config.progress_monitor is not None:
            config.progress_monitor.phase_start("all", None, 2)
            assert config.progress_monitor.step_complete("all", 0)
            config.progress_monitor.phase_finish("all")
        sizes = []
        for profile in config.profiles:
            ((size,),) = {tuple({shape[0] for shape in three}) for three in profile.values()}
            sizes.append(size)
        return json.dumps(network.text | {"sizes": sizes, "of": made.version}).encode()


class OnnxParser:
    """`OnnxParser`."""

    def __init__(self, network: Any, logger: Any) -> None:
        self._network, self.num_errors = network, 0

    def parse(self, data: bytes) -> bool:
        try:
            text = json.loads(data)
        except ValueError:
            self.num_errors = 1
            return False
        inputs = [SimpleNamespace(name=n, shape=s) for n, s in text["inputs"].items()]
        self._network.text, self._network.num_inputs = text, len(inputs)
        self._network.get_input = inputs.__getitem__
        return True

    def get_error(self, at: int) -> Any:
        return SimpleNamespace(desc=lambda: "not a network")


class ILogger:
    """`ILogger`."""

    Severity = Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")


class IProgressMonitor:
    """`IProgressMonitor`."""


DataType = Enum("DataType", "FLOAT HALF")
TensorIOMode = Enum("TensorIOMode", "INPUT OUTPUT")
BuilderFlag = Enum("BuilderFlag", "TF32 REFIT")
Specialization = Enum("DynamicShapesKernelSpecializationStrategy", "LAZY EAGER NONE")


class DataFlag(IntEnum):
    """`NetworkDefinitionCreationFlag`."""

    STRONGLY_TYPED = 1


class Made:
    """What this library has done; set anew by each test.

    Attributes:
        version: of the library; engines of another are refused.
        builds: how many engines were built.
    """

    def __init__(self) -> None:
        self.version, self.builds = "1.2.3", 0


made = Made()


def module(version: str = "1.2.3") -> Any:
    """The library, having done nothing."""
    made.version, made.builds = version, 0
    return SimpleNamespace(
        __version__=version,
        Builder=Builder,
        BuilderFlag=BuilderFlag,
        DataType=DataType,
        DynamicShapesKernelSpecializationStrategy=Specialization,
        ILogger=ILogger,
        IProgressMonitor=IProgressMonitor,
        NetworkDefinitionCreationFlag=DataFlag,
        OnnxParser=OnnxParser,
        Runtime=Runtime,
        TensorIOMode=TensorIOMode,
    )


def write(path: Path, **more: Any) -> Path:
    """A network file of two inputs and two outputs."""
    network = {"inputs": {"x": [-1, 3, 2], "t": [-1]}, "outputs": {"y": [-1, 2], "z": [-1]}}
    path.write_text(json.dumps(network | more))
    return path

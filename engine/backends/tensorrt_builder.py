"""Compiles ONNX files by one interface: that of TensorRT 10, 11 and TensorRT for RTX."""

import atexit
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

from engine.backends import ANY, SIZES, Shape, driver, tensorrt_rtx
from engine.backends.engine_cache import Recipe, digest
from engine.errors import BackendError, install_command

RTX = "tensorrt_rtx"
_LIBRARIES = ("tensorrt", RTX)
_FLAGS = ("STRONGLY_TYPED", "no TF32")
_log = logging.getLogger(__name__)

Tell = Callable[[int, int], None]
"""Told how many steps of a build are done, and how many are known of so far."""


@dataclass(frozen=True, slots=True)
class Library:
    """What was found.

    Attributes:
        name: `tensorrt` or `tensorrt_rtx`.
        trt: the module.
    """

    name: str
    trt: Any

    @property
    def version(self) -> str:
        """Such as `11.4.0.106`."""
        return str(self.trt.__version__)


def library(*wanted: str) -> Library:
    """The first of the libraries that can be imported; of all if none is named.

    Raises:
        BackendError: none can.
    """
    refused = []
    for name in wanted or _LIBRARIES:
        try:
            return Library(name, import_module(name))
        # Their own loaders raise what they like where a shared library is missing.
        except (ImportError, OSError, RuntimeError) as error:
            refused.append(f"{name}: {error}")
    extra = "tensorrt-rtx" if wanted == (RTX,) else "tensorrt"
    raise BackendError(
        f"TensorRT cannot be imported ({'; '.join(refused)}): {install_command(extra)}"
    )


@dataclass(frozen=True, slots=True)
class Target:
    """What an engine is for.

    Attributes:
        gpu: its name, `any` for TensorRT for RTX, whose engines suit a whole architecture.
        architecture: such as `sm_89`.
    """

    gpu: str
    architecture: str


def target(found: Library, architecture: str | None = None) -> Target:
    """The GPU that is here, or an architecture that need not be: TensorRT for RTX builds for it.

    Raises:
        BackendError: there is no GPU, or the library cannot build for others.
    """
    rtx = found.name == RTX
    if architecture is None:
        gpu = driver.first_gpu()
        return Target("any" if rtx else gpu.name, gpu.architecture)
    if not rtx:
        raise BackendError(
            f"{found.name} builds for the GPU that is here alone, got {architecture!r}: "
            f"for another, {install_command('tensorrt-rtx')}"
        )
    return Target("any", architecture)


def recipe(found: Library, path: Path, wanted: Target) -> Recipe:
    """What the engine of a file depends on."""
    return Recipe(
        network=digest(path),
        library=found.name,
        version=found.version,
        flags=_FLAGS + (tensorrt_rtx.FLAGS if found.name == RTX else ()),
        sizes=SIZES,
        gpu=wanted.gpu,
        architecture=wanted.architecture,
    )


class Build:
    """One network on its way to an engine.

    Args:
        found: the library.
        path: the ONNX file, whose values' types are taken as they are.
        wanted: what for.

    Raises:
        BackendError: TensorRT refuses the file or the architecture.
    """

    def __init__(self, found: Library, path: Path, wanted: Target) -> None:
        trt = self._trt = found.trt
        self._found, self._path = found, path
        log = self._log = logger(trt)
        builder = self._builder = made("builder", log, lambda: trt.Builder(log))
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = self._network = builder.create_network(flags)
        parser = self._parser = trt.OnnxParser(network, log)
        if not parser.parse(path.read_bytes()):
            said = "; ".join(parser.get_error(at).desc() for at in range(parser.num_errors))
            raise BackendError(f"{path}: {found.name} refuses the network: {said}")
        config = self._config = builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)
        self._add_profiles()
        if found.name == RTX:
            tensorrt_rtx.aim(trt, config, wanted.architecture)

    def _add_profiles(self) -> None:
        """One for each of `SIZES`, where the file leaves the batch open."""
        network, builder, config = self._network, self._builder, self._config
        given = [network.get_input(at) for at in range(network.num_inputs)]
        shapes: dict[str, Shape] = {each.name: tuple(each.shape) for each in given}
        if all(ANY not in shape for shape in shapes.values()):
            return
        for size in SIZES:
            profile = builder.create_optimization_profile()
            try:
                for name, shape in shapes.items():
                    profile.set_shape(name, *[(size, *shape[1:])] * 3)
            except (RuntimeError, ValueError) as error:
                raise BackendError(
                    f"{self._path}: inputs are {shapes}, expected {ANY} for first sides alone"
                ) from error
            if config.add_optimization_profile(profile) < 0:
                raise BackendError(
                    f"{self._path}: {self._found.name} refuses a batch of {size}: "
                    f"{self._log.said()}"
                )

    def run(self, tell: Tell | None = None) -> bytes:
        """Compiles; takes seconds to minutes.

        Raises:
            BackendError: TensorRT fails.
        """
        config, builder = self._config, self._builder
        stopped = Event()
        config.progress_monitor = _monitor(self._trt, tell, stopped)
        engine = _beside(lambda: builder.build_serialized_network(self._network, config), stopped)
        if engine is None:
            raise BackendError(
                f"{self._path}: {self._found.name} {self._found.version} cannot build an engine: "
                f"{self._log.said() or 'it does not say why'}"
            )
        return bytes(engine)


T = TypeVar("T")


def made(what: str, log: Any, make: Callable[[], T]) -> T:
    """One of TensorRT's objects that want a GPU and a driver.

    Args:
        what: it is, for messages.
        log: see `logger`.
        make: makes it.

    Raises:
        BackendError: TensorRT makes none.
    """
    try:
        return make()
    except TypeError as error:  # its bindings say no more than that they got none
        raise BackendError(f"TensorRT makes no {what}: {log.said() or error}") from error


def logger(trt: Any) -> Any:
    """Hands TensorRT's messages to `logging`, and remembers the last errors."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            levels = trt.ILogger.Severity
            if severity in (levels.INTERNAL_ERROR, levels.ERROR):
                self._errors = [*self._errors[-2:], message]
                _log.info("TensorRT: %s", message)  # whoever fails says it in their own error
            elif severity == levels.WARNING:
                _log.info("TensorRT: %s", message)
            else:
                _log.debug("TensorRT: %s", message)

        def said(self) -> str:
            """The last errors."""
            return "; ".join(self._errors)

    return Logger()


def _beside(build: Callable[[], Any], stopped: Event) -> Any:
    """What a build gives, in a thread of its own, which ends with the waiting for it.

    TensorRT's bindings lose what Ctrl-C raises in the calls that they make; and a process that
    ends must not take Python away from under a build.
    """
    made: Future[Any] = Future()

    def run() -> None:
        try:
            made.set_result(build())
        except BaseException as error:  # noqa: BLE001 - raised where the build is waited for
            made.set_exception(error)

    thread = Thread(target=run, name="build", daemon=True)

    def end() -> None:
        stopped.set()
        thread.join()

    atexit.register(end)
    thread.start()
    try:
        return made.result()
    finally:
        end()
        atexit.unregister(end)


def _monitor(trt: Any, tell: Tell | None, stopped: Event) -> Any:
    """Tells how far a build is, and ends it at its next step once it is stopped."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._done, self._known = 0, 0

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:  # noqa: ARG002
            self._steps[phase] = steps
            self._known += steps
            self._tell()

        def step_complete(self, phase: str, step: int) -> bool:  # noqa: ARG002
            self._steps[phase] -= 1
            self._done += 1
            self._tell()
            return not stopped.is_set()

        def phase_finish(self, phase: str) -> None:
            self._done += self._steps.pop(phase, 0)
            self._tell()

        def _tell(self) -> None:
            if tell is not None:
                tell(self._done, self._known)

    return Monitor()

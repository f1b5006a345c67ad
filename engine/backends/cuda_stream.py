"""A CUDA stream of one's own, with graphs of what is done on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Protocol

from engine.errors import BackendError
from kernels.dispatch import own
from kernels.gpu import CupyDevice, Device


class Stream(Device, Protocol):
    """A device on which work can be captured."""

    def capture(self, step: Callable[[], None]) -> Callable[[Device], None]:
        """What a step asks for, as one launch on any device. The step is not carried out.

        Raises:
            BackendError: it cannot be captured.
        """


class CudaStream(CupyDevice):
    """On the first NVIDIA GPU.

    Raises:
        kernels.gpu.GpuError: CuPy is not installed, or finds no GPU.
    """

    def capture(self, step: Callable[[], None]) -> Callable[[Device], None]:
        """See `Stream.capture`; other threads may use the GPU meanwhile."""
        stream, runtime = self.stream, self.cupy.cuda.runtime
        try:
            stream.begin_capture(runtime.streamCaptureModeThreadLocal)
            try:
                step()
            except BaseException:
                # A stream left in capture refuses all work.
                with suppress(runtime.CUDARuntimeError):
                    stream.end_capture()
                raise
            graph = stream.end_capture()
        except runtime.CUDARuntimeError as error:
            raise BackendError(f"CUDA cannot capture the network: {error}") from error

        def launch(device: Device) -> None:
            graph.launch(own(device, CupyDevice).stream)

        return launch


class Turns:
    """Whose turn a network's own memory is.

    What one device still does there ends before another begins; without a device, the memory is
    used by what waits for its end itself.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: Device | None = None

    @contextmanager
    def take(self, device: Device | None = None) -> Iterator[None]:
        """The memory is this device's until it is left."""
        with self._lock:
            if self._last is not device:
                self.settle()
            self._last = device
            yield

    def settle(self) -> None:
        """Waits for what the last device does there; for whoever has taken the memory."""
        if self._last is not None:
            self._last.wait()

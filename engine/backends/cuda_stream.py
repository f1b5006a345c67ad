"""A CUDA stream of one's own, with graphs of what is done on it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from engine.errors import BackendError
from kernels.gpu import CupyDevice, Device


class Stream(Device, Protocol):
    """A device on which work can be captured.

    Attributes:
        handle: of the CUDA stream.
    """

    @property
    def handle(self) -> int:
        """See above."""

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """What a step asks for, as one launch. The step is not carried out.

        Raises:
            BackendError: it cannot be captured.
        """


class CudaStream(CupyDevice):
    """On the first NVIDIA GPU.

    Raises:
        kernels.gpu.GpuError: CuPy is not installed, or finds no GPU.
    """

    @property
    def handle(self) -> int:
        """See `Stream`."""
        return int(self.stream.ptr)

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """See `Stream.capture`; other threads may use the GPU meanwhile."""
        stream, runtime = self.stream, self.cupy.cuda.runtime
        stream.begin_capture(runtime.streamCaptureModeThreadLocal)
        try:
            step()
            graph = stream.end_capture()
        except BackendError:
            # A stream left in capture refuses all work.
            with suppress(runtime.CUDARuntimeError):
                stream.end_capture()
            raise
        except runtime.CUDARuntimeError as error:
            raise BackendError(f"CUDA cannot capture the network: {error}") from error

        def launch() -> None:
            graph.launch(stream)

        return launch

"""CUDA graphs of a stream; skipped where there is no GPU."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.backends.cuda_stream import CudaStream
from engine.errors import BackendError
from kernels.gpu import CupyDevice, Device, GpuError, Memory
from kernels.on_cuda import CudaKernels

SHAPE = (2, 3, 5)


@pytest.fixture
def stream() -> CudaStream:
    try:
        return CudaStream()
    except GpuError as error:
        pytest.skip(str(error))


def copying(stream: CudaStream, given: Memory, made: Memory, nbytes: int) -> Callable[[], None]:
    runtime = stream.cupy.cuda.runtime

    def step() -> None:
        runtime.memcpyAsync(
            made.address, given.address, nbytes, runtime.memcpyDeviceToDevice, stream.stream.ptr
        )

    return step


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_was_captured_runs_on_any_device(stream: CudaStream, elsewhere: bool) -> None:
    rows = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    device: Device = CupyDevice() if elsewhere else stream
    given, made = device.empty(rows.nbytes), device.empty(rows.nbytes)
    device.wait()
    launch = stream.capture(copying(stream, given, made, rows.nbytes))
    for factor in (1, 2):
        host = device.staging(rows.nbytes)
        host[:] = (factor * rows).reshape(-1).view(np.uint8)
        device.send(host, given)
        launch(device)
        found = device.fetch(made, rows.nbytes).view(np.float32).reshape(SHAPE)
        np.testing.assert_array_equal(found, factor * rows)


@pytest.mark.parametrize("error", [BackendError("refused"), RuntimeError("unexpected")])
def test_a_stream_whose_capture_failed_goes_on(stream: CudaStream, error: Exception) -> None:
    def step() -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        stream.capture(step)
    rows = np.arange(30, dtype=np.float32).reshape(SHAPE)
    kernels = CudaKernels(stream)
    np.testing.assert_array_equal(kernels.fetch(kernels.put(rows)), rows)

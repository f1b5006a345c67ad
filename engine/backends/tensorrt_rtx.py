"""What TensorRT for RTX alone has: engines for GPUs that are not here, and doubts about capture."""

from typing import Any

from engine.errors import BackendError


def architectures(trt: Any) -> list[str]:
    """What it builds for: `sm_75` and so on."""
    names = [name for name in dir(trt.ComputeCapability) if name.startswith("SM")]
    return sorted((name.lower().replace("sm", "sm_") for name in names), key=lambda n: int(n[3:]))


def aim(trt: Any, config: Any, architecture: str) -> None:
    """Builds for one architecture.

    Raises:
        BackendError: it is none of those that this version builds for.
    """
    if architecture not in (known := architectures(trt)):
        raise BackendError(
            f"TensorRT for RTX {trt.__version__} does not build for {architecture!r}, "
            f"expected one of {known}"
        )
    config.num_compute_capabilities = 1
    wanted = getattr(trt.ComputeCapability, architecture.replace("sm_", "SM"))
    if not config.set_compute_capability(wanted, 0):
        raise BackendError(f"TensorRT for RTX {trt.__version__} refuses {architecture!r}")


def capturable(context: Any, stream: int) -> bool:
    """Whether the next run may be captured as a CUDA graph; it may compile kernels in it."""
    return bool(context.is_stream_capturable(stream))

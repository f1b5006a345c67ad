"""What TensorRT for RTX alone has: engines for GPUs that are not here, and kernels made late."""

from typing import Any

from engine.errors import BackendError

FLAGS = ("REQUIRE_USER_ALLOCATION",)
"""Of its builder: a run never allocates, so that it may be captured as a CUDA graph."""


def architectures(trt: Any) -> list[str]:
    """What it builds for: `sm_75` and so on."""
    names = [name for name in dir(trt.ComputeCapability) if name.startswith("SM")]
    return sorted((name.lower().replace("sm", "sm_") for name in names), key=lambda n: int(n[3:]))


def aim(trt: Any, config: Any, architecture: str) -> None:
    """Builds for one architecture, with `FLAGS`.

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
    config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)


def context(trt: Any, engine: Any) -> Any:
    """An engine's context whose kernels are those for its shapes from the first run on.

    Otherwise they are compiled beside the runs, and a graph captured meanwhile keeps the slower
    ones that stand in.
    """
    settings = engine.create_runtime_config()
    settings.dynamic_shapes_kernel_specialization_strategy = (
        trt.DynamicShapesKernelSpecializationStrategy.EAGER
    )
    return engine.create_execution_context(settings)


def check_capturable(context: Any, stream: int) -> None:
    """Raises BackendError unless the next run may be captured as a CUDA graph."""
    if not context.is_stream_capturable(stream):
        raise BackendError("TensorRT for RTX cannot be captured as a CUDA graph")

"""`visavis bench kernels`: each CUDA kernel against a copy of the same bytes, on this GPU."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.report import Report
from engine.errors import BackendError, ConfigError
from kernels.cuda.guide import plane_of
from kernels.dispatch import MOST, Moved, Portrait
from kernels.eyeballs import POSE_DRIVERS, Eyeball
from kernels.gpu import CupyDevice, GpuError, Memory, Size
from kernels.guide import Line, cells_around
from kernels.look import Shown
from kernels.on_cuda import CudaKernels
from kernels.plates import Mouth
from kernels.warp_composite import Patch
from models import window

STEP_PX, DRIVERS, SCALE = 4, 22, 3.0
"""As rigs have them."""
_LAUNCHES, _REPEATS = 20, 15
_PATCH_SHARE = 0.2
"""Width of the mouth's patch over the picture's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[512, 1024],
        metavar="PX",
        help="sides of the picture, multiples of 8 (512 1024)",
    )
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=[1, 16, 64],
        metavar="N",
        help="pictures at once (1 16 64)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Measures, prints the table, writes the JSON.

    Raises:
        BackendError: there is no GPU, or no CuPy.
        ConfigError: a size or a batch is out of its range.
    """
    if wrong := [px for px in args.sizes if not 64 <= px <= 4096 or px % 8]:
        raise ConfigError(f"--sizes is {wrong[0]}, expected a multiple of 8 from 64 to 4096")
    if wrong := [n for n in args.batches if not 1 <= n <= MOST]:
        raise ConfigError(f"--batches is {wrong[0]}, expected 1 to {MOST}")
    try:
        device = _Recorder()
    except GpuError as error:
        raise BackendError(str(error)) from error
    name = device.cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    report = Report(f"kernels on {name}")
    for size_px in args.sizes:
        for batch in args.batches:
            _measure(report, device, size_px, batch)
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    return 0


class _Recorder(CupyDevice):
    """Remembers launches, and keeps the memory that they name."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[tuple[Any, ...]] = []
        self.kept: list[Memory] = []

    def empty(self, nbytes: int) -> Memory:
        memory = super().empty(nbytes)
        self.kept.append(memory)
        return memory

    def pair(self, nbytes: int) -> tuple[npt.NDArray[np.uint8], Memory]:
        host, memory = super().pair(nbytes)
        self.kept.append(memory)
        return host, memory

    def launch(self, source: str, kernel: str, grid: Size, block: Size, *given: Any) -> None:
        self.launches.append((source, kernel, grid, block, *given))
        super().launch(source, kernel, grid, block, *given)

    def forget(self) -> None:
        self.launches, self.kept = [], []

    def again(self, source: str) -> Callable[[], None]:
        """What launches all recorded kernels of a source once more."""
        recorded = [launch for launch in self.launches if launch[0] == source]

        def launch() -> None:
            for each in recorded:
                CupyDevice.launch(self, *each)

        return launch

    def copy(self, nbytes: int) -> Callable[[], None]:
        """What moves so many bytes, half of them read, half written."""
        half = max(nbytes // 2, 1)
        given, made = self.empty(half), self.empty(half)
        runtime = self.cupy.cuda.runtime
        return lambda: runtime.memcpyAsync(
            made.address, given.address, half, runtime.memcpyDeviceToDevice, self.stream.ptr
        )

    def took_ms(self, work: Callable[[], None]) -> float:
        """Median of the time that it takes, launched in a graph: Python is not timed."""
        work()
        self.stream.synchronize()
        with self.stream:
            self.stream.begin_capture()
            for _ in range(_LAUNCHES):
                work()
            graph = self.stream.end_capture()
            each = []
            for _ in range(_REPEATS):
                begun, ended = self.cupy.cuda.Event(), self.cupy.cuda.Event()
                begun.record(self.stream)
                graph.launch(self.stream)
                ended.record(self.stream)
                ended.synchronize()
                each.append(self.cupy.cuda.get_elapsed_time(begun, ended) / _LAUNCHES)
        return float(np.median(each[1:]))


def _measure(report: Report, device: _Recorder, size_px: int, batch: int) -> None:
    kernels = CudaKernels(device)
    moved, patches = _batch(kernels, size_px, batch)
    room = np.random.default_rng(1).integers(0, 256, (size_px, size_px, 3), np.uint8)
    behind = [kernels.backdrop(room) for _ in range(batch)]
    whole_ms = []
    for _ in range(_REPEATS):
        device.forget()
        begun = time.perf_counter()
        kernels.pictures(kernels.guide(moved), patches, behind)
        whole_ms.append(1e3 * (time.perf_counter() - begun))
    rgb = np.zeros((batch, size_px, size_px, 3), np.uint8)
    kernels.i420(rgb)
    for source, nbytes in _traffic(size_px, patches).items():
        _compare(report, device, f"{size_px} px, {batch:2}", source, nbytes)
    median = float(np.median(whole_ms[1:]))
    report.row(f"{size_px} px, {batch:2}: all, in and out of host memory", ms=median)
    device.forget()
    _overlays(kernels, moved, size_px)
    for source in ("eyeballs.cu", "plates.cu"):
        took_ms = device.took_ms(device.again(source))
        report.row(f"{size_px} px, {batch:2}: {source.removesuffix('.cu')}", ms=took_ms)
    device.forget()
    _look(kernels, moved, size_px)
    for source, nbytes in _window_traffic(batch).items():
        _compare(report, device, f"window, {batch:2}", source, nbytes)


def _compare(report: Report, device: _Recorder, name: str, source: str, nbytes: int) -> None:
    """A kernel's recorded launches beside a copy of as many bytes."""
    took_ms = device.took_ms(device.again(source))
    copied_ms = device.took_ms(device.copy(nbytes))
    report.row(
        f"{name}: {source.removesuffix('.cu')}",
        ms=took_ms,
        gb_per_s=nbytes / took_ms / 1e6,
        copy_ms=copied_ms,
        copy_gb_per_s=nbytes / copied_ms / 1e6,
    )


def _overlays(kernels: CudaKernels, moved: list[Moved], size_px: int) -> None:
    """Two eyeballs and a wide open mouth of each picture: they compute more than they move."""
    eyes = []
    for across in (0.41, 0.59):
        rim, corner, size = _opening(size_px, (across, 0.4), 9, (0.09, 0.04))
        middle = across * size_px, 0.4 * size_px
        eyes.append(Eyeball(corner, size, rim, middle, 0.015 * size_px, (2.0, 1.0), 1.0))
    rim, corner, size = _opening(size_px, (0.5, 0.65), 41, (0.16, 0.08))
    pictures = [np.ones((round(0.1 * size_px), size[0], 4), np.float32)] * 3
    placements = np.repeat(np.array([[[1.0, 0.1, corner[0]], [-0.1, 1.0, corner[1]]]]), 3, axis=0)
    mouth = Mouth(corner, size, rim, placements, 0.015 * size_px, 1.0, 1.0)
    kernels.eyeballs(kernels.guide(moved), [eyes] * len(moved))
    kernels.mouths([kernels.plates(pictures)] * len(moved), [mouth] * len(moved))


def _opening(
    size_px: int, at: tuple[float, float], points: int, size: tuple[float, float]
) -> tuple[npt.NDArray[np.float32], tuple[int, int], tuple[int, int]]:
    """An opening of some share of the picture: its rim, its window's corner and size."""
    along = np.linspace(-1, 1, points)
    arc = size[1] / 2 * (1 - along**2)
    halves = [np.stack([along * size[0] / 2, by * arc], axis=-1) for by in (-1, 1)]
    rim = (np.concatenate([halves[0], halves[1][::-1]]) + at) * size_px
    left, top = (int(low) - 4 for low in rim.min(0))
    wide, high = (int(high) + 4 - low for high, low in zip(rim.max(0), (left, top), strict=True))
    return rim.astype(np.float32), (left, top), (wide, high)


def _look(kernels: CudaKernels, moved: list[Moved], size_px: int) -> None:
    """The render network's window of each picture, what becomes of it, and a copy of its input."""
    size = window.WIDE_PX, window.HIGH_PX
    outline = np.array([[0.2, 0.5], [0.5, 0.35], [0.8, 0.5], [0.5, 0.7]]) * size
    corner = (size_px - size[0]) // 2, (size_px - size[1]) // 2
    shown = Shown(corner, outline.astype(np.float32), 3, 3.0, np.ones(3, np.float32))
    asked = [shown] * len(moved)
    looks = kernels.look(
        kernels.guide(moved), [[]] * len(moved), asked, size, kernels.put(window.frame()[None])
    )
    kernels.painted(looks, looks.guide)
    kernels.fetch(looks.guide)


def _batch(kernels: CudaKernels, size_px: int, batch: int) -> tuple[list[Moved], list[list[Patch]]]:
    """Faces that each have a portrait of their own, cut out, a mouth's patch and three lines."""
    rng = np.random.default_rng(0)
    side = size_px // STEP_PX
    # Reach falls off smoothly, as a rig's does; what is read costs the same whatever it is.
    axis = np.linspace(-2, 2, side, dtype=np.float32)
    bell = np.exp(-(axis[:, None] ** 2) - axis**2)[..., None]
    upper = (bell * rng.uniform(0.2, 1, DRIVERS)).astype(np.float32)
    source_px = round(size_px * SCALE)
    source = rng.integers(0, 256, (source_px, source_px, 3), np.uint8)
    alpha = rng.integers(0, 256, (source_px, source_px), np.uint8)
    head = np.repeat(bell, POSE_DRIVERS, axis=2)
    portrait = Portrait(source, SCALE, STEP_PX, upper, 0.9 * upper, alpha, head)
    lines = []
    for height, left, right in ((0.62, 0.42, 0.58), (0.4, 0.36, 0.45), (0.4, 0.55, 0.64)):
        x = np.linspace(left, right, 11) * size_px
        points = np.stack([x, np.full(11, height * size_px)], axis=-1).astype(np.float32)
        cells = cells_around(points, (16.0, 16.0), STEP_PX, side)
        eye = height < 0.5
        lines.append(Line(points, cells, cells if eye else (0, 0, 0, 0), 30.0 if eye else None))
    wide = round(_PATCH_SHARE * size_px)
    patch = Patch(
        round(0.4 * size_px),
        round(0.5 * size_px),
        rng.integers(0, 256, (wide, wide, 3), np.uint8),
        np.full((wide, wide), 200, np.uint8),
    )
    moved = [
        Moved(
            kernels.prepare(portrait),
            rng.normal(0, 0.5, (DRIVERS, 2)).astype(np.float32),
            lines,
        )
        for _ in range(batch)
    ]
    return moved, [[patch]] * batch


def _window_traffic(batch: int) -> dict[str, int]:
    """The same for the render network's windows."""
    area = window.WIDE_PX * window.HIGH_PX
    colours, plane = 3 * area, 4 * area
    return {
        # window in, guide and region out; window, where it may paint, guide and picture in, window
        # out
        "look.cu": batch * (3 * colours + plane * (3 + 1 + 1 + 3 + 3)),
        "rows.cu": batch * 2 * 3 * plane,
    }


def _traffic(size_px: int, patches: list[list[Patch]]) -> dict[str, int]:
    """Bytes that a batch has to read and write at least, by source."""
    area, batch = size_px * size_px, len(patches)
    field = 8 * plane_of(size_px // STEP_PX)
    over = sum(4 * patch.alpha.size for each in patches for patch in each)
    # Two rows of samples in every SCALE are touched, of those each sector.
    source = round(4 * (size_px * SCALE) ** 2 * min(1.0, 2 / SCALE))
    return {
        # reach of the drivers in; two forward fields out and in; three flows out
        "guide.cu": batch * field * (DRIVERS + 2 * 2 + 3),
        # the portrait, the flow and what is behind in; planes out
        "warp_composite.cu": batch * (source + field + 4 * area + area * 3 // 2) + over,
        "rgb_to_i420.cu": batch * (3 * area + area * 3 // 2),
    }

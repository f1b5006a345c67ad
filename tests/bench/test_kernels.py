from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench import kernels as bench
from engine.cli import main
from kernels import gpu
from kernels.on_cuda import CudaKernels
from tests.kernels.devices import ORDERS, device


def test_without_cupy_it_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(gpu, "import_module", refuse)
    assert main(["bench", "kernels"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert ".venv/bin/pip install -e '.[gpu]'" in said.err


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--sizes", "500"], "--sizes is 500, expected a multiple of 8 from 64 to 4096"),
        (["--batches", "0"], "--batches is 0, expected 1 to 1024"),
    ],
)
def test_flags_out_of_range_are_named(
    flags: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "kernels", *flags]) == 2
    assert named in capsys.readouterr().err


def test_what_is_measured_is_a_picture_that_moves() -> None:
    kernels = CudaKernels(device(ORDERS[0]))
    moved, patches = bench._batch(kernels, 128, 2)
    assert moved[0].face is not moved[1].face
    first, second = (made.i420 for made in kernels.pictures(kernels.guide(moved), patches))
    assert np.abs(first.astype(int) - second).mean() > 1


def test_eyeballs_and_plates_are_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    on = device(ORDERS[0])
    launched, usual = [], on.launch

    def launch(source: str, *given: Any) -> None:
        launched.append(source)
        usual(source, *given)

    monkeypatch.setattr(on, "launch", launch)
    kernels = CudaKernels(on)
    bench._overlays(kernels, bench._batch(kernels, 128, 2)[0], 128)
    assert launched[-2:] == ["eyeballs.cu", "plates.cu"]


def test_a_copy_of_no_more_than_the_kernel_touches() -> None:
    traffic = bench._traffic(512, [[]])
    assert traffic["rgb_to_i420.cu"] == 512 * 512 * 9 // 2
    # Two rows in three of a source of 1536 px and a background of 512 px, in words of 4 bytes, and
    # planes out, are most of what a warp touches.
    least = 4 * (1536 * 1024 + 512**2) + 512 * 512 * 3 // 2
    assert 0.9 < least / traffic["warp_composite.cu"] < 1
    twice = bench._traffic(512, [[], []])
    assert all(twice[source] == 2 * nbytes for source, nbytes in traffic.items())

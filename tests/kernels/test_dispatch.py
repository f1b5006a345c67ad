import importlib
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from kernels import dispatch, gpu
from kernels.dispatch import Kernels, Moved
from kernels.guide import Line
from kernels.on_cpu import CpuKernels
from kernels.on_cuda import CudaKernels
from kernels.warp_composite import Patch
from tests.kernels.devices import ORDERS, device
from tests.kernels.overlays import eyes, mouth, plates
from tests.kernels.portraits import drivers, headed, lines, moved, portrait, room


def kernels_of(name: str) -> Kernels:
    return CpuKernels() if name == "cpu" else CudaKernels(device(ORDERS[0]))


both = pytest.mark.parametrize("name", ["cpu", "cuda"])


def test_unknown_kernels_are_named() -> None:
    with pytest.raises(ValueError, match="'npu' are unknown, expected 'cpu' or 'cuda'"):
        dispatch.load("npu")


def test_without_cupy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(gpu, "import_module", refuse)
    with pytest.raises(gpu.GpuError, match=r"'cupy'.*pip install -e '\.\[gpu\]'"):
        dispatch.load("cuda")


def test_without_a_gpu_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = ModuleType("cupy")
    blind.is_available = lambda: False  # type: ignore[attr-defined]
    monkeypatch.setattr(gpu, "import_module", lambda name: blind)
    with pytest.raises(gpu.GpuError, match="finds no NVIDIA GPU"):
        dispatch.load("cuda")


def test_importing_the_kernels_needs_no_cupy() -> None:
    for name in ("kernels.gpu", "kernels.on_cuda", "kernels.cuda.guide"):
        assert "cupy" not in vars(importlib.import_module(name))


@both
def test_batches_that_do_not_fit_are_refused(name: str) -> None:
    kernels = kernels_of(name)
    one, other = portrait(0, 64), portrait(0, 72)
    fine = moved(kernels, one, 1)
    with pytest.raises(ValueError, match="0 pictures, expected 1 to 1024"):
        kernels.guide([])
    with pytest.raises(ValueError, match=r"\(18, 18, 7\) every 4 px and of \(16, 16, 7\)"):
        kernels.guide([fine, moved(kernels, other, 1)])
    with pytest.raises(ValueError, match=r"drivers is \(3, 2\) float32, expected \(7, 2\)"):
        kernels.guide([replace(fine, drivers=drivers(0)[:3])])
    with pytest.raises(ValueError, match="drivers is .* float64"):
        kernels.guide([replace(fine, drivers=drivers(0).astype(np.float64))])
    points = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match=r"cells \(0, 1, 3, 3\), expected 1 to 15"):
        kernels.guide([replace(fine, lines=[Line(points, (0, 1, 3, 3))])])


@both
def test_patches_and_windows_that_do_not_fit_are_refused(name: str) -> None:
    kernels = kernels_of(name)
    guides = kernels.guide([moved(kernels, portrait(0, 64), 1)])
    with pytest.raises(ValueError, match="for 2 pictures, expected 1"):
        kernels.pictures(guides, [[], []])
    torn = Patch(0, 0, np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"alpha is \(4, 5\) uint8, expected \(4, 4\)"):
        kernels.pictures(guides, [[torn]])
    with pytest.raises(ValueError, match=r"\(30, 8\) at \(40, 0\) is not inside 64 px"):
        kernels.windows(guides, [[]], [(40, 0)], (30, 8))


@both
def test_backdrops_and_alpha_that_do_not_fit_are_refused(name: str) -> None:
    kernels = kernels_of(name)
    whole = kernels.guide([moved(kernels, portrait(0, 64), 1)])
    cut = kernels.guide([moved(kernels, portrait(0, 64, cut=True), 1)])
    fine, large = kernels.backdrop(room(0, 64)), kernels.backdrop(room(0, 72))
    with pytest.raises(ValueError, match="but the portrait has no alpha"):
        kernels.pictures(whole, [[]], [fine])
    with pytest.raises(ValueError, match="but the portrait has no alpha"):
        kernels.pictures(whole, [[]], transparent=[True])
    with pytest.raises(ValueError, match="a backdrop has 72 px, expected 64"):
        kernels.windows(cut, [[]], [(0, 0)], (8, 8), [large])
    with pytest.raises(ValueError, match="to be transparent, but has a backdrop"):
        kernels.pictures(cut, [[]], [fine], [True])
    with pytest.raises(ValueError, match="backdrops are given for 0 pictures, expected 1"):
        kernels.pictures(cut, [[]], [])
    with pytest.raises(ValueError, match="transparent are given for 2 pictures, expected 1"):
        kernels.pictures(cut, [[]], transparent=[True, False])
    with pytest.raises(ValueError, match=r"a backdrop is \(8, 6, 3\) uint8, expected"):
        kernels.backdrop(np.zeros((8, 6, 3), np.uint8))
    with pytest.raises(ValueError, match=r"alpha is \(3, 3\) uint8, expected \(96, 96\)"):
        replace(portrait(0, 64), alpha=np.zeros((3, 3), np.uint8))


@both
def test_what_other_kernels_made_is_refused(name: str) -> None:
    kernels, others = kernels_of(name), kernels_of("cuda" if name == "cpu" else "cpu")
    foreign = moved(others, portrait(0, 64), 1)
    with pytest.raises(ValueError, match=r"on_\w+ made what is given, expected kernels\.\w*on_"):
        kernels.guide([foreign])
    with pytest.raises(ValueError, match=r"made what is given, expected kernels\.\w*on_"):
        kernels.pictures(others.guide([foreign]), [[]])
    cut = kernels.guide([moved(kernels, portrait(0, 64, cut=True), 1)])
    with pytest.raises(ValueError, match=r"made what is given, expected kernels\.\w*on_"):
        kernels.pictures(cut, [[]], [others.backdrop(room(0, 64))])


@both
def test_eyes_and_mouths_that_do_not_fit_are_refused(name: str) -> None:
    kernels, others = kernels_of(name), kernels_of("cuda" if name == "cpu" else "cpu")
    guides = kernels.guide([moved(kernels, headed(0, 64), 1)])
    (eye, _), seen = eyes(0, 64), mouth(0, 64)
    with pytest.raises(ValueError, match="eyes are given for 2 pictures, expected 1"):
        kernels.eyeballs(guides, [[], []])
    with pytest.raises(ValueError, match="asked for, but the portrait has no head"):
        kernels.eyeballs(kernels.guide([moved(kernels, portrait(0, 64), 1)]), [[eye]])
    with pytest.raises(ValueError, match=r"at \(60, 0\) is not inside 64 px"):
        kernels.eyeballs(guides, [[replace(eye, corner=(60, 0))]])
    with pytest.raises(ValueError, match=r"head is \(4, 4, 4\) float32, expected \(16, 16, 4\)"):
        replace(portrait(0, 64), head=np.zeros((4, 4, 4), np.float32))
    kept = kernels.plates(plates(0))
    with pytest.raises(ValueError, match="1 sets of plates and 2 mouths"):
        kernels.mouths([kept], [seen, None])
    with pytest.raises(ValueError, match="2 placements, expected 1"):
        kernels.mouths([kernels.plates(plates(0)[:1])], [seen])
    with pytest.raises(ValueError, match=r"a plate is \(2, 2, 3\) float32"):
        kernels.plates([np.zeros((2, 2, 3), np.float32)])
    with pytest.raises(ValueError, match=r"a plate is \(0, 2, 4\), expected pixels"):
        kernels.plates([np.zeros((0, 2, 4), np.float32)])
    with pytest.raises(ValueError, match=r"made what is given, expected kernels\.\w*on_"):
        kernels.mouths([others.plates(plates(0))], [seen])


def test_eyes_and_mouths_that_are_none_are_refused() -> None:
    (eye, _), seen = eyes(0, 64), mouth(0, 64)
    for one in (eye, seen):
        with pytest.raises(ValueError, match=r"a rim is \(3, 2\), expected \(2 K, 2\)"):
            replace(one, rim=one.rim[:3])
        with pytest.raises(ValueError, match="a rim is float64, expected float32"):
            replace(one, rim=one.rim.astype(np.float64))
        with pytest.raises(ValueError, match=r"size is \(0, 5\), expected at least \(1, 1\)"):
            replace(one, size=(0, 5))
    with pytest.raises(ValueError, match="radius_px is 0.0, expected over 0"):
        replace(eye, radius_px=0.0)
    with pytest.raises(ValueError, match=r"placements are \(2, 6\), expected \(P, 2, 3\)"):
        replace(seen, placements=seen.placements.reshape(2, 6))
    with pytest.raises(ValueError, match="deep_px is 0.0, expected over 0"):
        replace(seen, deep_px=0.0)
    with pytest.raises(ValueError, match=r"tint is \(2,\) float32, expected \(3,\) float32"):
        replace(seen, tint=np.ones(2, np.float32))


def test_both_paths_draw_nearly_the_same() -> None:
    drawn = []
    for name in ("cpu", "cuda"):
        kernels = kernels_of(name)
        guides = kernels.guide(
            [
                Moved(kernels.prepare(portrait(i, 96, cut=True)), drivers(i, 96), lines(i, 96))
                for i in range(2)
            ]
        )
        far = [kernels.backdrop(room(0, 96)), None]
        made = kernels.pictures(guides, [[], []], far, [False, True])
        assert made[0].alpha is None
        planes = [*(each.i420 for each in made), made[1].alpha]
        drawn.append(np.concatenate(planes).astype(int))
    assert np.abs(drawn[0] - drawn[1]).mean() < 1.0

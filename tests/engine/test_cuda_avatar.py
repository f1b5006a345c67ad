"""The kernels on a built-in avatar, both ways that they run; needs no media libraries."""

from collections.abc import Iterator

import numpy as np
import pytest

from engine import avatar as avatars
from engine import backends
from engine.backends import tensorrt_builder
from engine.composite import Batch, face_of, room_of
from engine.errors import BackendError
from engine.frames import EMBEDDING, Motion, Pose
from engine.mouth import MouthPainter
from engine.paint import NetworkPainter, RenderNetwork, paint
from engine.render import Guided, guide
from engine.rig import Rig, build
from kernels import dispatch
from kernels.dispatch import Kernels, Planes
from kernels.on_cuda import CudaKernels
from models import facemodel, weights, window
from models import topology as topo
from tests.kernels.devices import GPU, device, everywhere
from tests.kernels.networks import Bounded

SIZE = 512
_LIPS = np.concatenate([topo.UPPER_LIP, topo.LOWER_LIP, topo.OUTER_MOUTH_CORNERS])
_LIDS = [np.concatenate(pair) for pair in zip(topo.UPPER_LIDS, topo.LOWER_LIDS, strict=True)]
BACKGROUNDS = ["still", "transparent", "#20c0fe", "blur"]


@pytest.fixture(scope="module")
def rig() -> Rig:
    return build(avatars.find(avatars.names()[0]), SIZE, facemodel.load())


def guided(rig: Rig) -> Iterator[Guided]:
    rng = np.random.default_rng(0)
    for number in range(4):
        code = (0.03 * rng.standard_normal(len(rig.opening))).astype(np.float32)
        pose = Pose(*0.12 * rng.standard_normal(3), *0.03 * rng.standard_normal(2), 1.02)
        lids, heard = 0.3 * number, rng.standard_normal(EMBEDDING).astype(np.float32)
        yield guide(rig, Motion(number, code, pose, (lids, lids), (0.1, 0.0), 0.02, heard))


def drawn(kernels: Kernels, rig: Rig, painter: MouthPainter | NetworkPainter) -> list[Planes]:
    batch = Batch(kernels, list(guided(rig)))
    return batch.planes(paint(batch, [painter] * len(BACKGROUNDS)), BACKGROUNDS)


def rims(drawn_of: Guided) -> np.ndarray:
    """Where in I420 a picture has rims of eyes and lips, with a margin: (H * 3 // 2, W) bool."""
    near = np.zeros((SIZE, SIZE), bool)
    for outline in (_LIPS, *_LIDS):
        points = drawn_of.landmarks[outline]
        (left, top), (right, bottom) = points.min(0).astype(int) - 6, points.max(0).astype(int) + 7
        near[max(top, 0) : bottom, max(left, 0) : right] = True
    colours = near[::2, ::2].reshape(-1)
    return np.concatenate([near.reshape(-1), colours, colours]).reshape(SIZE * 3 // 2, SIZE)


def check(found: list[Planes], expected: list[Planes], rig: Rig) -> None:
    """OpenCV samples fields at 32nds of a cell: a level or two where the portrait has edges.

    Rims of eyes and lips alone, which kernels draw otherwise, may differ by more.
    """
    for one, other, seen in zip(found, expected, guided(rig), strict=True):
        apart, near = np.abs(one.i420.astype(int) - other.i420), rims(seen)
        assert 0.005 < near.mean() < 0.08
        assert apart.mean() < 0.02 and np.quantile(apart, 0.9999) <= 8
        assert np.quantile(apart[~near], 0.9999) <= 2


@everywhere
@pytest.mark.parametrize("steps", [0, 1])
def test_a_talking_avatar_is_as_the_cpu_draws_it(
    name: str, steps: int, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels, usual = CudaKernels(device(name)), dispatch.load("cpu")
    monkeypatch.setattr(dispatch, "load", lambda name: kernels if name == "cuda" else usual)
    painter = NetworkPainter(rig, steps, RenderNetwork("openvino")) if steps else MouthPainter(rig)
    found, expected = drawn(kernels, rig, painter), drawn(usual, rig, painter)
    assert [planes.alpha is not None for planes in found] == [False, True, False, False]
    check(found, expected, rig)
    alpha = np.abs(found[1].alpha.astype(int) - expected[1].alpha)
    assert alpha.mean() < 0.02 and np.quantile(alpha, 0.9999) <= 2


@everywhere
@pytest.mark.parametrize("steps", [1, 2])
def test_a_network_on_the_device_paints_what_one_on_the_host_paints(
    name: str, steps: int, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes back to the host between kernels and network; batches beyond its memory."""
    kernels = CudaKernels(device(name))
    monkeypatch.setattr(dispatch, "load", lambda name: kernels)
    network = RenderNetwork("openvino")
    painter = NetworkPainter(rig, steps, network)
    expected = drawn(kernels, rig, painter)
    path = weights.path(weights.PAINTER)
    usual = backends.load("openvino", path, precision="fastest", batch=backends.ANY)
    size = window.HIGH_PX, window.WIDE_PX
    there = Bounded(usual, {"picture": (3, *size)}, 3)
    monkeypatch.setattr(network, "_network", there)
    found = drawn(kernels, rig, painter)
    assert there.bounds == steps * [3, 1]
    for one, other in zip(found, expected, strict=True):
        # Batches may run in other kinds of number than one alone.
        assert np.abs(one.i420.astype(int) - other.i420).max() <= 8


@pytest.mark.parametrize("backend", ["torch", "tensorrt"])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_gpu_draws_what_the_cpu_draws(
    backend: str, steps: int, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels, usual = CudaKernels(device(GPU)), dispatch.load("cpu")
    if backend == "torch":
        pytest.importorskip("torch", reason="the torch extra is not installed")
    else:
        try:
            tensorrt_builder.library()
        except BackendError as error:
            pytest.skip(str(error))
    network = RenderNetwork(backend)
    monkeypatch.setattr(dispatch, "load", lambda name: kernels if name == "cuda" else usual)
    monkeypatch.setattr(backends, "beside", lambda name: "onnxruntime")
    found = drawn(kernels, rig, NetworkPainter(rig, steps, network))
    expected = drawn(usual, rig, NetworkPainter(rig, steps, RenderNetwork("onnxruntime")))
    check(found, expected, rig)


def test_faces_and_backgrounds_are_taken_in_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    usual = dispatch.load("cpu")

    def load(name: str) -> Kernels:
        loaded.append(name)
        return usual

    monkeypatch.setattr(dispatch, "load", load)
    other = build(avatars.find(avatars.names()[1]), 256, facemodel.load())
    assert face_of(other, "cpu") is face_of(other, "cpu")
    assert room_of(other, "blur", "cpu") is room_of(other, "blur", "cpu")
    assert room_of(other, "blur", "cpu") is not room_of(other, "still", "cpu")
    assert loaded == ["cpu"] * 3

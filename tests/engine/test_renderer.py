"""Scenes drawn together are as they are drawn alone."""

import gc
import importlib
import shutil
import weakref
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import avatar as avatars
from engine.avatar import Avatar
from engine.composite import Planes, face_of
from engine.config import EngineConfig
from engine.errors import BackendError, ConfigError
from engine.frames import EMBEDDING, Motion, Pose
from engine.metrics import StageTimes
from engine.pipeline import Pipeline
from engine.renderer import Renderer, Scene, rig_of
from kernels import dispatch, gpu
from kernels.dispatch import Kernels
from kernels.on_cuda import CudaKernels
from models import facemodel, weights
from tests.engine.faces import plain_avatar
from tests.kernels.devices import GPU, ORDERS, device

CODES = facemodel.load().size
AVATARS = [avatars.find(name) for name in avatars.names()[:2]] + [plain_avatar()]
BACKGROUNDS = ["still", "blur", "#20c0fe", "transparent"]
SIZES = [256, 192]


def motion(seed: int) -> Motion:
    rng = np.random.default_rng(seed)
    code = (0.1 * rng.standard_normal(CODES)).astype(np.float32)
    code[0] += rng.uniform(0, 1.5)
    pose = Pose(*0.1 * rng.standard_normal(3), *0.1 * rng.standard_normal(2), 1.01)
    gaze, lids = tuple(0.1 * rng.standard_normal(2)), tuple(rng.uniform(0, 1, 2))
    heard = rng.standard_normal(EMBEDDING).astype(np.float32)
    return Motion(seed, code, pose, lids, gaze, 0.01, heard, 0.2)


def same(one: Planes, other: Planes) -> bool:
    if (one.alpha is None) != (other.alpha is None):
        return False
    alike = one.alpha is None or np.array_equal(one.alpha, other.alpha)
    return alike and np.array_equal(one.i420, other.i420)


scenes = st.builds(
    Scene,
    st.sampled_from(AVATARS),
    st.sampled_from(SIZES),
    st.sampled_from(BACKGROUNDS),
    st.just("openvino"),
    st.sampled_from([0, 1, 2]),
)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batch=st.lists(st.tuples(scenes, st.integers(0, 50)), max_size=6))
def test_a_batch_is_its_pictures_one_by_one(
    batch: list[tuple[Scene, int]], renderer: Renderer
) -> None:
    """Avatars, sizes, backgrounds and steps mixed; results in the order asked for."""
    asked = [(scene, motion(seed)) for scene, seed in batch]
    together = renderer.render(asked)
    assert len(together) == len(asked)
    for one, picture in zip(asked, together, strict=True):
        side = one[0].size_px
        assert picture.i420.shape == (side * 3 // 2, side)
        assert (picture.alpha is not None) == (one[0].background == "transparent")
        (alone,) = renderer.render([one])
        assert same(alone, picture)


def test_an_empty_batch_is_no_picture() -> None:
    assert Renderer().render([]) == []


def test_another_renderer_draws_the_same(renderer: Renderer) -> None:
    asked = [(Scene(AVATARS[0], 256, "blur", "openvino", 1), motion(3))]
    assert same(*renderer.render(asked), *Renderer().render(asked))


def test_a_batch_counts_once_for_each_size() -> None:
    timings = StageTimes()
    scene = Scene(AVATARS[2], 256, "still", "openvino", 0)
    other = Scene(AVATARS[2], 192, "still", "openvino", 0)
    Renderer(timings).render([(scene, motion(1)), (other, motion(2)), (scene, motion(3))])
    counts = {name: stage["count"] for name, stage in timings.summary().items()}
    assert counts == {"render": 2, "composite": 2}


class AnyBatch:
    """The render network as a file that takes any batch: each picture of it run alone."""

    def __init__(self, network: object) -> None:
        self._network = network
        self.inputs = {name: (-1, *shape[1:]) for name, shape in network.inputs.items()}
        self.outputs = network.outputs
        self.batches: list[int] = []

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(feeds["noisy"])
        assert {len(array) for array in feeds.values()} == {count}
        self.batches.append(count)
        each = [
            self._network.run({name: array[i : i + 1] for name, array in feeds.items()})
            for i in range(count)
        ]
        return {name: np.concatenate([one[name] for one in each]) for name in self.outputs}


def test_a_network_that_takes_any_batch_runs_once_for_all_of_as_many_steps() -> None:
    renderer = Renderer()
    asked = [
        (Scene(AVATARS[i % 3], 256, BACKGROUNDS[i % 4], "openvino", steps), motion(i))
        for i, steps in enumerate([1, 1, 2, 0, 1])
    ]
    expected = renderer.render(asked)
    (painter,) = renderer._networks.values()
    painter._network = network = AnyBatch(painter._network)
    found = renderer.render(asked)
    assert network.batches == [3, 1, 1]
    assert all(same(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", [ORDERS[0], GPU])
def test_on_cuda_kernels_a_batch_is_its_pictures_one_by_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, loaded, where = dispatch.load, [], device(name)

    def load(asked: str) -> Kernels:
        loaded.append(asked)
        return CudaKernels(where) if asked == "cuda" else usual(asked)

    monkeypatch.setattr(dispatch, "load", load)
    fresh = [avatars.find(name) for name in avatars.names()[:2]]
    asked = [
        (Scene(fresh[i % 2], 256, BACKGROUNDS[i], "openvino", i % 3, kernels), motion(i))
        for i, kernels in enumerate(["cuda", "cuda", "cpu", "cuda"])
    ]
    renderer = Renderer()
    together = renderer.render(asked)
    assert "cuda" in loaded
    before = len(loaded)
    for one, picture in zip(asked, together, strict=True):
        assert same(*renderer.render([one]), picture)
        (by_cpu,) = renderer.render([(Scene(*_fields(one[0])[:5]), one[1])])
        assert np.abs(picture.i420.astype(int) - by_cpu.i420).mean() < 0.05
    assert "cuda" not in loaded[before:], "portraits and backdrops are taken in once"


def test_what_was_drawn_for_an_avatar_goes_with_it() -> None:
    """A removed person's picture must not stay in memory, even while others are drawn."""
    renderer, gone = Renderer(), plain_avatar("gone")
    renderer.render([(Scene(gone, 128, "blur", "openvino", 1), motion(1))])
    rig = rig_of(gone, 128)
    kept = [weakref.ref(x) for x in (gone, rig, rig.source, rig.behind)]
    assert face_of(rig, "cpu").portrait.source is rig.source
    del gone, rig
    gc.collect()
    assert [ref() for ref in kept] == [None] * 4
    renderer.render([(Scene(AVATARS[0], 256, "still", "openvino", 1), motion(1))])


def _fields(scene: Scene) -> list[object]:
    return [getattr(scene, name) for name in Scene.__slots__]


def test_cuda_without_cupy_is_said_when_a_scene_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        if name == "cupy":
            raise ModuleNotFoundError("No module named 'cupy'", name=name)
        return importlib.import_module(name)

    monkeypatch.setattr(gpu, "import_module", refuse)
    config = EngineConfig(kernels="cuda")
    with pytest.raises(BackendError, match=r"'cupy'.*pip install -e '\.\[gpu\]'"):
        Renderer().open(Scene.of(AVATARS[0], config))
    with pytest.raises(BackendError, match="CUDA kernels need CuPy"):
        Pipeline(AVATARS[0], config)


def test_a_setting_says_what_draws() -> None:
    config = EngineConfig(kernels="cuda")
    assert Scene.of(AVATARS[0], config).kernels == "cuda"
    assert Scene.of(AVATARS[0], EngineConfig()).kernels == "cpu"
    with pytest.raises(ConfigError, match=r"kernels is 'npu', expected one of \['cpu', 'cuda'\]"):
        EngineConfig(kernels="npu")


def test_a_background_that_cannot_be_had_is_said_when_a_scene_is_opened() -> None:
    avatar: Avatar = AVATARS[0]
    with pytest.raises(ConfigError, match="no such file"):
        Renderer().open(Scene(avatar, 256, "gone.png", "openvino", 0))


def test_another_network_may_paint(tmp_path):
    talks = motion(3)
    for name in (weights.PAINTER, weights.PORTRAIT):
        shutil.copy(weights.FOLDER / name, tmp_path / name)
    own = Scene(AVATARS[0], 256, "still", "openvino", 1, painter=str(tmp_path))
    shipped = Scene(AVATARS[0], 256, "still", "openvino", 1)
    one, other = (
        planes.i420.astype(int) for planes in Renderer().render([(own, talks), (shipped, talks)])
    )
    # The folder has no int8 file, which may be what the shipped network runs as.
    assert np.abs(one - other).max() <= 24
    with pytest.raises(ConfigError, match="nowhere' is unknown, expected one of"):
        Renderer().open(replace(own, painter=str(tmp_path / "nowhere")))
    matte = tmp_path / "matte"
    matte.mkdir()
    shutil.copy(weights.path(weights.MATTE), matte / weights.PAINTER)
    shutil.copy(weights.path(weights.PORTRAIT), matte / weights.PORTRAIT)
    with pytest.raises(BackendError, match=r"painter\.onnx is no render network"):
        Renderer().open(replace(own, painter=str(matte)))

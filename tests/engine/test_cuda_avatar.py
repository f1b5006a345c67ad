"""The kernels on a built-in avatar, against the engine's own stages; needs no media libraries."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from engine import avatar as avatars
from engine.composite import CompositeStage
from engine.frames import Motion, Pose
from engine.mouth import MouthPainter
from engine.render import Guided, RenderStage, parting
from engine.rig import STEP_PX, Rig, build
from kernels.dispatch import Moved, Portrait
from kernels.on_cpu import CpuKernels
from kernels.on_cuda import CudaKernels
from models import facemodel
from tests.kernels.devices import device, everywhere

SIZE = 512


@pytest.fixture(scope="module")
def rig() -> Rig:
    found = build(avatars.find(avatars.names()[0]), SIZE, facemodel.load())
    # The kernels move a picture as a whole.
    return replace(found, alpha=None, behind=None)


def pictures(rig: Rig) -> Iterator[Guided]:
    stage, rng = RenderStage(rig, MouthPainter(rig)), np.random.default_rng(0)
    for number in range(4):
        code = (0.03 * rng.standard_normal(len(rig.opening))).astype(np.float32)
        pose = Pose(*0.12 * rng.standard_normal(3), *0.03 * rng.standard_normal(2), 1.02)
        lids = 0.3 * number
        yield from stage.push(Motion(number, code, pose, (lids, lids), (0.1, 0.0), 0.02))


@everywhere
def test_a_talking_avatar_is_as_the_engine_draws_it(name: str, rig: Rig) -> None:
    kernels, usual, stage = CudaKernels(device(name)), CpuKernels(), CompositeStage(rig)
    known = Portrait(rig.source, rig.scale, STEP_PX, rig.upper, rig.lower)
    face, own = kernels.prepare(known), usual.prepare(known)
    drawn = list(pictures(rig))
    lines = [parting(guided.landmarks, rig) for guided in drawn]
    patches = [guided.patches for guided in drawn]
    assert any(patches)
    moves = list(zip(drawn, lines, strict=True))
    found = kernels.pictures(
        kernels.guide([Moved(face, guided.drivers, along) for guided, along in moves]), patches
    )
    by_cpu = usual.pictures(
        usual.guide([Moved(own, guided.drivers, along) for guided, along in moves]), patches
    )
    for one, other, guided in zip(found, by_cpu, drawn, strict=True):
        (planes,) = stage.push(guided)
        expected = planes.i420
        np.testing.assert_array_equal(other, expected)
        # OpenCV samples fields at 32nds of a cell: a level or two where the portrait has edges.
        apart = np.abs(one.astype(int) - expected)
        assert apart.mean() < 0.02 and np.quantile(apart, 0.9999) <= 2

"""Eyeballs and plates of talking avatars, as both kinds of kernels draw them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from engine import avatar as avatars
from engine.audio import AudioStage
from engine.composite import Batch
from engine.config import EngineConfig
from engine.frames import FRAME_SAMPLES, Motion, Pcm
from engine.motion import MotionStage
from engine.mouth import MouthPainter
from engine.render import guides
from engine.rig import Rig, build
from kernels import dispatch
from kernels.on_cuda import CudaKernels
from models import facemodel
from tests.kernels.devices import device, everywhere

MOTIONS = 8


@pytest.fixture(scope="module")
def talk(speech: npt.NDArray[np.int16]) -> list[Motion]:
    """Motions over seven seconds of speech, which look about."""
    return list(_talk(speech))[10:180:21][:MOTIONS]


def _talk(speech: npt.NDArray[np.int16]) -> Iterator[Motion]:
    audio, motion = AudioStage(EngineConfig()), MotionStage(EngineConfig())
    for start in range(0, len(speech), FRAME_SAMPLES):
        for frame in audio.push(Pcm(start, speech[start : start + FRAME_SAMPLES])):
            for number, one in enumerate(motion.push(frame)):
                turn = 0.1 * np.sin(number + frame.index)
                yield replace(one, gaze=(float(turn), 0.03))


@cache
def known(number: int, size_px: int) -> Rig:
    return build(avatars.find(avatars.names()[number]), size_px, facemodel.load())


@everywhere
@pytest.mark.parametrize("size_px", [256, 512, 1024])
@pytest.mark.parametrize("number", [0, 2])
def test_eyes_and_teeth_are_nearly_as_the_cpu_draws_them(
    name: str, size_px: int, number: int, talk: list[Motion], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels, usual = CudaKernels(device(name)), dispatch.load("cpu")
    monkeypatch.setattr(dispatch, "load", lambda name: kernels if name == "cuda" else usual)
    rig = known(number, size_px)
    guided = guides([(rig, motion) for motion in talk])
    drawn = []
    for by in (usual, kernels):
        batch = Batch(by, guided)
        plates = batch.plates([MouthPainter(rig)] * len(talk))
        assert sum(map(len, plates)) >= MOTIONS // 2
        drawn.append(batch.planes(plates, ["still"] * len(talk)))
    without = [replace(one, eyes=[]) for one in guided]
    bare = Batch(usual, without).planes([[]] * len(talk), ["still"] * len(talk))
    luma = [np.stack([planes.i420[:size_px] for planes in each]) for each in (*drawn, bare)]
    there = luma[0] != luma[2]
    apart = np.abs(luma[0].astype(int) - luma[1])
    assert there.mean() > 2e-3, "eyes and teeth are to be seen"
    # A few pixels of a rim, where OpenCV's anti-aliased lines are dotted.
    assert apart[there].mean() < 1.7 and np.quantile(apart[there], 0.99) <= 12
    assert apart.max() <= 45

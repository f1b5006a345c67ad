import numpy as np
import pytest

from engine.config import EngineConfig
from engine.frames import FPS, AudioFrame, Motion
from engine.motion import BlinkShape, MotionStage, Spring

CODE = np.zeros(6, np.float32)


def live(seconds: int, voice: float, **settings: float) -> list[Motion]:
    stage = MotionStage(EngineConfig(**settings))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    energy = np.clip(0.3 + 0.3 * rng.standard_normal(seconds * FPS), 0, 1) * voice
    return [
        motion
        for i in range(seconds * FPS)
        for motion in stage.push(AudioFrame(i, CODE, voice, float(energy[i])))
    ]


def blinks(motions: list[Motion]) -> list[int]:
    """Lengths of the blinks in pictures."""
    shut = np.array([max(m.blink) > 0.05 for m in motions])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shut.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


@pytest.mark.parametrize("voice", [0.0, 1.0])
def test_blinks_come_at_a_natural_rate_and_length(voice: float) -> None:
    motions = live(3600, voice)
    lengths = blinks(motions)
    assert 0.2 <= len(lengths) / 3600 <= 0.4
    assert all(100 <= n * 1000 / FPS <= 300 for n in lengths)
    assert max(max(m.blink) for m in motions) > 0.95


def test_blinks_are_not_regular() -> None:
    closed = [m.index for m in live(600, 0.5) if m.blink[0] > 0.5]
    pauses = np.diff(closed)
    pauses = pauses[pauses > 5]
    assert np.std(pauses) / np.mean(pauses) > 0.3


def test_head_stays_in_bounds_for_an_hour() -> None:
    motions = live(3600, 1.0)
    for axis in ("yaw", "pitch", "roll"):
        angles = np.rad2deg([getattr(m.pose, axis) for m in motions])
        assert np.abs(angles).max() < 12
        first, last = angles[: 600 * FPS], angles[-600 * FPS :]
        assert abs(first.mean() - last.mean()) < 1.5
        assert 0.5 < last.std() / first.std() < 2.0


def test_head_moves_smoothly() -> None:
    motions = live(600, 1.0)
    for axis in ("yaw", "pitch", "roll"):
        angle = np.rad2deg([getattr(m.pose, axis) for m in motions])
        assert np.abs(np.diff(angle)).max() * FPS < 45
        assert np.abs(np.diff(angle, 2)).max() < 0.6


def test_speech_quickens_the_head() -> None:
    def pace(voice: float) -> float:
        yaw = [m.pose.yaw for m in live(600, voice)]
        return float(np.abs(np.diff(yaw)).mean())

    assert pace(1.0) > 1.5 * pace(0.0) > 0


def test_same_seed_moves_alike_and_another_does_not() -> None:
    # Field by field: arrays have no single answer to ==.
    once, again = (
        [(m.pose, m.blink, m.gaze, m.brow) for m in live(20, 1.0, seed=4)] for _ in range(2)
    )
    assert once == again
    a = [m.pose.yaw for m in live(20, 1.0, seed=4)]
    b = [m.pose.yaw for m in live(20, 1.0, seed=5)]
    assert np.abs(np.subtract(a, b)).max() > 0.01


def test_reset_starts_the_same_life_again() -> None:
    stage = MotionStage(EngineConfig(seed=2))
    frames = [AudioFrame(i, CODE, 1.0, 0.5) for i in range(100)]
    first = [m.pose for f in frames for m in stage.push(f)]
    stage.reset()
    assert [m.pose for f in frames for m in stage.push(f)] == first


def test_no_liveliness_holds_the_head_still_but_still_blinks() -> None:
    motions = live(60, 1.0, liveliness=0.0)
    assert all(m.pose.yaw == m.pose.pitch == m.pose.roll == 0 for m in motions)
    assert blinks(motions)


def test_eyes_stay_on_the_viewer_while_the_head_turns() -> None:
    motions = live(120, 1.0)
    yaw = [m.pose.yaw for m in motions]
    gaze = [m.gaze[0] for m in motions]
    assert np.corrcoef(yaw, gaze)[0, 1] < -0.4


def test_blink_closes_whole_and_opens_whole() -> None:
    shape = BlinkShape()
    assert shape.closure(-0.01) == shape.closure(shape.length_s) == 0.0
    assert shape.closure(shape.fall_s + shape.rest_s / 2) == 1.0


def test_spring_reaches_its_target_without_overshoot() -> None:
    spring = Spring(1.0)
    course = [spring.step(1.0) for _ in range(200)]
    assert max(course) <= 1.0 + 1e-9
    assert course[-1] == pytest.approx(1.0, abs=1e-6)
    assert np.all(np.diff(course) >= -1e-12)

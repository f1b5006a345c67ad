from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.audio import AudioStage
from engine.config import EngineConfig
from engine.errors import BackendError, ConfigError
from engine.frames import FPS, AudioFrame, Motion
from engine.media import SpeechFile
from engine.motion import STYLES, BlinkShape, MotionStage, Spring, Style

CODE = np.zeros(6, np.float32)
SPEECH = Path(__file__).parent.parent / "data" / "speech.ogg"
ANGLES = ("yaw", "pitch", "roll")


@cache
def heard() -> list[AudioFrame]:
    """What the audio stage says of real speech."""
    stage = AudioStage(EngineConfig())
    with SpeechFile(SPEECH) as source:
        return [frame for pcm in source for frame in stage.push(pcm)] + stage.flush()


def talk(seconds: int, voiced: bool = True) -> list[AudioFrame]:
    """The speech over and over, or silence."""
    count, said = seconds * FPS, heard()
    if not voiced:
        return [AudioFrame(i, CODE, 0.0, 0.0) for i in range(count)]
    return [replace(said[i % len(said)], index=i) for i in range(count)]


def live(
    seconds: int, voiced: bool = True, own: Style | None = None, **settings: Any
) -> list[Motion]:
    stage = MotionStage(EngineConfig(**settings), own)
    return [motion for frame in talk(seconds, voiced) for motion in stage.push(frame)]


def degrees(motions: list[Motion]) -> np.ndarray:
    return np.rad2deg([[getattr(m.pose, a) for a in ANGLES] for m in motions])


def blinks(motions: list[Motion]) -> list[int]:
    """Lengths of the blinks in pictures."""
    shut = np.array([max(m.blink) > 0.05 for m in motions])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shut.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


@pytest.fixture(scope="module")
def speaking() -> list[Motion]:
    return live(600)


@pytest.fixture(scope="module")
def silent() -> list[Motion]:
    return live(600, voiced=False)


@pytest.mark.parametrize("name", ["speaking", "silent"])
def test_blinks_come_at_a_natural_rate_and_length(
    name: str, request: pytest.FixtureRequest
) -> None:
    motions = request.getfixturevalue(name)
    lengths = blinks(motions)
    assert 0.2 <= len(lengths) / 600 <= 0.4
    assert all(100 <= n * 1000 / FPS <= 300 for n in lengths)
    closed = np.array([m.blink for m in motions])
    assert np.abs(closed[:, 0] - closed[:, 1]).max() < 0.2
    whole = [closed[i - 4 : i + 5].max() for i in np.flatnonzero(closed.min(1) > 0.5)]
    assert min(whole) > 0.95


def test_blinks_are_not_regular(speaking: list[Motion]) -> None:
    closed = [m.index for m in speaking if m.blink[0] > 0.5]
    pauses = np.diff(closed)
    pauses = pauses[pauses > 5]
    assert np.std(pauses) / np.mean(pauses) > 0.3


def test_ten_minutes_of_talk_stay_in_bounds_and_never_freeze(speaking: list[Motion]) -> None:
    angles = degrees(speaking)
    assert np.abs(angles).max() < 12
    spread = angles.std(0)
    assert np.all(spread > 1.5) and np.all(spread < 6), spread
    minutes = angles.reshape(10, -1, 3)
    assert np.abs(minutes.mean(1)).max() < 4
    assert minutes.std(1).min() > 0.8


def test_head_moves_without_jumps(speaking: list[Motion], silent: list[Motion]) -> None:
    # The footage: at most 4.3 degrees a picture, 0.2 to 0.32 degrees a picture squared.
    for motions in (speaking, silent):
        angles = degrees(motions)
        assert np.abs(np.diff(angles, axis=0)).max() < 4
        assert np.sqrt((np.diff(angles, 2, axis=0) ** 2).mean()) < 0.45


def test_speech_quickens_the_head_and_silence_rests_it(
    speaking: list[Motion], silent: list[Motion]
) -> None:
    talking, resting = degrees(speaking)[FPS * 30 :], degrees(silent)[FPS * 30 :]
    assert np.abs(np.diff(talking, axis=0)).mean() > 1.3 * np.abs(np.diff(resting, axis=0)).mean()
    assert np.all(talking.std(0) > resting.std(0))
    assert resting.std(0).min() > 0.3, "who idles is not frozen"


def test_loud_speech_lifts_the_head(speaking: list[Motion]) -> None:
    energy = np.array([f.energy for f in talk(600)])
    pitch = degrees(speaking)[:, 1]
    assert np.corrcoef(energy, pitch)[0, 1] < -0.1


def test_same_seed_moves_alike_and_another_does_not() -> None:
    # Field by field: arrays have no single answer to ==.
    once, again = ([(m.pose, m.blink, m.gaze, m.brow) for m in live(20, seed=4)] for _ in range(2))
    assert once == again
    a, b = degrees(live(20, seed=4)), degrees(live(20, seed=5))
    assert np.abs(a - b).max() > 0.5


def test_reset_starts_the_same_life_again() -> None:
    stage = MotionStage(EngineConfig(seed=2))
    frames = talk(8)
    first = [(m.pose, m.blink) for f in frames for m in stage.push(f)]
    stage.reset()
    assert [(m.pose, m.blink) for f in frames for m in stage.push(f)] == first


def test_a_talk_starts_in_the_portraits_own_pose() -> None:
    first = live(1)[0].pose
    assert max(abs(first.yaw), abs(first.pitch), abs(first.roll)) < np.radians(0.3)


def test_liveliness_scales_the_spread() -> None:
    usual, half = degrees(live(60)), degrees(live(60, liveliness=0.5))
    assert half.std(0) == pytest.approx(0.5 * usual.std(0), rel=0.15)


def test_no_liveliness_holds_the_head_still_but_still_blinks() -> None:
    motions = live(60, liveliness=0.0)
    assert all(m.pose.yaw == m.pose.pitch == m.pose.roll == 0 for m in motions)
    assert blinks(motions)


def test_style_changes_the_character() -> None:
    calm, lively = (degrees(live(120, style=s)) for s in ("calm", "lively"))
    assert np.all(lively.std(0) > 1.3 * calm.std(0))
    own = degrees(live(120, own=STYLES["calm"]))
    assert np.array_equal(own, calm)


def test_unknown_styles_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"style 'wild' is unknown, expected one of .*'calm'"):
        MotionStage(EngineConfig(style="wild"))
    with pytest.raises(ConfigError, match=r"pace of a style is 3, expected -1\.2 to 1\.2"):
        Style(pace=3)
    assert set(STYLES) >= {"calm", "even", "lively"}


def test_backends_move_alike() -> None:
    a, b = (degrees(live(10, backend=n)) for n in ("openvino", "onnxruntime"))
    assert np.abs(a - b).max() < 0.01


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(BackendError, match="backend 'abacus' is unknown"):
        MotionStage(EngineConfig(backend="abacus"))


def test_eyes_stay_on_the_viewer_while_the_head_turns(speaking: list[Motion]) -> None:
    yaw = [m.pose.yaw for m in speaking]
    gaze = [m.gaze[0] for m in speaking]
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


def test_expressions_bend_mouth_and_brows_and_neutral_does_not() -> None:
    warm, neutral, serious = (live(4, expression=e) for e in ("warm", "neutral", "serious"))
    assert {m.smile for m in neutral} == {0.0}
    assert warm[-1].smile > 0.1 > 0 > serious[-1].smile
    for one, sign in ((warm, 1), (serious, -1)):
        raised = np.array([a.brow - b.brow for a, b in zip(one, neutral, strict=True)])
        assert (sign * raised > 0).all()
    # The head moves on as it would: only the face differs.
    assert np.array_equal(degrees(warm), degrees(neutral))


def test_an_expression_yields_to_lips_that_must_close() -> None:
    stage = MotionStage(EngineConfig(expression="warm"))

    def smile(opening: float, voice: float) -> float:
        code = CODE.copy()
        code[0] = opening
        frames = [AudioFrame(i, code, voice, voice) for i in range(FPS)]
        return [stage.push(frame)[0].smile for frame in frames][-1]

    free, closing, resting = smile(1.0, 1.0), smile(0.0, 1.0), smile(0.0, 0.0)
    assert closing < 0.5 * free
    assert resting == pytest.approx(free, rel=0.05)


def test_unknown_expressions_are_refused() -> None:
    with pytest.raises(ConfigError, match="expression 'cross' is unknown, expected one of"):
        EngineConfig(expression="cross")

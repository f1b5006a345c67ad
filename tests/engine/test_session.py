import numpy as np
import pytest

from engine.encode import VideoEncoder
from engine.frames import FRAME_SAMPLES, Pcm
from engine.probe import PROBE_PX
from engine.session import Worker
from tests.engine.stand_ins import CONFIG, SIZE_PX, CountingPipeline


def worker(probe=False):
    pipeline = CountingPipeline(None, CONFIG)
    return Worker(pipeline, VideoEncoder("vp8", (SIZE_PX, SIZE_PX)), probe)


def tone(hz, start, samples, level=8000):
    time_s = np.arange(samples) / 48_000
    sound = np.zeros(FRAME_SAMPLES)
    sound[start : start + samples] = level * np.sin(2 * np.pi * hz * time_s)
    return sound.astype(np.int16)


def test_pictures_come_encoded_under_their_numbers():
    run = worker()
    done = [
        encoded
        for block in range(100)
        for encoded in run.step(Pcm(480 * block, np.zeros(480, np.int16)))
    ]
    assert [encoded.index for encoded in done] == list(range(24))
    assert all(len(encoded.packets) == 1 for encoded in done)
    assert {"encode"} == set(run.pipeline.timings.summary())


@pytest.mark.parametrize(("step_ms", "kept"), [(40, 1), (60, 2 / 3), (80, 1 / 2), (120, 1 / 3)])
def test_pictures_that_wait_together_are_dropped_evenly(step_ms, kept):
    run = worker()
    samples = step_ms * 48
    done = [
        encoded
        for block in range(60)
        for encoded in run.step(Pcm(samples * block, np.zeros(samples, np.int16)))
    ]
    drawn = [encoded.index for encoded in done if encoded.packets]
    assert [encoded.index for encoded in done] == list(range(len(done)))
    assert len(drawn) / len(done) == pytest.approx(kept, abs=0.02)
    assert np.ptp(np.diff(drawn)) <= 1


def test_after_time_was_passed_over_pictures_go_on_at_the_right_number():
    run = worker()
    run.step(Pcm(0, np.zeros(9600, np.int16)))
    later = 100 * FRAME_SAMPLES
    (*_, encoded) = run.step(Pcm(later, np.zeros(9600, np.int16)))
    assert encoded.index == 103
    assert encoded.packets[0].pts == 103


@pytest.mark.parametrize(
    ("sound", "lit"),
    [
        (tone(1000, 0, FRAME_SAMPLES), True),
        (tone(1000, FRAME_SAMPLES // 2, FRAME_SAMPLES // 2), True),
        (tone(1000, FRAME_SAMPLES // 2 + 480, FRAME_SAMPLES // 2 - 480), False),
        (tone(300, 0, FRAME_SAMPLES), False),
        (tone(1000, 0, FRAME_SAMPLES, level=200), False),
        (np.zeros(FRAME_SAMPLES, np.int16), False),
    ],
)
def test_the_probe_lights_up_with_a_beep_and_with_nothing_else(sound, lit):
    run = worker(probe=True)
    shown = []
    run.encoder.encode = lambda i420, index: shown.append(i420) or []
    run.step(Pcm(0, np.concatenate((sound, np.zeros(FRAME_SAMPLES, np.int16)))))
    square = shown[0][:PROBE_PX, :PROBE_PX]
    assert (square == (235 if lit else 16)).all()
    chroma = shown[0][SIZE_PX:].reshape(2, SIZE_PX // 2, SIZE_PX // 2)
    assert (chroma[:, : PROBE_PX // 2, : PROBE_PX // 2] == 128).all()

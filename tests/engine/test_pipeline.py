import itertools

import numpy as np
import pytest

from engine.config import EngineConfig
from engine.errors import MediaError
from engine.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, Picture
from engine.pipeline import Pipeline
from models import facemodel
from tests.engine.faces import plain_avatar

AVATAR = plain_avatar()
LOOKAHEAD_SAMPLES = 60 * SAMPLE_RATE_HZ // 1000


def run(samples: np.ndarray, cuts: list[int], live: bool = False) -> list[Picture]:
    """Pushes sound cut at some samples, then flushes."""
    pipeline = Pipeline(AVATAR, EngineConfig(size_px=256, live=live))
    edges = [0, *sorted(cuts), len(samples)]
    pictures = []
    for start, end in itertools.pairwise(edges):
        pictures += pipeline.push(Pcm(start, samples[start:end]))
    return pictures + pipeline.flush()


def same(a: Picture, b: Picture) -> bool:
    return (
        a.index == b.index
        and (a.pcm.samples == b.pcm.samples).all()
        and np.allclose(a.motion.lip_code, b.motion.lip_code, atol=1e-4)
        and a.i420 is not None
        and b.i420 is not None
        and np.abs(a.i420.astype(int) - b.i420).max() <= 2
    )


def test_chunks_equal_the_whole(speech: np.ndarray) -> None:
    sound = speech[: 2 * SAMPLE_RATE_HZ]
    cuts = np.random.default_rng(5).integers(1, len(sound), 60).tolist()
    whole, chunks = run(sound, []), run(sound, cuts)
    assert len(whole) == len(chunks) == 50
    assert all(same(a, b) for a, b in zip(whole, chunks, strict=True))


@pytest.mark.parametrize("shape", [(480,), (480, 2)])
def test_sound_that_is_not_int16_mono_is_refused(shape: tuple[int, ...]) -> None:
    kind = np.float32 if len(shape) == 1 else np.int16
    pipeline = Pipeline(AVATAR, EngineConfig(size_px=256, steps=0))
    with pytest.raises(MediaError, match=r"samples are \(480,.*, expected \(N,\) int16"):
        pipeline.push(Pcm(0, np.zeros(shape, kind)))


def test_every_picture_carries_its_own_sound(speech: np.ndarray) -> None:
    sound = speech[:SAMPLE_RATE_HZ]
    pictures = run(sound, list(range(480, len(sound), 480)))
    assert [p.index for p in pictures] == list(range(25))
    assert all(p.pcm.pts == p.index * FRAME_SAMPLES for p in pictures)
    assert (np.concatenate([p.pcm.samples for p in pictures]) == sound).all()


def test_more_sound_than_the_ring_holds_is_kept_whole() -> None:
    sound = np.random.default_rng(2).integers(-900, 900, 6 * SAMPLE_RATE_HZ).astype(np.int16)
    pictures = run(sound, [])
    assert (np.concatenate([p.pcm.samples for p in pictures]) == sound).all()


def test_picture_comes_as_soon_as_its_lookahead_is_heard(speech: np.ndarray) -> None:
    pipeline = Pipeline(AVATAR, EngineConfig(size_px=256))
    for start in range(0, SAMPLE_RATE_HZ, 480):
        heard = start + 480
        for picture in pipeline.push(Pcm(start, speech[start:heard])):
            needed = picture.index * FRAME_SAMPLES + LOOKAHEAD_SAMPLES
            assert needed <= heard < needed + 480


def test_late_call_draws_the_newest_picture_and_keeps_all_sound(speech: np.ndarray) -> None:
    sound = speech[:SAMPLE_RATE_HZ]
    pipeline = Pipeline(AVATAR, EngineConfig(size_px=256, live=True))
    pictures = pipeline.push(Pcm(0, sound))
    assert [p.i420 is not None for p in pictures] == [False] * (len(pictures) - 1) + [True]
    assert (
        np.concatenate([p.pcm.samples for p in pictures]) == sound[: len(pictures) * 1920]
    ).all()


def test_lips_stay_shut_in_silence_and_open_in_speech(speech: np.ndarray) -> None:
    opening = facemodel.load().opening

    def heard(sound: np.ndarray) -> np.ndarray:
        return np.array([p.motion.lip_code @ opening for p in run(sound, [])])

    silent = heard(np.zeros(2 * SAMPLE_RATE_HZ, np.int16))
    spoken = heard(speech[: 3 * SAMPLE_RATE_HZ])
    assert np.abs(silent).max() < 0.05 * np.abs(spoken).max()
    assert spoken.max() > 0.02


def test_reset_starts_anew(speech: np.ndarray) -> None:
    sound = Pcm(0, speech[: SAMPLE_RATE_HZ // 2])
    pipeline = Pipeline(AVATAR, EngineConfig(size_px=256))
    first = pipeline.push(sound)
    pipeline.reset()
    again = pipeline.push(sound)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))


def test_stages_are_timed(speech: np.ndarray) -> None:
    pipeline = Pipeline(AVATAR, EngineConfig(size_px=256))
    pipeline.push(Pcm(0, speech[:SAMPLE_RATE_HZ]))
    assert {"audio", "motion", "render", "composite"} <= set(pipeline.timings.summary())


def test_steps_choose_the_painter(speech: np.ndarray) -> None:
    sound = Pcm(0, speech[:SAMPLE_RATE_HZ])
    drawn = [
        Pipeline(AVATAR, EngineConfig(size_px=256, steps=steps)).push(sound)[-1].i420
        for steps in (0, 1, 2, 2)
    ]
    assert (drawn[2] == drawn[3]).all()
    assert not any((a == b).all() for a, b in itertools.combinations(drawn[:3], 2))


def test_alpha_comes_with_a_transparent_background_alone(speech: np.ndarray) -> None:
    sound = Pcm(0, speech[: SAMPLE_RATE_HZ // 2])
    for background in ("still", "blur", "#00ff00"):
        pictures = Pipeline(AVATAR, EngineConfig(size_px=256, background=background)).push(sound)
        assert pictures and all(p.alpha is None for p in pictures)
    pictures = Pipeline(AVATAR, EngineConfig(size_px=256, background="transparent")).push(sound)
    assert pictures
    for picture in pictures:
        assert picture.alpha is not None and picture.alpha.shape == (256, 256)
        assert (picture.alpha.min(), picture.alpha.max()) == (0, 255)

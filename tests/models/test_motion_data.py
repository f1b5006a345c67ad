"""What the motion network learns from, and how its heads are measured; no torch needed."""

from pathlib import Path

import numpy as np
import pytest

from kernels import logmel
from models import activity
from models.latents import HOLD, MEMORIES_S, Latents
from models.train.motion import data, score


def nods(at, count=1500):
    """(T, 6) a head that nods at some pictures, on a slow wander."""
    pose = np.zeros((count, 6))
    pose[:, 0] = 0.05 * np.sin(np.arange(count) / 40)
    for t in at:
        pose[t : t + 9, 1] += 0.05 * np.sin(np.pi * np.arange(9) / 8) ** 2
    return pose


def test_denoise_keeps_a_nod_and_drops_the_trackers_noise():
    clean = nods(range(20, 480, 25), 500)
    noisy = clean + np.random.default_rng(0).normal(0, 0.004, clean.shape)
    found = data.denoise(noisy)
    assert found.shape == clean.shape
    assert (found - clean)[:, 2:].std() < 0.6 * 0.004
    assert found[:, 1].max() > 0.8 * clean[:, 1].max()


def test_closure_is_one_for_a_shut_eye_and_nought_for_an_open_one():
    aspect = np.full(100, 0.3)
    aspect[40:43] = 0.05
    lid = data.closure(aspect)
    assert lid[41] == 1.0
    assert not lid[:40].any()


def test_energy_is_that_of_the_audio_stage():
    from engine.audio import AudioStage
    from engine.config import EngineConfig
    from engine.frames import Pcm

    t = np.arange(3 * logmel.RATE_HZ) / logmel.RATE_HZ
    pcm = (0.2 * np.sin(2 * np.pi * 180 * t) * (np.sin(2 * np.pi * t) > 0)).astype(np.float32)
    stage = AudioStage(EngineConfig())
    frames = stage.push(Pcm(0, (np.repeat(pcm, 3) * 32767).astype(np.int16))) + stage.flush()
    heard = np.array([f.energy for f in frames if f.voice == 1])
    ours = data.loudness(pcm, len(frames))[[f.index for f in frames if f.voice == 1]]
    assert len(heard) > 10
    np.testing.assert_allclose(ours, heard, atol=0.08)


def test_a_head_that_nods_on_the_beat_is_told_from_one_that_does_not():
    beats = np.cumsum(np.random.default_rng(1).integers(14, 40, 50))
    energy = np.zeros(1500)
    for t in beats:
        energy[t - 2 : t + 3] = (0.3, 0.6, 0.8, 0.6, 0.3)
    with_it = score.beat_align(nods(beats - 2), energy)
    without = score.beat_align(nods(beats + 7), energy)
    assert with_it[0] > with_it[1] + 0.1
    assert with_it[2] > 3
    assert without[2] < 1


def test_a_still_head_has_no_beats():
    assert score.beat_align(np.zeros((200, 6)), np.ones(200)) == (0.0, 0.0, 0.0)


def test_speed_bands_find_where_a_head_swings():
    pose = np.zeros((1000, 6))
    pose[:, 0] = 0.1 * np.sin(2 * np.pi * 1.5 * np.arange(1000) / 25)
    found = score.bands(pose)[:, 0]
    assert found.argmax() == score.BANDS_HZ.index(1.0)
    assert found.max() == pytest.approx(0.1 * 2 * np.pi * 1.5 / np.sqrt(2), rel=0.15)


def test_activity_goes_from_speaking_through_listening_to_idle():
    voice = np.r_[np.ones(50), np.zeros(500)].astype(np.float32)
    heard = activity.conditions(voice, 0.5 * voice)
    speaking, listening, idle = heard[:, 0], heard[:, 1], heard[:, 2]
    np.testing.assert_allclose(speaking + listening + idle, 1, atol=1e-6)
    assert speaking[49] == 1
    assert listening[52] > 0.9
    assert idle[-1] > 0.9


def test_latents_are_stationary_and_seeded():
    def course(seed):
        latents = Latents(MEMORIES_S, HOLD, np.random.default_rng(seed))
        return np.concatenate([latents.step() for _ in range(20_000)])

    x = course(0)
    assert x.shape == (20_000, len(MEMORIES_S))
    assert np.abs(x[100:].std(0) - 1).max() < 0.25
    np.testing.assert_array_equal(x, course(0))
    assert not np.array_equal(x, course(1))


def test_a_folder_without_clips_is_refused(tmp_path: Path):
    (tmp_path / "train").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match="no label files|no clip"):
        data.load(tmp_path)

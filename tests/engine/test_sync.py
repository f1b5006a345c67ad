"""The sync expert on people whom neither lip network nor pair was trained on."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine import sync
from engine.frames import SAMPLE_RATE_HZ
from engine.media import decode
from kernels.resample import Decimator

OPENINGS = Path(__file__).parent.parent / "data" / "openings.json"
CHUNK = 640


@pytest.fixture(scope="module")
def clips(shared_data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(lip codes (T, 6), sound (N,) at 16 kHz) of short held-out clips."""
    found = []
    for name, own in json.loads(OPENINGS.read_text()).items():
        if "code" not in own:
            continue
        sound = np.concatenate([pcm.samples for pcm in decode(shared_data / "train" / name)])
        sound = sound[round(own["sound_starts_ms"] * SAMPLE_RATE_HZ / 1000) :]
        pcm = Decimator().push(sound.astype(np.float32) / 32768)
        found.append((np.array(own["code"], np.float32), pcm))
    return found


@pytest.mark.shared
def test_lips_and_sound_of_one_film_belong_together(
    clips: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    for codes, pcm in clips:
        offset, confidence = sync.offset(codes, pcm)
        assert abs(offset) <= 1
        assert confidence > 0.1


@pytest.mark.shared
@pytest.mark.parametrize("late", [-6, 4, 9])
def test_a_known_delay_is_found(clips: list[tuple[np.ndarray, np.ndarray]], late: int) -> None:
    for codes, pcm in clips:
        found, _ = sync.offset(codes[max(0, -late) :], pcm[max(0, late) * CHUNK :])
        assert abs(found - late) <= 1


@pytest.mark.shared
def test_a_still_mouth_tells_no_time(clips: list[tuple[np.ndarray, np.ndarray]]) -> None:
    own = np.mean([sync.offset(codes, pcm)[1] for codes, pcm in clips])
    still = np.mean([sync.offset(np.zeros_like(codes), pcm)[1] for codes, pcm in clips])
    assert own > 3 * still


def test_lips_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"codes are \(50, 5\), expected \(T, 6\)"):
        sync.offset(np.zeros((50, 5), np.float32), np.zeros(32_000, np.float32))


def test_too_short_a_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="10 pictures with sound, expected at least 20"):
        sync.offset(np.zeros((50, 6), np.float32), np.zeros(6_400, np.float32))

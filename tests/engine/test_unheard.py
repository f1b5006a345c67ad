"""Lips on real speech of people the network was never trained on, against their own lips."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.audio import AudioStage
from engine.config import EngineConfig
from engine.frames import Pcm
from engine.media import decode
from models import facemodel

OPENINGS = Path(__file__).parent.parent / "data" / "openings.json"
MAX_LAG = 3


def generated(path: Path, sound_starts_ms: float) -> np.ndarray:
    """(T,) opening that the audio stage gives the sound of a film."""
    sound = np.concatenate([pcm.samples for pcm in decode(path)])[round(sound_starts_ms * 48) :]
    stage = AudioStage(EngineConfig())
    frames = stage.push(Pcm(0, sound)) + stage.flush()
    return np.array([f.lip_code @ facemodel.load().opening for f in frames])


def correlation(made: np.ndarray, own: np.ndarray, speech: np.ndarray, lag: int) -> float:
    """Over speech, with the generated lips taken `lag` pictures later."""
    count = min(len(made), len(own))
    a = made[max(0, lag) : count + min(0, lag)]
    b = own[max(0, -lag) : count - max(0, lag)]
    use = speech[max(0, -lag) : count - max(0, lag)]
    return float(np.corrcoef(a[use], b[use])[0, 1])


@pytest.fixture(scope="module")
def clips(shared_data: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(generated opening, own opening, where there is speech) of each held-out clip."""
    found = []
    for name, own in json.loads(OPENINGS.read_text()).items():
        made = generated(shared_data / "train" / name, own["sound_starts_ms"])
        speech = np.array([c == "1" for c in own["speech"]])
        found.append((made, np.array(own["opening"]), speech))
    return found


@pytest.mark.shared
def test_lips_follow_speech_never_heard(
    clips: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> None:
    table = np.array(
        [[correlation(*clip, lag) for lag in range(-MAX_LAG, MAX_LAG + 1)] for clip in clips]
    )
    mean = table.mean(0)
    assert mean[MAX_LAG] >= 0.5, table[:, MAX_LAG]
    assert abs(int(mean.argmax()) - MAX_LAG) <= 1, mean
    assert table[:, MAX_LAG].min() > 0.37
    seconds = [len(own) for _, own, _ in clips]
    assert np.average(table[:, MAX_LAG], weights=seconds) >= 0.41


@pytest.mark.shared
def test_lips_open_as_far_as_lips_do(
    clips: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> None:
    spread = []
    for made, own, speech in clips:
        count = min(len(made), len(own))
        use = speech[:count]
        spread.append(made[:count][use].std() / own[:count][use].std())
    assert 0.7 <= np.mean(spread) <= 1.15, spread

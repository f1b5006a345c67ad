"""What the head is told of the sound: speaking, listening, idle, and how loud; NumPy only."""

from math import exp

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

FPS = 25
NAMES = ("speaking", "listening", "idle", "energy", "accent", "phrase")
SIZE = len(NAMES)
_FORGET = exp(-1 / (6.0 * FPS))
_PHRASE = 0.12


class Activity:
    """Turns voice activity and loudness into the motion network's conditions.

    Who was heard lately and is silent now listens; six seconds later most of that has become
    idling. `accent` is loudness above its own mean of the last third of a second, `phrase`.

    Args:
        recent: how much speech is remembered at the start, 0 (idle) to 1 (has just spoken).
    """

    def __init__(self, recent: float = 0.0) -> None:
        self._recent = recent
        self._phrase = 0.0

    def step(self, voice: float, energy: float) -> F32:
        """Voice and energy in [0, 1] of one picture -> (SIZE,) float32, in the order of NAMES."""
        self._recent = max(voice, self._recent * _FORGET)
        accent = (energy - self._phrase) * voice
        self._phrase += _PHRASE * (energy - self._phrase)
        silent = 1.0 - voice
        listening, idle = silent * self._recent, silent * (1 - self._recent)
        return np.array([voice, listening, idle, energy, accent, self._phrase], np.float32)


def conditions(voice: F32, energy: F32, recent: float = 0.0) -> F32:
    """(T,) voice and (T,) energy -> (T, SIZE) float32, as `Activity` gives them one by one."""
    activity = Activity(recent)
    pairs = zip(voice.tolist(), energy.tolist(), strict=True)
    return np.array([activity.step(v, e) for v, e in pairs], np.float32).reshape(-1, SIZE)

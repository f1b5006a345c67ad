"""Voice activity: is somebody speaking, smoothed, for the lips and the head."""

from collections import deque

import numpy as np
import numpy.typing as npt
import webrtcvad

from kernels import logmel

_STRICTNESS = 2
"""Of webrtcvad, 0 to 3. Three loses soft voices: 1 % of a real speech at -45 dBFS stayed."""
_RISE_DB = 5.0
_FLOOR_HOPS = 300
_PRIOR_FLOOR_DB = -35.0
"""Before a floor is known, speech may begin at once: anything above a quiet room may be voice."""
_ATTACK = 0.5
_HOLD_HOPS = 14
_RELEASE = 1 / 10
_DB = 20.0
"""Decibels in one unit of a log-mel feature."""
_SPEECH_BANDS = slice(8, 60)


class VoiceGate:
    """Voice activity in [0, 1] every 10 ms.

    A hop counts as voice where webrtcvad says so and the spectrum stands above its own lowest
    level of the last three seconds: webrtcvad alone takes a hum or a fan for a voice. Opens
    within 20 ms of two such hops, stays 140 ms, closes over 100 ms: what is seen, a lookahead
    earlier, ends some 180 ms after the voice.
    """

    _smooth: float
    _voice: float
    _held: int

    def __init__(self) -> None:
        self.reset()

    def push(self, pcm: npt.NDArray[np.int16], mel: npt.NDArray[np.float32]) -> float:
        """10 ms of sound, (160,) int16 at 16 kHz and its log-mel frame (80,) -> activity."""
        level = _DB * float(mel[_SPEECH_BANDS].mean())
        self._smooth += 0.2 * (level - self._smooth)
        self._floor.append(self._smooth)
        above = level > min(self._floor) + _RISE_DB
        self._recent.append(above and self._vad.is_speech(pcm.tobytes(), logmel.RATE_HZ))
        if sum(self._recent) >= 2:
            self._held = _HOLD_HOPS
        if self._held:
            self._held -= 1
            self._voice = min(1.0, self._voice + _ATTACK)
        else:
            self._voice = max(0.0, self._voice - _RELEASE)
        return self._voice

    def reset(self) -> None:
        """As new."""
        self._vad = webrtcvad.Vad(_STRICTNESS)
        self._floor = deque([_PRIOR_FLOOR_DB] * _FLOOR_HOPS, _FLOOR_HOPS)
        self._smooth = _PRIOR_FLOOR_DB
        self._recent: deque[bool] = deque([False] * 3, 3)
        self._held = 0
        self._voice = 0.0

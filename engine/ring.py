"""The ring buffer: the last few seconds of sound, by time."""

import numpy as np

from engine.errors import ConfigError
from engine.frames import SAMPLE_RATE_HZ, Pcm


class RingBuffer:
    """Keeps the newest `capacity_ms` of sound and gives back any window of it.

    Sound is written in order of pts. A hole between two writes is filled with silence; samples
    for a time already written are dropped, for what was released cannot change.

    Attributes:
        end: pts after the newest sample.
        gap_samples: silence put in for sound that never came.
        late_samples: samples dropped because their time was already written.

    Raises:
        ConfigError: capacity outside 40 ms to 60 s.
    """

    def __init__(self, capacity_ms: int) -> None:
        if not 40 <= capacity_ms <= 60_000:
            raise ConfigError(f"capacity_ms is {capacity_ms}, expected 40 to 60000")
        self._size = capacity_ms * SAMPLE_RATE_HZ // 1000
        self.reset()

    def reset(self) -> None:
        """As new: empty, the next sound is expected at pts 0."""
        self._data = np.zeros(self._size, np.int16)
        self.end = 0
        self.gap_samples = 0
        self.late_samples = 0

    @property
    def start(self) -> int:
        """pts of the oldest sample still held."""
        return max(0, self.end - self._size)

    def write(self, pcm: Pcm) -> None:
        """Takes sound at its pts."""
        late = min(len(pcm.samples), max(0, self.end - pcm.pts))
        self.late_samples += late
        samples = pcm.samples[late:]
        if not len(samples):
            return
        gap = pcm.pts + late - self.end
        self.gap_samples += gap
        self._put(np.zeros(min(gap, self._size), np.int16), self.end + gap)
        self._put(samples[-self._size :], pcm.end)

    def read(self, start: int, count: int) -> Pcm:
        """The `count` samples from pts `start`; silence where nothing is held, past or future."""
        out = np.zeros(count, np.int16)
        low, high = max(start, self.start), min(start + count, self.end)
        if low < high:
            out[low - start : high - start] = self._data.take(range(low, high), mode="wrap")
        return Pcm(start, out)

    def _put(self, samples: np.ndarray[tuple[int], np.dtype[np.int16]], end: int) -> None:
        """Writes at most a buffer's length of samples that end at pts `end`."""
        at = (end - len(samples)) % self._size
        head = min(len(samples), self._size - at)
        self._data[at : at + head] = samples[:head]
        self._data[: len(samples) - head] = samples[head:]
        self.end = end

"""48 kHz -> 16 kHz, streaming, NumPy only; one short symmetric filter, so the delay is known."""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

FACTOR = 3
TAPS = 95
DELAY = (TAPS - 1) // 2
"""Input samples by which the output lags: 47, that is 0.98 ms at 48 kHz."""
_CUTOFF = 7600 / 24_000


def _taps() -> F32:
    n = np.arange(TAPS) - DELAY
    shape = np.sinc(_CUTOFF * n) * np.kaiser(TAPS, 6.0)
    return np.asarray(shape / shape.sum(), np.float32)


_FILTER = _taps()


class Decimator:
    """Keeps every third sample behind a windowed-sinc low-pass.

    Output sample n is input time `3 n - DELAY`; before the first sample all was silence.
    """

    _samples: F32

    def __init__(self) -> None:
        self.reset()

    def push(self, samples: F32) -> F32:
        """(N,) float32 at 48 kHz -> about N / 3 at 16 kHz, all that is now complete."""
        held = np.concatenate([self._samples, samples])
        count = (len(held) - TAPS) // FACTOR + 1
        if count <= 0:
            self._samples = held
            return np.empty(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(held, TAPS)[::FACTOR][:count]
        self._samples = held[count * FACTOR :]
        return np.asarray(windows @ _FILTER, np.float32)

    def flush(self) -> F32:
        """What the filter still held, (DELAY / 3) samples of it."""
        return self.push(np.zeros(DELAY, np.float32))

    def reset(self) -> None:
        """As new."""
        self._samples = np.zeros(TAPS - 1, np.float32)

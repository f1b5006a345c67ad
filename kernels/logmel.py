"""Streaming log-mel spectrum, NumPy only; the features that the lip network hears."""

from functools import cache

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

RATE_HZ = 16_000
HOP = RATE_HZ // 100
"""Samples between frames: 10 ms."""
WINDOW = RATE_HZ // 40
"""Samples a frame sees: 25 ms, the last of them the newest."""
FFT = 512
BANDS = 80
LOW_HZ, HIGH_HZ = 55.0, 7600.0
FLOOR = 1e-5
"""Band energy below which all is silence, for samples in [-1, 1]."""


def _mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))


@cache
def filters() -> F32:
    """(FFT // 2 + 1, BANDS) triangular filters, evenly spaced in mel (O'Shaughnessy 1987)."""
    low, high = _mel(np.array([LOW_HZ, HIGH_HZ])).tolist()
    mels = np.linspace(low, high, BANDS + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bins = np.arange(FFT // 2 + 1) * (RATE_HZ / FFT)
    rise = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    fall = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    # The lowest bands are narrower than a bin and may fall between two: take the nearest then.
    bank = np.maximum(0.0, np.minimum(rise, fall))
    for band in np.flatnonzero(bank.sum(0) == 0):
        bank[np.abs(bins - edges[band + 1]).argmin(), band] = 1.0
    return np.asarray(bank, np.float32)


_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)).astype(np.float32)

SILENCE = np.full(BANDS, (np.log10(FLOOR) + 1.0) / 2.0, np.float32)
"""(BANDS,) the frame of digital silence."""


def scale(energy: F32) -> F32:
    """Band energies -> features of about [-2, 2]."""
    return np.asarray((np.log10(np.maximum(energy, FLOOR)) + 1.0) * 0.5, np.float32)


class LogMel:
    """Log-mel frames of a sound that arrives in pieces of any length.

    Frame j ends with sample (j + 1) * HOP: it comes out as soon as that sample is in, and needs
    nothing later. Before the first sample all was silence.
    """

    def __init__(self) -> None:
        self._samples: F32 = np.empty(0, np.float32)
        self.reset()

    def push(self, samples: F32) -> F32:
        """(N,) float32 in [-1, 1] at 16 kHz -> (M, 80) float32, the frames now complete."""
        held = np.concatenate([self._samples, samples])
        count = (len(held) - (WINDOW - HOP)) // HOP
        if count <= 0:
            self._samples = held
            return np.empty((0, BANDS), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(held, WINDOW)[: count * HOP : HOP]
        spectrum = np.fft.rfft(windows * _HANN, FFT)
        power = spectrum.real**2 + spectrum.imag**2
        self._samples = held[count * HOP :]
        return scale(power.astype(np.float32) @ filters())

    def flush(self) -> F32:
        """The frame that silence completes, (1, 80), or (0, 80) if nothing was pending."""
        pending = len(self._samples) - (WINDOW - HOP)
        return self.push(np.zeros(HOP - pending if pending else 0, np.float32))

    def reset(self) -> None:
        """As new."""
        self._samples = np.zeros(WINDOW - HOP, np.float32)

"""The motion network's latents as they are drawn at run time; NumPy only."""

from collections.abc import Sequence
from math import exp

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

FPS = 25
HOLD = 5
"""Pictures from one latent to the next."""
MEMORIES_S = (0.0,) * 4 + (0.4,) * 3 + (1.0,) * 3 + (2.5,) * 3 + (7.0,) * 3
"""Time constant of each latent of the shipped network; 0 for fresh noise."""


def kept_shares(memories_s: Sequence[float], hold: int) -> list[float]:
    """Share of each latent that is left `hold` pictures later, by its time constant."""
    return [exp(-hold / FPS / s) if s > 0 else 0.0 for s in memories_s]


class Latents:
    """Stationary Gaussian latents, moved on every `hold` pictures, each gliding in from the last.

    Args:
        memories_s: time constant of each latent, 0 for fresh noise.
        hold: pictures from one latent to the next.
        dice: what they are drawn with.
    """

    def __init__(self, memories_s: Sequence[float], hold: int, dice: np.random.Generator) -> None:
        self._kept = np.array(kept_shares(memories_s, hold), np.float32)
        self._hold, self._dice = hold, dice
        self._after = self._draw()
        self._before = self._after
        self._at = 0

    def step(self) -> F32:
        """(1, L) float32 of unit variance, as `models.nets.motion.spread` gives them."""
        if self._at == self._hold:
            self._at = 0
            self._before = self._after
            fresh = np.sqrt(1 - self._kept**2) * self._draw()
            self._after = self._kept * self._before + fresh
        self._at += 1
        share = np.float32(self._at / self._hold)
        rest = 1 - share
        variance = rest**2 + share**2 + 2 * share * rest * self._kept
        mixed = rest * self._before + share * self._after
        return np.asarray(mixed / np.sqrt(variance), np.float32)[None]

    def _draw(self) -> F32:
        return self._dice.standard_normal(len(self._kept), np.float32)

"""The lips' side of the lip-audio pair, and the room where lips and sound are compared."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class PairConfig:
    """Sizes of a `Pair`.

    Attributes:
        code: K, length of the lip code.
        embedding: E, length of the audio embedding.
        hidden: channels of the lip encoder.
        room: D, dimensions of the common room.
    """

    code: int = 6
    embedding: int = 64
    hidden: int = 64
    room: int = 64


class Pair(nn.Module):
    """Maps lips (their codes and speeds, over nine pictures) and audio embeddings to unit vectors
    that lie close where lips and sound belong together (InfoNCE: van den Oord et al. 2018)."""

    KERNEL = 5

    def __init__(self, config: PairConfig) -> None:
        super().__init__()
        self.config = config
        half = self.KERNEL // 2
        self.lips = nn.Sequential(
            nn.Conv1d(2 * config.code, config.hidden, self.KERNEL, padding=half),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Conv1d(config.hidden, config.hidden, self.KERNEL, padding=half),
            nn.GELU(),
            nn.Conv1d(config.hidden, config.room, 1),
        )
        self.audio = nn.Sequential(
            nn.Linear(config.embedding, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.room),
        )
        self.log_scale = nn.Parameter(torch.tensor(3.0))

    def of_lips(self, code: Tensor) -> Tensor:
        """Lip codes (B, T, K) -> (B, T, D) of unit length."""
        speed = nn.functional.pad(code.diff(dim=1), (0, 0, 1, 0))
        x = self.lips(torch.cat([code, 2 * speed], 2).transpose(1, 2)).transpose(1, 2)
        return nn.functional.normalize(x, dim=2)

    def of_audio(self, embedding: Tensor) -> Tensor:
        """Audio embeddings (B, T, E) -> (B, T, D) of unit length."""
        return nn.functional.normalize(self.audio(embedding), dim=2)

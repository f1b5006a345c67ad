"""The lip network: log-mel in, lip code out, one 40 ms chunk at a time, state in and out."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

BANDS = 80
HOPS = 4
"""Mel frames in a chunk; a chunk is one picture's 40 ms."""


@dataclass(frozen=True, slots=True)
class LipNetConfig:
    """Sizes of a `LipNet`.

    Attributes:
        code: K, length of the lip code.
        channels: of the convolution over mel frames.
        hidden: of each of the two recurrent layers.
        dropout: between layers, in training.
        classes: of the auxiliary speech-sound head, used in training alone; 0 for none.
    """

    code: int = 6
    channels: int = 64
    hidden: int = 144
    dropout: float = 0.2
    classes: int = 0

    def as_dict(self) -> dict[str, float]:
        """For the file beside the weights."""
        return asdict(self)


class LipNet(nn.Module):
    """Causal convolution over mel frames, two recurrent layers over chunks, a linear head.

    The state is one tensor (B, S): the last frames the convolution saw, then the recurrent layers.
    """

    KERNEL = 5

    def __init__(self, config: LipNetConfig) -> None:
        super().__init__()
        self.config = config
        c, h = config.channels, config.hidden
        self.frame = nn.Conv1d(BANDS, c, self.KERNEL)
        self.chunk = nn.Linear(HOPS * c, h)
        self.norm = nn.LayerNorm(h)
        self.rnn = nn.GRU(h, h, num_layers=2, batch_first=True, dropout=config.dropout)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * h, config.code)
        self.sounds = nn.Linear(2 * h, config.classes) if config.classes else None

    @property
    def state_size(self) -> int:
        """S."""
        return (self.KERNEL - 1) * BANDS + 2 * self.config.hidden

    def init_state(self, batch: int, silence: float = -2.0) -> Tensor:
        """(B, S) state before any sound; `silence` is the feature of digital silence."""
        state = torch.zeros(batch, self.state_size)
        state[:, : (self.KERNEL - 1) * BANDS] = silence
        return state

    def features(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """mel (B, 4 T, 80), state (B, S) -> (B, T, 2 hidden), state."""
        batch, h = mel.shape[0], self.config.hidden
        past, memory = state.split([(self.KERNEL - 1) * BANDS, 2 * h], 1)
        frames = torch.cat([past.reshape(batch, self.KERNEL - 1, BANDS), mel], 1)
        x = nn.functional.gelu(self.frame(frames.transpose(1, 2))).transpose(1, 2)
        x = self.chunk(x.reshape(batch, -1, HOPS * self.config.channels))
        x = self.drop(nn.functional.gelu(self.norm(x)))
        y, last = self.rnn(x, memory.reshape(batch, 2, h).transpose(0, 1).contiguous())
        past = frames[:, -(self.KERNEL - 1) :].reshape(batch, -1)
        state = torch.cat([past, last.transpose(0, 1).reshape(batch, -1)], 1)
        return torch.cat([x, self.drop(y)], 2), state

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """mel (B, 4 T, 80) float32, state (B, S) -> lip codes (B, T, K), state (B, S)."""
        x, state = self.features(mel, state)
        return self.head(x), state

"""The lip network: log-mel in, lip code and embedding out, a 40 ms chunk at a time, state in and
out.

It first learns which sounds are spoken around a picture, from many voices; then lips, from few
people, out of what it hears, the sounds and the loudness.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

BANDS = 80
HOPS = 4
"""Mel frames in a chunk; a chunk is one picture's 40 ms."""
AROUND = (-8, -4, 0, 4, 8)
"""Hops of 10 ms around a picture's time at which its sounds are named: two pictures each way."""
SHUT = (8, 23, 28)
"""Classes of b, m and p, for which lips meet (`models.train.speech.sounds.SOUNDS`)."""
_CLOSING = (0.03, 0.22)
"""Likelihood of these at which the mouth begins to close, and at which it is shut."""
_LEVELS = ((2, 18), (18, 40), (40, 75))
"""Mel bands whose loudness goes along: up to 0.5 kHz, 1.7 kHz, 6.6 kHz."""
_VOICE = slice(4, 70)
_REACH = 3
"""Chunks of which the loudness is known."""
_FALL = 0.004
"""By which the loudest level is forgotten, a chunk: 2 dB a second."""
_SOFTEST = -1.0
"""The loudest level of anything that is taken for a voice."""


@dataclass(frozen=True, slots=True)
class LipNetConfig:
    """Sizes of a `LipNet`.

    Attributes:
        code: K, length of the lip code.
        planes: of the two convolutions over time and frequency.
        channels: of what is kept of a mel frame.
        hidden: of each of the two recurrent layers.
        classes: C, of speech sounds.
        embedding: E, length of what the lips are read from.
        dropout: between layers, in training.
    """

    code: int = 6
    planes: tuple[int, int] = (12, 16)
    channels: int = 64
    hidden: int = 160
    classes: int = 48
    embedding: int = 64
    dropout: float = 0.2

    @staticmethod
    def of(settings: dict[str, Any]) -> "LipNetConfig":
        """From JSON types."""
        return LipNetConfig(**{**settings, "planes": tuple(settings["planes"])})

    def as_dict(self) -> dict[str, Any]:
        """For the file beside the weights."""
        return asdict(self)


class Hearing(nn.Module):
    """Which sound is spoken when: convolutions over time and frequency, two recurrent layers over
    chunks, logits of the sound at each of `offsets`, in hops after the chunk's end.

    Its state is (B, S): the last mel frames, then the recurrent layers.
    """

    KERNEL = 3
    PAST = 2 * (KERNEL - 1)

    def __init__(self, config: LipNetConfig, offsets: tuple[int, ...]) -> None:
        super().__init__()
        self.config, self.offsets = config, offsets
        a, b = config.planes
        h = config.hidden
        self.first = nn.Conv2d(1, a, (self.KERNEL, 5), stride=(1, 2), padding=(0, 2))
        self.second = nn.Conv2d(a, b, (self.KERNEL, 5), stride=(1, 2), padding=(0, 2))
        self.frame = nn.Linear(b * BANDS // 4, config.channels)
        self.chunk = nn.Linear(HOPS * config.channels, h)
        self.norm = nn.LayerNorm(h)
        self.rnn = nn.GRU(h, h, num_layers=2, batch_first=True, dropout=config.dropout)
        self.drop = nn.Dropout(config.dropout)
        self.sounds = nn.Linear(2 * h, len(offsets) * config.classes)

    @property
    def state_size(self) -> int:
        """S."""
        return self.PAST * BANDS + 2 * self.config.hidden

    def init_state(self, batch: int, silence: float = -2.0) -> Tensor:
        """(B, S) state before any sound; `silence` is the feature of digital silence."""
        state = torch.zeros(batch, self.state_size)
        state[:, : self.PAST * BANDS] = silence
        return state

    def features(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """mel (B, 4 T, 80), state (B, S) -> (B, T, 2 hidden), state."""
        batch, h = mel.shape[0], self.config.hidden
        past, memory = state.split([self.PAST * BANDS, 2 * h], 1)
        frames = torch.cat([past.reshape(batch, self.PAST, BANDS), mel], 1)
        x = nn.functional.gelu(self.first(frames[:, None]))
        x = nn.functional.gelu(self.second(x))
        x = nn.functional.gelu(self.frame(x.transpose(1, 2).flatten(2)))
        x = self.chunk(x.reshape(batch, -1, HOPS * self.config.channels))
        x = self.drop(nn.functional.gelu(self.norm(x)))
        y, last = self.rnn(x, memory.reshape(batch, 2, h).transpose(0, 1).contiguous())
        past = frames[:, -self.PAST :].reshape(batch, -1)
        memory = last.transpose(0, 1).reshape(batch, -1)
        return torch.cat([x, self.drop(y)], 2), torch.cat([past, memory], 1)

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """mel (B, 4 T, 80), state (B, S) -> features (B, T, 2 hidden), logits (B, T, offsets, C),
        state."""
        x, state = self.features(mel, state)
        logits = self.sounds(x).reshape(*x.shape[:2], len(self.offsets), self.config.classes)
        return x, logits, state

    def at(self, offsets: tuple[int, ...]) -> "Hearing":
        """The same network, naming the sound at some of its offsets alone."""
        part = Hearing(self.config, offsets)
        rows = [self.offsets.index(o) * self.config.classes for o in offsets]
        index = torch.cat([torch.arange(r, r + self.config.classes) for r in rows])
        weights = {k: v for k, v in self.state_dict().items() if not k.startswith("sounds.")}
        weights["sounds.weight"] = self.sounds.weight.detach()[index]
        weights["sounds.bias"] = self.sounds.bias.detach()[index]
        part.load_state_dict(weights)
        return part


def running_max(x: Tensor) -> Tensor:
    """(B, T) -> the highest value up to each time, by doubling (Hillis and Steele 1986)."""
    step, length = 1, x.shape[1]
    while step < length:
        x = torch.cat([x[:, :step], torch.maximum(x[:, step:], x[:, :-step])], 1)
        step *= 2
    return x


class LipNet(nn.Module):
    """Audio encoder (`Hearing`, and the loudness beside the voice's own), linear down to an
    embedding, and a linear head that reads the lip code from it.

    The state is one tensor (B, S): the last loudnesses, the highest above the softest voice, then
    that of `Hearing`.
    """

    def __init__(self, config: LipNetConfig, lookahead_ms: int) -> None:
        super().__init__()
        self.config, self.lookahead_ms = config, lookahead_ms
        self.hearing = Hearing(config, tuple(o - lookahead_ms // 10 for o in AROUND))
        self.embed = nn.Linear(self.heard_size, config.embedding)
        self.head = nn.Linear(config.embedding, config.code)

    @property
    def heard_size(self) -> int:
        """F, length of what the embedding is a linear image of."""
        sounds = len(AROUND) * self.config.classes
        return 2 * self.config.hidden + sounds + _REACH * len(_LEVELS)

    @property
    def _parts(self) -> tuple[int, int, int]:
        return (_REACH - 1) * len(_LEVELS), 1, self.hearing.state_size

    @property
    def state_size(self) -> int:
        """S."""
        return sum(self._parts)

    def init_state(self, batch: int, silence: float = -2.0) -> Tensor:
        """(B, S) state before any sound; `silence` is the feature of digital silence."""
        levels, _, _ = self._parts
        start = torch.full((batch, levels + 1), silence)
        start[:, levels] = 0
        return torch.cat([start, self.hearing.init_state(batch, silence)], 1)

    def _loudness(self, mel: Tensor, past: Tensor, peak: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loudness of `_REACH` chunks in bands, relative to the voice's own, (B, T, 9)."""
        batch, count = mel.shape[0], mel.shape[1] // HOPS
        chunks = mel.reshape(batch, count, HOPS, BANDS).mean(2)
        fall = _FALL * torch.arange(1, count + 1, dtype=mel.dtype)
        level = torch.cat([peak + _SOFTEST, chunks[:, :, _VOICE].mean(2) + fall], 1)
        top = (running_max(level)[:, 1:] - fall).clamp(min=_SOFTEST)
        bands = torch.stack([chunks[:, :, a:b].mean(2) for a, b in _LEVELS], 2)
        line = torch.cat([past.reshape(batch, _REACH - 1, len(_LEVELS)), bands], 1)
        near = torch.cat([line[:, i : i + count] for i in range(_REACH)], 2)
        out = (near - top[:, :, None]).clamp(-1.2, 1.5)
        return out, line[:, -(_REACH - 1) :].reshape(batch, -1), top[:, -1:] - _SOFTEST

    def hear(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """mel (B, 4 T, 80), state (B, S) -> what is heard (B, T, F), logits of sounds
        (B, T, 5, C), state (B, S)."""
        levels, peak, memory = state.split(self._parts, 1)
        features, logits, memory = self.hearing(mel, memory)
        loud, levels, peak = self._loudness(mel, levels, peak)
        # The root makes rare sounds count: a likelihood of 0.04 is a fifth, not nothing.
        sounds = torch.sqrt(logits.softmax(3) + 1e-4).flatten(2)
        heard = torch.cat([features, sounds, loud], 2)
        return heard, logits, torch.cat([levels, peak, memory], 1)

    def parted(self, logits: Tensor) -> Tensor:
        """Logits of sounds (B, T, 5, C) -> (B, T) by how much the lips are parted: 1, down to 0
        where a sound is spoken for which they meet."""
        likely = logits.softmax(3)
        meet = likely[..., SHUT[0]] + likely[..., SHUT[1]] + likely[..., SHUT[2]]
        middle = AROUND.index(0)
        smooth = 0.5 * meet[:, :, middle] + 0.25 * (meet[:, :, middle - 1] + meet[:, :, middle + 1])
        low, high = _CLOSING
        return 1 - ((smooth - low) / (high - low)).clamp(0, 1)

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """mel (B, 4 T, 80) float32, state (B, S) -> lip codes (B, T, K), embeddings (B, T, E),
        state (B, S)."""
        heard, logits, state = self.hear(mel, state)
        embedding = self.embed(heard)
        code = self.head(embedding)
        first = code[:, :, :1] * self.parted(logits)[:, :, None]
        return torch.cat([first, code[:, :, 1:]], 2), embedding, state

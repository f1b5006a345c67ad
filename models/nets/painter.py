"""The render network: a UNet that predicts the mouth's window from noise, guide and portrait.

Windows are (B, 3, 96, 112) in [-1, 1]; inside they are unshuffled by 4 to 24x28. What it paints is
the guide plus a residual, through a soft mask, where `models.window.region` allows it.
"""

from dataclasses import asdict, dataclass
from math import log
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import window
from models.nets.attention import Attention

UNSHUFFLE = 4
HEAD = 32
"""Channels of a head of attention."""


@dataclass(frozen=True, slots=True)
class PainterConfig:
    """Sizes of a `Painter`.

    Attributes:
        channels: at 24x28, 12x14 and 6x7.
        blocks: residual blocks a level, on the way down and on the way up.
        code: length of what scales and shifts the norms.
        dropout: in the residual blocks, in training.
    """

    channels: tuple[int, ...] = (48, 64, 96)
    blocks: int = 1
    code: int = 128
    dropout: float = 0.0

    @staticmethod
    def of(settings: dict[str, Any]) -> "PainterConfig":
        """From JSON types."""
        return PainterConfig(**{**settings, "channels": tuple(settings["channels"])})

    def as_dict(self) -> dict[str, Any]:
        """For the file beside the weights."""
        return asdict(self)


PRESETS = {
    "tiny": PainterConfig((16, 24, 32), 1, 48),
    "lite": PainterConfig(),
    "base": PainterConfig((96, 128, 192), 2, 256, 0.1),
}


class Sitting(NamedTuple):
    """What is known of a portrait once and for all: `Painter.sit` makes it.

    Attributes:
        features: (B, C, 24, 28).
        code: (B, E).
    """

    features: Tensor
    code: Tensor


class Painted(NamedTuple):
    """What one step gives: the picture (B, 3, 96, 112) and the mask (B, 1, 96, 112) it took."""

    picture: Tensor
    mask: Tensor


class Block(nn.Module):
    """Two convolutions around group norms that the code scales and shifts (Dhariwal 2021)."""

    def __init__(self, before: int, after: int, code: int, dropout: float) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(8, before)
        self.conv_in = nn.Conv2d(before, after, 3, padding=1)
        self.norm_out = nn.GroupNorm(8, after)
        self.told = nn.Linear(code, 2 * after)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """(B, C, H, W) and (B, E) -> (B, C', H, W)."""
        h = self.conv_in(F.silu(self.norm_in(x)))
        scale, shift = self.told(code)[..., None, None].chunk(2, 1)
        h = F.silu(self.norm_out(h) * (1 + scale) + shift)
        skipped: Tensor = self.skip(x) + self.conv_out(self.dropout(h))
        return skipped


class Portrait(nn.Module):
    """What the network keeps of the portrait's window; run once for an avatar."""

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        first, *others = config.channels
        self.stem = nn.Conv2d(3 * UNSHUFFLE**2, first, 3, padding=1)
        still = config.code
        self.near = nn.ModuleList([Block(first, first, still, config.dropout) for _ in range(2)])
        widths = list(zip(config.channels, others, strict=False))
        self.down = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in widths])
        self.far = nn.ModuleList([Block(b, b, still, config.dropout) for b in others])
        self.features = nn.Conv2d(first, first, 3, padding=1)
        self.code = nn.Linear(config.channels[-1], config.code)
        self.told = nn.Parameter(torch.zeros(1, still))

    def forward(self, portrait: Tensor) -> Sitting:
        """(B, 3, 96, 112) -> what is known of it."""
        told = self.told.expand(portrait.shape[0], -1)
        x = self.stem(F.pixel_unshuffle(portrait, UNSHUFFLE))
        for block in self.near:
            x = block(x, told)
        features = self.features(F.silu(x))
        for down, block in zip(self.down, self.far, strict=True):
            x = block(down(x), told)
        return Sitting(features, self.code(F.silu(x).mean((2, 3))))


class Painter(nn.Module):
    """The network. It keeps no state: its own last pictures, fed back, darkened the mouth."""

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        self.config = config
        first, *others = config.channels
        code, drop = config.code, config.dropout
        self.sit = Portrait(config)
        self.time = nn.Sequential(nn.Linear(64, code), nn.SiLU(), nn.Linear(code, code))
        self.told = nn.Sequential(
            nn.Linear(window.CONDITIONS, code), nn.SiLU(), nn.Linear(code, code)
        )
        self.stem = nn.Conv2d((3 + 1) * UNSHUFFLE**2, first, 3, padding=1)
        self.noisy = nn.Conv2d(3 * UNSHUFFLE**2, first, 1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        kept = []
        for width, after in zip(config.channels, [*others, 0], strict=True):
            self.down.append(
                nn.ModuleList([Block(width, width, code, drop) for _ in range(config.blocks)])
            )
            kept.append(width)
            if after:
                self.shrink.append(nn.Conv2d(width, after, 3, stride=2, padding=1))
        self.attend = Attention(config.channels[-1], config.channels[-1] // HEAD, 8)
        self.middle = Block(config.channels[-1], config.channels[-1], code, drop)
        for width, below in zip(reversed(kept), [*reversed(kept[:-1]), 0], strict=True):
            blocks = [Block(2 * width, width, code, drop)]
            blocks += [Block(width, width, code, drop) for _ in range(config.blocks - 1)]
            self.up.append(nn.ModuleList(blocks))
            if below:
                self.grow.append(nn.Conv2d(width, below, 3, padding=1))
        self.norm = nn.GroupNorm(8, first)
        self.out = nn.Conv2d(first, 4 * UNSHUFFLE**2, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        guide: Tensor,
        region: Tensor,
        told: Tensor,
        sitting: Sitting,
    ) -> Painted:
        """One prediction of the picture.

        Args:
            noisy: (B, 3, 96, 112), the picture at time t.
            t: (B,) in [0, 1].
            guide: (B, 3, 96, 112).
            region: (B, 1, 96, 112) in [0, 1], where it may paint.
            told: (B, window.CONDITIONS).
            sitting: of the portrait.
        """
        code = F.silu(self.time(_waves(t)) + self.told(told) + sitting.code)
        seen = torch.cat([guide, region], 1)
        x = self.stem(F.pixel_unshuffle(seen, UNSHUFFLE)) + sitting.features
        x = x + self.noisy(F.pixel_unshuffle(noisy, UNSHUFFLE))
        kept = []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                x = block(x, code)
            kept.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
        x = self.middle(self.attend(x), code)
        for level, blocks in enumerate(self.up):
            x = torch.cat([x, kept.pop()], 1)
            for block in blocks:
                x = block(x, code)
            if level < len(self.grow):
                x = self.grow[level](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        made = F.pixel_shuffle(self.out(F.silu(self.norm(x))), UNSHUFFLE).float()
        mask = region * torch.sigmoid(made[:, 3:] + 1.0)
        return Painted((guide + mask * 2 * made[:, :3]).clamp(-1, 1), mask)


def _waves(t: Tensor) -> Tensor:
    """(B,) times as (B, 64) waves."""
    rates = torch.exp(torch.arange(32, device=t.device) * (-log(1000.0) / 31)) * 1000.0
    angles = t[:, None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], 1)


def count(net: nn.Module) -> int:
    """How many numbers a network holds."""
    return sum(p.numel() for p in net.parameters())

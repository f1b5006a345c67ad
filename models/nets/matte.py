"""The matting network: a UNet from a portrait to the person's alpha.

Pictures are (B, 3, S, S) in [0, 1], S a multiple of 32; inside they are unshuffled by 2. A last
pair of convolutions sees the pixels themselves, where hair is.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nets.attention import Attention

SIDE_PX = 320
UNSHUFFLE = 2


@dataclass(frozen=True, slots=True)
class MatteConfig:
    """Sizes of a `MatteNet`.

    Attributes:
        channels: at S/2, S/4, and so on.
        blocks: residual blocks a level on the way down; on the way up there is one.
        fine: channels of the last layers, at S.
        heads: of attention at the smallest level.
    """

    channels: tuple[int, ...] = (24, 40, 64, 96, 128)
    blocks: int = 2
    fine: int = 12
    heads: int = 4

    @staticmethod
    def of(settings: dict[str, Any]) -> "MatteConfig":
        """From JSON types."""
        return MatteConfig(**{**settings, "channels": tuple(settings["channels"])})

    def as_dict(self) -> dict[str, Any]:
        """For the file beside the weights."""
        return asdict(self)


class Block(nn.Module):
    """Two convolutions beside a skip, norms first."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(4, before)
        self.conv_in = nn.Conv2d(before, after, 3, padding=1)
        self.norm_out = nn.GroupNorm(4, after)
        self.conv_out = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        h = self.conv_in(F.silu(self.norm_in(x)))
        skipped: Tensor = self.skip(x) + self.conv_out(F.silu(self.norm_out(h)))
        return skipped


class MatteNet(nn.Module):
    """Portrait to alpha."""

    def __init__(self, config: MatteConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.stem = nn.Conv2d(3 * UNSHUFFLE**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.up = nn.ModuleList()
        self.grow = nn.ModuleList()
        for level, width in enumerate(widths):
            self.down.append(nn.Sequential(*(Block(width, width) for _ in range(config.blocks))))
            if level + 1 < len(widths):
                wider = widths[level + 1]
                self.shrink.append(nn.Conv2d(width, wider, 3, stride=2, padding=1))
                self.grow.append(nn.Conv2d(wider, width, 1))
                self.up.append(Block(2 * width, width))
        place = (SIDE_PX // UNSHUFFLE) >> (len(widths) - 1)
        self.place = nn.Parameter(0.02 * torch.randn(1, widths[-1], place, place))
        self.middle = nn.Sequential(
            Attention(widths[-1], config.heads, 4), Block(widths[-1], widths[-1])
        )
        self.spread = nn.Conv2d(widths[0], config.fine * UNSHUFFLE**2, 3, padding=1)
        self.fine = nn.Conv2d(config.fine + 3, config.fine, 3, padding=1)
        self.last = nn.Conv2d(config.fine, 1, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """Logits of alpha, (B, 1, S, S), for pictures (B, 3, S, S) in [0, 1]."""
        picture = 2 * picture - 1
        x = self.stem(F.pixel_unshuffle(picture, UNSHUFFLE))
        kept = []
        for level, blocks in enumerate(self.down):
            x = blocks(x)
            if level < len(self.shrink):
                kept.append(x)
                x = self.shrink[level](x)
        x = self.middle(x + self.place)
        for level in reversed(range(len(self.up))):
            x = F.interpolate(self.grow[level](x), scale_factor=2.0, mode="nearest")
            x = self.up[level](torch.cat([x, kept[level]], 1))
        x = F.pixel_shuffle(self.spread(F.silu(x)), UNSHUFFLE)
        x = F.silu(self.fine(torch.cat([F.silu(x), picture], 1)))
        logits: Tensor = self.last(x)
        return logits

"""Two networks for faces: where they are in a picture, and the landmarks of one in its crop.

Both are stacks of depthwise-separable residual blocks (Liu 2022, section 2) with batch norms, which
fold into the convolutions when a network is opened.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.faces import CROP_PX, DETECTOR_PX, STRIDE
from models.topology import LANDMARKS

_GRID, _THIN = CROP_PX // 8, 48
_WIDE = _THIN * (CROP_PX // 32) ** 2
_REACH = 1.3
"""Side of what the local head's cells span, in crops: points may lie a little outside."""


@dataclass(frozen=True, slots=True)
class FacesConfig:
    """Sizes of either network.

    Attributes:
        channels: at strides 2, 4, 8, 16 and 32.
        blocks: residual blocks at strides 4, 8, 16 and 32.
        head: channels of the heads.
    """

    channels: tuple[int, int, int, int, int]
    blocks: tuple[int, int, int, int]
    head: int


DETECTOR = FacesConfig((16, 32, 64, 128, 160), (1, 2, 4, 2), 64)
REGRESSOR = FacesConfig((16, 40, 80, 160, 224), (1, 4, 4, 2), 96)


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    # A whole number could not be averaged with the weights.
    norm.num_batches_tracked = torch.zeros(())
    return norm


def _down(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, 3, 2, 1, bias=False), _norm(made), nn.ReLU())


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 5, 1, 2, groups=channels, bias=False),
            _norm(channels),
            nn.Conv2d(channels, 2 * channels, 1, bias=False),
            _norm(2 * channels),
            nn.ReLU(),
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            _norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return x + self.body(x)


class _Trunk(nn.Module):
    """(B, 3, H, W) from 0 to 1 -> features at strides 8, 16 and 32."""

    def __init__(self, config: FacesConfig) -> None:
        super().__init__()
        c = config.channels
        self.stem = _down(3, c[0])
        self.stages = nn.ModuleList(
            nn.Sequential(_down(c[at], c[at + 1]), *(_Block(c[at + 1]) for _ in range(count)))
            for at, count in enumerate(config.blocks)
        )

    def forward(self, picture: Tensor) -> list[Tensor]:
        """The picture's features, fine to coarse."""
        x, made = self.stem(2 * picture - 1), []
        for stage in self.stages:
            x = stage(x)
            made.append(x)
        return made[1:]


class _Fuse(nn.Module):
    """Features at strides 8, 16 and 32 -> one at stride 8 (Lin 2017, figure 3)."""

    def __init__(self, config: FacesConfig) -> None:
        super().__init__()
        self.ins = nn.ModuleList(nn.Conv2d(c, config.head, 1) for c in config.channels[2:])
        self.mends = nn.ModuleList(_Block(config.head) for _ in range(2))

    def forward(self, features: list[Tensor]) -> Tensor:
        """(B, head, H / 8, W / 8)."""
        x = self.ins[2](features[2])
        for at in (1, 0):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") + self.ins[at](features[at])
            x = self.mends[at](x)
        return x


class Detector(nn.Module):
    """(B, 3, 256, 256) RGB from 0 to 1 -> (B, 6, 32, 32), see `models.faces.read_map`."""

    def __init__(self, config: FacesConfig = DETECTOR) -> None:
        super().__init__()
        self.trunk, self.fuse = _Trunk(config), _Fuse(config)
        self.out = nn.Conv2d(config.head, 6, 1)
        with torch.no_grad():
            assert self.out.bias is not None
            self.out.bias[0] = -4.6  # faces are rare: 1 % to begin with (Lin 2017b, section 3.3)

    def forward(self, picture: Tensor) -> Tensor:
        """Heat (logit), offset x and y (cells), log size (cells), cosine and sine of the roll."""
        return self.out(self.fuse(self.trunk(picture)))


@dataclass(frozen=True, slots=True)
class Guess:
    """What the regressor says of crops.

    Attributes:
        points: (B, 478, 3) in crop sides from the crop's corner; z in crop sides.
        whole: (B, 478, 3) the same from the picture as a whole alone.
        local: (B, 478, 2) the same from heatmaps alone.
        score: (B, 1) logit that a face fills the crop.
    """

    points: Tensor
    whole: Tensor
    local: Tensor
    score: Tensor


class Regressor(nn.Module):
    """(B, 3, 192, 192) RGB from 0 to 1 -> the landmarks of the face that fills it.

    One head regresses all points from the whole (it knows what a face looks like, and holds under
    occlusion and style), one takes the mean of a heatmap each (Sun 2018, eq. 2: it is exact); they
    are mixed by a learned share a point.
    """

    def __init__(self, config: FacesConfig = REGRESSOR) -> None:
        super().__init__()
        last = config.channels[-1]
        self.trunk, self.fuse = _Trunk(config), _Fuse(config)
        self.heat = nn.Conv2d(config.head, LANDMARKS, 1)
        self.squeeze = nn.Sequential(nn.Conv2d(last, _THIN, 1, bias=False), _norm(_THIN), nn.ReLU())
        self.think = nn.Sequential(nn.Linear(_WIDE, 384), nn.ReLU(), nn.Dropout(0.1))
        self.whole = nn.Linear(384, 3 * LANDMARKS)
        self.score = nn.Sequential(nn.Linear(384, 64), nn.ReLU(), nn.Linear(64, 1))
        self.share = nn.Parameter(torch.zeros(LANDMARKS))
        steps = (torch.arange(_GRID) + 0.5) / _GRID
        self.register_buffer("steps", (steps - 0.5) * _REACH + 0.5, persistent=False)

    def begin(self, mean: Tensor) -> None:
        """Begins with a mean face, (478, 3) in crop sides."""
        with torch.no_grad():
            self.whole.bias.copy_(mean.flatten())
            self.whole.weight.mul_(0.1)

    def thought(self, picture: Tensor) -> Tensor:
        """(B, 384) what the score is told by."""
        return self.think(self.squeeze(self.trunk(picture)[-1]).reshape(-1, _WIDE))

    def guess(self, picture: Tensor) -> Guess:
        """All that the network says."""
        features = self.trunk(picture)
        heat = self.heat(self.fuse(features)).float().reshape(-1, LANDMARKS, _GRID**2).softmax(-1)
        heat = heat.reshape(-1, LANDMARKS, _GRID, _GRID)
        local = torch.stack([(heat.sum(at) * self.steps).sum(-1) for at in (2, 3)], -1)
        thought = self.think(self.squeeze(features[-1]).reshape(-1, _WIDE))
        whole = self.whole(thought).float().reshape(-1, LANDMARKS, 3)
        share = self.share.sigmoid()[None, :, None]
        mixed = whole[..., :2] + share * (local - whole[..., :2])
        points = torch.cat([mixed, whole[..., 2:]], -1)
        return Guess(points, whole, local, self.score(thought).float())

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Points (B, 478, 3) and score (B, 1) from 0 to 1."""
        found = self.guess(picture)
        return found.points, found.score.sigmoid()


def cells() -> int:
    """Cells along a side of the detector's map."""
    return DETECTOR_PX // STRIDE

"""Training pictures, made on the device in whole batches: places, backgrounds, light, cameras."""

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.train.matte import colours
from models.train.matte.camera import photographed
from models.train.matte.pack import KINDS, Pack

_CHUNK = 64
_CUT = 12
"""Mean alpha, of 255, of a picture's first row over which its head is cut."""


@dataclass(frozen=True, slots=True)
class Variety:
    """How much training pictures vary.

    Attributes:
        own: share of labelled pictures that keep their own background.
        made: share of the other backgrounds that are made up; the rest are another picture's.
        zoom: of the person, as powers of two, least and most.
        turn: degrees either way.
        shift: share of the side either way.
        alike: share of other backgrounds whose colour is drawn towards the person's.
        kinds: how often stills, heads and film pictures are drawn.
    """

    own: float = 0.5
    made: float = 0.45
    zoom: tuple[float, float] = (-0.55, 0.6)
    turn: float = 14.0
    shift: float = 0.12
    alike: float = 0.3
    kinds: tuple[float, ...] = (0.68, 0.25, 0.07)


class Sampler:
    """Draws training batches from a pack that lies on the device.

    Args:
        pack: of portraits; those held out are not drawn.
        variety: how much they vary.
        device: where batches are made.
        seed: of what is drawn.

    Raises:
        ValueError: the pack has nothing to train on.
    """

    def __init__(self, pack: Pack, variety: Variety, device: torch.device, seed: int) -> None:
        free = np.flatnonzero(~pack.held)
        if not len(free):
            raise ValueError(f"all {len(pack.held)} portraits of the pack are held out")
        self._variety, self._device = variety, device
        self._dice = torch.Generator(device).manual_seed(seed)
        self._pictures = torch.from_numpy(pack.pictures[free]).to(device)
        self._mattes = torch.from_numpy(pack.mattes[free]).to(device)
        kinds = torch.from_numpy(pack.kinds[free]).long()
        self._exact = (kinds == KINDS.index("head")).to(device)
        # A head that its picture cuts at the top would be flat, made smaller.
        self._cut = self._mattes[:, 0, 0].float().mean(1) > _CUT
        weight = torch.tensor(variety.kinds)[kinds]
        for kind, share in enumerate(variety.kinds):
            weight[kinds == kind] = share / max(int((kinds == kind).sum()), 1)
        self._weight = weight.to(device)
        self._fronts, self._backs = self._parted()

    def _parted(self) -> tuple[Tensor, Tensor]:
        fronts, backs = torch.empty_like(self._pictures), torch.empty_like(self._pictures)
        for start in range(0, len(self._pictures), _CHUNK):
            some = slice(start, start + _CHUNK)
            picture, alpha = self._pictures[some] / 255, self._mattes[some] / 255
            fronts[some] = (colours.foreground(picture, alpha) * 255).round().byte()
            backs[some] = (colours.background(picture, alpha) * 255).round().byte()
        return fronts, backs

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """A batch: pictures (B, 3, S, S) and alphas (B, 1, S, S), float32 in [0, 1]."""
        v = self._variety
        who = torch.multinomial(self._weight, count, replacement=True, generator=self._dice)
        own = (self._rand(count) < v.own) & ~self._exact[who]
        places = self._places(count, own | self._cut[who])
        alpha = _sampled(self._mattes[who], places)
        # Above its picture nothing of a person is known; beside and below it goes on.
        at = own[:, None, None, None]
        alpha = torch.where(at, alpha, alpha * (places[..., 1] > -1.02)[:, None])
        front = _sampled(torch.where(at, self._pictures[who], self._fronts[who]), places)
        back = self._backgrounds(who, front, alpha)
        front = front * self._light(count)
        picture = torch.where(at, front, alpha * front + (1 - alpha) * back)
        return photographed(picture, self._dice), alpha

    def _rand(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self._dice, device=self._device)

    def _places(self, count: int, whole: Tensor) -> Tensor:
        """Where each pixel of a training picture comes from: (B, S, S, 2) in [-1, 1]."""
        v, side = self._variety, self._pictures.shape[-1]
        size = 2 ** self._rand(count, low=v.zoom[0], high=v.zoom[1])
        # A picture with its own background is not made smaller: its rims would smear.
        size = torch.where(whole, size.clamp(min=1), size)
        angle = self._rand(count, low=-v.turn, high=v.turn) * pi / 180
        flip = torch.where(self._rand(count) < 0.5, -1.0, 1.0)
        stretch = 2 ** self._rand(count, low=-0.12, high=0.12)
        cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
        room = (1 - 1 / size).clamp(min=0)
        slack = 2 * self._rand(count, 2, low=-1, high=1) * v.shift
        x = torch.where(size < 1, slack[:, 0] / size, room * self._rand(count, low=-1, high=1))
        # Made smaller, the person stands on the lower rim, or is cut by it.
        low = 1 - 1 / size - slack[:, 1].abs()
        y = torch.where(size < 1, low, room * self._rand(count, low=-1, high=1))
        rows = torch.stack(
            [flip * cos * stretch, -sin * stretch, x, flip * sin / stretch, cos / stretch, y], -1
        )
        return F.affine_grid(rows.view(count, 2, 3), [count, 1, side, side], align_corners=False)

    def _backgrounds(self, who: Tensor, front: Tensor, alpha: Tensor) -> Tensor:
        v, count = self._variety, len(who)
        rooms = (~self._exact).float()
        other = torch.multinomial(rooms, count, replacement=True, generator=self._dice)
        size = 2 ** self._rand(count, low=0.0, high=1.8)
        room = 1 - 1 / size
        flip = torch.where(self._rand(count) < 0.5, -1.0, 1.0)
        still = torch.zeros_like(size)
        x, y = room * self._rand(count, low=-1, high=1), room * self._rand(count, low=-1, high=0.3)
        rows = torch.stack([flip / size, still, x, still, 1 / size, y], -1).view(count, 2, 3)
        side = front.shape[-1]
        places = F.affine_grid(rows, [count, 1, side, side], align_corners=False)
        back = _sampled(self._backs[other], places)
        back = back * self._light(count)
        made = (self._rand(count) < v.made)[:, None, None, None]
        back = torch.where(made, self._made(count, side), back)
        drawn = (front * alpha).sum((2, 3)) / alpha.sum((2, 3)).clamp(min=1)
        shift = (drawn - back.mean((2, 3)))[..., None, None] * self._rand(count, low=0.4)[
            :, None, None, None
        ]
        alike = (self._rand(count) < v.alike)[:, None, None, None]
        return torch.where(alike, back + shift, back).clamp(0, 1)

    def _made(self, count: int, side: int) -> Tensor:
        """Gradients, noise of many scales, and panels with sharp edges."""
        tint = self._rand(count, 3, 1, 1)
        picture = tint.expand(count, 3, side, side)
        strength = self._rand(count, 1, 1, 1) ** 2
        for cells in (2, 4, 9, 24, 64):
            rough = torch.randn((count, 3, cells, cells), generator=self._dice, device=self._device)
            grey = self._rand(count, 1, 1, 1) < 0.6
            rough = torch.where(grey, rough.mean(1, keepdim=True) * 1.7, rough)
            wide = F.interpolate(rough, (side, side), mode="bicubic", align_corners=False)
            share = self._rand(count, 1, 1, 1) ** 2 * 0.35 * strength
            picture = picture + share * wide
        axis = torch.linspace(0, 1, side, device=self._device)
        for _ in range(5):
            low, size = self._rand(count, 2, low=-0.3), self._rand(count, 2, low=0.02, high=0.7)
            inside = [
                (axis[None] > low[:, n, None]) & (axis[None] < (low + size)[:, n, None])
                for n in range(2)
            ]
            panel = (inside[0][:, None, :, None] & inside[1][:, None, None, :]).float()
            panel = panel * (self._rand(count, 1, 1, 1) < 0.4) * self._rand(count, 1, 1, 1)
            picture = picture + panel * (self._rand(count, 3, 1, 1) - picture)
        return picture.clamp(0, 1)

    def _light(self, count: int) -> Tensor:
        """A factor on colours, with a slope over the picture: (B, 3, S, S)."""
        side = self._pictures.shape[-1]
        gain = 2 ** (0.5 * torch.randn((count, 1, 1, 1), generator=self._dice, device=self._device))
        hue = 2 ** (0.15 * torch.randn((count, 3, 1, 1), generator=self._dice, device=self._device))
        slope = self._rand(count, 2, low=-0.4, high=0.4)
        axis = torch.linspace(-1, 1, side, device=self._device)
        lean = slope[:, 0, None, None] * axis[:, None] + slope[:, 1, None, None] * axis[None]
        factor: Tensor = gain.clamp(0.4, 1.8) * hue.clamp(0.75, 1.35) * (1 + lean[:, None])
        return factor


def _sampled(pictures: Tensor, places: Tensor) -> Tensor:
    return F.grid_sample(
        pictures.float() / 255, places, mode="bilinear", padding_mode="border", align_corners=False
    )

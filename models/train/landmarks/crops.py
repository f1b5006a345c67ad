"""What the landmark network learns from: crops of faces under jitter and warps, and of no face."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models import topology as topo
from models.faces import CROP_PX, ROOM
from models.nets.faces import Guess
from models.train.landmarks import augment
from models.train.landmarks.bank import Bank

_EYES_CROPS = 0.31
"""Usual distance of the eyes, in crop sides; errors are measured by it."""


@dataclass(frozen=True, slots=True)
class CropConfig:
    """How crops vary.

    Attributes:
        none, astray: shares of the batch with no face, and with a crop beside one.
        tight: share whose jitter is a third, as when a face is followed.
        size, shift, roll: deviations of the jitter: of the size's logarithm, in crop sides, rad.
        tilted: share turned up to 40 degrees.
        stretch, bend: deviations of the warp: of the sides' logarithm, and in crop sides.
        bent: share that is bent, as faces are drawn rather than grown.
        covered: share with a part hidden.
    """

    none: float = 0.08
    astray: float = 0.04
    tight: float = 0.4
    size: float = 0.13
    shift: float = 0.06
    roll: float = 0.15
    tilted: float = 0.1
    stretch: float = 0.07
    bend: float = 0.022
    bent: float = 0.6
    covered: float = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """A batch.

    Attributes:
        picture: (B, 3, 192, 192) from 0 to 1.
        points: (B, 478, 3) in crop sides, z too.
        face: (B,) 1 where a face fills the crop, else 0.
        weight: (B,) of the landmarks' errors.
    """

    picture: Tensor
    points: Tensor
    face: Tensor
    weight: Tensor


def _grid(like: Tensor) -> Tensor:
    """(1, 192, 192, 2) crop coordinates from -0.5 to 0.5 of the pixels' middles."""
    steps = (torch.arange(CROP_PX, device=like.device) + 0.5) / CROP_PX - 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], -1)[None]


def draw(bank: Bank, count: int, config: CropConfig) -> Crops:
    """A batch of training crops."""
    rows = bank.draw(count)
    frames, like = bank.frames[rows], bank.frames
    jitter = torch.where(augment.between(0, 1, like, count, 1) < config.tight, 0.33, 1.0)
    noise = torch.randn(count, 4, device=like.device).clamp(-2.5, 2.5) * jitter
    far = augment.between(0, 1, like, count) < config.tilted
    roll = torch.where(far, augment.between(-0.7, 0.7, like, count), noise[:, 3] * config.roll)
    side = frames[:, 2] * ROOM * torch.exp(noise[:, 2] * config.size)
    shift = noise[:, :2] * config.shift
    astray = augment.between(0, 1, like, count) < config.astray
    away = augment.between(0, 6.2832, like, count)
    shift = torch.where(astray[:, None], torch.stack([away.cos(), away.sin()], -1) * 0.65, shift)
    stretch = torch.exp(torch.randn(count, 2, device=like.device).clamp(-2, 2) * config.stretch)
    bend = torch.randn(count, 2, 4, 4, device=like.device).clamp(-2, 2) * config.bend
    bend = bend * (augment.between(0, 1, like, count, 1, 1, 1) < config.bent)
    flip = torch.where(augment.between(0, 1, like, count) < 0.5, -1.0, 1.0)
    warp = _Warp(frames, side, roll, shift, stretch, flip, bend)
    middle = count // 2
    grid = warp.out(_grid(like).expand(count, -1, -1, -1).flatten(1, 2))
    grid = grid.unflatten(1, (CROP_PX, CROP_PX))
    picture = torch.cat(
        [
            bank.sample(rows[:middle], grid[:middle], rim="border"),
            bank.sample(rows[middle:], grid[middle:]),
        ]
    )
    points = bank.points[rows]
    mirrored = torch.where(flip[:, None, None] < 0, points[:, bank.mirror], points)
    placed = warp.into(mirrored)
    face = 1 - astray.float()
    empty = round(count * config.none)
    # Rows of the batch are alike, so that any of them may be the empty ones.
    if empty:
        picture[:empty] = bank.nothing(empty, CROP_PX)
        face[:empty] = 0
    picture = augment.some(picture, config.covered, lambda x: augment.cover(x, x.roll(1, 0)))
    return Crops(augment.change(picture), placed, face, bank.weight[rows] * face)


@dataclass(frozen=True, slots=True, eq=False)
class _Warp:
    """From crops, -0.5 to 0.5, to pictures in px and back; see `draw` for what it is made of."""

    frames: Tensor
    side: Tensor
    roll: Tensor
    shift: Tensor
    stretch: Tensor
    flip: Tensor
    bend: Tensor

    def _bent(self, at: Tensor) -> Tensor:
        """How far each (B, N, 2) is bent away."""
        soft = F.interpolate(self.bend, (24, 24), mode="bicubic", align_corners=True)
        found = F.grid_sample(soft, 2 * at[:, :, None], padding_mode="border", align_corners=True)
        return found[..., 0].transpose(1, 2)

    def _turn(self) -> tuple[Tensor, Tensor]:
        angle = (self.frames[:, 3] + self.roll)[:, None]
        return angle.cos(), angle.sin()

    def out(self, at: Tensor) -> Tensor:
        """(B, N, 2) crop -> px."""
        v = (at + self._bent(at)) * self.stretch[:, None] + self.shift[:, None]
        x, y = v[..., 0] * self.flip[:, None] * self.side[:, None], v[..., 1] * self.side[:, None]
        cos, sin = self._turn()
        made = torch.stack([cos * x - sin * y, sin * x + cos * y], -1)
        return made + self.frames[:, None, :2]

    def into(self, points: Tensor) -> Tensor:
        """(B, N, 3) px -> crop sides from the corner."""
        off = points[..., :2] - self.frames[:, None, :2]
        cos, sin = self._turn()
        x, y = cos * off[..., 0] + sin * off[..., 1], cos * off[..., 1] - sin * off[..., 0]
        v = torch.stack([x * self.flip[:, None], y], -1) / self.side[:, None, None]
        v = (v - self.shift[:, None]) / self.stretch[:, None]
        at = v
        for _ in range(4):
            at = v - self._bent(at)
        z = points[..., 2:] / (self.side * self.stretch[:, 0])[:, None, None]
        return torch.cat([at + 0.5, z], -1)


def plain(bank: Bank, jitter: float = 0.04) -> Crops:
    """Every picture of a bank once, with the jitter of a face that is followed alone."""
    count = len(bank.frames)
    frames = bank.frames
    rng = torch.Generator().manual_seed(0)
    noise = (torch.randn(count, 4, generator=rng) * jitter).to(frames.device)
    ones = torch.ones(count, device=frames.device)
    flat = torch.zeros(count, 2, 4, 4, device=frames.device)
    side = frames[:, 2] * ROOM * torch.exp(noise[:, 2])
    warp = _Warp(frames, side, noise[:, 3], noise[:, :2], torch.ones_like(noise[:, :2]), ones, flat)
    grid = warp.out(_grid(frames).expand(count, -1, -1, -1).flatten(1, 2))
    picture = bank.sample(torch.arange(count), grid.unflatten(1, (CROP_PX, CROP_PX)), rim="border")
    return Crops(picture, warp.into(bank.points), ones, ones)


def point_weights(device: torch.device) -> Tensor:
    """(478,) lips, lids, irises and brows count for more; the mean is one."""
    weight = torch.ones(topo.LANDMARKS)
    weight[torch.from_numpy(topo.BROWS)] = 1.5
    for line in (topo.UPPER_LIP, topo.LOWER_LIP, *topo.UPPER_LIDS, *topo.LOWER_LIDS):
        weight[torch.from_numpy(line)] = 2.5
    weight[[*topo.MOUTH_CORNERS, *topo.OUTER_MOUTH_CORNERS]] = 2.5
    weight[torch.from_numpy(topo.IRISES[0])] = weight[torch.from_numpy(topo.IRISES[1])] = 2.0
    return (weight / weight.mean()).to(device)


@dataclass(frozen=True, slots=True, eq=False)
class Parting:
    """Pairs of points whose gap is seen: lips and lids."""

    upper: Tensor
    lower: Tensor

    @staticmethod
    def of(device: torch.device) -> "Parting":
        """The pairs of the topology."""
        upper = [topo.UPPER_INNER_LIP[1:-1], *(lids[1:-1] for lids in topo.UPPER_LIDS)]
        lower = [topo.LOWER_INNER_LIP[1:-1], *(lids[1:-1] for lids in topo.LOWER_LIDS)]
        pair = [torch.cat([torch.from_numpy(i) for i in part]) for part in (upper, lower)]
        return Parting(pair[0].to(device), pair[1].to(device))

    def gap(self, points: Tensor) -> Tensor:
        """(B, pairs, 2)."""
        return points[:, self.lower, :2] - points[:, self.upper, :2]


def _wing(error: Tensor) -> Tensor:
    """Absolute error, in eye distances, that counts for more when small (Feng 2018, eq. 5)."""
    wide, curve = 0.10, 0.02
    size = error.abs() / _EYES_CROPS
    slope = wide * torch.log1p(size / curve)
    rest = wide * torch.log1p(torch.tensor(wide / curve)).item() - wide
    return torch.where(size < wide, slope, size + rest)


def loss(guess: Guess, crops: Crops, weight: Tensor, parting: Parting) -> dict[str, Tensor]:
    """Its parts; the sum is to fall."""
    each = crops.weight / crops.weight.sum().clamp_min(1)

    def mean(errors: Tensor) -> Tensor:
        return (errors.mean(-1) * each).sum()

    def off(found: Tensor, depth: float) -> Tensor:
        wing = _wing(found - crops.points[..., : found.shape[-1]])
        wing = wing * wing.new_tensor([1.0, 1.0, depth])[: found.shape[-1]]
        return mean(wing.sum(-1) * weight)

    gap = _wing(parting.gap(guess.points) - parting.gap(crops.points)).sum(-1)
    # Heatmaps end at the crop's rim: points beyond are for the other head.
    inside = ((crops.points[..., :2] - 0.5).abs() < 0.55).all(-1)
    local = _wing(guess.local - crops.points[..., :2]).sum(-1) * weight * inside
    return {
        "points": off(guess.points, 0.5),
        "whole": 0.5 * off(guess.whole, 0.5),
        "local": 0.5 * mean(local),
        "gap": 0.5 * mean(gap),
        "score": 0.3 * F.binary_cross_entropy_with_logits(guess.score[:, 0], crops.face),
    }


def errors(points: Tensor, truth: Tensor) -> Tensor:
    """(B,) mean distance in the picture's plane over that of the eyes."""
    left, right = (truth[:, int(iris[0]), :2] for iris in topo.IRISES)
    eyes = (left - right).norm(dim=-1)
    return (points[..., :2] - truth[..., :2]).norm(dim=-1).mean(-1) / eyes

"""Draws batches for the render network and varies them, the same way for portrait and truth."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models import window
from models.nets.painter import BEFORE
from models.train.render.samples import ROOM_PX, People

GREY = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
_MIRRORED = (1, 2, 4, 6)
"""Entries of the (4, 2) pose that change sign in a mirror: what crosses from x to another axis."""


@dataclass(frozen=True, slots=True)
class Variety:
    """How far samples are varied.

    Attributes:
        turn, size: of the window, radians and logarithm.
        shift_px: of the window.
        colour, gamma: logarithms of the gains by channel and of the exponent.
        teeth: logarithm of the gain of what is painted in the mouth.
        blurred: share of samples that are blurred.
        deaf: share of samples without their lip embedding.
        alone: share of samples without the pictures before: true ones tell more of the next than
            a network's own ever will.
        worn: greatest spread of the noise on those, at a range of 2.
    """

    turn: float = 0.12
    size: float = 0.16
    shift_px: int = 8
    colour: float = 0.22
    gamma: float = 0.35
    teeth: float = 0.2
    blurred: float = 0.15
    deaf: float = 0.4
    alone: float = 0.9
    worn: float = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows as the network takes them, see `models.nets.painter`."""

    portrait: Tensor
    guide: Tensor
    truth: Tensor
    region: Tensor
    before: Tensor
    told: Tensor


class Batches:
    """Endless batches from people, each kind of sample with its share.

    Args:
        people: to draw from.
        shares: of the kinds, by name; kinds without a share are left out.
        variety: how far samples are varied; None leaves them as they are, each the first picture
            of a call.
        seed: of everything drawn.
    """

    def __init__(
        self, people: People, shares: dict[str, float], variety: Variety | None, seed: int
    ) -> None:
        self._people, self._variety = people, variety
        self._dice = np.random.default_rng(seed)
        # People count by the root of their samples: neither all alike nor by their number.
        counts = np.bincount(people.person)
        each = 1.0 / np.sqrt(counts[people.person])
        for number, kind in enumerate(people.kinds):
            rows = people.kind == number
            if rows.any():
                each[rows] *= shares.get(kind, 0.0) / each[rows].sum()
        if not each.sum() > 0:
            raise ValueError(f"shares {shares} name none of the kinds {people.kinds}")
        self._weights = each / each.sum()

    def draw(self, count: int) -> Batch:
        """A batch of so many."""
        rows = self._dice.choice(len(self._weights), count, p=self._weights)
        return self.take(rows)

    def take(self, rows: npt.NDArray[np.integer]) -> Batch:
        """The batch of some samples."""
        s, v, dice = self._people.samples, self._variety, self._dice
        portrait, warp, plates, truth = (
            torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
            for x in (s.portrait[s.of[rows]], s.warp[rows], s.plates[rows], s.truth[rows])
        )
        before = torch.from_numpy(s.before[rows]).float() / 255
        region = torch.from_numpy(s.region[rows])[:, None].float() / 255
        told = torch.from_numpy(s.told[rows])
        moved = torch.from_numpy(s.moved[rows])
        alone = 1.0 if v is None else v.alone
        moved = moved & torch.from_numpy(dice.random(len(rows)) >= alone)
        own = (portrait * GREY).sum(1, keepdim=True).expand(-1, BEFORE, -1, -1)
        before = torch.where(moved[:, None, None, None], before, own)
        stack = torch.cat([portrait, warp, truth, before, plates, region], 1)
        if v is None:
            stack = _middle(stack)
        else:
            stack, told = self._vary(stack, told, v)
        parts = stack.split([3, 3, 3, BEFORE, 3, 1, 1], 1)
        portrait, warp, truth, before, plates, cover, region = parts
        guide = warp + cover * (plates - warp)
        portrait, guide, truth, before = (2 * p - 1 for p in (portrait, guide, truth, before))
        if v is not None:
            wear = torch.from_numpy(dice.random(len(rows)).astype(np.float32)) * v.worn
            before = self._noised(before, wear)
        return Batch(portrait, guide, truth, region, before, told)

    def _noised(self, before: Tensor, spread: Tensor) -> Tensor:
        noise = torch.from_numpy(self._dice.standard_normal(before.shape, np.float32))
        return (before + spread[:, None, None, None] * noise).clamp(-1.5, 1.5)

    def _vary(self, stack: Tensor, told: Tensor, v: Variety) -> tuple[Tensor, Tensor]:
        dice, count = self._dice, len(stack)
        stack = self._moved(stack, v)
        told = told.clone()
        flip = torch.from_numpy(dice.random(count) < 0.5)
        stack = torch.where(flip[:, None, None, None], stack.flip(3), stack)
        told[flip] = mirrored(told[flip])
        deaf = torch.from_numpy(dice.random(count) < v.deaf)
        told[deaf, window.POSE + window.BLINK :] = 0.0
        colours = stack[:, : 9 + BEFORE].clamp(0, 1)
        gamma = np.exp(dice.normal(0, v.gamma, (count, 1, 1, 1)))
        gains = np.exp(dice.normal(0, v.colour, (count, 3)) + dice.normal(0, v.colour, (count, 1)))
        grey = gains @ np.array([0.299, 0.587, 0.114])
        factors = np.concatenate([np.tile(gains, (1, 3)), np.tile(grey[:, None], (1, BEFORE))], 1)
        colours = colours ** torch.from_numpy(gamma.astype(np.float32))
        colours = colours * torch.from_numpy(factors.astype(np.float32))[..., None, None]
        blurred = torch.from_numpy(dice.random(count) < v.blurred)
        light = np.exp(dice.normal(0, v.teeth, (count, 1, 1, 1)).astype(np.float32))
        inside = stack[:, 9 + BEFORE : 12 + BEFORE] * torch.from_numpy(light)
        if blurred.any():
            colours[blurred] = blur(colours[blurred], float(dice.uniform(0.5, 1.2)))
        kept = stack[:, 12 + BEFORE :]
        return torch.cat([colours.clamp(0, 1), inside.clamp(0, 1), kept], 1), told

    def _moved(self, stack: Tensor, v: Variety) -> Tensor:
        """Half of the samples are only shifted by whole pixels, which keeps their grain."""
        dice, side = self._dice, window.SIDE_PX
        out = torch.empty(*stack.shape[:2], side, side)
        room = (ROOM_PX - side) // 2
        turned = dice.random(len(stack)) < 0.5
        for row in np.flatnonzero(~turned):
            y, x = dice.integers(room - v.shift_px, room + v.shift_px + 1, 2)
            out[row] = stack[row, :, y : y + side, x : x + side]
        rows = np.flatnonzero(turned)
        if len(rows):
            angle = dice.normal(0, v.turn, len(rows)).clip(-0.3, 0.3)
            size = np.exp(dice.normal(0, v.size, (len(rows), 1)).clip(-0.3, 0.22))
            size = size * np.exp(dice.normal(0, 0.06, (len(rows), 2)))
            shift = dice.uniform(-v.shift_px, v.shift_px, (len(rows), 2)) / (ROOM_PX / 2)
            c, s = np.cos(angle), np.sin(angle)
            matrix = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], 1) * size[:, :, None]
            matrix = np.concatenate([matrix * side / ROOM_PX, shift[..., None]], 2)
            theta = torch.from_numpy(matrix.astype(np.float32))
            shape = [len(rows), stack.shape[1], side, side]
            grid = F.affine_grid(theta, shape, align_corners=False)
            chosen = stack[torch.from_numpy(rows)]
            moved = F.grid_sample(chosen, grid, padding_mode="border", align_corners=False)
            out[torch.from_numpy(rows)] = moved
        return out


def _middle(stack: Tensor) -> Tensor:
    room = (ROOM_PX - window.SIDE_PX) // 2
    return stack[..., room:-room, room:-room].clone()


def mirrored(told: Tensor) -> Tensor:
    """What is told (B, CONDITIONS) of the same picture in a mirror."""
    out = told.clone()
    out[:, list(_MIRRORED)] *= -1
    left = window.POSE
    out[:, left : left + 2] = told[:, [left + 1, left]]
    return out


def blur(pictures: Tensor, sigma_px: float) -> Tensor:
    """(B, C, H, W) through a Gaussian."""
    reach = max(1, round(3 * sigma_px))
    axis = torch.arange(-reach, reach + 1, dtype=torch.float32)
    line = torch.exp(-(axis**2) / (2 * sigma_px**2))
    line = line / line.sum()
    channels = pictures.shape[1]
    rows = line.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    columns = line.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    out = F.conv2d(F.pad(pictures, (reach, reach, 0, 0), mode="replicate"), rows, groups=channels)
    out = F.pad(out, (0, 0, reach, reach), mode="replicate")
    return F.conv2d(out, columns, groups=channels)

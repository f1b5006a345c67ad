"""Draws batches for the render network and varies them, the same way for portrait and truth."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models import window
from models.train.render.samples import ROOM_PX, People, Samples

_SIZE = window.HIGH_PX, window.WIDE_PX
_ROOM = (ROOM_PX - np.array(_SIZE)) // 2
_SOUND = window.POSE + window.BLINK
"""Where in what is told the lip embedding begins; the last number says whether there is one."""
_ALIKE = 100
"""Among so many samples a little more or less open a lip embedding is borrowed."""
_MIRRORED = (1, 2, 4, 6)
"""Entries of the (4, 2) pose that change sign in a mirror: what crosses from x to another axis."""


@dataclass(frozen=True, slots=True)
class Variety:
    """How far samples are varied.

    Attributes:
        turn, size: of the window, radians and logarithm.
        shift_px: of the window.
        light, tint, gamma: logarithms of the gain, of the gains by channel, and of the exponent. A
            strong tint leaves open whether skin or light has it, and teeth come out green.
        teeth: logarithm of the gain of what is painted in the mouth.
        blurred: share of samples that are blurred.
        deaf: share of samples without a lip embedding. Those that never had a sound are lent one of
            a mouth as open, else having one would tell that a sample is of footage.
        shut: how often a mouth that shows nothing of its inside is drawn, against an open one.
    """

    turn: float = 0.12
    size: float = 0.16
    shift_px: int = 8
    light: float = 0.22
    tint: float = 0.07
    gamma: float = 0.35
    teeth: float = 0.2
    blurred: float = 0.15
    deaf: float = 0.4
    shut: float = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows as the network takes them, see `models.nets.painter`: `window.tone` is in them."""

    portrait: Tensor
    guide: Tensor
    truth: Tensor
    region: Tensor
    told: Tensor


class Batches:
    """Endless batches from people, each kind of sample with its share.

    Args:
        people: to draw from.
        shares: of the kinds, by name; kinds without a share are left out.
        variety: how far samples are varied; None leaves them as they are.
        seed: of everything drawn.
        device: where the samples are kept and the batches made.
    """

    def __init__(
        self,
        people: People,
        shares: dict[str, float],
        variety: Variety | None,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self._people, self._variety, self._device = people, variety, device
        self._dice = np.random.default_rng(seed)
        self._frame = self._put(window.frame())
        tone = window.HUE, window.LIKE, window.BRIGHTNESS
        self._hue, self._like, self._brightness = (self._put(values) for values in tone)
        self._kept = {f.name: self._put(getattr(people.samples, f.name)) for f in fields(Samples)}
        # People count by the root of their samples: neither all alike nor by their number.
        counts = np.bincount(people.person)
        each = 1.0 / np.sqrt(counts[people.person])
        if variety is not None:
            each *= variety.shut + (1 - variety.shut) * people.samples.openness()
        for number, kind in enumerate(people.kinds):
            rows = people.kind == number
            if rows.any():
                each[rows] *= shares.get(kind, 0.0) / each[rows].sum()
        if not each.sum() > 0:
            raise ValueError(f"shares {shares} name none of the kinds {people.kinds}")
        self._weights = each / each.sum()
        heard = np.flatnonzero(people.samples.told[:, -1])
        is_open = people.samples.openness()
        self._heard = heard[np.argsort(is_open[heard], kind="stable")]
        self._alike = np.searchsorted(is_open[self._heard], is_open)

    def draw(self, count: int) -> Batch:
        """A batch of so many."""
        rows = self._dice.choice(len(self._weights), count, p=self._weights)
        return self.take(rows)

    def take(self, rows: npt.NDArray[np.integer]) -> Batch:
        """The batch of some samples."""
        s, v = self._kept, self._variety
        at = self._put(rows)
        windows = s["portrait"][s["of"][at]], s["warp"][at], s["truth"][at], s["plates"][at]
        stack = torch.cat([*windows, s["region"][at][..., None]], 3).permute(0, 3, 1, 2) / 255
        told = s["told"][at]
        if v is None:
            stack = _middle(stack)
        else:
            stack, told = self._vary(stack, self._lent(told, rows), v)
        portrait, warp, truth, plates, cover, region = stack.split([3, 3, 3, 3, 1, 1], 1)
        gains = self._tone(portrait)[..., None, None]
        guide = warp + cover * ((plates / gains).clamp(0, 1) - warp)
        portrait, guide, truth = (2 * (p * gains).clamp(0, 1) - 1 for p in (portrait, guide, truth))
        return Batch(portrait, guide, truth, region * self._frame, told)

    def _put(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self._device, non_blocking=True)

    def _tone(self, portraits: Tensor) -> Tensor:
        """`window.tone` where the batch is: to fetch the portraits would wait for the GPU."""
        mean = portraits.mean((2, 3)) + 1e-3
        gains = (self._hue * mean[:, 1:2] / mean) ** self._like
        return gains * (mean @ self._brightness / ((mean * gains) @ self._brightness))[:, None]

    def _lent(self, told: Tensor, rows: npt.NDArray[np.integer]) -> Tensor:
        """Embeddings of mouths about as open for samples that have none."""
        if not len(self._heard):
            return told
        near = self._alike[rows] + self._dice.integers(-_ALIKE, _ALIKE + 1, len(rows))
        lenders = self._heard[near.clip(0, len(self._heard) - 1)]
        others = self._kept["told"][self._put(lenders)]
        lent = told.clone()
        lent[:, _SOUND:] = torch.where(told[:, -1:] > 0, told[:, _SOUND:], others[:, _SOUND:])
        return lent

    def _vary(self, stack: Tensor, told: Tensor, v: Variety) -> tuple[Tensor, Tensor]:
        dice, count = self._dice, len(stack)
        stack = self._moved(stack, v)
        flip = self._put(dice.random(count) < 0.5)
        stack = torch.where(flip[:, None, None, None], stack.flip(3), stack)
        told = torch.where(flip[:, None], mirrored(told), told)
        deaf = self._put(dice.random(count) < v.deaf)
        told[:, _SOUND:].masked_fill_(deaf[:, None], 0.0)
        colours = stack[:, :9].clamp(0, 1)
        gamma = np.exp(dice.normal(0, v.gamma, (count, 1, 1, 1)))
        gains = np.exp(dice.normal(0, v.tint, (count, 3)) + dice.normal(0, v.light, (count, 1)))
        colours = colours ** self._put(gamma.astype(np.float32))
        factors = np.tile(gains, (1, 3)).astype(np.float32)
        colours = colours * self._put(factors)[..., None, None]
        blurred = np.flatnonzero(dice.random(count) < v.blurred)
        teeth = np.exp(dice.normal(0, v.teeth, (count, 1, 1, 1)).astype(np.float32))
        inside = stack[:, 9:12] * self._put(teeth)
        if len(blurred):
            at = self._put(blurred)
            colours[at] = blur(colours[at], float(dice.uniform(0.5, 1.2)))
        kept = stack[:, 12:]
        return torch.cat([colours.clamp(0, 1), inside.clamp(0, 1), kept], 1), told

    def _moved(self, stack: Tensor, v: Variety) -> Tensor:
        """Half of the samples are only shifted by whole pixels, which keeps their grain."""
        dice, (high, wide), count = self._dice, _SIZE, len(stack)
        turned = dice.random(count) < 0.5
        angle = dice.normal(0, v.turn, count).clip(-0.3, 0.3)
        size = np.exp(dice.normal(0, v.size, (count, 1)).clip(-0.3, 0.22))
        size = size * np.exp(dice.normal(0, 0.06, (count, 2)))
        shift = dice.uniform(-v.shift_px, v.shift_px, (count, 2))
        angle, size = angle * turned, np.where(turned[:, None], size, 1.0)
        shift = np.where(turned[:, None], shift, shift.round()) / (ROOM_PX / 2)
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], 1) * size[:, :, None]
        matrix = matrix * (np.array([wide, high]) / ROOM_PX)
        matrix = np.concatenate([matrix, shift[..., None]], 2)
        theta = self._put(matrix.astype(np.float32))
        grid = F.affine_grid(theta, [count, stack.shape[1], high, wide], align_corners=False)
        return F.grid_sample(stack, grid, padding_mode="border", align_corners=False)


def _middle(stack: Tensor) -> Tensor:
    y, x = _ROOM
    return stack[..., y:-y, x:-x].clone()


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
    axis = torch.arange(-reach, reach + 1, dtype=torch.float32, device=pictures.device)
    line = torch.exp(-(axis**2) / (2 * sigma_px**2))
    line = line / line.sum()
    channels = pictures.shape[1]
    rows = line.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    columns = line.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    out = F.conv2d(F.pad(pictures, (reach, reach, 0, 0), mode="replicate"), rows, groups=channels)
    out = F.pad(out, (0, 0, reach, reach), mode="replicate")
    return F.conv2d(out, columns, groups=channels)

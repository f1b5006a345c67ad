"""What the face detector learns from: collages of pictures with faces, of any size, turned, cut
and half hidden, over pictures without."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.faces import DETECTOR_PX, STRIDE
from models.train.landmarks import augment
from models.train.landmarks.bank import Bank
from models.train.landmarks.pack import FACE_PX

SLOTS = 4
_CELLS = DETECTOR_PX // STRIDE
_SIZES = ((0.5 * FACE_PX, 2.2 * FACE_PX), (0.25 * FACE_PX, 0.5 * FACE_PX), (14.0, 0.25 * FACE_PX))
"""Sizes of faces, px, that each level of the bank is used for."""


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """How scenes vary.

    Attributes:
        first, more: odds that the first and each further face is there.
        roll: deviation of the faces' roll, rad.
        turned: share of faces turned any way.
        blank: share of faces whose features are wiped out, which are none.
        covered: share of scenes with a part hidden.
    """

    first: float = 0.88
    more: float = 0.3
    roll: float = 0.25
    turned: float = 0.12
    blank: float = 0.08
    covered: float = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """A batch.

    Attributes:
        picture: (B, 3, 256, 256) from 0 to 1.
        faces: (B, SLOTS, 4) x, y, size (px) and roll of the faces.
        there: (B, SLOTS) 1 for a face, 0 for none, -1 where it may be called either.
    """

    picture: Tensor
    faces: Tensor
    there: Tensor


def draw(bank: Bank, count: int, config: SceneConfig) -> Scenes:
    """A batch of training scenes; `count` is a multiple of the bank's levels."""
    canvas = bank.nothing(count, DETECTOR_PX)
    flat = augment.between(0, 1, canvas, count, 3, 1, 1)
    flat = flat * (augment.between(0, 1, canvas, count, 1, 1, 1) < 0.6)
    plain = augment.between(0, 1, canvas, count, 1, 1, 1) < 0.3
    canvas = torch.where(plain, flat.expand_as(canvas), canvas)
    faces = torch.zeros(count, SLOTS, 4, device=canvas.device)
    there = torch.zeros(count, SLOTS, device=canvas.device)
    group = count // len(_SIZES)
    for slot in range(SLOTS):
        alphas = []
        for part in range(len(_SIZES)):
            level = part if slot == 0 else 1 + (part + slot) % 2
            rows = slice(part * group, (part + 1) * group if part + 1 < len(_SIZES) else count)
            pasted = _paste(
                bank, canvas[rows], level, config, config.more if slot else config.first
            )
            canvas[rows], alpha, faces[rows, slot], there[rows, slot] = pasted
            alphas.append(alpha)
        _hide(torch.cat(alphas), faces[:, :slot], there[:, :slot])
    canvas = augment.some(canvas, config.covered, lambda x: augment.cover(x, x.roll(1, 0)))
    return Scenes(augment.change(canvas), faces, there)


def _paste(
    bank: Bank, canvas: Tensor, level: int, config: SceneConfig, odds: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The canvas with a face each on it, its alpha (B, 1, H, W), where it is, whether it is."""
    count = len(canvas)
    rows, like = bank.draw(count), bank.frames

    def uniform(low: float, high: float) -> Tensor:
        return augment.between(low, high, like, count)

    low, high = _SIZES[level]
    size = low * (high / low) ** uniform(0, 1)
    roll = torch.randn(count, device=like.device) * config.roll
    roll = torch.where(uniform(0, 1) < config.turned, uniform(-3.14, 3.14), roll)
    reach = (DETECTOR_PX - 0.6 * size).clamp_min(0.25 * DETECTOR_PX) / 2
    x, y = (DETECTOR_PX / 2 + uniform(-1, 1) * reach for _ in range(2))
    steps = torch.arange(DETECTOR_PX, device=like.device) + 0.5
    v, u = torch.meshgrid(steps, steps, indexing="ij")
    u, v = u[None] - x[:, None, None], v[None] - y[:, None, None]
    cos, sin = roll.cos()[:, None, None], roll.sin()[:, None, None]
    stretch = torch.exp(uniform(-0.12, 0.12))[:, None, None]
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)[:, None, None]
    # Upright, in face sizes.
    across = (cos * u + sin * v) / size[:, None, None] * flip * stretch
    down = (cos * v - sin * u) / size[:, None, None]
    frame = bank.frames[rows][:, :, None, None]
    fc, fs = frame[:, 3].cos() * frame[:, 2], frame[:, 3].sin() * frame[:, 2]
    grid = torch.stack(
        [frame[:, 0] + fc * across - fs * down, frame[:, 1] + fs * across + fc * down], -1
    )
    kind = uniform(0, 1)[:, None, None]
    half = count // 2
    picture = torch.cat(
        [
            bank.sample(rows[:half], grid[:half], level, "border"),
            bank.sample(rows[half:], grid[half:], level),
        ]
    )
    # The whole picture, its rim drawn out to the canvas's, or the head cut out of it.
    edge = torch.minimum(grid, bank.sizes[rows][:, None, None] - grid).amin(-1)
    whole = (edge / 2).clamp(0, 1)
    streaks = torch.ones_like(whole)
    streaks[half:] = whole[half:]
    head = ((1.1 - (across / 0.72) ** 2 - ((down + 0.1) / 0.85) ** 2) * 6).clamp(0, 1) * whole
    alpha = torch.where(kind < 0.4, whole, torch.where(kind < 0.6, streaks, head))
    blank = uniform(0, 1) < config.blank
    wiped = ((1.0 - (across / 0.48) ** 2 - (down / 0.55) ** 2) * 6).clamp(0, 1)
    wiped = (wiped * blank[:, None, None])[:, None]
    skin = bank.middle(rows)[..., None, None] * torch.exp(0.15 * augment.clouds(picture, 4))
    picture = picture + wiped * (skin - picture)
    on = uniform(0, 1) < odds
    alpha = (alpha * on[:, None, None])[:, None]
    made = canvas + alpha * (picture - canvas)
    return made, alpha, torch.stack([x, y, size, roll], -1), (on & ~blank).float()


def _hide(alpha: Tensor, faces: Tensor, there: Tensor) -> None:
    """Faces whose middle was pasted over may be called either way."""
    if not faces.shape[1]:
        return
    at = faces[..., :2] * (2 / DETECTOR_PX) - 1
    hidden = F.grid_sample(alpha, at[:, None], align_corners=False)[:, 0, 0] > 0.3
    there.copy_(torch.where(hidden & (there > 0), -torch.ones_like(there), there))


def targets(scenes: Scenes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the map should say: heat (B, h, w), its weight, the other five (B, 5, h, w), theirs."""
    steps = (torch.arange(_CELLS, device=scenes.faces.device) + 0.5) * STRIDE
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    faces = scenes.faces[..., None, None]
    dx, dy = (faces[:, :, 0] - x) / STRIDE, (faces[:, :, 1] - y) / STRIDE
    size = faces[:, :, 2] / STRIDE
    spread = (0.11 * size).clamp_min(0.55)
    near = torch.exp(-0.5 * (dx**2 + dy**2) / spread**2)
    sure = (scenes.there > 0).float()[..., None, None]
    heat, which = (near * sure).max(1)
    unsure = (scenes.there < 0)[..., None, None] & (dx**2 + dy**2 < (0.4 * size) ** 2)
    weight = 1 - (unsure.any(1) & (heat < 0.3)).float()

    def of(values: Tensor) -> Tensor:
        return values.expand_as(near).gather(1, which[:, None])[:, 0]

    roll = faces[:, :, 3]
    rest = torch.stack([of(dx), of(dy), of(size.log()), of(roll.cos()), of(roll.sin())], 1)
    return heat, weight, rest, heat * (heat > 0.3)


def loss(said: Tensor, scenes: Scenes) -> dict[str, Tensor]:
    """Its parts; the sum is to fall. Heat by the quality focal loss (Li 2020, eq. 6)."""
    heat, weight, rest, near = targets(scenes)
    logit = said[:, 0]
    entropy = F.binary_cross_entropy_with_logits(logit, heat, reduction="none")
    focal = entropy * (logit.sigmoid() - heat).abs() ** 2 * weight
    faces = (scenes.there > 0).sum().clamp_min(1)
    off = (said[:, 1:] - rest).abs() * near[:, None]
    total = near.sum().clamp_min(1)
    return {
        "heat": focal.sum() / faces,
        "centre": 0.3 * off[:, :2].sum() / total,
        "size": off[:, 2].sum() / total,
        "roll": 0.5 * off[:, 3:].sum() / total,
    }


def plain(bank: Bank) -> Scenes:
    """Every picture of a bank once, as it is, in the canvas's corner."""
    count = len(bank.frames)
    steps = torch.arange(DETECTOR_PX, device=bank.frames.device) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    factor = bank.sizes.amax(1) / DETECTOR_PX
    grid = torch.stack([x, y], -1)[None] * factor[:, None, None, None]
    picture = bank.sample(torch.arange(count), grid)
    faces = bank.frames / torch.stack([factor, factor, factor, torch.ones_like(factor)], -1)
    return Scenes(picture, faces[:, None], torch.ones(count, 1, device=faces.device))

"""What cameras and files do to a picture: exposure, focus, noise, JPEG; batches, on the device."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
_BLOCK = 8
_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
"""JPEG's usual steps of luma at quality 50 (ITU-T T.81, annex K)."""


def photographed(picture: Tensor, dice: torch.Generator) -> Tensor:
    """Pictures (B, 3, S, S) in [0, 1] -> the same as a poor or a good camera would give them."""
    count, device = len(picture), picture.device

    def rand(low: float, high: float, *shape: int) -> Tensor:
        shape = shape or (count, 1, 1, 1)
        return low + (high - low) * torch.rand(shape, generator=dice, device=device)

    def sometimes(share: float) -> Tensor:
        return torch.rand((count, 1, 1, 1), generator=dice, device=device) < share

    grey = (picture * torch.tensor(_LUMA, device=device)[:, None, None]).sum(1, keepdim=True)
    vivid = torch.where(sometimes(0.06), torch.zeros((), device=device), rand(0.5, 1.4))
    picture = grey + vivid * (picture - grey)
    mean = picture.mean((1, 2, 3), keepdim=True)
    picture = mean + rand(0.7, 1.25) * (picture - mean)
    picture = picture * rand(0.85, 1.15, count, 3, 1, 1) * rand(0.75, 1.2)
    dark = torch.where(sometimes(0.15), rand(0.2, 0.6), torch.ones((), device=device))
    picture = (picture * dark).clamp(1e-4, 1) ** rand(0.75, 1.35)
    soft = _blurred(picture, rand(0.4, 1.8))
    picture = torch.where(sometimes(0.3), soft, picture)
    coarse = F.interpolate(
        F.avg_pool2d(picture, 2), scale_factor=2.0, mode="bilinear", align_corners=False
    )
    picture = torch.where(sometimes(0.1), coarse, picture)
    noise = torch.randn(picture.shape, generator=dice, device=device)
    level = rand(0.0, 0.05) * sometimes(0.4)
    picture = (picture + level * noise).clamp(0, 1)
    return torch.where(sometimes(0.4), _jpeg(picture, rand(0.25, 2.5)), picture)


def _blurred(picture: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian of a width of its own for each picture: sigma (B, 1, 1, 1) in pixels."""
    reach = 5
    offsets = torch.arange(-reach, reach + 1, device=picture.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma.view(-1, 1) ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    count, _, side, _ = picture.shape
    flat = picture.reshape(1, 3 * count, side, side)
    padded = F.pad(flat, (reach,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel[:, None, None, :], groups=3 * count)
    down = F.conv2d(across, kernel[:, None, :, None], groups=3 * count)
    return down.reshape(picture.shape)


def _jpeg(picture: Tensor, coarseness: Tensor) -> Tensor:
    """8x8 cosine blocks rounded to JPEG's steps times `coarseness` (B, 1, 1, 1), all in luma's."""
    device = picture.device
    count, _, high, wide = picture.shape
    k = torch.arange(_BLOCK, device=device, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / (2 * _BLOCK)) / 2
    basis[0] /= 2**0.5
    steps = torch.from_numpy(_STEPS).to(device) / 255 * coarseness[:, :, :, :, None, None]
    blocks = picture.reshape(count, 3, high // _BLOCK, _BLOCK, wide // _BLOCK, _BLOCK)
    blocks = blocks.permute(0, 1, 2, 4, 3, 5)
    waves = basis @ (blocks - 0.5) @ basis.T
    waves = torch.round(waves / steps) * steps
    back = (basis.T @ waves @ basis + 0.5).permute(0, 1, 2, 4, 3, 5)
    return back.reshape(picture.shape).clamp(0, 1)

"""What a painted window costs.

Windows are (B, 3, 96, 112) in [-1, 1], regions (B, 1, 96, 112) in [0, 1].
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SOFT = 1e-3


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the losses.

    Attributes:
        edges: of the error of gradients, at full and half size.
        bands: of the error of the amplitudes of spatial frequencies.
        attended: how much more the painter's own mask makes its errors count.
        untouched: of what the mask covers, so that it stays off what the guide knows.
    """

    edges: float = 1.0
    bands: float = 0.5
    attended: float = 0.5
    untouched: float = 0.01


def charbonnier(difference: Tensor) -> Tensor:
    """A smooth absolute value."""
    return (difference * difference + _SOFT**2).sqrt()


def within(values: Tensor, region: Tensor) -> Tensor:
    """(B,) means of values (B, C, H, W) over a region (B, 1, H, W)."""
    total = region.sum((1, 2, 3)) * values.shape[1] + 1.0
    return (values * region).sum((1, 2, 3)) / total


def edges(picture: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """(B,) mean error of horizontal and vertical differences."""
    error = picture - truth
    across = charbonnier(error[..., :, 1:] - error[..., :, :-1])
    down = charbonnier(error[..., 1:, :] - error[..., :-1, :])
    return within(across, region[..., :, 1:]) + within(down, region[..., 1:, :])


def bands(picture: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """(B,) mean error of the logarithm of amplitudes by frequency, whatever their place.

    Blur is cheap in every other term: here the lost fine grain costs what it weighed.
    """
    own, true = (
        torch.fft.rfft2((x * region).float().mean(1)).abs()[..., 1:] for x in (picture, truth)
    )
    level = 0.5 + true.mean((1, 2), keepdim=True) * 0.1
    return ((own + level).log() - (true + level).log()).abs().mean((1, 2))


def painted(picture: Tensor, mask: Tensor, truth: Tensor, region: Tensor, w: Weights) -> Tensor:
    """(B,) cost of a picture against the truth, over the region alone.

    The error is weighted by the detached mask plus one half (ATVGnet's dynamic pixel-wise loss):
    where the painter chooses to paint it has to be right.
    """
    error = charbonnier(picture - truth)
    dynamic = 1 + w.attended * mask.detach()
    cost = within(error * dynamic, region)
    cost = cost + w.edges * edges(picture, truth, region)
    half = [F.avg_pool2d(x, 2) for x in (picture, truth, region)]
    cost = cost + 0.5 * w.edges * edges(*half)
    cost = cost + w.bands * bands(picture, truth, region)
    return cost + w.untouched * within(mask, region)

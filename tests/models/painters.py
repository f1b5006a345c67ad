"""A small render network and what it is fed, for tests."""

import torch

from models import window
from models.nets.painter import PRESETS, Painter


def fresh(seed=0):
    """A network that has learnt nothing, yet whose every layer does something."""
    torch.manual_seed(seed)
    net = Painter(PRESETS["tiny"]).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return net


def feeds(count=2):
    dice = torch.Generator().manual_seed(3)
    size = window.HIGH_PX, window.WIDE_PX
    guide = torch.rand(count, 3, *size, generator=dice) * 1.6 - 0.8
    region = torch.zeros(count, 1, *size)
    region[..., 32:64, 32:80] = 1.0
    told = torch.randn(count, window.CONDITIONS, generator=dice)
    noisy = torch.randn(count, 3, *size, generator=dice)
    return noisy, torch.tensor([1.0, 0.5]), guide, region, told

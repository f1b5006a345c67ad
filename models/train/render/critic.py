"""A critic of painted windows: patch by patch, is the mouth a photograph's or the network's?

Hinge losses (Lim and Ye 2017) over patches (Isola 2017), and the distance of its own features as a
measure of likeness (Larsen 2016), so that no downloaded network is needed. Spectral norms held it
so tight that it learnt nothing in 800 steps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.train.render.losses import within

_UNSHUFFLE = 2
_LEAK = 0.2


class Critic(nn.Module):
    """Sees a window and where it may have been painted.

    Args:
        channels: of its layers, at a half, a quarter and an eighth of the window's size.
    """

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        a, b, c = channels
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(4 * _UNSHUFFLE**2, a, 3, padding=1),
                nn.Conv2d(a, b, 4, stride=2, padding=1),
                nn.Conv2d(b, c, 4, stride=2, padding=1),
                nn.Conv2d(c, c, 3, padding=1),
            ]
        )
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, _LEAK)
            nn.init.zeros_(layer.bias)
        self.verdict = nn.Conv2d(c, 1, 1)

    def forward(self, picture: Tensor, region: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Windows (B, 3, H, W) -> verdicts (B, 1, H / 8, W / 8), above 0 true; and all features."""
        x = F.pixel_unshuffle(torch.cat([picture, region], 1), _UNSHUFFLE)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), _LEAK)
            features.append(x)
        return self.verdict(x), features


def doubt(critic: Critic, painted: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """What the critic learns from: its hinge loss on detached windows, in the region."""
    count = len(truth)
    verdict, _ = critic(torch.cat([truth, painted.detach()]), region.repeat(2, 1, 1, 1))
    near = _pooled(region, verdict)
    real = within(F.relu(1 - verdict[:count]), near)
    made = within(F.relu(1 + verdict[count:]), near)
    return 0.5 * (real + made).mean()


def displeasure(
    critic: Critic, painted: Tensor, truth: Tensor, region: Tensor
) -> tuple[Tensor, Tensor]:
    """What the painter shall lessen: (B,) minus the verdict, and (B,) the features' distance."""
    with torch.no_grad():
        _, true = critic(truth, region)
    verdict, own = critic(painted, region)
    apart = truth.new_zeros(len(truth))
    for a, b in zip(own, true, strict=True):
        apart = apart + within((a.float() - b.float()).abs(), _pooled(region, a)) / len(own)
    return -within(verdict.float(), _pooled(region, verdict)), apart


def _pooled(region: Tensor, like: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(region, like.shape[-2:])

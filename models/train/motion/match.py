"""Statistics of head motion that poses drawn from the prior must share with the footage.

A VAE's samples are calmer than what it learnt from, since what its latents do not carry is lost.
So besides reconstructing, the decoder is asked that poses drawn from the prior, under the sound of
real windows, have the footage's spectra, covariances, unevenness of speed, and coupling to the
sound. Each statistic is averaged over many steps; only the newest batch takes a gradient.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

FPS = 25
WINDOW = 128
TOP = 48
"""Spectrum bins compared, 0.2 to 9.4 Hz; above is the tracker's floor."""
LAGS = range(-6, 13, 2)
FLOOR = 0.01
"""Power under which a spectrum does not count: what jitter under a tenth of a degree has."""
KEPT = 0.95
"""Share of a running mean that stays at each step."""

Stats = dict[str, Tensor]


def velocity(pose: Tensor) -> Tensor:
    """(B, T, A) -> (B, T - 2, A) central differences a second."""
    return (pose[:, 2:] - pose[:, :-2]) * (FPS / 2)


def spectrum(pose: Tensor) -> Tensor:
    """(B, T, A) -> (TOP, A) log power of Hann windows, mean over windows."""
    windows = pose.unfold(1, WINDOW, 32)
    windows = windows - windows.mean(-1, keepdim=True)
    power = torch.fft.rfft(windows * torch.hann_window(WINDOW), dim=-1).abs() ** 2
    return torch.log(power[..., 1 : TOP + 1].mean((0, 1)) + FLOOR).T


def covariance(x: Tensor) -> Tensor:
    """(B, T, A) -> (A, A) correlations off the diagonal, log spreads on it."""
    flat = x.flatten(0, 1)
    flat = flat - flat.mean(0)
    cov = flat.T @ flat / len(flat)
    std = cov.diagonal().clamp(min=1e-8).sqrt()
    cor = cov / (std[:, None] * std[None])
    return torch.where(torch.eye(len(std), dtype=torch.bool), 2 * torch.log(std)[None], cor)


def coupling(pose: Tensor, heard: Tensor) -> Tensor:
    """(B, T, A), (B, T, H) -> (lags, 3, 2 A + 1) correlation of voice, energy and accent with
    poses, velocities and, thrice as heavy, the speed of turning."""
    speed = velocity(pose)
    turning = speed[..., :3].pow(2).sum(-1, keepdim=True).clamp(min=1e-6).sqrt()
    moved = torch.cat([pose[:, 1:-1], speed, turning], 2)
    sound = heard[:, 1:-1, [0, 3, 4]]
    sound = (sound - sound.mean((0, 1))) / (sound.std((0, 1)) + 1e-3)
    moved = (moved - moved.mean((0, 1))) / (moved.std((0, 1)) + 1e-3)
    count, low, high = sound.shape[1], -min(LAGS), max(LAGS)
    base = sound[:, low : count - high]
    rows = [
        torch.einsum("bts,btm->sm", base, moved[:, low + lag : count - high + lag]) for lag in LAGS
    ]
    heavy = torch.ones(moved.shape[2])
    heavy[-1] = 3
    return torch.stack(rows) / (base.shape[0] * base.shape[1]) * heavy


def unevenness(pose: Tensor) -> Tensor:
    """(A,) mean log speed against log mean square speed: low where rests and bursts alternate."""
    square = velocity(pose).pow(2)
    whole = square.mean((0, 1))
    return torch.log(square / (whole + 1e-6) + 1e-2).mean((0, 1))


def statistics(pose: Tensor, heard: Tensor) -> Stats:
    """All statistics of windows (B, T, A) under what was heard of them (B, T, H)."""
    return {
        "mean": pose.mean((0, 1)),
        "spectrum": spectrum(pose),
        "pose": covariance(pose),
        "velocity": covariance(velocity(pose)),
        "uneven": unevenness(pose),
        "coupling": coupling(pose, heard),
    }


WEIGHTS = {
    "mean": 3.0,
    "spectrum": 1.0,
    "pose": 2.0,
    "velocity": 2.0,
    "uneven": 2.0,
    "coupling": 30.0,
}


@dataclass(slots=True)
class Matcher:
    """Running means of both sides, and how far they are apart.

    Attributes:
        real, drawn: running means by statistic.
    """

    real: Stats = field(default_factory=dict)
    drawn: Stats = field(default_factory=dict)

    def loss(self, real: Stats, drawn: Stats) -> dict[str, Tensor]:
        """Weighted mean squared distance by statistic, with gradients to `drawn`."""
        out = {}
        for name, value in drawn.items():
            goal = self._mean(self.real, name, real[name].detach())
            mean = self._mean(self.drawn, name, value.detach())
            # The value is the running mean's, the gradient the batch's.
            out[name] = WEIGHTS[name] * (mean - goal + value - value.detach()).pow(2).mean()
        return out

    def _mean(self, kept: Stats, name: str, value: Tensor) -> Tensor:
        kept[name] = value if name not in kept else KEPT * kept[name] + (1 - KEPT) * value
        return kept[name]

"""Would a small autoencoder's latent serve better than unshuffled pixels (DiffTalk's way)?

A network that works in a latent paints no better than its decoder draws: so the decoder alone is
measured, on true windows of people that it never saw, and what it costs a picture.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import window
from models.nets.painter import UNSHUFFLE
from models.train.render import losses, score
from models.train.render.batches import Batches, Variety
from models.train.render.samples import People

_WIDE = 48
_TRIALS = 20


class Autoencoder(nn.Module):
    """Windows to a latent of 24x28 cells and back.

    Args:
        channels: of the latent; 48 would hold every pixel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, _WIDE, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(_WIDE, _WIDE, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(_WIDE, channels, 3, padding=1),
        )
        self.decode = nn.Sequential(
            nn.Conv2d(channels, _WIDE, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(_WIDE, _WIDE, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(_WIDE, 4 * 24, 3, padding=1),
            nn.PixelShuffle(UNSHUFFLE // 2),
            nn.SiLU(),
            nn.Conv2d(24, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, 96, 112) -> the same through the latent."""
        found: Tensor = self.decode(self.encode(picture))
        return found


@dataclass(frozen=True, slots=True)
class Bound:
    """What a latent allows at best.

    Attributes:
        channels: of it.
        best_db: PSNR over the lips, of true windows through it.
        sharpness: gradient energy there over the truth's.
        decode_ms: to decode one window on one core.
    """

    channels: int
    best_db: float
    sharpness: float
    decode_ms: float


def bound(people: People, judges: People, channels: int, steps: int, batch: int = 16) -> Bound:
    """Trains an autoencoder on people's true windows and measures it on judges'."""
    torch.manual_seed(0)
    net = Autoencoder(channels).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    batches = Batches(people, dict.fromkeys(people.kinds, 1.0), Variety(), 0)
    for _ in range(steps):
        truth = batches.draw(batch).truth
        with torch.autocast("cpu", torch.bfloat16):
            made = net(truth)
        everywhere = torch.ones_like(truth[:, :1])
        cost = F.l1_loss(made.float(), truth) + losses.edges(made.float(), truth, everywhere).mean()
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
        schedule.step()
    return _measured(net.eval(), judges, channels)


@torch.no_grad()
def _measured(net: Autoencoder, judges: People, channels: int) -> Bound:
    rows = np.arange(len(judges.person))
    batches = Batches(judges, dict.fromkeys(judges.kinds, 1.0), None, 0)
    table = []
    for part in np.array_split(rows, max(1, len(rows) // 32)):
        b = batches.take(part)
        made = net(b.truth)
        grain = score.energy(made, b.region) / score.energy(b.truth, b.region)
        table.append(np.stack([score.psnr(made, b.truth, b.region), grain]))
    found = np.concatenate(table, 1)
    each = np.array([found[:, judges.person == p].mean(1) for p in np.unique(judges.person)])
    sides = (side // UNSHUFFLE for side in (window.HIGH_PX, window.WIDE_PX))
    latent, took_ms = torch.zeros(1, channels, *sides), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(_TRIALS):
        begun = time.perf_counter()
        net.decode(latent)
        took_ms.append(1e3 * (time.perf_counter() - begun))
    torch.set_num_threads(threads)
    return Bound(channels, float(each[:, 0].mean()), float(np.median(each[:, 1])), min(took_ms))

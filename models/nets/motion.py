"""The motion network: a transformer VAE of head pose, and the chance that a blink begins.

Gaussian latents move on every `hold` pictures and carry all that the sound does not tell. Their
prior is a bank of stationary Ornstein-Uhlenbeck processes, from fresh noise to memories of many
seconds: a head takes a posture and keeps it, and glances about in it. The decoder is a causal
transformer over a bounded window of past pictures, and never sees its own output. So a pose is a
function of a stationary process and of the last seconds of sound: nothing can drift, blow up or
freeze, however long it runs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models import activity
from models.latents import HOLD, MEMORIES_S, kept_shares

STYLE = 4
"""Logs of amplitude, pace, nodding against turning, and blink rate, against the usual."""
_SINCE_S = (0.4, 1.5, 5.0)


@dataclass(frozen=True, slots=True)
class MotionNetConfig:
    """Sizes of a `MotionVae`.

    Attributes:
        axes: of a pose: yaw, pitch, roll, x, y, log size.
        embedding: length of the lip-audio embedding heard besides the activity; 0 for none.
        memories_s: time constant of each latent's prior; 0 for fresh noise.
        hold: pictures from one latent to the next.
        width, heads, layers: of the decoder.
        window: past pictures that each layer attends to.
        encoder_layers: of the encoder, which training alone needs.
        dropout: in training.
    """

    axes: int = 6
    embedding: int = 0
    memories_s: tuple[float, ...] = MEMORIES_S
    hold: int = HOLD
    width: int = 64
    heads: int = 4
    layers: int = 2
    window: int = 50
    encoder_layers: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, expected a multiple of heads {self.heads}")

    @property
    def latent(self) -> int:
        """Length of a latent."""
        return len(self.memories_s)

    @property
    def kept(self) -> Tensor:
        """(latent,) share of a latent that is left in the next one."""
        return torch.tensor(kept_shares(self.memories_s, self.hold), dtype=torch.float32)

    @property
    def heard(self) -> int:
        """Length of what is heard of a picture: activity, then embedding."""
        return activity.SIZE + self.embedding


class Attention(nn.Module):
    """Attention with a learned bias for each distance; causal over a window, or both ways."""

    def __init__(self, config: MotionNetConfig, causal: bool) -> None:
        super().__init__()
        self.config, self.causal = config, causal
        d = config.width
        self.reach = config.window
        self.into = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d)
        self.bias = nn.Parameter(torch.zeros(config.heads, self.reach + 1))

    def _bias(self, queries: int, keys: int) -> Tensor:
        """(heads, queries, keys), -inf beyond the window; the last query is as new as the last
        key."""
        at = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)[None]
        near = self.bias[:, at.abs().clamp(max=self.reach)]
        outside = at.abs() > self.reach
        if self.causal:
            outside = outside | (at < 0)
        return near.masked_fill(outside, -torch.inf)

    def forward(
        self, x: Tensor, past: Tensor | None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x (B, T, D), past (B, W, 2 D) keys and values or None, mask (B, T) of real tokens
        -> (B, T, D) and what the next call takes as past."""
        batch, count, d = x.shape
        heads = self.config.heads
        q, kv = self.into(x).split([d, 2 * d], 2)
        if past is not None:
            kv = torch.cat([past, kv], 1)
        keys = kv.shape[1]
        k, v = kv.split(d, 2)
        q = q.reshape(batch, count, heads, d // heads).transpose(1, 2)
        k = k.reshape(batch, keys, heads, d // heads).permute(0, 2, 3, 1)
        v = v.reshape(batch, keys, heads, d // heads).transpose(1, 2)
        score = q @ k * (d // heads) ** -0.5 + self._bias(count, keys)
        if mask is not None:
            score = score.masked_fill(~mask[:, None, None], -1e4)
        y = (score.softmax(-1) @ v).transpose(1, 2).reshape(batch, count, d)
        return self.out(y), kv[:, keys - self.reach :]


class Block(nn.Module):
    """Attention and a wide layer, each after a norm and added to what it saw."""

    def __init__(self, config: MotionNetConfig, causal: bool) -> None:
        super().__init__()
        d = config.width
        self.before, self.attention = nn.LayerNorm(d), Attention(config, causal)
        self.wide = nn.Sequential(
            nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d)
        )
        self.drop = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, past: Tensor | None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `Attention.forward`."""
        y, past = self.attention(self.before(x), past, mask)
        x = x + self.drop(y)
        return x + self.drop(self.wide(x)), past


class Encoder(nn.Module):
    """Poses and conditions of whole latents' time -> mean and log variance of each latent."""

    def __init__(self, config: MotionNetConfig) -> None:
        super().__init__()
        self.hold = config.hold
        size = config.hold * (config.axes + config.heard)
        self.into = nn.Linear(size, config.width)
        self.blocks = nn.ModuleList(
            Block(config, causal=False) for _ in range(config.encoder_layers)
        )
        self.out = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, 2 * config.latent)
        )

    def forward(self, pose: Tensor, heard: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """pose (B, T, 6), heard (B, T, H), mask (B, T) bool, T a multiple of `hold` ->
        (B, T / hold, latent) twice."""
        x = torch.cat([pose, heard], 2) * mask[..., None]
        batch, count = x.shape[:2]
        x = self.into(x.reshape(batch, count // self.hold, -1))
        real = mask.reshape(batch, -1, self.hold).any(2)
        for block in self.blocks:
            x, _ = block(x, None, real)
        mean, log_var = self.out(x).chunk(2, 2)
        return mean, log_var.clamp(-8, 2)


def spread(latents: Tensor, kept: Tensor, hold: int) -> Tensor:
    """(B, N, L) latents -> (B, N hold, L): each glides in from the one before it (the first stands
    still) and keeps unit variance, given the share (L,) `kept` from one to the next."""
    before = torch.cat([latents[:, :1], latents[:, :-1]], 1)
    share = ((torch.arange(hold) + 1) / hold)[:, None]
    mixed = (1 - share) * before[:, :, None] + share * latents[:, :, None]
    variance = (1 - share) ** 2 + share**2 + 2 * share * (1 - share) * kept
    return (mixed / variance.sqrt()).flatten(1, 2)


def divergence(mean: Tensor, log_var: Tensor, kept: Tensor) -> Tensor:
    """(B, N, L) twice, (L,) -> (B, N) nats between independent Gaussian latents and the prior
    z[k] = kept z[k - 1] + sqrt(1 - kept^2) e, whose first is a standard Gaussian."""
    var = log_var.exp()
    before = torch.cat([torch.zeros_like(mean[:, :1]), mean[:, :-1]], 1)
    wide = torch.cat([torch.zeros_like(var[:, :1]), var[:, :-1]], 1)
    fresh = (1 - kept**2).expand_as(mean).clone()
    fresh[:, 0] = 1
    away = (mean - kept * before) ** 2 + var + kept**2 * wide
    return 0.5 * (away / fresh + fresh.log() - log_var - 1).sum(2)


class Decoder(nn.Module):
    """Conditions and latents -> pose, picture by picture, with a bounded key-value cache.

    Attributes:
        lift: (2,) what is added to the logit of a blink in speech and in silence; set at export.
    """

    lift: Tensor

    def __init__(self, config: MotionNetConfig) -> None:
        super().__init__()
        self.config = config
        d = config.width
        self.into = nn.Linear(config.heard + STYLE + config.latent, d)
        self.blocks = nn.ModuleList(Block(config, causal=True) for _ in range(config.layers))
        self.norm = nn.LayerNorm(d)
        self.pose = nn.Linear(d, config.axes)
        self.register_buffer("lift", torch.zeros(2), persistent=False)
        self.blink = nn.Sequential(
            nn.Linear(d + len(_SINCE_S) + config.heard, 24), nn.GELU(), nn.Linear(24, 1)
        )

    def init_cache(self, batch: int) -> Tensor:
        """(B, layers, window, 2 width) before the first picture."""
        c = self.config
        return torch.zeros(batch, c.layers, c.window, 2 * c.width)

    def forward(
        self, heard: Tensor, style: Tensor, noise: Tensor, since_s: Tensor, cache: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """heard (B, T, H), style (B, 4), noise (B, T, latent), since_s (B, T) since the last blink
        began, cache -> pose (B, T, 6) in spreads, blink logit (B, T) a picture, cache."""
        x, cache = self.features(heard, style, noise, cache)
        return self.poses(x, style), self.begins(x.detach(), heard, since_s)[..., 0], cache

    def poses(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, T, D) and (B, 4) -> (B, T, axes) poses; a style's amplitude is a plain factor."""
        return self.pose(x) * style[:, None, :1].exp()

    def features(
        self, heard: Tensor, style: Tensor, noise: Tensor, cache: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What poses and blinks are read from, (B, T, D), and the cache; see `forward`."""
        style = style[:, None].expand(-1, heard.shape[1], -1)
        x = self.into(torch.cat([heard, style, noise], 2))
        kept = []
        for i, block in enumerate(self.blocks):
            x, past = block(x, cache[:, i])
            kept.append(past)
        return self.norm(x), torch.stack(kept, 1)

    def begins(self, x: Tensor, heard: Tensor, since_s: Tensor) -> Tensor:
        """(B, T, 1) logit that a blink begins in a picture."""
        waits = torch.cat([torch.exp(-since_s[..., None] / s) for s in _SINCE_S], 2)
        voice = heard[..., :1]
        lift = voice * self.lift[0] + (1 - voice) * self.lift[1]
        return self.blink(torch.cat([x, waits, heard], 2)) + lift


class MotionVae(nn.Module):
    """Encoder and decoder; only the decoder is served.

    Attributes:
        scale: (6,) spread of each axis in the footage, by which poses are divided.
    """

    scale: Tensor

    def __init__(self, config: MotionNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.register_buffer("scale", torch.ones(config.axes))

    def draw(self, batch: int, count: int, dice: torch.Generator | None = None) -> Tensor:
        """(B, T, latent) latents from the prior for T pictures."""
        c = self.config
        fresh = torch.randn(batch, -(-count // c.hold), c.latent, generator=dice)
        kept = c.kept
        rows = [fresh[:, 0]]
        for k in range(1, fresh.shape[1]):
            rows.append(kept * rows[-1] + (1 - kept**2).sqrt() * fresh[:, k])
        return spread(torch.stack(rows, 1), kept, c.hold)[:, :count]

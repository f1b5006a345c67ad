"""Self-attention over a small map of features."""

from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention of every place to every other, added to what was there.

    Args:
        channels: of the map.
        heads: that the channels are split into.
        groups: of the norm before it.
    """

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        batch, channels, height, width = x.shape
        parts = self.query_key_value(self.norm(x))
        parts = parts.reshape(batch, 3, self.heads, channels // self.heads, height * width)
        query, key, value = parts.transpose(-1, -2).unbind(1)
        weights = (query @ key.transpose(-1, -2) * (channels // self.heads) ** -0.5).softmax(-1)
        mixed = (weights @ value).transpose(-1, -2).reshape(batch, channels, height, width)
        attended: Tensor = x + self.out(mixed)
        return attended

"""What light, cameras, compression and painters do to pictures, on a batch at a time.

Every change takes and gives (B, 3, H, W) float32 from 0 to 1. A batch's samples are drawn
independently, so a change that befalls a share of pictures is done to a run of rows that begins
at a random one: no picture waits for a mask.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Change = Callable[[Tensor], Tensor]
_LUMA = (0.299, 0.587, 0.114)


def some(picture: Tensor, share: float, change: Change) -> Tensor:
    """Does a change to a share of the batch."""
    count = len(picture)
    exact = share * count
    rows = int(exact) + int(torch.rand(()).item() < exact - int(exact))
    if not rows:
        return picture
    at = (torch.arange(rows) + int(torch.randint(count, ()).item())) % count
    at = at.to(picture.device)
    return picture.index_copy(0, at, change(picture[at]).to(picture.dtype))


def between(low: float, high: float, like: Tensor, *shape: int) -> Tensor:
    """Uniform numbers on the device of `like`."""
    return torch.rand(shape, device=like.device) * (high - low) + low


def gray(x: Tensor) -> Tensor:
    """(B, 1, H, W) luma."""
    return (x * x.new_tensor(_LUMA)[None, :, None, None]).sum(1, keepdim=True)


def clouds(like: Tensor, cells: int, channels: int = 1) -> Tensor:
    """(B, channels, H, W) smooth noise of about unit variance."""
    coarse = torch.randn(len(like), channels, cells, cells, device=like.device)
    return F.interpolate(coarse, like.shape[-2:], mode="bicubic", align_corners=False)


def colour(x: Tensor) -> Tensor:
    """Light, gamma, white balance, saturation and hue."""
    b = len(x)
    x = x.clamp(1e-3, 1) ** torch.exp(between(-0.5, 0.5, x, b, 1, 1, 1))
    x = x * torch.exp(between(-0.15, 0.15, x, b, 3, 1, 1))
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * torch.exp(between(-0.5, 0.3, x, b, 1, 1, 1)) + mean
    x = x * torch.exp(between(-0.4, 0.3, x, b, 1, 1, 1))
    luma = gray(x)
    x = luma + (x - luma) * between(0.2, 1.6, x, b, 1, 1, 1)
    return x.clamp(0, 1)


def hue(x: Tensor) -> Tensor:
    """Turns all colours about the gray axis (Rodrigues' formula)."""
    angle = between(-math.pi, math.pi, x, len(x)) * between(0.1, 1, x, len(x))
    cos, sin, third = angle.cos(), angle.sin(), torch.full_like(angle, 1 / math.sqrt(3))
    one, two = (1 - cos) / 3, sin * third
    a, b, c = cos + one, one - two, one + two
    turn = torch.stack([a, b, c, c, a, b, b, c, a], -1).unflatten(1, (3, 3))
    return torch.einsum("bij,bjhw->bihw", turn, x).clamp(0, 1)


def monochrome(x: Tensor) -> Tensor:
    """Gray, or toned like old prints."""
    tone = between(-0.12, 0.12, x, len(x), 3, 1, 1) * (between(0, 1, x, len(x), 1, 1, 1) > 0.5)
    return (gray(x) * (1 + tone)).clamp(0, 1)


def shade(x: Tensor) -> Tensor:
    """Light that falls unevenly, coloured a little."""
    light = clouds(x, 3) * 0.45 + clouds(x, 2, 3) * 0.12
    return (x * torch.exp(light)).clamp(0, 1)


def hard_shadow(x: Tensor) -> Tensor:
    """A shadow with an edge across the picture."""
    edge = torch.sigmoid((clouds(x, 3) + between(-1, 1, x, len(x), 1, 1, 1)) * 12)
    return x * (1 - edge * between(0.2, 0.75, x, len(x), 1, 1, 1))


def _by_kernel(x: Tensor, kernel: Tensor) -> Tensor:
    """Each picture by its own (B, k, k) kernel."""
    b, c, h, w = x.shape
    pad = kernel.shape[-1] // 2
    flat = F.pad(x, (pad,) * 4, mode="reflect").reshape(1, b * c, h + 2 * pad, w + 2 * pad)
    made = F.conv2d(flat, kernel.repeat_interleave(c, 0)[:, None], groups=b * c)
    return made.reshape(b, c, h, w)


def blur(x: Tensor) -> Tensor:
    """Out of focus, or moved along a line."""
    steps = torch.arange(-6, 7, device=x.device, dtype=torch.float32)
    along, across = torch.meshgrid(steps, steps, indexing="xy")
    turn = between(0, math.pi, x, len(x), 1, 1)
    u, v = along * turn.cos() + across * turn.sin(), across * turn.cos() - along * turn.sin()
    long = torch.exp(between(-0.7, 1.2, x, len(x), 1, 1))
    short = torch.where(between(0, 1, x, len(x), 1, 1) < 0.6, long, torch.full_like(long, 0.4))
    kernel = torch.exp(-0.5 * ((u / long) ** 2 + (v / short) ** 2))
    return _by_kernel(x, kernel / kernel.sum((1, 2), keepdim=True)).clamp(0, 1)


def coarse(x: Tensor) -> Tensor:
    """As from a smaller picture."""
    size = x.shape[-2:]
    factor = float(torch.empty(()).uniform_(0.2, 0.7))
    small = F.interpolate(x, scale_factor=factor, mode="bilinear", antialias=True)
    mode = "nearest" if torch.rand(()) < 0.2 else "bilinear"
    return F.interpolate(small, size, mode=mode).clamp(0, 1)


def noise(x: Tensor) -> Tensor:
    """A sensor's, more in the dark or all the same, of any grain."""
    grain = torch.randn_like(x)
    if torch.rand(()) < 0.4:
        grain = F.avg_pool2d(grain, 3, 1, 1) * 2.5
    if torch.rand(()) < 0.3:
        grain = grain.mean(1, keepdim=True) * 1.7
    strength = between(0.01, 0.1, x, len(x), 1, 1, 1)
    return (x + grain * strength * (0.5 + x.sqrt())).clamp(0, 1)


def jpeg(x: Tensor) -> Tensor:
    """Blocks of 8x8 with their cosine transform rounded, coarser in colour (ITU-T T.81)."""
    h, w = x.shape[-2] // 8 * 8, x.shape[-1] // 8 * 8
    k = torch.arange(8, device=x.device, dtype=torch.float32)
    base = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    base[0] /= math.sqrt(2)
    luma = gray(x)
    parts = torch.cat([luma, (x[:, 2:] - luma) * 0.564, (x[:, :1] - luma) * 0.713], 1)[..., :h, :w]
    blocks = parts.unflatten(3, (w // 8, 8)).unflatten(2, (h // 8, 8)).transpose(3, 4)
    told = base @ blocks @ base.T
    step = (3 + 4 * (k[None] + k[:, None])) / 255
    step = step * torch.exp(between(-0.7, 2.0, x, len(x), 1, 1, 1, 1, 1))
    step = step * x.new_tensor([1.0, 1.8, 1.8])[None, :, None, None, None, None]
    back = base.T @ (torch.round(told / step) * step) @ base
    made = back.transpose(3, 4).flatten(4, 5).flatten(2, 3)
    y, cb, cr = made[:, :1], made[:, 1:2] / 0.564, made[:, 2:] / 0.713
    rgb = torch.cat([y + cr, y - (0.299 * cr + 0.114 * cb) / 0.587, y + cb], 1)
    whole = x.clone()
    whole[..., :h, :w] = rgb.clamp(0, 1)
    return whole


def posterise(x: Tensor) -> Tensor:
    """Few levels a channel."""
    levels = between(2.5, 8, x, len(x), 1, 1, 1)
    return (torch.round(x * levels) / levels).clamp(0, 1)


def paint(x: Tensor) -> Tensor:
    """Flat strokes with sharp borders: the smoothest of four quarters about each pixel
    (Kuwahara 1976)."""
    reach = int(torch.randint(2, 5, ()).item())
    size = reach + 1
    mean = F.avg_pool2d(F.pad(x, (reach,) * 4, mode="reflect"), size, 1)
    square = F.avg_pool2d(F.pad(gray(x) ** 2, (reach,) * 4, mode="reflect"), size, 1)
    spread = square - gray(mean) ** 2
    h, w = x.shape[-2:]
    at = [(0, 0), (0, reach), (reach, 0), (reach, reach)]
    means = torch.stack([mean[..., t : t + h, s : s + w] for t, s in at])
    spreads = torch.stack([spread[..., t : t + h, s : s + w] for t, s in at])
    best = spreads.argmin(0, keepdim=True).expand(1, *x.shape)
    return means.gather(0, best)[0]


def edges(x: Tensor) -> Tensor:
    """(B, 1, H, W) from 0 to 1, strength of edges."""
    luma = F.avg_pool2d(gray(x), 3, 1, 1)
    dx = F.pad(luma[..., 1:] - luma[..., :-1], (0, 1))
    dy = F.pad(luma[..., 1:, :] - luma[..., :-1, :], (0, 0, 0, 1))
    return ((dx**2 + dy**2).sqrt() * 8).clamp(0, 1)


def ink(x: Tensor) -> Tensor:
    """A drawing's dark lines over flat colours."""
    flat = paint(paint(x))
    if torch.rand(()) < 0.5:
        flat = posterise(flat)
    return flat * (1 - edges(x) * between(0.4, 1, x, len(x), 1, 1, 1))


def sketch(x: Tensor) -> Tensor:
    """Pencil on paper: luma over its own blur."""
    luma = gray(x)
    soft = F.avg_pool2d(F.avg_pool2d(luma, 9, 1, 4, count_include_pad=False), 5, 1, 2)
    lines = (luma / soft.clamp_min(0.02)).clamp(0, 1) ** between(1, 3, x, len(x), 1, 1, 1)
    paper = between(0.7, 1, x, len(x), 3, 1, 1)
    return (lines * paper).expand_as(x).clamp(0, 1)


def canvas(x: Tensor) -> Tensor:
    """A painter's palette, brush and cloth: few hues, strokes, weave."""
    x = paint(paint(x))
    tint = between(0.4, 1, x, len(x), 3, 1, 1)
    luma = gray(x)
    x = luma * tint + (x - luma) * between(0.3, 1.1, x, len(x), 1, 1, 1)
    weave = F.avg_pool2d(torch.randn_like(luma), (1, 3), 1, (0, 1))
    return (x * (1 + 0.08 * weave)).clamp(0, 1)


def smooth(x: Tensor) -> Tensor:
    """Skin without texture, as in made and retouched pictures."""
    soft = F.avg_pool2d(F.pad(x, (3,) * 4, mode="reflect"), 7, 1)
    keep = (edges(x) * 2.5).clamp(0, 1)
    return soft + (x - soft) * keep


def invert(x: Tensor) -> Tensor:
    """Negative, or the bright part of it alone."""
    return torch.where(x > between(0, 0.8, x, len(x), 1, 1, 1), 1 - x, x)


def swap(x: Tensor) -> Tensor:
    """Channels in another order."""
    return x[:, torch.randperm(3, device=x.device)]


STYLES: tuple[tuple[float, Change], ...] = (
    (0.06, posterise),
    (0.10, paint),
    (0.06, ink),
    (0.05, sketch),
    (0.08, canvas),
    (0.08, smooth),
    (0.015, invert),
    (0.03, swap),
)
CAMERA: tuple[tuple[float, Change], ...] = (
    (0.4, shade),
    (0.12, hard_shadow),
    (0.8, colour),
    (0.12, hue),
    (0.15, monochrome),
    (0.25, blur),
    (0.2, coarse),
    (0.3, noise),
    (0.3, jpeg),
)


def change(picture: Tensor) -> Tensor:
    """All that may befall pictures, in the order in which it does."""
    for share, style in STYLES:
        picture = some(picture, share, style)
    for share, fault in CAMERA:
        picture = some(picture, share, fault)
    return picture


def cover(picture: Tensor, other: Tensor) -> Tensor:
    """Hides parts behind blobs, bars and boxes of another picture's pixels or of one colour."""
    b, _, h, w = picture.shape
    y = torch.linspace(0, 1, h, device=picture.device)[None, None, :, None]
    x = torch.linspace(0, 1, w, device=picture.device)[None, None, None, :]
    cx, cy = between(0, 1, picture, b, 1, 1, 1), between(0, 1, picture, b, 1, 1, 1)
    rx, ry = between(0.05, 0.3, picture, b, 1, 1, 1), between(0.05, 0.3, picture, b, 1, 1, 1)
    turn = between(0, math.pi, picture, b, 1, 1, 1)
    u = ((x - cx) * turn.cos() + (y - cy) * turn.sin()) / rx
    v = ((y - cy) * turn.cos() - (x - cx) * turn.sin()) / ry
    round_one = u**2 + v**2 + 0.4 * clouds(picture, 6) < 1
    box = torch.maximum(u.abs(), v.abs()) < 0.8
    mask = torch.where(between(0, 1, picture, b, 1, 1, 1) < 0.6, round_one, box).float()
    mask = F.avg_pool2d(mask, 3, 1, 1)
    flat = between(0, 1, picture, b, 3, 1, 1).expand_as(picture)
    what = torch.where(between(0, 1, picture, b, 1, 1, 1) < 0.5, flat, other)
    return picture + mask * (what - picture)

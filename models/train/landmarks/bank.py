"""A pack on the training's device, and pictures sampled from it under any warp."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models import facemodel
from models.faces import Frame, frame_of
from models.train.landmarks.pack import Item

SIDE_PX = 320
"""Pictures are padded to squares of this side."""
LEVELS = 3
"""Sizes that each picture is kept in, each half the one before: small faces are not sampled from
large ones, which would skip pixels."""
_NONE_PX = 40


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Pictures with faces, and pieces without.

    Attributes:
        levels: (N, 3, S, S) uint8 each, S halving.
        sizes: (N, 2) px, width and height of what is no padding at the first level.
        points: (N, 478, 3) px at the first level.
        frames: (N, 4) x, y, size, roll of each face.
        weight: (N,) how much the landmarks are trusted.
        odds: (N,) how often each is drawn.
        none: (M, 3, S, S) uint8, pictures without a face, square.
        mirror: (478,) partner of each landmark on the face's other side.
    """

    levels: tuple[Tensor, ...]
    sizes: Tensor
    points: Tensor
    frames: Tensor
    weight: Tensor
    odds: Tensor
    none: Tensor
    mirror: Tensor

    @staticmethod
    def of(items: list[Item], device: torch.device, kinds: dict[str, float]) -> "Bank":
        """From a pack; `kinds` says how often each kind is drawn in all."""
        faced = [i for i in items if i.kind != "none"]
        whole = torch.from_numpy(np.stack([_square(i.picture) for i in faced]))
        levels = [whole.permute(0, 3, 1, 2).contiguous().to(device)]
        for _ in range(LEVELS - 1):
            half = F.avg_pool2d(levels[-1].float(), 2)
            levels.append(half.round().to(torch.uint8))
        points = np.stack([i.landmarks for i in faced])
        count = {kind: sum(i.kind == kind for i in faced) for kind in kinds}
        none = torch.from_numpy(np.stack(faceless(items))).permute(0, 3, 1, 2).contiguous()
        sides = [i.picture.shape[1::-1] for i in faced]
        return Bank(
            tuple(levels),
            torch.tensor(sides, dtype=torch.float32, device=device),
            torch.from_numpy(points).to(device),
            torch.tensor([frame_of(p) for p in points], dtype=torch.float32, device=device),
            torch.tensor([0.5 if i.kind == "head" else 1.0 for i in faced], device=device),
            torch.tensor([kinds[i.kind] / count[i.kind] for i in faced], device=device),
            none.to(device),
            torch.from_numpy(facemodel.load().mirror).long().to(device),
        )

    def draw(self, count: int) -> Tensor:
        """(count,) rows of pictures with a face."""
        return torch.multinomial(self.odds, count, replacement=True)

    def sample(self, rows: Tensor, grid: Tensor, level: int = 0, rim: str = "zeros") -> Tensor:
        """(B, 3, H, W) from 0 to 1: pictures read at a grid (B, H, W, 2), first level's px."""
        source = self.levels[level][rows].float() / 255
        if rim == "border":
            # The rim is that of the picture, not of its padding.
            grid = torch.minimum(grid.clamp_min(0.5), self.sizes[rows][:, None, None] - 0.5)
        unit = grid * (2 / SIDE_PX) - 1
        return F.grid_sample(source, unit, align_corners=False)

    def middle(self, rows: Tensor) -> Tensor:
        """(B, 3) from 0 to 1, colours in the middle of faces."""
        last = self.levels[-1]
        at = (self.frames[rows, :2] / 2 ** (LEVELS - 1)).long().clamp(0, last.shape[-1] - 1)
        return last[rows, :, at[:, 1], at[:, 0]].float() / 255

    def nothing(self, count: int, side: int) -> Tensor:
        """(count, 3, side, side) random pieces without a face."""
        rows = torch.randint(len(self.none), (count,), device=self.none.device)
        source = self.none[rows].float() / 255
        zoom = torch.rand(count, device=source.device) * 0.8 + 0.2
        turn = torch.rand(count, device=source.device) * 6.2832
        cos, sin = zoom * turn.cos(), zoom * turn.sin()
        shift = (torch.rand(count, 2, device=source.device) * 2 - 1) * (1 - zoom)[:, None]
        matrix = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], -1)
        grid = F.affine_grid(
            matrix.unflatten(1, (2, 3)), [count, 3, side, side], align_corners=False
        )
        return F.grid_sample(source, grid, padding_mode="reflection", align_corners=False)


def faceless(items: list[Item]) -> list[np.ndarray]:
    """Square pictures without a face: those of the pack, what is beside and below the faces of
    stills, and made-up ones."""
    found = [_fit(i.picture) for i in items if i.kind == "none"]
    for item in items:
        if item.kind in ("still", "clip") and not item.valid:
            found += [_fit(piece) for piece in _around(item)]
    rng = np.random.default_rng(0)
    return found + [_made_up(rng) for _ in range(200)]


def _around(item: Item) -> list[np.ndarray]:
    frame: Frame = frame_of(item.landmarks)
    reach = 0.6 * frame.size
    x, y, picture = frame.x, frame.y, item.picture
    left, right, low = int(max(x - reach, 0)), int(x + reach), int(y + 1.05 * reach)
    pieces = (picture[:, :left], picture[:, right:], picture[low:])
    return [piece for piece in pieces if min(piece.shape[:2]) >= _NONE_PX]


def _square(picture: np.ndarray) -> np.ndarray:
    made = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    piece = picture[:SIDE_PX, :SIDE_PX]
    made[: piece.shape[0], : piece.shape[1]] = piece
    return made


def _fit(picture: np.ndarray) -> np.ndarray:
    side = min(picture.shape[:2])
    scale = SIDE_PX / side
    size = [round(s * scale) for s in picture.shape[1::-1]]
    whole = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(whole[:SIDE_PX, :SIDE_PX])


def _made_up(rng: np.random.Generator) -> np.ndarray:
    """Gradients, stripes, shapes and letters."""
    cells = int(rng.integers(1, 12))
    coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    way = (cv2.INTER_NEAREST, cv2.INTER_CUBIC)[int(rng.integers(2))]
    made = np.ascontiguousarray(cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=way))
    for _ in range(int(rng.integers(0, 25))):
        colour = [int(c) for c in rng.integers(0, 256, 3)]
        at = [int(c) for c in rng.integers(0, SIDE_PX, 4)]
        wide = int(rng.integers(1, 12)) if rng.random() < 0.6 else -1
        kind = rng.integers(4)
        if kind == 0:
            axes = (1 + at[2] // 5, 1 + at[3] // 5)
            cv2.ellipse(made, (at[0], at[1]), axes, at[2], 0, 360, colour, wide)
        elif kind == 1:
            cv2.rectangle(made, (at[0], at[1]), (at[2], at[3]), colour, wide)
        elif kind == 2:
            cv2.line(made, (at[0], at[1]), (at[2], at[3]), colour, abs(wide))
        else:
            text = "".join(chr(int(c)) for c in rng.integers(48, 123, 8))
            size = float(rng.uniform(0.5, 4))
            cv2.putText(made, text, (at[0] // 2, at[1]), int(rng.integers(8)), size, colour, 2)
    return made

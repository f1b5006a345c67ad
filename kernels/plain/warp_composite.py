"""`kernels/cuda/warp_composite.cu` in NumPy."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels.guide import EDGE_PX, Line
from kernels.plain.guide import sample, share_below
from kernels.warp_composite import Patch, lay_over

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]


def flow_at(flows: F32, lines: Sequence[Line], step_px: int, x: F32, y: F32) -> F32:
    """(3, G, G, 2) at whole pixels x, y (h, w): the flow there, joined sharply along lines."""
    half = np.float32(0.5)
    to_lattice = np.float32(1) / np.float32(step_px)
    at = (x + half) * to_lattice - half, (y + half) * to_lattice - half
    flow, over, under = (sample(field, *at) for field in flows)
    for line in lines:
        left, top, right, bottom = (side * step_px for side in line.window)
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        sharp = over + (under - over) * share_below(line, x, y, EDGE_PX)[..., None]
        flow = np.where(inside[..., None], sharp, flow)
    return np.asarray(flow, np.float32)


def warp_composite(
    source: U8,
    scale: float,
    flows: F32,
    lines: Sequence[Line],
    patches: Sequence[Patch],
    step_px: int,
    corner: tuple[int, int],
    size: tuple[int, int],
    behind: U8 | None = None,
) -> U8:
    """A window of the finished picture, (height, width, 4) uint8: RGB, and the person's alpha.

    Args:
        source: (H', W', 4) uint8 RGBA, `scale` times the picture's size.
        scale: see `source`.
        flows: (3, G, G, 2) float32, see `kernels.plain.guide.flows`.
        lines: where the face parts.
        patches: laid over in their order.
        step_px: the lattice's.
        corner: (x, y) of the window in the picture.
        size: (width, height) of it.
        behind: (H, W, 3) uint8, the whole picture's; if none, alpha cuts nothing out.
    """
    x, y = np.meshgrid(
        *(np.arange(a, a + n, dtype=np.float32) for a, n in zip(corner, size, strict=True))
    )
    flow = flow_at(flows, lines, step_px, x, y)
    by = np.float32(scale)
    middle = (by - np.float32(1)) / np.float32(2)
    places = (flow[..., i] * by + (axis * by + middle) for i, axis in enumerate((x, y)))
    picture = np.asarray(np.rint(sample(source, *places)), np.uint8)
    front, alpha = np.ascontiguousarray(picture[..., :3]), picture[..., 3:].astype(np.int32)
    for patch in patches:
        shifted = Patch(patch.x - corner[0], patch.y - corner[1], patch.rgb, patch.alpha)
        lay_over(front, shifted)
    if behind is not None:
        far = behind[corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]]
        near, beyond = front * alpha, far * (255 - alpha)
        front = ((near + 127) // 255 + (beyond + 127) // 255).astype(np.uint8)
    return np.concatenate([front, picture[..., 3:]], axis=-1)

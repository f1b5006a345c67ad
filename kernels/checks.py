"""What `kernels.dispatch.Kernels` are given, checked alike by all of them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels.arrays import check_array
from kernels.dispatch import MOST, Behind, Face, Moved, Overlay, Plates
from kernels.eyeballs import Eyeball
from kernels.guide import empty
from kernels.plates import Mouth
from kernels.warp_composite import Patch

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]


def check_batch(batch: Sequence[Moved]) -> None:
    """Raises ValueError unless faces, drivers and lines fit each other, see `Kernels.guide`."""
    if not 1 <= len(batch) <= MOST:
        raise ValueError(f"a batch has {len(batch)} pictures, expected 1 to {MOST}")
    first = batch[0].face.portrait
    for moved in batch:
        portrait = moved.face.portrait
        shape, step_px = portrait.upper.shape, portrait.step_px
        if (shape, step_px) != (first.upper.shape, first.step_px):
            raise ValueError(
                f"a batch has fields of {shape} every {step_px} px and of {first.upper.shape} "
                f"every {first.step_px} px, expected the same for all"
            )
        check_array("drivers", moved.drivers, np.float32, (shape[2], 2))
        for line in moved.lines:
            for cells in (line.window, line.stretched):
                if not empty(cells) and (min(cells[:2]) < 1 or max(cells[2:]) >= shape[0]):
                    raise ValueError(f"a line has cells {cells}, expected 1 to {shape[0] - 1}")


def check_eyes(faces: Sequence[Face], eyes: Sequence[Sequence[Eyeball]]) -> None:
    """Raises ValueError unless there are eyes for each face, see `Kernels.eyeballs`."""
    if len(eyes) != len(faces):
        raise ValueError(f"eyes are given for {len(eyes)} pictures, expected {len(faces)}")
    for face, each in zip(faces, eyes, strict=True):
        if each and face.portrait.head is None:
            raise ValueError("eyeballs are asked for, but the portrait has no head")
        for eye in each:
            _check_inside(eye.corner, eye.size, face.portrait.size_px)


def check_plates(pictures: Sequence[F32]) -> None:
    """Raises ValueError unless plates are well formed, see `Kernels.plates`."""
    for picture in pictures:
        check_array("a plate", picture, np.float32, (None, None, 4))
        if not picture.size:
            raise ValueError(f"a plate is {picture.shape}, expected pixels")


def check_mouths(plates: Sequence[Plates], mouths: Sequence[Mouth | None]) -> None:
    """Raises ValueError unless plates and mouths fit each other, see `Kernels.mouths`."""
    if len(plates) != len(mouths) or len(mouths) > MOST:
        raise ValueError(
            f"{len(plates)} sets of plates and {len(mouths)} mouths are given, "
            f"expected as many, up to {MOST}"
        )
    for kept, mouth in zip(plates, mouths, strict=True):
        if mouth is not None and len(mouth.placements) != kept.count:
            raise ValueError(
                f"a mouth has {len(mouth.placements)} placements, expected {kept.count}"
            )


def check_patches(count: int, patches: Sequence[Sequence[Overlay]]) -> None:
    """Raises ValueError unless there are patches for each of so many pictures, well formed."""
    if len(patches) != count:
        raise ValueError(f"patches are given for {len(patches)} pictures, expected {count}")
    for patch in (patch for each in patches for patch in each):
        if isinstance(patch, Patch):
            check_array("a patch's rgb", patch.rgb, np.uint8, (None, None, 3))
            check_array("a patch's alpha", patch.alpha, np.uint8, patch.rgb.shape[:2])


def check_behind(
    faces: Sequence[Face], behind: Behind | None, transparent: Sequence[bool] | None
) -> tuple[Behind, Sequence[bool]]:
    """Both, made up where they are not given; raises ValueError as `Kernels.pictures` says."""
    behind = [None] * len(faces) if behind is None else behind
    transparent = [False] * len(faces) if transparent is None else transparent
    for what, given in (("backdrops", behind), ("transparent", transparent)):
        if len(given) != len(faces):
            raise ValueError(f"{what} are given for {len(given)} pictures, expected {len(faces)}")
    for face, back, clear in zip(faces, behind, transparent, strict=True):
        portrait = face.portrait
        if portrait.alpha is None and (clear or back is not None):
            raise ValueError("a backdrop or alpha is asked for, but the portrait has no alpha")
        if back is not None and back.size_px != portrait.size_px:
            raise ValueError(f"a backdrop has {back.size_px} px, expected {portrait.size_px}")
        if clear and back is not None:
            raise ValueError("a picture is to be transparent, but has a backdrop")
    return behind, transparent


def check_backdrop(rgb: U8) -> None:
    """Raises ValueError unless it is (S, S, 3) uint8."""
    check_array("a backdrop", rgb, np.uint8, (None, rgb.shape[0], 3))


def check_windows(
    count: int, corners: Sequence[tuple[int, int]], size: tuple[int, int], size_px: int
) -> None:
    """Raises ValueError unless so many windows of a size lie in a picture."""
    if len(corners) != count:
        raise ValueError(f"corners are given for {len(corners)} pictures, expected {count}")
    for corner in corners:
        _check_inside(corner, size, size_px)


def check_rgb(rgb: U8) -> None:
    """Raises ValueError unless it is (B, H, W, 3) uint8 with even sides."""
    check_array("rgb", rgb, np.uint8, (None, None, None, 3))
    if 0 in rgb.shape or rgb.shape[1] % 2 or rgb.shape[2] % 2 or len(rgb) > MOST:
        raise ValueError(
            f"rgb is {rgb.shape}, expected 1 to {MOST} pictures of an even height and width"
        )


def _check_inside(corner: tuple[int, int], size: tuple[int, int], size_px: int) -> None:
    (x, y), (width, height) = corner, size
    inside = min(x, y) >= 0 < min(size) and max(x + width, y + height) <= size_px
    if not inside:
        raise ValueError(f"a window of {size} at {corner} is not inside {size_px} px")

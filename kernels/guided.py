"""Guided filter: a mask as a local linear function of a picture's colours (He 2010)."""

import cv2
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


def coefficients(guide: F32, mask: F32, radius: int, ridge: float) -> tuple[F32, F32]:
    """The filter's linear coefficients; `(slope * guide).sum(-1) + base` is the filtered mask.

    Enlarged, they carry a mask to the full resolution of the same picture (He 2015, "Fast guided
    filter").

    Args:
        guide: (H, W, 3) float32 in [0, 1].
        mask: (H, W) float32.
        radius: of the window, pixels.
        ridge: added to the colours' variances.

    Returns:
        slope (H, W, 3) and base (H, W), float32.

    Raises:
        ValueError: the shapes do not fit.
    """
    if guide.ndim != 3 or guide.shape[2] != 3 or mask.shape != guide.shape[:2]:
        raise ValueError(
            f"guide is {guide.shape} and mask {mask.shape}, expected (H, W, 3), (H, W)"
        )
    side = 2 * radius + 1

    def mean(values: F32) -> F32:
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT_101))

    colour, share = mean(guide), mean(mask)
    covariance = mean(guide * mask[..., None]) - colour * share[..., None]
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    products = np.stack([guide[..., a] * guide[..., b] for a, b in pairs], axis=-1)
    xx, xy, xz, yy, yz, zz = (
        mean(np.ascontiguousarray(products[..., n])) - colour[..., a] * colour[..., b]
        for n, (a, b) in enumerate(pairs)
    )
    xx, yy, zz = xx + ridge, yy + ridge, zz + ridge
    # The inverse of a symmetric 3x3 matrix by its cofactors.
    ii, ij, ik = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    jj, jk, kk = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    size = xx * ii + xy * ij + xz * ik
    r, g, b = (covariance[..., n] for n in range(3))
    slope = np.stack(
        [ii * r + ij * g + ik * b, ij * r + jj * g + jk * b, ik * r + jk * g + kk * b], axis=-1
    )
    slope /= size[..., None]
    base = share - (slope * colour).sum(-1)
    return mean(slope.astype(np.float32)), mean(np.asarray(base, np.float32))

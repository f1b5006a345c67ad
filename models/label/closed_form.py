"""Closed-form matting (Levin 2008): a mask's rim by the picture's own colours."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

_SURE = 0.05
_BAND_PX = 4
_RIDGE = 1e-4
_HOLD, _LEAN = 100.0, 0.01
"""How much a pixel is held to the mask: where it is sure, and in the band between."""
_SIDE = 3
_STEPS = 300


def refine(rgb: U8, mask: F32) -> F32:
    """Alpha in a band around a mask's rim, a local linear function of the colours there.

    Args:
        rgb: (H, W, 3) uint8.
        mask: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32 in [0, 1].
    """
    import scipy.sparse as sparse
    from scipy.sparse.linalg import cg

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _BAND_PX + 1,) * 2)
    inside, outside = (
        cv2.erode(side.astype(np.uint8), kernel, borderValue=1) > 0
        for side in (mask > 1 - _SURE, mask < _SURE)
    )
    known = inside | outside
    if known.all():
        return mask
    hold = np.where(known, _HOLD, _LEAN).ravel()
    system = _laplacian(rgb.astype(np.float64) / 255, known) + sparse.diags(hold)
    wanted = hold * np.where(known, inside, mask).ravel()
    quick = sparse.diags(1 / system.diagonal())
    found, _ = cg(system, wanted, x0=mask.ravel(), rtol=1e-4, maxiter=_STEPS, M=quick)
    return np.clip(found, 0, 1).reshape(mask.shape).astype(np.float32)


def _laplacian(picture: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> Any:
    """The matting Laplacian (equation 12), of windows that are not wholly known."""
    import scipy.sparse as sparse

    high, wide = known.shape
    count = _SIDE * _SIDE
    places = np.arange(high * wide).reshape(high, wide)
    view = np.lib.stride_tricks.sliding_window_view
    windows = view(places, (_SIDE, _SIDE)).reshape(-1, count)
    windows = windows[~view(known, (_SIDE, _SIDE)).reshape(-1, count).all(1)]
    colours = picture.reshape(-1, 3)[windows]
    apart = colours - colours.mean(1, keepdims=True)
    spread = np.einsum("kni,knj->kij", apart, apart) / count + _RIDGE / count * np.eye(3)
    alike = (1 + np.einsum("kni,kij,kmj->knm", apart, np.linalg.inv(spread), apart)) / count
    values = np.eye(count) - alike
    rows, columns = np.repeat(windows, count, 1), np.tile(windows, (1, count))
    return sparse.coo_matrix(
        (values.ravel(), (rows.ravel(), columns.ravel())), shape=(high * wide, high * wide)
    ).tocsr()

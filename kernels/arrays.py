"""What arrays are expected to be."""

from typing import Any

import numpy as np
import numpy.typing as npt


def check_array(
    name: str, array: npt.NDArray[Any], dtype: type, shape: tuple[int | None, ...]
) -> None:
    """Raises ValueError unless an array has the dtype and a shape in which None is any side."""
    fits = array.shape == shape or (
        array.ndim == len(shape)
        and all(wanted in (None, side) for wanted, side in zip(shape, array.shape, strict=True))
    )
    if not fits or array.dtype != dtype:
        wanted = tuple("any" if side is None else side for side in shape)
        raise ValueError(
            f"{name} is {array.shape} {array.dtype}, expected {wanted} {np.dtype(dtype)}"
        )

"""Finds faces in a picture and their 478 landmarks; NumPy and OpenCV around two networks.

The networks are handed in, as anything that runs arrays by name: the engine opens them from ONNX
(`engine.faces.open_finder`), a training hands in its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]


class Runs(Protocol):
    """A loaded network."""

    def run(self, feeds: dict[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        """Arrays by input name -> arrays by output name."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """A face in a picture.

    Attributes:
        landmarks: (478, 3) float32 pixels of the picture, MediaPipe's order; z grows away from the
            camera, in the scale of x. Points may lie outside the picture where the face does.
        score: from 0 to 1, how sure it is a face.
    """

    landmarks: F32
    score: float


class FaceFinder:
    """Finds faces, and follows one through a video.

    Args:
        detector: says where faces are in a small picture.
        regressor: says where the landmarks are in a face's crop.
    """

    def __init__(self, detector: Runs, regressor: Runs) -> None:
        self._detector, self._regressor = detector, regressor

    def find(self, picture: U8, most: int = 10) -> list[FoundFace]:
        """The faces in an (H, W, 3) uint8 RGB picture, the largest first; none is an empty list.

        Args:
            most: no more than this many.

        Raises:
            ValueError: the picture is of another shape or type.
        """
        raise NotImplementedError

    def follow(self, picture: U8, before: F32) -> FoundFace | None:
        """The face near where it was in the frame before, None if it is gone.

        Args:
            picture: (H, W, 3) uint8 RGB.
            before: (478, 3) landmarks in the frame before, pixels.

        Raises:
            ValueError: the picture or the landmarks are of another shape or type.
        """
        raise NotImplementedError

"""Opens the face finder on a backend: the shipped networks, or MediaPipe's landmarks."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine import backends
from models import weights
from models.faces import FaceFinder, FoundFace


class Finder(Protocol):
    """What finds and follows faces; see `models.faces.FaceFinder`."""

    def find(self, picture: npt.NDArray[np.uint8], most: int = 10) -> list[FoundFace]:
        """The faces in an (H, W, 3) uint8 RGB picture, the largest first."""
        ...

    def follow(
        self, picture: npt.NDArray[np.uint8], before: npt.NDArray[np.float32]
    ) -> FoundFace | None:
        """The face near where it was in the frame before."""
        ...


def open_finder(
    backend: str = "openvino", threads: int = 2, landmarker: Path | None = None
) -> FaceFinder:
    """A finder of faces and their landmarks.

    Args:
        backend: where the networks run, see `engine.backends.names`.
        threads: CPU threads for one inference.
        landmarker: MediaPipe's Face Landmarker file (`face_landmarker.task`), whose landmarks are
            then used in place of the shipped network's. Faces are found by ours in either case.

    Raises:
        BackendError: the backend, or the landmarker's file, cannot be run here.
    """
    detector = backends.load(backend, weights.path(weights.FACE_DETECTOR), threads)
    if landmarker is not None:
        from engine import landmarker as mediapipe

        theirs = mediapipe.Landmarker(landmarker, threads)
        return FaceFinder(detector, theirs, theirs.crop_px, mediapipe.ROOM)
    regressor = backends.load(backend, weights.path(weights.FACE_LANDMARKS), threads)
    return FaceFinder(detector, regressor)

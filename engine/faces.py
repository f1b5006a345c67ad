"""Opens the shipped face finder on a backend."""

from pathlib import Path

from engine import backends
from models import weights
from models.faces import FaceFinder


def open_finder(
    backend: str = "openvino", threads: int = 2, landmarker: Path | None = None
) -> FaceFinder:
    """A finder of faces and their landmarks.

    Args:
        backend: where the networks run, see `engine.backends.names`.
        threads: CPU threads for one inference.
        landmarker: MediaPipe's Face Landmarker file (`face_landmarker.task`) to use in place of
            the shipped networks.

    Raises:
        BackendError: the backend, or the landmarker's file, cannot be run here.
    """
    if landmarker is not None:
        raise NotImplementedError
    detector = backends.load(backend, weights.path(weights.FACE_DETECTOR), threads)
    regressor = backends.load(backend, weights.path(weights.FACE_LANDMARKS), threads)
    return FaceFinder(detector, regressor)

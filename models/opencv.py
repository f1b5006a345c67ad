"""Networks on OpenCV, for offline work: what tracks footage has no engine above it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models import weights
from models.faces import FaceFinder


class OpenCvNetwork:
    """An ONNX file, run on one core or more; see `models.faces.Runs`.

    Raises:
        ValueError: OpenCV cannot read the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise ValueError(f"{path}: OpenCV refuses the network: {error}") from error
        self._names = list(self._net.getUnconnectedOutLayersNames())

    def run(self, feeds: dict[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        """Arrays by input name -> arrays by output name."""
        for name, array in feeds.items():
            self._net.setInput(array, name)
        made = self._net.forward(self._names)
        return {k: np.array(v, np.float32) for k, v in zip(self._names, made, strict=True)}


def open_finder() -> FaceFinder:
    """The shipped face finder."""
    detector = OpenCvNetwork(weights.path(weights.FACE_DETECTOR))
    return FaceFinder(detector, OpenCvNetwork(weights.path(weights.FACE_LANDMARKS)))

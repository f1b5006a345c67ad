"""Where MediaPipe's 478 landmarks lie on the synthetic head's mesh."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

PATH = Path(__file__).with_name("landmarks.npz")
LANDMARKS = 478


class MapError(Exception):
    """The landmark map is not in the form expected."""


@dataclass(frozen=True)
class LandmarkMap:
    """Landmarks as weighted points of a mesh.

    Attributes:
        vertices: (478, 3) int32 points, counted through the fine skin and then the eyes.
        weights: (478, 3) float32 that sum to one.
        skin_points, eye_points: how many points those meshes have.
    """

    vertices: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    skin_points: int
    eye_points: int

    def __post_init__(self) -> None:
        for name, cells in (("vertices", self.vertices), ("weights", self.weights)):
            if cells.shape != (LANDMARKS, 3):
                raise MapError(f"{name} has shape {cells.shape}, expected {(LANDMARKS, 3)}")
        count = self.skin_points + self.eye_points
        if self.vertices.min() < 0 or self.vertices.max() >= count:
            raise MapError(f"a vertex is {self.vertices.max()}, expected less than {count}")

    def place(
        self, skin: npt.NDArray[np.float64], eyes: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """(478, 3) landmarks in the frame of `skin` (skin_points, 3) and `eyes` (eye_points, 3).

        Raises:
            MapError: another number of points.
        """
        if (len(skin), len(eyes)) != (self.skin_points, self.eye_points):
            raise MapError(
                f"{len(skin)} and {len(eyes)} points of skin and eyes, expected "
                f"{self.skin_points} and {self.eye_points}"
            )
        corners = np.concatenate([skin, eyes])[self.vertices]
        return np.asarray(np.einsum("nk,nkd->nd", self.weights.astype(np.float64), corners))


@cache
def load() -> LandmarkMap:
    """The map that the package ships."""
    with np.load(PATH) as table:
        return LandmarkMap(
            table["vertices"],
            table["weights"],
            int(table["skin_points"]),
            int(table["eye_points"]),
        )

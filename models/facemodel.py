"""The face model: a mean shut-mouth face and a linear lip basis over the 478 landmarks."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import weights
from models.topology import LANDMARKS, LOWER_INNER_LIP, UPPER_INNER_LIP

F32 = npt.NDArray[np.float32]

INNER_UPPER, INNER_LOWER = UPPER_INNER_LIP[1:-1], LOWER_INNER_LIP[1:-1]


@dataclass(frozen=True, slots=True)
class FaceModel:
    """Arrays of `face.npz`; lengths are face widths (landmark 234 to 454), y points down.

    Attributes:
        neutral: (478, 3) float32, mean face with a shut mouth, frontal, centred between its sides.
        basis: (K, 478, 3) float32, displacement of the landmarks for one unit of each code
            component. Component 0 is the opening of the mouth.
        code_std: (K,) float32, root mean square of each component in speech, about 1.
        opening: (K,) float32; `code @ opening` is the gap of the inner lips' middle.
        stable: (S,) int32, landmarks that speech does not move, for laying one face over another.
        mirror: (478,) int32, each landmark's partner on the other side.
        metric: (478, 3) float32, weight of an error at a landmark when codes are fitted.
    """

    neutral: F32
    basis: F32
    code_std: F32
    opening: F32
    stable: npt.NDArray[np.int32]
    mirror: npt.NDArray[np.int32]
    metric: F32

    @property
    def size(self) -> int:
        """K, the length of a lip code."""
        return len(self.basis)

    def decode(self, code: F32) -> F32:
        """The mean face with the lips of a code, (K,) -> (478, 3); lips touch but never cross."""
        face: F32 = self.neutral + np.tensordot(code, self.basis, 1)
        upper, lower = face[INNER_UPPER, 1], face[INNER_LOWER, 1]
        crossed = lower < upper
        contact = np.where(crossed, (upper + lower) / 2, 0)
        face[INNER_UPPER, 1] = np.where(crossed, contact, upper)
        face[INNER_LOWER, 1] = np.where(crossed, contact, lower)
        return face

    def encode(self, displacement: F32) -> F32:
        """Least-squares codes (..., K) of displacements (..., 478, 3) from a shut mouth."""
        a = (self.basis * self.metric).reshape(self.size, -1)
        b = (displacement * self.metric).reshape(*displacement.shape[:-2], -1)
        return np.asarray(b @ np.linalg.solve(a @ a.T, a).T, np.float32)


def read(path: Path) -> FaceModel:
    """Reads a face model's file.

    Raises:
        ValueError: an array is missing or has another shape than the others ask for.
    """
    with np.load(path, allow_pickle=False) as data:
        names = ("neutral", "basis", "code_std", "opening", "stable", "mirror", "metric")
        if missing := [n for n in names if n not in data]:
            raise ValueError(f"{path}: array {missing[0]!r} is missing")
        model = FaceModel(**{n: data[n] for n in names})
    k = len(model.basis)
    wanted = {
        "neutral": (LANDMARKS, 3),
        "basis": (k, LANDMARKS, 3),
        "code_std": (k,),
        "opening": (k,),
        "mirror": (LANDMARKS,),
        "metric": (LANDMARKS, 3),
    }
    for name, shape in wanted.items():
        if (got := getattr(model, name).shape) != shape:
            raise ValueError(f"{path}: array {name!r} is {got}, expected {shape}")
    return model


@cache
def load() -> FaceModel:
    """The shipped face model."""
    return read(weights.path("face.npz"))

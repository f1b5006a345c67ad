"""The camera: where a point of the scene falls in the picture."""

from dataclasses import dataclass

import numpy as np

from .mesh import F64


@dataclass(frozen=True)
class Lens:
    """A pinhole before the face, looking along y.

    Attributes:
        distance_m: from the origin.
        focal: focal length in picture widths.
        shift: where the axis falls, as shares of the picture right of and below its middle.
        px: side of the square picture.
    """

    distance_m: float
    focal: float
    shift: tuple[float, float]
    px: int

    def project(self, points: F64) -> F64:
        """(N, 3) pixels of (N, 3) scene metres: x right, y down, z away from the camera.

        z is in pixels of the scale that holds in the plane of the eyes, 0 there.
        """
        depth = points[:, 1] + self.distance_m
        x = 0.5 + self.shift[0] + self.focal * points[:, 0] / depth
        y = 0.5 + self.shift[1] - self.focal * points[:, 2] / depth
        z = self.focal * points[:, 1] / self.distance_m
        return np.stack([x, y, z], axis=1) * self.px


def framing(
    distance_m: float, box: F64, width: float, centre: tuple[float, float], px: int
) -> Lens:
    """A lens at `distance_m` that shows the points of `box` (N, 3) as `width` picture widths wide.

    Their middle falls on `centre`, in shares of the picture.
    """
    bare = Lens(distance_m, 1.0, (-0.5, -0.5), 1)
    seen = bare.project(box)[:, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    focal = width / float(high[0] - low[0])
    middle = (low + high) / 2 * focal
    shift = (float(centre[0] - 0.5 - middle[0]), float(centre[1] - 0.5 - middle[1]))
    return Lens(distance_m, focal, shift, px)

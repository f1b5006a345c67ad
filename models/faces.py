"""Finds faces in a picture and their 478 landmarks; NumPy and OpenCV around two networks.

The networks are handed in, as anything that runs arrays by name: the engine opens them from ONNX
(`engine.faces.open_finder`), a training hands in its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from models.topology import LANDMARKS, OUTER_MOUTH_CORNERS

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

DETECTOR_PX, STRIDE = 256, 8
"""Side of the detector's picture, and of a cell of its map."""
CROP_PX = 192
"""Side of the regressor's crop."""
ROOM = 1.4
"""Side of a crop, in face sizes."""
LIKELY, SURE, THERE = 0.4, 0.67, 0.3
"""The detector's heat from which a face is looked at; its product with the regressor's score that
makes it one, for neither alone tells a face from a flower; the score of one that is followed."""
CLEAR, CLOSER = 0.75, 0.25
"""Where no face of such heat is this share of the picture's longer side, it is looked at again, at
twice the size, in tiles."""
OVERLAP = 0.45
"""Faces whose centres are nearer than this share of the larger one's size are the same."""
PASSES = 3
"""Crops taken of a face, each by the landmarks found in the one before."""
_HOPELESS = 0.02
"""Score of a crop from which no other is taken."""
_STILL = 0.03
"""A crop that would move by less than this share of its side is not taken anew."""


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


class Frame(NamedTuple):
    """Where a face is in a picture.

    Attributes:
        x, y: px, the middle of the box around its landmarks, which is turned with it.
        size: px, the longer side of that box.
        roll: radians, clockwise as seen.
    """

    x: float
    y: float
    size: float
    roll: float

    @property
    def side(self) -> float:
        """Side of its crop, px."""
        return ROOM * self.size

    def into(self, points: F32) -> F32:
        """Landmarks (478, 3) px -> crop sides from the crop's corner; z in crop sides."""
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        moved = (points - (self.x, self.y, 0)) @ turn.T / self.side
        return np.asarray(moved + np.array([0.5, 0.5, 0]), np.float32)

    def out(self, points: F32) -> F32:
        """The way back."""
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        moved = (points - (0.5, 0.5, 0)) @ turn.T * self.side
        return np.asarray(moved + np.array([self.x, self.y, 0]), np.float32)


def frame_of(points: F32) -> Frame:
    """The frame of landmarks (478, 3) px; eyes and mouth tell the roll."""
    left, right = points[[33, 133], :2].mean(0), points[[263, 362], :2].mean(0)
    down = points[list(OUTER_MOUTH_CORNERS), :2].mean(0) - (left + right) / 2
    across = right - left + (down[1], -down[0])
    roll = float(np.arctan2(across[1], across[0]))
    cos, sin = np.cos(roll), np.sin(roll)
    turned = points[:, :2] @ np.array([[cos, -sin], [sin, cos]])
    low, high = turned.min(0), turned.max(0)
    u, v = (low + high) / 2
    size = float((high - low).max())
    return Frame(float(cos * u - sin * v), float(sin * u + cos * v), size, roll)


class FaceFinder:
    """Finds faces, and follows one through a video.

    Args:
        detector: says where faces are in a small picture.
        regressor: says where the landmarks are in a face's crop.
        crop_px, room: side of the regressor's crop, and the same in face sizes.
    """

    def __init__(
        self, detector: Runs, regressor: Runs, crop_px: int = CROP_PX, room: float = ROOM
    ) -> None:
        self._detector, self._regressor = detector, regressor
        self._crop_px, self._room = crop_px, room

    def find(self, picture: U8, most: int = 10) -> list[FoundFace]:
        """The faces in an (H, W, 3) uint8 RGB picture, the largest first; none is an empty list.

        Args:
            most: no more than this many.

        Raises:
            ValueError: the picture is of another shape or type.
        """
        check_picture(picture)
        # Faces that lie or stand on their heads are seldom, and a detector is less sure of them.
        for quarters in range(4):
            turned = np.ascontiguousarray(np.rot90(picture, quarters))
            if found := self._find(turned, most):
                return [_turned_back(face, turned, quarters) for face in found]
        return []

    def _find(self, picture: U8, most: int) -> list[FoundFace]:
        found: list[tuple[Frame, FoundFace]] = []
        for heat, frame in self._frames(picture)[: 2 * most]:
            points, score = self._regress(picture, frame, PASSES)
            if heat * score >= SURE:
                found.append((frame_of(points), FoundFace(points, heat * score)))
        found.sort(key=lambda pair: -pair[1].score)
        kept: list[tuple[Frame, FoundFace]] = []
        for pair in found:
            if not any(_same(pair[0], other) for other, _ in kept):
                kept.append(pair)
        kept.sort(key=lambda pair: -pair[0].size)
        return [face for _, face in kept[:most]]

    def follow(self, picture: U8, before: F32) -> FoundFace | None:
        """The face near where it was in the frame before, None if it is gone.

        Args:
            picture: (H, W, 3) uint8 RGB.
            before: (478, 3) landmarks in the frame before, pixels.

        Raises:
            ValueError: the picture or the landmarks are of another shape or type.
        """
        check_picture(picture)
        if before.shape != (LANDMARKS, 3):
            raise ValueError(f"landmarks are {before.shape}, expected {(LANDMARKS, 3)}")
        points, score = self._regress(picture, frame_of(before), 2)
        return FoundFace(points, score) if score >= THERE else None

    def _frames(self, picture: U8) -> list[tuple[float, Frame]]:
        """(heat, frame) of likely faces, the surest first."""
        longer = max(picture.shape[:2])

        def unclear() -> bool:
            return not any(heat > CLEAR and f.size > CLOSER * longer for heat, f in found)

        found = self._look(picture, DETECTOR_PX / longer)
        large = [frame for _, frame in found if frame.size > CLOSER * longer]
        if longer > DETECTOR_PX and large and unclear():
            found += self._look(picture, 2 * DETECTOR_PX / longer, large)
        if longer > DETECTOR_PX and unclear():
            found += self._look(picture, 2 * DETECTOR_PX / longer)
        found.sort(key=lambda pair: -pair[0])
        kept: list[tuple[float, Frame]] = []
        for heat, frame in found:
            if not any(_same(frame, other) for _, other in kept):
                kept.append((heat, frame))
        return kept

    def _look(
        self, picture: U8, scale: float, about: list[Frame] | None = None
    ) -> list[tuple[float, Frame]]:
        """(heat, frame) of likely faces in the picture at a scale, tile by tile, or in the tiles
        that lie best about some frames alone."""
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(picture, (width, height), interpolation=way)
        tiles = [(top, left) for top in _starts(height) for left in _starts(width)]
        if about is not None:
            middles = np.array(tiles) + DETECTOR_PX / 2
            wanted = [(frame.y * scale, frame.x * scale) for frame in about]
            best = {int(np.abs(middles - at).max(1).argmin()) for at in wanted}
            tiles = [tiles[at] for at in sorted(best)]
        found = []
        for top, left in tiles:
            tile = np.zeros((DETECTOR_PX, DETECTOR_PX, 3), np.uint8)
            piece = small[top : top + DETECTOR_PX, left : left + DETECTOR_PX]
            tile[: piece.shape[0], : piece.shape[1]] = piece
            said = self._detector.run({"picture": planes(tile)})["map"][0]
            for heat, (x, y, size, roll) in read_map(said):
                frame = Frame((x + left) / scale, (y + top) / scale, size / scale, roll)
                found.append((heat, frame))
        return found

    def _regress(self, picture: U8, frame: Frame, passes: int) -> tuple[F32, float]:
        """Landmarks of the face near a frame, and the score that it is one."""
        points, score = np.zeros((LANDMARKS, 3), np.float32), 0.0
        for _ in range(passes):
            grown = frame._replace(size=frame.size * self._room / ROOM)
            said = self._regressor.run({"picture": planes(crop(picture, grown, self._crop_px))})
            points, score = grown.out(said["points"][0]), float(said["score"].reshape(()))
            after = frame_of(points)
            if not np.isfinite(points).all() or after.size < 1 or score < _HOPELESS:
                return points, 0.0
            moved = np.hypot(after.x - frame.x, after.y - frame.y) / frame.side
            still = moved < _STILL and abs(np.log(after.size / frame.size)) < _STILL
            if still and abs(_turn(after.roll - frame.roll)) < _STILL:
                break
            frame = after
        return points, score


def check_picture(picture: U8) -> None:
    """Raises ValueError unless it is (H, W, 3) uint8 with something in it."""
    shape, kind = picture.shape, picture.dtype
    if len(shape) != 3 or shape[2] != 3 or kind != np.uint8 or min(shape) == 0:
        raise ValueError(f"picture is {shape} {kind}, expected (H, W, 3) uint8")


def planes(picture: U8) -> F32:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 from 0 to 1, as the networks take it."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def read_map(said: F32, least: float = LIKELY) -> list[tuple[float, Frame]]:
    """The detector's map (6, h, w) -> (heat, frame in its picture's px) of faces of a least heat.

    A cell says: heat (logit), the centre's x and y from the cell's middle (cells), the size's
    logarithm (cells), cosine and sine of the roll (any length).
    """
    logit = np.clip(said[0], -30, 30)
    heat = 1 / (1 + np.exp(-logit))
    peaks = (heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8))) & (heat >= least)
    found = []
    for row, column in zip(*np.nonzero(peaks), strict=True):
        x, y, size, cos, sin = (float(v) for v in said[1:, row, column])
        frame = Frame(
            (column + 0.5 + x) * STRIDE,
            (row + 0.5 + y) * STRIDE,
            float(np.exp(min(size, 5.0))) * STRIDE,
            float(np.arctan2(sin, cos)),
        )
        found.append((float(heat[row, column]), frame))
    return found


def crop(picture: U8, frame: Frame, side_px: int = CROP_PX) -> U8:
    """(side_px, side_px, 3): a face's crop, upright; the picture's rim goes on outside it."""
    shrink = frame.side / side_px
    if shrink > 1.5:
        # Bilinear sampling alone would skip pixels.
        reach = 0.75 * frame.side
        low = np.clip([frame.x - reach, frame.y - reach], 0, np.subtract(picture.shape[1::-1], 1))
        high = np.clip([frame.x + reach, frame.y + reach], low + 1, picture.shape[1::-1])
        (left, top), (right, bottom) = low.astype(int), np.ceil(high).astype(int)
        piece = picture[top:bottom, left:right]
        size = [max(1, round(side / shrink)) for side in piece.shape[1::-1]]
        scale = size[0] / piece.shape[1]
        picture = np.asarray(cv2.resize(piece, size, interpolation=cv2.INTER_AREA), np.uint8)
        frame = Frame(
            (frame.x - left) * scale, (frame.y - top) * scale, frame.size * scale, frame.roll
        )
    step = frame.side / side_px
    cos, sin = step * np.cos(frame.roll), step * np.sin(frame.roll)
    # Pixel (u, v) has its middle at (u + 0.5, v + 0.5).
    middle = (side_px - 1) / 2
    x, y = frame.x - 0.5 - cos * middle + sin * middle, frame.y - 0.5 - sin * middle - cos * middle
    matrix = np.array([[cos, -sin, x], [sin, cos, y]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    rim = cv2.BORDER_REPLICATE
    made = cv2.warpAffine(picture, matrix, (side_px, side_px), flags=flags, borderMode=rim)
    return np.asarray(made, np.uint8)


def _turned_back(face: FoundFace, picture: U8, quarters: int) -> FoundFace:
    """A face of a picture that was turned by quarters, counter-clockwise, in the one before."""
    points, height = face.landmarks.copy(), picture.shape[0]
    for quarter in range(quarters):
        side = height if quarter % 2 == 0 else picture.shape[1]
        points[:, :2] = np.column_stack([side - points[:, 1], points[:, 0]])
    return FoundFace(points, face.score)


def _starts(side: int) -> list[int]:
    """Where tiles begin so that they cover a side, each half over the one before."""
    if side <= DETECTOR_PX:
        return [0]
    count = int(np.ceil((side - DETECTOR_PX) / (DETECTOR_PX / 2))) + 1
    return [round(at) for at in np.linspace(0, side - DETECTOR_PX, count)]


def _same(one: Frame, other: Frame) -> bool:
    """Whether two frames are of one face."""
    return float(np.hypot(one.x - other.x, one.y - other.y)) < OVERLAP * max(one.size, other.size)


def _turn(radians: float) -> float:
    """The same turn, from -pi to pi."""
    return float((radians + np.pi) % (2 * np.pi) - np.pi)

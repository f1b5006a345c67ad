"""Paints the mouth by few-step diffusion over the warped portrait with its plates."""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from engine import backends
from engine.mouth import MouthPainter
from engine.render import Guided
from engine.rig import POSE_DRIVERS, Rig
from kernels.warp_composite import Patch, lay_over, warp
from models import diffusion, weights, window

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

_NATIVE = (0.75, 1.3)
"""Widths of a face, in those of training, at which the network sees the picture's own pixels."""
_SEED = 0


class NetworkPainter:
    """The render network over `MouthPainter`. Stateless: its session state is None.

    Args:
        rig: the avatar.
        steps: of denoising, 1 to 4.
        backend: where the network runs.
        threads: CPU threads for one inference.
    """

    def __init__(self, rig: Rig, steps: int, backend: str, threads: int = 2) -> None:
        self._rig, self._steps = rig, steps
        self._plates = MouthPainter(rig)
        path = weights.path(weights.PAINTER)
        self._network = backends.load(backend, path, threads, "fastest")
        unit = rig.face_px / window.FACE_PX
        native = _NATIVE[0] <= unit <= _NATIVE[1]
        self._side = min(window.SIDE_PX if native else round(window.SIDE_PX * unit), rig.size_px)
        self._features, self._code = _sat(rig, self._side, backend)
        shape = (1, 3, window.SIDE_PX, window.SIDE_PX)
        # The same noise for every picture: fresh noise would flicker.
        self._noise = np.random.default_rng(_SEED).standard_normal(shape, np.float32)

    def start(self) -> None:
        """A session needs no state."""

    def paint(self, guided: Guided, state: object) -> tuple[list[Patch], object]:
        """One patch, the window around the mouth; none where it is off the picture."""
        plates, _ = self._plates.paint(guided, None)
        corner = _corner(self._rig, guided.landmarks, self._side)
        if corner is None:
            return plates, state
        guide = _guide(self._rig, guided, corner, self._side, plates)
        seen = _seen(guide)
        region = window.region(guided.landmarks, corner, self._side, self._rig.face_px)
        done = _finished(guide, self._denoised(seen, region, guided) - seen)
        opaque = np.full(done.shape[:2], 255, np.uint8)
        return [Patch(corner[0], corner[1], done, opaque)], state

    def _denoised(self, guide: F32, region: F32, guided: Guided) -> F32:
        """(1, 3, 128, 128) float32 in [-1, 1]."""
        pose = guided.drivers[:POSE_DRIVERS].copy()
        pose[-1] /= self._rig.face_px
        # Lids are told as open: a blink must not change the mouth.
        told = window.conditions(pose, (0.0, 0.0), guided.motion.embedding)
        feeds = {
            "guide": guide,
            "region": _fitted(region)[None, None],
            "told": told[None],
            "features": self._features,
            "code": self._code,
        }

        def predict(x: F32, t: float) -> F32:
            return self._network.run({"noisy": x, "t": np.array([t], np.float32), **feeds})[
                "picture"
            ]

        return np.asarray(diffusion.sample(predict, self._noise, self._steps), np.float32)


def _corner(rig: Rig, landmarks: F32, side: int) -> tuple[int, int] | None:
    """Upper left pixel of the window, inside the picture; None where the mouth is off it."""
    middle, most = window.centre(landmarks), rig.size_px - side
    if not all(0 <= at < rig.size_px for at in middle):
        return None
    x, y = (min(max(int(at) - side // 2, 0), most) for at in middle)
    return x, y


@lru_cache(maxsize=16)
def _sat(rig: Rig, side: int, backend: str) -> tuple[F32, F32]:
    """What the network keeps of a portrait, once for an avatar: features and code."""
    x, y = _corner(rig, rig.landmarks, side) or (0, 0)
    size = (rig.size_px, rig.size_px)
    whole = cv2.resize(rig.source, size, interpolation=cv2.INTER_AREA)
    portrait = _seen(np.asarray(whole[y : y + side, x : x + side], np.uint8))
    found = backends.load(backend, weights.path(weights.PORTRAIT)).run({"portrait": portrait})
    return found["features"], found["code"]


def _guide(rig: Rig, guided: Guided, corner: tuple[int, int], side: int, over: list[Patch]) -> U8:
    """The warped portrait in a window, patches laid over it: (side, side, 3) uint8."""
    x, y = corner
    scale = np.float32(rig.scale)
    flow = guided.flow[y : y + side, x : x + side] * scale
    axes = (np.arange(start, start + side, dtype=np.float32) for start in (x, y))
    places = np.stack(np.meshgrid(*axes), axis=-1) * scale + (scale - 1) / 2
    picture = warp(rig.source, flow, places)
    for patch in over:
        lay_over(picture, Patch(patch.x - x, patch.y - y, patch.rgb, patch.alpha))
    return picture


def _fitted(values: F32 | U8) -> F32:
    """A window (side, side, ...) at the network's size."""
    if values.shape[0] == window.SIDE_PX:
        return np.asarray(values, np.float32)
    size = (window.SIDE_PX, window.SIDE_PX)
    way = cv2.INTER_AREA if values.shape[0] > window.SIDE_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=way), np.float32)


def _seen(picture: U8) -> F32:
    """(side, side, 3) uint8 -> (1, 3, 128, 128) float32 in [-1, 1]."""
    return np.ascontiguousarray(_fitted(picture).transpose(2, 0, 1)[None]) / np.float32(127.5) - 1


def _finished(guide: U8, residual: F32) -> U8:
    """The guide in its own pixels plus a residual (1, 3, 128, 128): what is not painted stays."""
    change = residual[0].transpose(1, 2, 0) * np.float32(127.5)
    if guide.shape[0] != window.SIDE_PX:
        size = (guide.shape[1], guide.shape[0])
        change = np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(np.clip(np.rint(guide + change), 0, 255), np.uint8)

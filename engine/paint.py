"""Paints the mouth by few-step diffusion over the warped portrait with its plates."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine import backends
from engine.kept import kept_with_first
from engine.mouth import MouthPainter
from engine.render import Guided
from engine.rig import POSE_DRIVERS, Rig
from kernels.warp_composite import Patch, lay_over, warp
from models import diffusion, weights, window

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

_NATIVE = (0.75, 1.3)
"""Widths of a face, in those of training, at which the network sees the picture's own pixels."""
_SEEN_PX = (window.WIDE_PX, window.HIGH_PX)


class NetworkPainter:
    """The render network over `MouthPainter`. Stateless: its session state is None.

    Args:
        rig: the avatar.
        steps: of denoising, at least 1.
        backend: where the network runs.
        threads: CPU threads for one inference.
        folder: of the network's files; the shipped ones by default.
    """

    def __init__(
        self,
        rig: Rig,
        steps: int,
        backend: str,
        threads: int = 1,
        folder: Path = weights.FOLDER,
    ) -> None:
        self._rig, self._steps = rig, steps
        self._plates = MouthPainter(rig)
        self._network = backends.load(backend, folder / weights.PAINTER, threads, "fastest")
        unit = rig.face_px / window.FACE_PX
        native = _NATIVE[0] <= unit <= _NATIVE[1]
        wide, high = (min(side if native else round(side * unit), rig.size_px) for side in _SEEN_PX)
        self._size = wide, high
        self._gains, self._features, self._code = _sat(
            rig, self._size, backend, folder / weights.PORTRAIT
        )
        self._noise = window.noise()[None]
        self._frame = window.frame()

    def start(self) -> None:
        """A session needs no state."""

    def paint(self, guided: Guided, state: object) -> tuple[list[Patch], object]:
        """One patch, the window around the mouth; none where it is off the picture."""
        plates, _ = self._plates.paint(guided, None)
        corner = _corner(self._rig, guided.landmarks, self._size)
        if corner is None:
            return plates, state
        lit = [_lit(patch, self._gains) for patch in plates]
        guide = _guide(self._rig, guided, corner, self._size, lit)
        seen = _seen(guide, self._gains)
        region = window.region(guided.landmarks, corner, self._size, self._rig.face_px)
        residual = (self._denoised(seen, region, guided) - seen) / self._gains
        done = _finished(_unclipped(guide, region, self._gains), residual)
        opaque = np.full(done.shape[:2], 255, np.uint8)
        return [Patch(corner[0], corner[1], done, opaque)], state

    def _denoised(self, guide: F32, region: F32, guided: Guided) -> F32:
        """(1, 3, 96, 112) float32 in [-1, 1]."""
        pose = guided.drivers[:POSE_DRIVERS].copy()
        pose[-1] /= self._rig.face_px
        # Lids are told as open: a blink must not change the mouth.
        told = window.conditions(pose, (0.0, 0.0), guided.motion.embedding)
        feeds = {
            "guide": guide,
            "region": (_fitted(region) * self._frame)[None, None],
            "told": told[None],
            "features": self._features,
            "code": self._code,
        }

        def predict(x: F32, t: float) -> F32:
            return self._network.run({"noisy": x, "t": np.array([t], np.float32), **feeds})[
                "picture"
            ]

        return np.asarray(diffusion.sample(predict, self._noise, self._steps), np.float32)


def _corner(rig: Rig, landmarks: F32, size: tuple[int, int]) -> tuple[int, int] | None:
    """Upper left pixel of the window, inside the picture; None where the mouth is off it."""
    middle = window.centre(landmarks)
    if not all(0 <= at < rig.size_px for at in middle):
        return None
    x, y = (
        min(max(int(at) - side // 2, 0), rig.size_px - side)
        for at, side in zip(middle, size, strict=True)
    )
    return x, y


@kept_with_first
def _sat(rig: Rig, size: tuple[int, int], backend: str, path: Path) -> tuple[F32, F32, F32]:
    """What is known of a portrait, once for an avatar: (1, 3, 1, 1) gains, features and code."""
    x, y = _corner(rig, rig.landmarks, size) or (0, 0)
    whole = cv2.resize(rig.source, (rig.size_px, rig.size_px), interpolation=cv2.INTER_AREA)
    wide, high = size
    picture = np.asarray(whole[y : y + high, x : x + wide], np.uint8)
    plain = _fitted(picture).transpose(2, 0, 1)[None] / np.float32(255)
    gains = window.tone(plain)[..., None, None]
    found = backends.load(backend, path).run({"portrait": _seen(picture, gains)})
    return gains, found["features"], found["code"]


def _guide(
    rig: Rig, guided: Guided, corner: tuple[int, int], size: tuple[int, int], over: list[Patch]
) -> U8:
    """The warped portrait in a window, patches laid over it: (height, width, 3) uint8."""
    (x, y), (wide, high) = corner, size
    scale = np.float32(rig.scale)
    flow = guided.flow[y : y + high, x : x + wide] * scale
    axes = (
        np.arange(start, start + side, dtype=np.float32)
        for start, side in zip(corner, size, strict=True)
    )
    places = np.stack(np.meshgrid(*axes), axis=-1) * scale + (scale - 1) / 2
    picture = warp(rig.source, flow, places)
    for patch in over:
        lay_over(picture, Patch(patch.x - x, patch.y - y, patch.rgb, patch.alpha))
    return picture


def _fitted(values: F32 | U8) -> F32:
    """A window (height, width, ...) at the network's size."""
    if values.shape[1::-1] == _SEEN_PX:
        return np.asarray(values, np.float32)
    way = cv2.INTER_AREA if values.shape[1] > window.WIDE_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, _SEEN_PX, interpolation=way), np.float32)


def _seen(picture: U8, gains: F32) -> F32:
    """(height, width, 3) uint8 -> (1, 3, 96, 112) float32 in [-1, 1], colours times the gains."""
    seen = np.ascontiguousarray(_fitted(picture).transpose(2, 0, 1)[None])
    return np.asarray(np.minimum(seen * (gains / np.float32(127.5)) - 1, 1), np.float32)


def _lit(patch: Patch, gains: F32) -> Patch:
    """Plates in the portrait's light: the network sees them as they are."""
    rgb = np.minimum(patch.rgb / gains[0, :, 0, 0], 255).astype(np.uint8)
    return replace(patch, rgb=rgb)


def _unclipped(guide: U8, region: F32, gains: F32) -> F32:
    """The guide as the network saw it where it may paint: its gains clip what is too bright."""
    seen = np.minimum(guide, np.float32(255) / gains[0, :, 0, 0])
    return np.where(region[..., None] > 0, seen, guide)


def _finished(guide: F32, residual: F32) -> U8:
    """The guide in its own pixels plus a residual (1, 3, 96, 112): what is not painted stays."""
    change = residual[0].transpose(1, 2, 0) * np.float32(127.5)
    size = guide.shape[1], guide.shape[0]
    if size != _SEEN_PX:
        change = np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(np.clip(np.rint(guide + change), 0, 255), np.uint8)

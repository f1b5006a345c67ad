"""Paints mouths by few-step diffusion over the warped portrait with its plates."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from engine import backends
from engine.composite import Batch
from engine.errors import BackendError
from engine.kept import kept_with_first
from engine.mouth import MouthPainter
from engine.render import Guided
from engine.rig import POSE_DRIVERS, Rig
from kernels.warp_composite import Patch
from models import diffusion, weights, window

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Corner = tuple[int, int]
T = TypeVar("T")

_NATIVE = (0.75, 1.3)
"""Widths of a face, in those of training, at which the network sees the picture's own pixels."""
_INPUTS = {"noisy", "t", "guide", "region", "told", "features", "code"}
_SEEN_PX = (window.WIDE_PX, window.HIGH_PX)


class RenderNetwork:
    """The network that paints, of all avatars; not for several threads at once.

    Args:
        backend: where it runs.
        threads: CPU threads for one inference.
        folder: of its files; the shipped ones by default.

    Attributes:
        backend, folder: as given.

    Raises:
        BackendError: a backend that cannot be had, or the files hold another network.
    """

    def __init__(self, backend: str, threads: int = 1, folder: Path = weights.FOLDER) -> None:
        self.backend, self.folder = backend, folder
        path = folder / weights.PAINTER
        self._network = backends.load(backend, path, threads, "fastest")
        if wrong := sorted(set(self._network.inputs) ^ _INPUTS):
            raise BackendError(f"{path} is no render network: {wrong[0]!r} is missing or unknown")
        self._noise = window.noise()[None]

    def paint(self, looks: Sequence["Look"], steps: int) -> F32:
        """(B, 3, 96, 112) float32 in [-1, 1]: each as the network would have it.

        In one run where its file takes any batch, else one after the other.
        """
        if self._network.inputs["noisy"][0] == -1:
            return self._sampled(looks, steps)
        return np.concatenate([self._sampled([look], steps) for look in looks])

    def _sampled(self, looks: Sequence["Look"], steps: int) -> F32:
        feeds = {name: np.concatenate([x.feeds[name] for x in looks]) for name in looks[0].feeds}
        noise = np.repeat(self._noise, len(looks), axis=0)

        def predict(x: F32, t: float) -> F32:
            at = np.full(len(looks), t, np.float32)
            return self._network.run({"noisy": x, "t": at, **feeds})["picture"]

        return np.asarray(diffusion.sample(predict, noise, steps), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A window around a mouth as the network is shown it.

    Attributes:
        corner: (x, y) of its upper left pixel in the picture.
        picture: (height, width, 3) uint8, the guide.
        region: (height, width) float32, where the network may paint.
        feeds: what the network is given beside noise and time, each with a batch of one.
    """

    corner: Corner
    picture: U8
    region: F32
    feeds: dict[str, F32]


class NetworkPainter:
    """The render network over `MouthPainter`, for one avatar.

    Args:
        rig: the avatar.
        steps: of denoising, at least 1.
        network: mouths of painters that share it are painted in one run.

    Attributes:
        steps, network: as given.
        size: (width, height) of its windows.
    """

    def __init__(self, rig: Rig, steps: int, network: RenderNetwork) -> None:
        self.steps, self.network = steps, network
        self._rig = rig
        self._plates = MouthPainter(rig)
        unit = rig.face_px / window.FACE_PX
        native = _NATIVE[0] <= unit <= _NATIVE[1]
        wide, high = (min(side if native else round(side * unit), rig.size_px) for side in _SEEN_PX)
        self.size = wide, high
        path = network.folder / weights.PORTRAIT
        self._gains, self._features, self._code = _sat(rig, self.size, network.backend, path)

    def plates(self, guided: Guided) -> list[Patch]:
        """See `MouthPainter.plates`."""
        return self._plates.plates(guided)

    def corner(self, guided: Guided) -> Corner | None:
        """Upper left pixel of the window; None where the mouth is off the picture."""
        return _corner(self._rig, guided.landmarks, self.size)

    def lit(self, plates: Sequence[Patch]) -> list[Patch]:
        """Plates in the portrait's light: the network sees them as they are."""
        return [_lit(patch, self._gains) for patch in plates]

    def look(self, guided: Guided, corner: Corner, picture: U8) -> Look:
        """What the network is shown of a window's guide (height, width, 3) uint8."""
        region = window.region(guided.landmarks, corner, self.size, self._rig.face_px)
        pose = guided.drivers[:POSE_DRIVERS].copy()
        pose[-1] /= self._rig.face_px
        # Lids are told as open: a blink must not change the mouth.
        told = window.conditions(pose, (0.0, 0.0), guided.motion.embedding)
        feeds = {
            "guide": _seen(picture, self._gains),
            "region": (_fitted(region) * _frame())[None, None],
            "told": told[None],
            "features": self._features,
            "code": self._code,
        }
        return Look(corner, picture, region, feeds)

    def painted(self, look: Look, made: F32) -> Patch:
        """The window with what the network made of it, (3, 96, 112)."""
        residual = (made[None] - look.feeds["guide"]) / self._gains
        done = _finished(_unclipped(look.picture, look.region, self._gains), residual)
        return Patch(*look.corner, done, np.full(done.shape[:2], 255, np.uint8))


Painter = MouthPainter | NetworkPainter


def paint(batch: Batch, painters: Sequence[Painter]) -> list[list[Patch]]:
    """Patches of each picture, each by its painter.

    A `NetworkPainter` gives one, the window around the mouth; plates alone where that is off the
    picture.
    """
    done = [painter.plates(g) for painter, g in zip(painters, batch.guided, strict=True)]
    asked: list[tuple[int, NetworkPainter, Corner]] = []
    for number, (painter, guided) in enumerate(zip(painters, batch.guided, strict=True)):
        if isinstance(painter, NetworkPainter) and (corner := painter.corner(guided)):
            asked.append((number, painter, corner))
    looks: list[tuple[int, NetworkPainter, Look]] = []
    for alike in _grouped(asked, lambda each: each[1].size):
        numbers, by, corners = zip(*alike, strict=True)
        lit = [painter.lit(done[number]) for number, painter, _ in alike]
        windows = batch.windows(numbers, lit, corners, by[0].size)
        for (number, painter, corner), picture in zip(alike, windows, strict=True):
            looks.append((number, painter, painter.look(batch.guided[number], corner, picture)))
    for together in _grouped(looks, lambda each: (each[1].network, each[1].steps)):
        first = together[0][1]
        made = first.network.paint([look for _, _, look in together], first.steps)
        for (number, painter, look), mouth in zip(together, made, strict=True):
            done[number] = [painter.painted(look, mouth)]
    return done


def _grouped(these: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Those of the same key together, in their order."""
    groups: dict[Hashable, list[T]] = {}
    for one in these:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


@cache
def _frame() -> F32:
    return window.frame()


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
    found = backends.load(backends.beside(backend), path).run({"portrait": _seen(picture, gains)})
    return gains, found["features"], found["code"]


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
    seen, inside = guide.astype(np.float32), region > 0
    for channel, most in enumerate(np.float32(255) / gains[0, :, 0, 0]):
        if most < 255:
            np.minimum(seen[..., channel], most, out=seen[..., channel], where=inside)
    return seen


def _finished(guide: F32, residual: F32) -> U8:
    """The guide in its own pixels plus a residual (1, 3, 96, 112): what is not painted stays."""
    change = residual[0].transpose(1, 2, 0) * np.float32(127.5)
    size = guide.shape[1], guide.shape[0]
    if size != _SEEN_PX:
        change = np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(np.clip(np.rint(guide + change), 0, 255), np.uint8)

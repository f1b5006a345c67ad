"""Paints mouths by few-step diffusion over the warped portrait with its plates."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
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
from kernels import look
from kernels.dispatch import Kernels, Looks, Overlay
from kernels.look import Shown
from kernels.rows import Held, Rows
from models import diffusion, weights, window

F32 = npt.NDArray[np.float32]
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
        self._noise = Held(window.noise()[None])
        self._times: dict[float, Held] = {}

    def paint(
        self,
        kernels: Kernels,
        looks: Sequence[Looks],
        told: F32,
        sittings: Sequence["Sitting"],
        steps: int,
    ) -> Rows:
        """(B, 3, 96, 112) in [-1, 1], where the kernels have it: each as the network would.

        Args:
            kernels: where.
            looks: what it is shown, of B windows in all.
            told: (B, `window.CONDITIONS`) float32.
            sittings: of the portraits.
            steps: of denoising.
        """
        feeds = {
            "guide": kernels.stacked([each.guide for each in looks]),
            "region": kernels.stacked([each.region for each in looks]),
            "told": kernels.put(told),
            "features": kernels.stacked([each.features.by(kernels) for each in sittings]),
            "code": kernels.stacked([each.code.by(kernels) for each in sittings]),
        }

        def predict(x: Rows, t: float) -> Rows:
            at = self._times.setdefault(t, Held(np.array([t], np.float32))).by(kernels)
            given = {"noisy": x, "t": kernels.stacked([at] * len(told)), **feeds}
            return kernels.run(self._network, given, "picture")

        noise = kernels.stacked([self._noise.by(kernels)] * len(told))
        made: Rows = diffusion.sample(predict, noise, steps, kernels.mixed)
        return made


@dataclass(frozen=True, slots=True, eq=False)
class Sitting:
    """What the network knows of a portrait: a row of each of its inputs."""

    features: Held
    code: Held


class NetworkPainter:
    """The render network over `MouthPainter`, for one avatar.

    Args:
        rig: the avatar.
        steps: of denoising, at least 1.
        network: mouths of painters that share it are painted in one run.

    Attributes:
        steps, network: as given.
        size: (width, height) of its windows.
        mouth: what paints the plates beneath.
        gains: (3,) float32, see `window.tone`.
        sitting: the avatar's.
    """

    def __init__(self, rig: Rig, steps: int, network: RenderNetwork) -> None:
        self.steps, self.network = steps, network
        self._rig = rig
        self.mouth = MouthPainter(rig)
        unit = rig.face_px / window.FACE_PX
        native = _NATIVE[0] <= unit <= _NATIVE[1]
        wide, high = (min(side if native else round(side * unit), rig.size_px) for side in _SEEN_PX)
        self.size = wide, high
        path = network.folder / weights.PORTRAIT
        self.gains, features, code = _sat(rig, self.size, network.backend, path)
        self.sitting = Sitting(Held(features), Held(code))

    def corner(self, guided: Guided) -> Corner | None:
        """Upper left pixel of the window; None where the mouth is off the picture."""
        return _corner(self._rig, guided.landmarks, self.size)

    def shown(self, guided: Guided, corner: Corner) -> Shown:
        """What of a picture the network is shown."""
        return window.shown(guided.landmarks, corner, self._rig.face_px, self.gains)

    def told(self, guided: Guided) -> F32:
        """What it is told beside pictures, see `window.conditions`."""
        pose = guided.drivers[:POSE_DRIVERS].copy()
        pose[-1] /= self._rig.face_px
        # Lids are told as open: a blink must not change the mouth.
        return window.conditions(pose, (0.0, 0.0), guided.motion.embedding)


Painter = MouthPainter | NetworkPainter


def paint(batch: Batch, painters: Sequence[Painter]) -> list[list[Overlay]]:
    """Patches of each picture, each by its painter.

    A `NetworkPainter` gives one, the window around the mouth; plates alone where that is off the
    picture.
    """
    asked: list[tuple[int, NetworkPainter, Corner]] = []
    tints: list[F32 | None] = [None] * len(painters)
    for number, (painter, guided) in enumerate(zip(painters, batch.guided, strict=True)):
        if isinstance(painter, NetworkPainter) and (corner := painter.corner(guided)):
            asked.append((number, painter, corner))
            # The network sees plates as they are, in no portrait's light.
            tints[number] = painter.gains
    mouths = [by.mouth if isinstance(by, NetworkPainter) else by for by in painters]
    done = batch.plates(mouths, tints)
    for together in _grouped(asked, lambda each: (each[1].network, each[1].steps)):
        looked: list[Looks] = []
        order: list[tuple[int, NetworkPainter]] = []
        for alike in _grouped(together, lambda each: each[1].size):
            numbers = [number for number, _, _ in alike]
            shown = [by.shown(batch.guided[number], corner) for number, by, corner in alike]
            under = [done[number] for number in numbers]
            looked.append(batch.look(numbers, under, shown, alike[0][1].size))
            order += [(number, by) for number, by, _ in alike]
        told = np.stack([by.told(batch.guided[number]) for number, by in order])
        first = together[0][1]
        sittings = [by.sitting for _, by in order]
        made = first.network.paint(batch.kernels, looked, told, sittings, first.steps)
        painted: list[Overlay] = []
        for looks in looked:
            part = slice(len(painted), len(painted) + len(looks.guide))
            painted += batch.kernels.painted(looks, made[part])
        for (number, _), overlay in zip(order, painted, strict=True):
            done[number] = [overlay]
    return done


def _grouped(these: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Those of the same key together, in their order."""
    groups: dict[Hashable, list[T]] = {}
    for one in these:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


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
    """What is known of a portrait, once for an avatar: (3,) gains, features and code."""
    x, y = _corner(rig, rig.landmarks, size) or (0, 0)
    whole = cv2.resize(rig.source, (rig.size_px, rig.size_px), interpolation=cv2.INTER_AREA)
    wide, high = size
    picture = np.asarray(whole[y : y + high, x : x + wide], np.uint8)
    plain = look.fitted(picture, _SEEN_PX).transpose(2, 0, 1)[None] / np.float32(255)
    (gains,) = window.tone(plain)
    portrait = look.seen(picture, gains, _SEEN_PX)[None]
    found = backends.load(backends.beside(backend), path).run({"portrait": portrait})
    return gains, found["features"], found["code"]

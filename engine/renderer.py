"""From motions to pictures: scenes made ready once, and any number of them drawn together."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, Self

from engine.avatar import Avatar
from engine.composite import Batch, Planes, drawn_plates_of, face_of, room_of
from engine.config import EngineConfig
from engine.errors import BackendError
from engine.frames import Motion
from engine.kept import kept_with_first
from engine.metrics import StageTimes
from engine.mouth import MouthPainter
from engine.paint import NetworkPainter, Painter, RenderNetwork, paint
from engine.painters import painter_folder
from engine.render import guides
from engine.rig import Rig, build
from kernels import dispatch
from kernels.dispatch import Kernels
from kernels.gpu import GpuError
from models import facemodel, weights


@dataclass(frozen=True, slots=True)
class Scene:
    """What a call shows: scenes of the same values are the same, avatars being told by identity.

    Attributes:
        avatar: who speaks.
        size_px, background, backend, steps, kernels, painter: see `EngineConfig`.
    """

    avatar: Avatar
    size_px: int
    background: str
    backend: str
    steps: int
    kernels: str = "cpu"
    painter: str = weights.USUAL_PAINTER

    @classmethod
    def of(cls, avatar: Avatar, config: EngineConfig) -> Self:
        """What settings make of an avatar."""
        return cls(
            avatar,
            config.size_px,
            config.background,
            config.backend,
            config.steps,
            config.kernels,
            config.painter,
        )


class Renderer:
    """Draws motions of any scenes. Not for several threads at once: what is large is shared.

    Args:
        timings: where the times of `render` and `composite` go, if anywhere; those of a batch count
            as one.
    """

    def __init__(self, timings: StageTimes | None = None) -> None:
        self._timings = timings
        self._kernels: dict[str, Kernels] = {}
        self._networks: dict[tuple[str, str], RenderNetwork] = {}
        self._ready = kept_with_first(self._cast)

    def open(self, scene: Scene) -> None:
        """Makes a scene ready, so that its first picture takes no longer than the others.

        Raises:
            ConfigError: a background or a painter that cannot be had.
            BackendError: a backend or kernels that cannot be had.
        """
        self._opened(scene)

    def render(self, batch: Sequence[tuple[Scene, Motion]]) -> list[Planes]:
        """Draws a batch, in its order; scenes are opened where they were not.

        Pictures of one size and one kind of kernels are drawn together; of those, mouths of one
        backend and as many steps are painted together.

        Raises:
            ConfigError, BackendError: see `open`.
        """
        alike: dict[tuple[str, int], list[int]] = {}
        for number, (scene, _) in enumerate(batch):
            alike.setdefault((scene.kernels, scene.size_px), []).append(number)
        done: dict[int, Planes] = {}
        for (kernels, _), numbers in alike.items():
            made = self._drawn(kernels, [batch[number] for number in numbers])
            done.update(zip(numbers, made, strict=True))
        return [done[number] for number in range(len(batch))]

    def _drawn(self, kernels: str, asked: Sequence[tuple[Scene, Motion]]) -> list[Planes]:
        cast = [self._opened(scene) for scene, _ in asked]
        with self._measure("render"):
            moved = [(rig, motion) for (rig, _), (_, motion) in zip(cast, asked, strict=True)]
            drawn = Batch(self._kernels[kernels], guides(moved))
            painted = paint(drawn, [painter for _, painter in cast])
        with self._measure("composite"):
            return drawn.planes(painted, [scene.background for scene, _ in asked])

    def _opened(self, scene: Scene) -> tuple[Rig, Painter]:
        return self._ready(
            scene.avatar,
            scene.size_px,
            scene.background,
            scene.backend,
            scene.steps,
            scene.kernels,
            scene.painter,
        )

    def _cast(
        self,
        avatar: Avatar,
        size_px: int,
        background: str,
        backend: str,
        steps: int,
        kernels: str,
        painter: str,
    ) -> tuple[Rig, Painter]:
        if kernels not in self._kernels:
            self._kernels[kernels] = open_kernels(kernels)
        rig = rig_of(avatar, size_px)
        room_of(rig, background, kernels)
        face_of(rig, kernels)
        drawn_plates_of(rig, kernels)
        if not steps:
            return rig, MouthPainter(rig)
        network = backend, painter
        if network not in self._networks:
            self._networks[network] = RenderNetwork(backend, folder=painter_folder(painter))
        return rig, NetworkPainter(rig, steps, self._networks[network])

    def _measure(self, stage: str) -> AbstractContextManager[None]:
        return nullcontext() if self._timings is None else self._timings.measure(stage)


@dataclass(frozen=True, slots=True)
class Share:
    """What a session gets where what draws is short.

    Attributes:
        stride: every so-manieth picture is drawn; 1 is all of them.
        shed: pictures left out by it so far.
        late: pictures that were drawn after they were due, so far.
    """

    stride: int = 1
    shed: int = 0
    late: int = 0


class Drawer(Protocol):
    """Draws one session's pictures, in their order."""

    @property
    def share(self) -> Share:
        """What it gets at present."""
        ...

    def draw(self, motion: Motion) -> Planes | None:
        """Waits for one picture; None where there was no time for it.

        Raises:
            BackendError: it cannot be drawn.
        """
        ...

    def close(self) -> None:
        """The session has ended."""
        ...


class Drawing(Protocol):
    """Draws for all sessions of a process."""

    def start(self, scene: Scene, timings: StageTimes) -> Drawer:
        """A session begins; its scene is made ready. `timings` are the session's.

        Raises:
            ConfigError, BackendError: see `Renderer.open`.
        """
        ...


class Direct:
    """Each session draws for itself, at once; see `Drawing`."""

    def start(self, scene: Scene, timings: StageTimes) -> Drawer:
        """See `Drawing.start`."""
        return _Direct(Renderer(timings), scene)


class _Direct:
    share = Share()

    def __init__(self, renderer: Renderer, scene: Scene) -> None:
        self._renderer, self._scene = renderer, scene
        renderer.open(scene)

    def draw(self, motion: Motion) -> Planes | None:
        (planes,) = self._renderer.render([(self._scene, motion)])
        return planes

    def close(self) -> None:
        pass


@kept_with_first
def rig_of(avatar: Avatar, size_px: int) -> Rig:
    """Made once for an avatar and a size, shared by all sessions: nothing in it changes."""
    return build(avatar, size_px, facemodel.load())


def open_kernels(name: str) -> Kernels:
    """Kernels by name; not for several threads at once.

    Raises:
        BackendError: CuPy is not installed or there is no GPU; nothing falls back in silence.
    """
    try:
        return dispatch.load(name)
    except GpuError as error:
        raise BackendError(str(error)) from error

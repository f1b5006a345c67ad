"""From motions to pictures: scenes made ready once, and any number of them drawn together."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, Self

from engine.avatar import Avatar
from engine.backdrop import backdrop
from engine.composite import CompositeStage, Planes
from engine.config import TRANSPARENT, EngineConfig
from engine.frames import Motion
from engine.kept import kept_with_first
from engine.metrics import StageTimes
from engine.mouth import MouthPainter
from engine.paint import NetworkPainter
from engine.render import Painter, RenderStage
from engine.rig import Rig, build
from models import facemodel


@dataclass(frozen=True, slots=True)
class Scene:
    """What a call shows: scenes of the same values are the same, avatars being told by identity.

    Attributes:
        avatar: who speaks.
        size_px, background, backend, steps: see `EngineConfig`.
    """

    avatar: Avatar
    size_px: int
    background: str
    backend: str
    steps: int

    @classmethod
    def of(cls, avatar: Avatar, config: EngineConfig) -> Self:
        """What settings make of an avatar."""
        return cls(avatar, config.size_px, config.background, config.backend, config.steps)


class Renderer:
    """Draws motions of any scenes. Not for several threads at once: what is large is shared.

    Args:
        timings: where the times of `render` and `composite` go, if anywhere.
    """

    def __init__(self, timings: StageTimes | None = None) -> None:
        self._timings = timings
        self._ready = kept_with_first(_stages)

    def open(self, scene: Scene) -> None:
        """Makes a scene ready, so that its first picture takes no longer than the others.

        Raises:
            ConfigError: a background that cannot be had.
            BackendError: a backend that cannot be had.
        """
        self._ready(scene.avatar, scene.size_px, scene.background, scene.backend, scene.steps)

    def render(self, batch: Sequence[tuple[Scene, Motion]]) -> list[Planes]:
        """Draws a batch; its scenes are of one size, and are opened where they were not.

        Raises:
            ConfigError, BackendError: see `open`.
        """
        done = []
        for scene, motion in batch:
            render, composite = self._ready(
                scene.avatar, scene.size_px, scene.background, scene.backend, scene.steps
            )
            with self._measure("render"):
                (guided,) = render.push(motion)
            with self._measure("composite"):
                done += composite.push(guided)
        return done

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


def _stages(
    avatar: Avatar, size_px: int, background: str, backend: str, steps: int
) -> tuple[RenderStage, CompositeStage]:
    rig = rig_of(avatar, size_px)
    painter: Painter = NetworkPainter(rig, steps, backend) if steps else MouthPainter(rig)
    composite = CompositeStage(rig, backdrop(rig, background), background == TRANSPARENT)
    return RenderStage(rig, painter), composite

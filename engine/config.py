"""Settings: frozen, checked when built, with a table of presets."""

from dataclasses import dataclass, fields, replace
from typing import Any

from engine.errors import ConfigError
from engine.painters import painter_folder
from models import weights


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, expected {low} to {high}")


SWITCH_S = 0.0002
"""How long a thread may keep Python from the others. At Python's own 5 ms a call's loop, which
lets go of it for every packet, waits for threads that draw."""
TRANSPARENT = "transparent"
"""The background that is none: films alone carry it."""
KERNELS = ("cpu", "cuda")
"""What draws pictures, see `kernels.dispatch`."""
EXPRESSIONS: dict[str, tuple[float, float]] = {
    "serious": (-0.2, -0.008),
    "neutral": (0.0, 0.0),
    "warm": (0.4, 0.004),
}
"""Each expression's smile, see `Motion.smile`, and raise of the brows in face widths."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How one session's pipeline runs.

    Attributes:
        size_px: side of the square picture.
        lookahead_ms: future sound that the lips may see; adds as much latency.
        seed: of head movement and blinks.
        liveliness: factor on head movement, 0 (still) to 2.
        style: character of head movement, a name in `engine.motion.STYLES`.
        expression: of the face at rest, a name in `EXPRESSIONS`.
        background: behind the person: `still`, `blur`, a colour `#rrggbb`, a picture's path, or
            `transparent` where not `live`, see `engine.backdrop`.
        backend: where networks run, see `engine.backends`.
        steps: denoising steps of the render network; 0 is geometry with plates of teeth alone.
        painter: the render network, a name in `models.weights.PAINTERS` or a folder, see
            `engine.painters`.
        kernels: what draws pictures, one of `KERNELS`.
        live: drop late pictures (a call) rather than draw every one (a file).

    Raises:
        ConfigError: a value is out of its range.
    """

    size_px: int = 512
    lookahead_ms: int = 60
    seed: int = 0
    liveliness: float = 1.0
    style: str = "even"
    expression: str = "neutral"
    background: str = "still"
    backend: str = "openvino"
    steps: int = 1
    painter: str = weights.USUAL_PAINTER
    kernels: str = "cpu"
    live: bool = False

    def __post_init__(self) -> None:
        _check("size_px", self.size_px, 128, 1080)
        if self.size_px % 16:
            raise ConfigError(f"size_px is {self.size_px}, expected a multiple of 16")
        _check("liveliness", self.liveliness, 0.0, 2.0)
        if self.expression not in EXPRESSIONS:
            raise ConfigError(
                f"expression {self.expression[:40]!r} is unknown, "
                f"expected one of {sorted(EXPRESSIONS)}"
            )
        if self.live and self.background == TRANSPARENT:
            raise ConfigError(
                f"background is {TRANSPARENT!r}, but a call's codecs carry no alpha: "
                "expected 'still', 'blur', a colour '#rrggbb' or a picture file"
            )
        _check("steps", self.steps, 0, 4)
        painter_folder(self.painter)
        if self.kernels not in KERNELS:
            raise ConfigError(f"kernels is {self.kernels[:40]!r}, expected one of {list(KERNELS)}")
        _check("seed", self.seed, 0, 2**32 - 1)


MAX_WORKERS = 64
"""Media processes; each takes memory for its own networks of sound and motion."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How the server runs.

    Attributes:
        host, port: where it listens.
        max_sessions: calls at once; one more is answered 503.
        video_kbps: starting bitrate of a call's video; congestion control moves it between
            `min_video_kbps` and `max_video_kbps`.
        probe: mark pictures whose sound holds a beep (for `bench latency` alone).
        workers: media processes over which calls are spread; 0 runs all in one process.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    max_sessions: int = 3
    video_kbps: int = 1200
    min_video_kbps: int = 250
    max_video_kbps: int = 2500
    probe: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        _check("port", self.port, 0, 65_535)
        _check("max_sessions", self.max_sessions, 1, 1000)
        _check("workers", self.workers, 0, MAX_WORKERS)
        if self.workers > self.max_sessions:
            raise ConfigError(
                f"workers is {self.workers}, but max_sessions is {self.max_sessions}: "
                "expected no more workers than calls"
            )
        _check("min_video_kbps", self.min_video_kbps, 50, self.max_video_kbps)
        _check("video_kbps", self.video_kbps, self.min_video_kbps, self.max_video_kbps)


PRESETS: dict[str, EngineConfig] = {
    "lite": EngineConfig(),
    "base": EngineConfig(painter="base"),
}
"""`base` is for GPUs: it wants their backend and kernels beside it."""


def preset(name: str, **changes: Any) -> EngineConfig:
    """Looks a preset up and changes single settings of it.

    Raises:
        ConfigError: no such preset, no such setting, or a value out of its range.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset {name!r} is unknown, expected one of {sorted(PRESETS)}")
    known = {f.name for f in fields(EngineConfig)}
    if unknown := sorted(set(changes) - known):
        raise ConfigError(f"setting {unknown[0]!r} is unknown, expected one of {sorted(known)}")
    return replace(PRESETS[name], **changes)

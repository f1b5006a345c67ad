"""Visavis, a real-time avatar engine.

A file in three lines:

    from engine import find_avatar, present_file, preset
    avatar = find_avatar("NAME")
    present_file("speech.wav", "talk.mp4", avatar, preset("lite", seed=7))

Names are imported on first use, so that `import engine` is quick and needs no library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.avatar import Avatar
    from engine.avatar import find as find_avatar
    from engine.avatar import names as avatar_names
    from engine.config import EngineConfig, ServerConfig, preset
    from engine.errors import VisavisError
    from engine.film import FilmWriter
    from engine.frames import Pcm, Picture
    from engine.media import SpeechFile, decode
    from engine.pipeline import Pipeline
    from engine.present import present_file

__version__ = "0.1.0"

_HOMES = {
    "Avatar": ("avatar", "Avatar"),
    "EngineConfig": ("config", "EngineConfig"),
    "FilmWriter": ("film", "FilmWriter"),
    "Pcm": ("frames", "Pcm"),
    "Picture": ("frames", "Picture"),
    "Pipeline": ("pipeline", "Pipeline"),
    "ServerConfig": ("config", "ServerConfig"),
    "SpeechFile": ("media", "SpeechFile"),
    "VisavisError": ("errors", "VisavisError"),
    "avatar_names": ("avatar", "names"),
    "decode": ("media", "decode"),
    "find_avatar": ("avatar", "find"),
    "present_file": ("present", "present_file"),
    "preset": ("config", "preset"),
}

__all__ = [
    "Avatar",
    "EngineConfig",
    "FilmWriter",
    "Pcm",
    "Picture",
    "Pipeline",
    "ServerConfig",
    "SpeechFile",
    "VisavisError",
    "avatar_names",
    "decode",
    "find_avatar",
    "present_file",
    "preset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(f"engine.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""A user's folder of talking videos: what is in it, who talks, and what is known beforehand."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av

from models.data import clips
from models.label import track

NAMES = "speakers.json"


@dataclass(frozen=True, slots=True)
class Video:
    """One video: its path, its label file's name, its seconds (0 where the file does not say)."""

    path: Path
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Known:
    """What a speakers.json tells, each by a video's or folder's path below the footage.

    Attributes:
        speakers: who talks.
        offsets: pictures by which the sound comes late, where that need not be measured.
    """

    speakers: Mapping[str, str] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)

    def offset(self, name: str) -> float | None:
        """The known offset of a label file, None where it is not known."""
        path = name.replace("__", "/")
        for prefix in sorted(self.offsets, key=len, reverse=True):
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                return self.offsets[prefix]
        return None


def known(path: Path | None) -> Known:
    """Reads a speakers.json: {PATH: NAME} or {PATH: {"speaker": NAME, "offset": PICTURES}}.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else.
    """
    if path is None:
        return Known()
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: {type(raw).__name__}, expected an object of paths")
    speakers: dict[str, str] = {}
    offsets: dict[str, float] = {}
    for place, value in raw.items():
        entry = {"speaker": value} if isinstance(value, str) else value
        if not isinstance(entry, dict) or not entry or set(entry) - {"speaker", "offset"}:
            raise ValueError(f"{path}: {place!r} is {value!r}, expected a name, speaker or offset")
        if "speaker" in entry:
            speakers[place] = str(entry["speaker"])
        if "offset" in entry:
            if not isinstance(entry["offset"], int | float):
                raise ValueError(f"{path}: {place!r} has offset {entry['offset']!r}, not a number")
            offsets[place] = float(entry["offset"])
    return Known(speakers, offsets)


def scan(folder: Path) -> list[Video]:
    """Every video below a folder, in order of its path.

    Raises:
        NotADirectoryError: there is no such folder.
        ValueError: there is no video in it.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder")
    found = sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in track.VIDEO_SUFFIXES and p.is_file() and p.name[0] != "."
    )
    if not found:
        raise ValueError(f"{folder}: no video in it ({', '.join(sorted(track.VIDEO_SUFFIXES))})")
    return [Video(p, track.name_of(folder, p), _seconds(p)) for p in found]


def _seconds(path: Path) -> float:
    try:
        with av.open(str(path)) as container:
            return (container.duration or 0) / av.time_base
    except (av.FFmpegError, OSError):
        return 0.0  # the tracker will tell what is wrong with it


def speaker(video: str, told: Known) -> str:
    """Who talks in a label file."""
    return clips.speaker_of(video, told.speakers)

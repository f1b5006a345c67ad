"""clips.json: what is known of each clip of a folder of labels, and whether it can teach.

A clip is `kept` for lips, or only good for the `head` (pose and blinks), or for nothing; the
reason is the first of the limits below that it breaks.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

VERSION = 1
FILE = "clips.json"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a clip must reach.

    Attributes:
        head_s, lips_s: least seconds for head movement and for lips.
        found: least share of pictures with a face.
        face_px: least median width of the face in pixels.
        yaw_deg: most that the head is turned away, over all but a twentieth of the pictures.
        two_faces: greatest share of pictures with a second face half as large or more.
        repeats: greatest share of pictures that only repeat the one before.
        dropped: greatest share of the time in holes between pictures.
        agreement: least correlation of the lip gap between two trackers.
        movement: least standard deviation of the lips' opening in speech, in face widths.
        voice: least share of pictures near a voice.
        level_db: least root mean square of the sound, over full scale.
        confidence: least confidence of an offset (see `offsets.Offset`).
        leaning: the same where the speaker's other clips give the offset: one lag is looked at
            there, not all.
    """

    head_s: float = 0.4
    lips_s: float = 1.5
    found: float = 0.8
    face_px: float = 64.0
    yaw_deg: float = 35.0
    two_faces: float = 0.1
    repeats: float = 0.35
    dropped: float = 0.05
    agreement: float = 0.8
    movement: float = 0.006
    voice: float = 0.2
    level_db: float = -55.0
    confidence: float = 2.5
    leaning: float = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the picture of a clip shows; names as in `Limits`, None where it is not known."""

    seconds: float
    found: float
    face_px: float
    yaw_deg: float
    two_faces: float | None = None
    repeats: float | None = None
    dropped: float | None = None
    agreement: float | None = None
    movement: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What the sound of a clip tells; `offset` in pictures, positive where the sound comes late."""

    level_db: float
    voice: float
    offset: float | None = None
    correlation: float | None = None
    confidence: float | None = None
    own: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """One clip of clips.json.

    Attributes:
        speaker: who talks.
        kept: fit to learn lips from.
        head: fit to learn pose and blinks from.
        reason: why it is not kept, "" if it is.
        seen, heard: what was measured; None where there is no picture or no sound.
        listener: file name of the lip network that the offset was measured with.
    """

    speaker: str
    kept: bool = False
    head: bool = False
    reason: str = ""
    seen: Seen | None = None
    heard: Heard | None = None
    listener: str = ""

    @property
    def offset(self) -> float:
        """Pictures by which the sound comes late; 0 where that is not known."""
        return (self.heard.offset if self.heard else None) or 0.0


def speaker_of(name: str, overrides: Mapping[str, str] | None = None) -> str:
    """Who talks in a label file: the folder that the footage lay in, or its own name without one.

    Footage of the GRID corpus in one folder `grid` is told apart by its file names.

    Args:
        name: of the label file, its path with __ for /.
        overrides: speakers by path or folder below the footage (`speakers.json`); the longest
            path that fits wins.
    """
    path = name.replace("__", "/")
    for prefix in sorted(overrides or {}, key=len, reverse=True):
        if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
            return str((overrides or {})[prefix])
    folder, _, clip = name.partition("__")
    if folder == "grid" and clip:
        return "grid_" + re.split(r"[_.]", clip)[0]
    return folder if clip else Path(folder).stem


def picture_fault(seen: Seen, limits: Limits) -> str:
    """Why a clip's picture teaches nothing, "" if it does."""
    checks = (
        ("too short", "seconds", seen.seconds, limits.head_s, True),
        ("face seldom found", "found", seen.found, limits.found, True),
        ("face too small", "face_px", seen.face_px, limits.face_px, True),
        ("head turned away", "yaw_deg", seen.yaw_deg, limits.yaw_deg, False),
        ("more than one face", "two_faces", seen.two_faces, limits.two_faces, False),
        ("pictures repeat", "repeats", seen.repeats, limits.repeats, False),
        ("pictures missing", "dropped", seen.dropped, limits.dropped, False),
    )
    return _first(checks)


def lips_fault(seen: Seen, heard: Heard | None, limits: Limits) -> str:
    """Why a clip with a good picture teaches no lips, "" if it does."""
    if heard is None:
        return "no sound"
    sure = limits.confidence if heard.own else limits.leaning
    fault = _first(
        (
            ("too short for lips", "seconds", seen.seconds, limits.lips_s, True),
            ("silent", "level_db", heard.level_db, limits.level_db, True),
            ("no voice", "voice", heard.voice, limits.voice, True),
            ("lips hardly move", "movement", seen.movement, limits.movement, True),
            ("tracker unsure", "agreement", seen.agreement, limits.agreement, True),
        )
    )
    if fault:
        return fault
    if heard.offset is None:
        return "offset unknown (too little speech)"
    return _first((("sound and lips apart", "confidence", heard.confidence, sure, True),))


def _first(checks: tuple[tuple[str, str, float | None, float, bool], ...]) -> str:
    for words, name, value, limit, least in checks:
        if value is not None and (value < limit if least else value > limit):
            return f"{words} ({name} {value:g}, {'least' if least else 'most'} {limit:g})"
    return ""


def judge(
    speaker: str, seen: Seen | None, heard: Heard | None, limits: Limits, listener: str
) -> Record:
    """The record of a clip from what was seen and heard."""
    if seen is None:
        return Record(speaker, reason="no landmarks")
    if fault := picture_fault(seen, limits):
        return Record(speaker, False, False, fault, seen, heard, listener)
    fault = lips_fault(seen, heard, limits)
    return Record(speaker, not fault, True, fault, seen, heard, listener)


@dataclass(frozen=True, slots=True)
class Table:
    """The whole of clips.json.

    Attributes:
        clips: records by name of the label file.
        limits: they were judged by.
    """

    clips: dict[str, Record] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def write(self, labels: Path) -> None:
        """Writes LABELS/clips.json in one piece."""
        text = {"version": VERSION, "limits": asdict(self.limits)}
        text["clips"] = {n: asdict(r) for n, r in sorted(self.clips.items())}
        part = labels / (FILE + ".part")
        part.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
        part.replace(labels / FILE)

    def counts(self) -> list[tuple[str, int, float]]:
        """(reason, clips, seconds), the kept first; the figures of a reason are left out."""
        number: Counter[str] = Counter()
        seconds: dict[str, float] = {}
        for record in self.clips.values():
            why = "kept" if record.kept else record.reason.partition(" (")[0]
            why = why if record.kept or not record.head else f"{why}; head only"
            number[why] += 1
            length = record.seen.seconds if record.seen else 0.0
            seconds[why] = seconds.get(why, 0.0) + length
        order = sorted(number, key=lambda why: (why != "kept", -number[why], why))
        return [(why, number[why], round(seconds[why], 1)) for why in order]


def read(labels: Path) -> Table | None:
    """LABELS/clips.json; None where there is none.

    Raises:
        ValueError: it is of another version or not what `Table.write` writes.
    """
    path = labels / FILE
    if not path.exists():
        return None
    try:
        text: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if text["version"] != VERSION:
            raise ValueError(f"{path}: version {text['version']}, expected {VERSION}")
        clips = {n: _record(r) for n, r in text["clips"].items()}
        return Table(clips, Limits(**text["limits"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a table of clips ({error})") from error


def _record(raw: dict[str, Any]) -> Record:
    seen = Seen(**raw.pop("seen")) if raw.get("seen") else None
    heard = Heard(**raw.pop("heard")) if raw.get("heard") else None
    return Record(**(raw | {"seen": seen, "heard": heard}))


def speakers(labels: Path) -> dict[str, str]:
    """Speakers by label file; empty without a clips.json."""
    table = read(labels)
    return {} if table is None else {name: r.speaker for name, r in table.clips.items()}

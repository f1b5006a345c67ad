"""What is spoken in a clip when: phones with times, or words with times and flite between them."""

import logging
import re
import subprocess
import zipfile
from functools import lru_cache
from pathlib import Path

from bench.quality.clips import Talk, root
from bench.quality.figures import Sound
from engine.errors import MediaError
from models.train.speech import phones

Sounds = tuple[Sound, ...]

_GRID_TICKS_S = 1 / 25_000
_LAB_TICKS_S = 1e-7
_log = logging.getLogger(__name__)


def spoken(talk: Talk, alignments: Path | None) -> Sounds | None:
    """Sounds of a clip with their times in its pictures; None where nothing tells them.

    Asked in this order: NAME.lab (phones) and NAME.align (words) in the folder of alignments,
    `sounds.npz` of our own aligner beside the labels, the clip's known words.

    Raises:
        MediaError: the folder of alignments or a file in it cannot be read.
    """
    if alignments is not None:
        if not alignments.is_dir():
            raise MediaError(f"{alignments} is not a folder")
        for stem in _stems(talk):
            for path in sorted(alignments.rglob(f"{stem}.lab")):
                return _earlier(read_lab(path), talk)
            for path in sorted(alignments.rglob(f"{stem}.align")):
                return _earlier(read_align(path), talk)
    labels = root(talk.labels)
    if (labels / "sounds.npz").is_file():
        try:
            found = phones.timed(labels, talk.file)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise MediaError(f"{labels / 'sounds.npz'} is damaged: {error}") from error
        if found is not None:
            return tuple(found)
    text = phones.text_of(talk.file)
    if text is None:
        return None
    try:
        return tuple(phones.segments(phones.align(talk.pcm, text)))
    except FileNotFoundError as error:
        _log.warning("%s: its words are known, their times are not: %s", talk.name, error)
        return None


def _stems(talk: Talk) -> list[str]:
    whole = Path(talk.file.replace("__", "/")).with_suffix("").name
    return list(dict.fromkeys([whole, whole.split("_")[-1]]))


def _earlier(sounds: Sounds, talk: Talk) -> Sounds:
    """Times of the sound as it was recorded -> times of the pictures that go with it."""
    return tuple((name, a - talk.start_s, b - talk.start_s) for name, a, b in sounds)


def read_lab(path: Path) -> Sounds:
    """Phones of an HTK label file: begin and end in 100 ns, then a phone or its full context.

    Raises:
        MediaError: a line is another.
    """
    found = []
    for begin, end, label in _rows(path):
        inner = re.search(r"-([^+]+)\+", label)
        found.append(
            (inner[1] if inner else label, int(begin) * _LAB_TICKS_S, int(end) * _LAB_TICKS_S)
        )
    return tuple(found)


def read_align(path: Path) -> Sounds:
    """Phones of a GRID alignment: begin and end of each word in 1/25000 s; flite's durations of
    the word's phones are stretched to fit.

    Raises:
        MediaError: a line is another, or flite is not installed.
    """
    found: list[Sound] = []
    for begin, end, word in _rows(path):
        if word in ("sil", "sp"):
            continue
        try:
            inner = _phones(word)
        except FileNotFoundError as error:
            raise MediaError(f"{path} tells words, and flite is not here: {error}") from error
        begin_s, end_s = int(begin) * _GRID_TICKS_S, int(end) * _GRID_TICKS_S
        found += [
            (name, begin_s + a * (end_s - begin_s), begin_s + b * (end_s - begin_s))
            for name, a, b in inner
        ]
    return tuple(found)


@lru_cache(maxsize=4096)
def _phones(word: str) -> Sounds:
    """Phones of a word by flite, with their shares of its time."""
    told = subprocess.run(
        ["flite", "-voice", "rms", "-psdur", "-t", "a." if word == "a" else word, "-o", "none"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    ends = [(name, float(end)) for name, end in re.findall(r"(\w+):([\d.]+)", told)]
    begins = [0.0, *(end for _, end in ends)]
    inner = [(n, a, b) for (n, b), a in zip(ends, begins, strict=False) if n != "pau"]
    if not inner:
        return ()
    first, length = inner[0][1], inner[-1][2] - inner[0][1]
    return tuple((n, (a - first) / length, (b - first) / length) for n, a, b in inner)


def _rows(path: Path) -> list[tuple[str, str, str]]:
    rows = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        parts = line.split()
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()):
            raise MediaError(
                f"{path}: line {number} is {line[:40]!r}, expected begin, end and a name"
            )
        rows.append((parts[0], parts[1], parts[2]))
    return rows

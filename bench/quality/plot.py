"""Draws lip openings over spectrograms with OpenCV alone: one PNG, a panel a clip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from kernels import logmel

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
Color = tuple[int, int, int]
_Scale = Callable[[float | F64], F64]
"""Seconds -> px."""

WIDTH_PX = 1600
WINDOW_S = 10.0
"""Of a longer clip the middle is drawn."""
MAX_PANELS = 12
_FPS = 25
_SCALE = 2
"""Drawn at twice the size and averaged down: finer lines than anti-aliasing alone."""
_LEFT, _RIGHT, _TOP, _PLOT, _BOTTOM, _HEAD = 92, 78, 44, 200, 50, 96
_INK: Color = (24, 29, 38)
_SOFT: Color = (108, 117, 130)
_GRID: Color = (222, 226, 232)
_SOUND: Color = (96, 112, 138)
_COLORS: tuple[Color, ...] = ((20, 24, 32), (226, 78, 36), (38, 122, 214))
_WIDTHS = (2.2, 2.6, 1.8)
_KHZ = (0.5, 1, 2, 4)


@dataclass(frozen=True, slots=True)
class Curve:
    """An opening of the lips, (T,) in face widths, and whose it is."""

    name: str
    opening: F64


@dataclass(frozen=True, slots=True)
class Panel:
    """One clip's part of the picture.

    Attributes:
        title: name of the clip.
        note: figures, beside the title.
        pcm: (T * 640,) float32 at 16 kHz.
        curves: openings, the true one first.
        closures: sounds that shut the lips, with their times in seconds.
    """

    title: str
    note: str
    pcm: npt.NDArray[np.float32]
    curves: Sequence[Curve]
    closures: Sequence[tuple[str, float, float]]


class _Box(NamedTuple):
    """Where a panel's plot stands, in px."""

    left: float
    top: float
    right: float

    @property
    def bottom(self) -> float:
        return self.top + _PLOT


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Writes the picture, 1600 px wide; of more than 12 panels the first 12 are drawn.

    Raises:
        MediaError: the file cannot be written.
    """
    shown = panels[:MAX_PANELS]
    row = _TOP + _PLOT + _BOTTOM
    places = _layout(shown)
    sheet = _Sheet(WIDTH_PX, _HEAD + row * (places[-1][0] + 1 if places else 0))
    sheet.text((_LEFT, 48), "Opening of the lips, over the sound's spectrogram", 25, _INK, 600)
    left_out = f", {len(shown)} of {len(panels)} clips" if len(shown) < len(panels) else ""
    sheet.text(
        (_LEFT, 76),
        f"in % of the face's width; at most the middle {WINDOW_S:g} s of a clip{left_out}. "
        "r: correlation in speech, px: mean distance of the lips' points at 256 px of face, "
        "best: pictures late. Bars: p, b, m.",
        15,
        _SOFT,
    )
    names = list(dict.fromkeys(c.name for p in shown for c in p.curves))
    _legend(sheet, names)
    for panel, (line, left, right) in zip(shown, places, strict=True):
        _panel(sheet, panel, _Box(left, _HEAD + line * row + _TOP, right))
    sheet.save(path)


def _layout(panels: Sequence[Panel]) -> list[tuple[int, int, int]]:
    """Line, left and right of each panel: short clips stand two in a line."""
    middle = (WIDTH_PX - _LEFT - _RIGHT) // 2
    found: list[tuple[int, int, int]] = []
    line, half = -1, False
    for panel in panels:
        short = len(panel.curves[0].opening) <= WINDOW_S * _FPS / 2
        half = short and not half
        if half or not short:
            line += 1
        left = _LEFT if half or not short else WIDTH_PX - _RIGHT - middle + _LEFT
        right = _LEFT + middle - _RIGHT if half else WIDTH_PX - _RIGHT
        found.append((line, left, right))
    return found


def _legend(sheet: "_Sheet", names: Sequence[str]) -> None:
    x = float(WIDTH_PX - _RIGHT)
    for i, name in reversed(list(enumerate(names))):
        x -= sheet.text((x, 48), name, 17, _INK, 500, align=1)
        sheet.line(np.array([[x - 44, 42], [x - 10, 42]]), _COLORS[i % 3], _WIDTHS[i % 3] + 0.6)
        x -= 72


def _panel(sheet: "_Sheet", panel: Panel, box: _Box) -> None:
    count = len(panel.curves[0].opening)
    shown = min(count, round(WINDOW_S * _FPS))
    first = (count - shown) // 2
    span = (first / _FPS, (first + shown) / _FPS)
    per_s = (box.right - box.left) / (shown / _FPS)

    def x(seconds: float | F64) -> F64:
        return np.asarray(box.left + (np.asarray(seconds) - span[0]) * per_s)

    hops = slice(first * 4, (first + shown) * 4)
    sheet.image(_spectrogram(logmel.LogMel().push(panel.pcm)[hops]), box)
    peak = max(float(c.opening[first : first + shown].max()) for c in panel.curves)
    step = 0.01 if peak < 0.045 else 0.02 if peak < 0.09 else 0.05
    high = max(2, int(np.ceil(peak * 1.06 / step))) * step
    low = -0.18 * step

    def y(opening: float | F64) -> F64:
        return np.asarray(box.bottom - (np.asarray(opening) - low) / (high - low) * _PLOT)

    for level in np.arange(0, high + step / 2, step):
        sheet.line(np.array([[box.left, y(level)], [box.right, y(level)]]), _GRID, 1)
        sheet.text((box.left - 12, float(y(level)) + 5), f"{100 * level:g}", 15, _SOFT, align=1)
    for name, begin_s, end_s in panel.closures:
        if span[0] <= begin_s < end_s <= span[1]:
            a, b = float(x(begin_s)), float(x(end_s))
            sheet.shade(_Box(a, box.top, b), _COLORS[2], 0.14)
            sheet.text(((a + b) / 2, box.top + 17), name, 14, _COLORS[2], 600, align=0)
    times = x((first + np.arange(shown)) / _FPS)
    for i in reversed(range(len(panel.curves))):
        gap = np.clip(panel.curves[i].opening[first : first + shown], low, high)
        points = np.column_stack([times, y(gap)])
        sheet.line(points, (255, 255, 255), _WIDTHS[i % 3] + 2.6)
        sheet.line(points, _COLORS[i % 3], _WIDTHS[i % 3])
    _axes(sheet, x, span, box)
    end = sheet.text((box.left, box.top - 14), panel.title, 18, _INK, 600)
    sheet.text((box.left + end + 18, box.top - 14), panel.note, 15, _SOFT)


def _axes(sheet: "_Sheet", x: _Scale, span: tuple[float, float], box: _Box) -> None:
    left, top, right, bottom = box.left, box.top, box.right, box.bottom
    sheet.line(np.array([[left, top], [left, bottom], [right, bottom], [right, top]]), _SOFT, 1)
    for second in range(int(np.ceil(span[0])), int(np.floor(span[1])) + 1):
        at = float(x(second))
        sheet.line(np.array([[at, bottom], [at, bottom + 5]]), _SOFT, 1)
        sheet.text((at, bottom + 21), f"{second} s", 14, _SOFT, align=0)
    edges = 700 * (10 ** (np.linspace(*_mel_range(), logmel.BANDS + 2) / 2595) - 1)
    for khz in _KHZ:
        band = float(np.interp(khz * 1000, edges, np.arange(logmel.BANDS + 2))) - 0.5
        at = bottom - band / logmel.BANDS * _PLOT
        sheet.line(np.array([[right, at], [right + 5, at]]), _SOFT, 1)
        sheet.text((right + 10, at + 5), f"{khz:g} kHz", 13, _SOFT)
    sheet.text_up((left - 56, (top + bottom) / 2), "opening, %", 15, _SOFT)


def _mel_range() -> tuple[float, float]:
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (logmel.LOW_HZ, logmel.HIGH_HZ))
    return float(low), float(high)


def _spectrogram(mel: npt.NDArray[np.float32]) -> U8:
    """(N, 80) log-mel -> (80, N, 3) RGB, the lowest band at the bottom, pale to blue-grey."""
    low, high = np.quantile(mel, [0.05, 0.995])
    level = np.clip((mel.T[::-1] - low) / max(high - low, 1e-3), 0, 1)[..., None] ** 1.2
    return np.asarray(255 - 0.8 * level * (255 - np.array(_SOUND)), np.uint8)


class _Sheet:
    """A white canvas in RGB; lengths are px of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self._pixels = np.full((height * _SCALE, width * _SCALE, 3), 255, np.uint8)
        self._font = cv2.FontFace("sans")

    def line(self, points: F64, color: Color, width: float) -> None:
        """A line through (N, 2) points."""
        fixed = np.round(np.asarray(points, np.float64) * _SCALE * 16).astype(np.int32)
        thick = max(1, round(width * _SCALE))
        cv2.polylines(self._pixels, [fixed], False, color, thick, cv2.LINE_AA, 4)

    def shade(self, box: _Box, color: Color, opacity: float) -> None:
        """Tints a rectangle."""
        part = self._part(box)
        part[:] = np.round(part * (1 - opacity) + np.array(color) * opacity).astype(np.uint8)

    def image(self, rgb: U8, box: _Box) -> None:
        """Fills a rectangle with a picture."""
        part = self._part(box)
        part[:] = cv2.resize(rgb, part.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    def _part(self, box: _Box) -> U8:
        rows = slice(self._at(box.top), self._at(box.bottom))
        return self._pixels[rows, self._at(box.left) : self._at(box.right)]

    def text(
        self,
        at: tuple[float, float],
        text: str,
        size: int,
        color: Color,
        weight: int = 400,
        align: int = -1,
    ) -> float:
        """Writes on a baseline, to the right of a place (-1), around it (0) or left of it (1);
        returns how wide the text is."""
        wide = self._wide(text, size, weight)
        x = at[0] - wide * (align + 1) / 2
        place = (self._at(x), self._at(at[1]))
        cv2.putText(self._pixels, text, place, color, self._font, size * _SCALE, weight)
        return wide

    def text_up(self, at: tuple[float, float], text: str, size: int, color: Color) -> None:
        """Writes upwards, centred on a place."""
        wide, tall = round(self._wide(text, size, 400) + 8) * _SCALE, size * _SCALE * 2
        strip = np.full((tall, wide, 3), 255, np.uint8)
        place = (4 * _SCALE, tall * 2 // 3)
        cv2.putText(strip, text, place, color, self._font, size * _SCALE, 400)
        turned = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)
        x, y = self._at(at[0]) - tall // 2, self._at(at[1]) - wide // 2
        self._pixels[y : y + wide, x : x + tall] = turned

    def save(self, path: Path) -> None:
        """Averages down and writes the PNG."""
        height, width = (side // _SCALE for side in self._pixels.shape[:2])
        small = cv2.resize(self._pixels, (width, height), interpolation=cv2.INTER_AREA)
        ok, data = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if not ok:
            raise MediaError(f"{path}: a picture of {width}x{height} px cannot be encoded")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())

    def _wide(self, text: str, size: int, weight: int) -> float:
        box = cv2.getTextSize((0, 0), text, (0, 0), self._font, size * _SCALE, weight)
        return float(box[2]) / _SCALE

    @staticmethod
    def _at(place: float) -> int:
        return round(place * _SCALE)

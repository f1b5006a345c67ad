"""The tables of `bench quality`: a row a clip and side, then what all clips give together."""

import os
import sys
from collections.abc import Sequence

import numpy as np

from bench.quality.figures import percent
from bench.report import Report

Figures = dict[str, float]
_Row = tuple[str, str, float, Figures]
"""Clip, side, seconds, figures."""

MAX_CLIPS = 12
"""With more clips than this the printed tables hold the pooled rows alone; JSON holds all."""
_WEIGHTS = {"pbm_shut_pct": "pbm", "vowels_shut_pct": "vowels", "blink_ms": "blinks"}
_EYES = ("blink", "beat", "turn")
_SUMS = ("pbm", "vowels", "blinks")
_SQUARES = ("yaw_deg", "pitch_deg", "roll_deg")


def pool(rows: Sequence[tuple[float, Figures]]) -> Figures:
    """Figures of several clips together, from (weight, figures) a clip.

    Counts add up, shares weigh by their counts, spreads by their squares, all else is a mean;
    a clip without a figure does not count for it.
    """
    out: Figures = {}
    for name in dict.fromkeys(key for _, row in rows for key in row):
        value = np.array([row.get(name, np.nan) for _, row in rows], np.float64)
        weight = np.array([w for w, _ in rows], np.float64)
        if name in _WEIGHTS:
            weight = np.array([row.get(_WEIGHTS[name], 0) for _, row in rows], np.float64)
        known = ~np.isnan(value) & (weight > 0)
        if name in _SUMS:
            out[name] = int(np.nansum(value))
        elif not known.any():
            out[name] = float("nan")
        elif name in _SQUARES:
            out[name] = float(np.sqrt(np.average(value[known] ** 2, weights=weight[known])))
        else:
            out[name] = float(np.average(value[known], weights=weight[known]))
    return out


def _part(row: _Row, starts: tuple[str, ...], with_them: bool) -> _Row:
    kept = {k: v for k, v in row[3].items() if k.startswith(starts) == with_them}
    return *row[:3], kept


class Tables:
    """Collects the figures of a run.

    Args:
        title: of the run.
        against: name of the second lip network, None where there is none.
    """

    def __init__(self, title: str, against: str | None = None) -> None:
        self.title = title
        self.against = against
        self._lips: list[_Row] = []
        self._heads: list[_Row] = []
        self._rests: list[tuple[str, str, str, float]] = []
        self._aheads: list[tuple[int, list[tuple[float, Figures]]]] = []
        self._pictures: list[tuple[str, str, Figures]] = []

    def lips(self, clip: str, side: str, seconds: float, row: Figures) -> None:
        """Adds a clip's lips, of the speaker or of a network."""
        self._lips.append((clip, side, seconds, row))

    def head(self, clip: str, side: str, rows: Sequence[tuple[float, Figures]]) -> None:
        """Adds a clip's head and eyes, pooled over (seconds, figures) of one or more seeds."""
        row = pool(rows)
        seconds = sum(s for s, _ in rows)
        if "blinks" in row:
            row["blinks_per_s"] = row["blinks"] / seconds
        self._heads.append((clip, side, seconds, row))

    def rest(self, clip: str, probe: str, side: str, share_pct: float) -> None:
        """Adds how much a mouth moves where nobody speaks, in percent of that in speech."""
        self._rests.append((clip, probe, side, share_pct))

    def look_ahead(self, ms: int, rows: list[tuple[float, Figures]]) -> None:
        """Adds the clips' figures, (seconds, figures), at one look-ahead."""
        self._aheads.append((ms, rows))

    def picture(self, clip: str, way: str, row: Figures) -> None:
        """Adds how a clip's pictures look, drawn in one way."""
        self._pictures.append((clip, way, row))

    def reports(self, brief: bool = False) -> list[Report]:
        """The tables; `brief` leaves out the rows of single clips where there are many."""
        hide = brief and len({clip for clip, *_ in self._lips}) > MAX_CLIPS
        made = [
            self._of_clips("lips", self._lips, hide),
            self._of_clips("head", [_part(row, _EYES, False) for row in self._heads], hide),
            self._of_clips("eyes and beats", [_part(r, _EYES, True) for r in self._heads], hide),
            self._still(hide),
        ]
        if self._aheads:
            made.append(self._ahead())
        if self._pictures:
            made.append(self._drawn())
        return made

    def print(self) -> None:
        """Writes the tables to standard output, and a line about the machine."""
        reports = self.reports(brief=True)
        sys.stdout.write(f"{self.title}\n\n")
        for report in reports[:-1]:
            sys.stdout.write(f"{report.table()}\n\n")
        reports[-1].print()

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Writes every row of every table, named `table / row`, as `Report.write_json` does."""
        whole = Report(self.title)
        for report in self.reports():
            for name, values in report.rows:
                whole.row(f"{report.title} / {name}", **values)
        whole.write_json(path)

    def _of_clips(self, title: str, rows: list[_Row], hide: bool) -> Report:
        report = Report(title)
        # The fullest row tells the order of the columns.
        fullest = sorted((row for *_, row in rows), key=len, reverse=True)
        columns = dict.fromkeys((key for row in fullest for key in row), float("nan"))
        for clip, side, seconds, row in () if hide else rows:
            report.row(f"{clip}, {side}", s=seconds, **(columns | row))
        if len({clip for clip, *_ in rows}) == 1:
            self._change(report, "the clip", {side: row for _, side, _, row in rows})
            return report
        pooled: dict[str, list[Figures]] = {}
        for side in dict.fromkeys(side for _, side, *_ in rows):
            own = [(seconds, row) for _, s, seconds, row in rows if s == side]
            whole = sum(seconds for seconds, _ in own)
            by_clip, by_time = pool([(1.0, row) for _, row in own]), pool(own)
            if "blinks_per_s" in by_time:
                by_time["blinks_per_s"] = by_time["blinks"] / whole
            pooled[side] = [by_clip, by_time]
            report.row(f"mean over clips, {side}", s=whole, **(columns | by_clip))
            report.row(f"mean over seconds, {side}", s=whole, **(columns | by_time))
        for i, over in enumerate(("clips", "seconds")):
            self._change(
                report, f"mean over {over}", {side: rows[i] for side, rows in pooled.items()}
            )
        return report

    def _change(self, report: Report, over: str, sides: dict[str, Figures]) -> None:
        """Adds by how much the made lips differ from those of the second network."""
        if self.against not in sides or "lmd_lips_px" not in sides["made"]:
            return
        made, other = sides["made"], sides[self.against]
        keys = ("lmd_lips_px", "lmd_face_px", "jitter_s2")
        changes = {key: percent(made[key] - other[key], other[key]) for key in keys}
        report.row(f"change in %, {over}", **changes)

    def _still(self, hide: bool) -> Report:
        report = Report("mouth movement where nobody speaks, in % of that in speech")
        clips = list(dict.fromkeys(clip for clip, *_ in self._rests))
        probes = list(dict.fromkeys(probe for _, probe, *_ in self._rests))
        for side in dict.fromkeys(side for _, _, side, _ in self._rests):
            table = {(c, p): share for c, p, s, share in self._rests if s == side}
            for clip in () if hide else clips:
                report.row(f"{clip}, {side}", **{p: table[clip, p] for p in probes})
            if len(clips) == 1:
                continue
            by_probe = {p: np.array([table[clip, p] for clip in clips]) for p in probes}
            known = {p: x[~np.isnan(x)] for p, x in by_probe.items() if not np.isnan(x).all()}
            report.row(f"mean, {side}", **{p: float(x.mean()) for p, x in known.items()})
            report.row(f"worst, {side}", **{p: float(x.max()) for p, x in known.items()})
        return report

    def _ahead(self) -> Report:
        report = Report("look-ahead, the network shipped for each")
        for ms, rows in self._aheads:
            for over, weighed in (("clips", [(1.0, r) for _, r in rows]), ("seconds", rows)):
                report.row(f"{ms} ms, mean over {over}", **pool(weighed))
        return report

    def _drawn(self) -> Report:
        report = Report("pictures, from one portrait each, led by the true landmarks")
        for clip, way, row in self._pictures:
            report.row(f"{clip}, {way}", **row)
        for way in dict.fromkeys(way for _, way, _ in self._pictures):
            rows = [row for _, w, row in self._pictures if w == way]
            pooled = pool([(1.0, row) for row in rows])
            worst = min(row["gain_db"] for row in rows)
            report.row(f"mean over clips, {way}", **pooled, worst_gain_db=worst)
        return report

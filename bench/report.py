"""What every bench says: a table for a person, the same figures as JSON for a machine."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigError
from engine.machine import cores
from engine.media import reason_of

Value = float | int | str | bool | None

_PACKAGES = ("numpy", "opencv-python-headless", "openvino", "av", "aiortc", "aiohttp")


class Report:
    """Named rows of figures, with the machine they were measured on.

    Rows need not share their columns: a table's columns are the union, in order of appearance.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.rows: list[tuple[str, dict[str, Value]]] = []

    def row(self, name: str, **values: Value) -> None:
        """Adds a row; units stand in the names of the values (`p50_ms`, `fps`)."""
        self.rows.append((name, {key: _plain(value) for key, value in values.items()}))

    def table(self) -> str:
        """The rows as aligned text, without a trailing newline."""
        columns = list(dict.fromkeys(key for _, values in self.rows for key in values))
        cells = [["", *columns]]
        for name, values in self.rows:
            cells.append([name, *(_cell(values.get(key)) for key in columns)])
        widths = [max(len(row[i]) for row in cells) for i in range(len(columns) + 1)]
        lines = [
            "  ".join(
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        return "\n".join([self.title, *lines])

    def print(self, file: TextIO | None = None) -> None:
        """Writes the table and one line about the machine to `file` (standard output)."""
        info = machine()
        out = sys.stdout if file is None else file
        out.write(f"{self.table()}\n{info['cpu']}, {info['cores']} cores, {info['python']}\n")
        out.flush()

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Writes `{"title", "machine", "rows": [{"name", ...}]}`; makes the folder if needed.

        Raises:
            OSError: the file cannot be written.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"name": name, **values} for name, values in self.rows]
        body = {"title": self.title, "machine": machine(), "rows": rows}
        target.write_text(json.dumps(body, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def check_json(path: str | os.PathLike[str]) -> None:
    """Whether figures can be written there, before minutes are spent on measuring them.

    Raises:
        ConfigError: it is a folder, or its folder cannot be made or written to.
    """
    target = Path(path)
    if target.is_dir():
        raise ConfigError(f"--json is {target}, a folder, expected a file's name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--json is {target}: {reason_of(error)}") from error
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise ConfigError(f"--json is {target}, which cannot be written to")


def machine() -> dict[str, Value | dict[str, str]]:
    """What the figures depend on: CPU, usable cores, system, versions and the date (UTC)."""
    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def percentiles(
    values: npt.ArrayLike, points: tuple[int, ...] = (50, 90, 95, 99), unit: str = "ms"
) -> dict[str, Value]:
    """`{"p50_ms": ..., ...}` of (N,) figures, ready for `Report.row`; None where N is 0."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return {f"p{point}_{unit}": None for point in points}
    return {f"p{point}_{unit}": float(np.percentile(array, point)) for point in points}


def _plain(value: object) -> Value:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"report value {value!r} is a {type(value).__name__}, expected a number or str")


def _cell(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        places = 0 if abs(value) >= 1000 else 4 if 0 < abs(value) < 0.1 else 2
        return f"{value:.{places}f}"
    return str(value)


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

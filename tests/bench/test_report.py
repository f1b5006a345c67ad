import io
import json

import numpy as np
import pytest

from bench.report import Report, check_json, percentiles
from engine.errors import ConfigError


def test_table_joins_rows_of_different_columns():
    report = Report("render")
    report.row("audio", p50_ms=1.234, p95_ms=2.0)
    report.row("present", fps=57.5, frames=1000)
    assert report.table().splitlines() == [
        "render",
        "         p50_ms  p95_ms    fps  frames",
        "audio      1.23    2.00      -       -",
        "present       -       -  57.50    1000",
    ]


def test_print_names_the_machine():
    out = io.StringIO()
    Report("empty").print(out)
    assert "cores" in out.getvalue()


def test_json_holds_rows_and_machine(tmp_path):
    path = tmp_path / "new" / "render.json"
    report = Report("render")
    report.row("audio", p50_ms=np.float32(1.5), lost=float("nan"))
    report.write_json(path)
    body = json.loads(path.read_text())
    assert body["rows"] == [{"name": "audio", "p50_ms": 1.5, "lost": None}]
    assert {"cpu", "cores", "python", "versions", "date"} <= body["machine"].keys()


def test_value_that_is_no_figure_is_refused():
    with pytest.raises(TypeError, match="is a list"):
        Report("render").row("audio", p50_ms=[1.0])


def test_percentiles_of_nothing_are_empty():
    assert percentiles([], (50, 95)) == {"p50_ms": None, "p95_ms": None}
    assert percentiles(range(101), (50, 95), "px") == {"p50_px": 50.0, "p95_px": 95.0}


def test_where_json_cannot_go_is_said_before_anything_is_measured(tmp_path):
    file = tmp_path / "file"
    file.touch()
    check_json(tmp_path / "new" / "render.json")
    with pytest.raises(ConfigError, match="a folder, expected a file's name"):
        check_json(tmp_path)
    with pytest.raises(ConfigError, match=r"file/render\.json: "):
        check_json(file / "render.json")

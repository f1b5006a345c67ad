import json

import pytest

from engine.cli import main


def test_scheduling_is_measured_with_real_threads(tmp_path, capsys):
    path = tmp_path / "scheduler.json"
    flags = ["--sessions", "4", "--seconds", "1", "--batch-ms", "1", "--json", str(path)]
    assert main(["bench", "scheduler", *flags]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [row["pictures"] for row in rows] == [100] * 3
    assert all(0 < row["drawn_percent"] <= 100 for row in rows[1:])
    assert all(row["cpu_ms"] > 0 and row["p50_ms"] > 0 for row in rows[1:])
    assert "scheduling_ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--sessions", "0"], "sessions is 0, expected 1 to 1024"),
        (["--seconds", "0"], "seconds is 0, expected 1 to 600"),
        (["--batch-ms", "50"], "batch-ms is 50, expected 0 to 40"),
    ],
)
def test_wrong_flags_are_one_line(flags, words, capsys):
    assert main(["bench", "scheduler", *flags]) == 2
    assert words in capsys.readouterr().err

import json

import pytest

from engine import cli


def test_bench_render_measures_every_stage(tmp_path, capsys, avatar):
    path = tmp_path / "render.json"
    argv = ["bench", "render", "--sizes", "128", "--seconds", "3", "--json", str(path)]
    assert cli.main(argv) == 0
    assert "128 px present" in capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(path.read_text())["rows"]}
    stages = ["audio", "motion", "render", "composite", "encode vp8", "encode h264"]
    for stage in (*stages, "without encoding", "with vp8", "file encode"):
        assert 0 < rows[f"128 px {stage}"]["p50_ms"] <= rows[f"128 px {stage}"]["p95_ms"]
    assert rows["128 px present"]["fps"] > 25


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--seconds", "1"], "--seconds is 1, expected 2 to 7200"),
        (["--seconds", "nan"], "--seconds is nan, expected 2 to 7200"),
        (["--avatar", "nobody"], "avatar 'nobody' is unknown"),
        (["--speech", "nowhere.wav"], "nowhere.wav cannot be read"),
        (["--sizes", "100"], "size_px is 100, expected 128 to 1080"),
    ],
)
def test_bench_render_with_wrong_flags(capsys, avatar, flags, words):
    assert cli.main(["bench", "render", *flags]) == 2
    assert words in capsys.readouterr().err

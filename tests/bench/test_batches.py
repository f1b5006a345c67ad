from pathlib import Path

import pytest

from bench import batches
from engine.cli import main
from engine.config import EngineConfig


def test_every_batch_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--batches", "1", "3", "--times", "2", "--size", "128"]
    assert main(["bench", "batches", *flags, "--json", str(tmp_path / "figures.json")]) == 0
    said = capsys.readouterr().out
    assert "1 at once" in said and "3 at once" in said and "fps" in said
    assert (tmp_path / "figures.json").is_file()


def test_sessions_say_different_things() -> None:
    talk = batches.motions(EngineConfig(), batches.SPEECH, 4.0)
    assert len(talk) > 90
    apart = [
        abs(one.lip_code - other.lip_code).max() for one, other in zip(talk, talk[7:], strict=False)
    ]
    assert max(apart) > 0.01


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--batches", "0"], "--batches is 0, expected 1 to 1024"),
        (["--times", "0"], "--times is 0, expected at least 1"),
        (["--kernels", "npu"], "kernels is 'npu', expected one of"),
    ],
)
def test_flags_out_of_range_are_named(
    flags: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "batches", *flags]) == 2
    assert named in capsys.readouterr().err

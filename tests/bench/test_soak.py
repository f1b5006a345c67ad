"""Flags of `bench soak`, which are refused before a server starts."""

import pytest

from engine.cli import main


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--calls", "-1"], "calls is -1, expected 0 to 10000"),
        (["--minutes", "nan"], "minutes is nan, expected 0 to 1440"),
        (["--together", "1001"], "together is 1001, expected 0 to 1000"),
        (["--size", "100"], "size_px is 100, expected 128 to 1080"),
    ],
)
def test_bench_soak_with_wrong_flags(capsys, flags, words):
    assert main(["bench", "soak", *flags]) == 2
    assert words in capsys.readouterr().err

import sys
from importlib.util import find_spec
from types import ModuleType

import pytest

from engine import cli, training


@pytest.fixture
def trained(monkeypatch):
    """Stands in for a training; remembers what it was called with."""

    def make(error: Exception | None = None) -> list[list[str]]:
        calls: list[list[str]] = []

        def main(argv: list[str]) -> None:
            calls.append(argv)
            if error is not None:
                raise error

        module = ModuleType("stand_in_training")
        module.main = main
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(training.TRAININGS, "lips", (module.__name__, "lips"))
        return calls

    return make


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("visavis: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("name", training.TRAININGS)
def test_every_training_is_there(name):
    assert find_spec(training.TRAININGS[name][0]) is not None


def test_a_training_gets_the_rest_of_the_line(trained):
    calls = trained()
    assert cli.main(["train", "lips", "train", "LABELS", "RUN", "--steps", "20"]) == 0
    assert cli.main(["train", "lips", "--help"]) == 0
    assert calls == [["train", "LABELS", "RUN", "--steps", "20"], ["--help"]]


@pytest.mark.parametrize("refusal", [ValueError, FileNotFoundError])
def test_what_a_training_refuses_is_one_error(refusal, trained, capsys):
    trained(refusal("RUN: holds a run with another steps"))
    assert cli.main(["train", "lips", "train"]) == 2
    assert "train lips: RUN: holds a run with another steps" in one_error(capsys)


def test_without_torch_one_error_names_the_extra(trained, capsys):
    trained(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert cli.main(["train", "lips", "train"]) == 2
    words = one_error(capsys)
    assert "needs torch, which is not installed: `make venv-train`" in words


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_the_serving_install_has_no_torch(capsys):
    assert cli.main(["train", "motion", "train", "LABELS", "RUN"]) == 2
    assert "make venv-train" in one_error(capsys)


def test_help_tells_every_training_and_where_a_run_is_kept(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--help"])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert all(name in told and text in told for name, (_, text) in training.TRAININGS.items())
    assert "curve.csv" in told


def test_an_unknown_training(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "voices"])
    assert stop.value.code == 2
    assert "invalid choice: 'voices'" in capsys.readouterr().err

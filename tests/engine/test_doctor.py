import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import cli, doctor
from engine.backends import driver
from engine.doctor import Found, Report, Used

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _signals() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def report() -> Report:
    return doctor.examine("openvino", "cpu")


def test_this_machine_can_serve_a_call(report: Report) -> None:
    assert report.ready
    found = {each.name: each for each in report.found}
    assert {name for name, each in found.items() if each.needed} == {
        "avatars",
        "codecs",
        "networks",
    }
    assert all(found[name].works for name in ("Python", "system", "CPU", "OpenVINO", "engines"))
    assert found["ONNX Runtime"].works == (find_spec("onnxruntime") is not None)
    assert "libvpx" in found["codecs"].what and "cores; " in found["CPU"].what
    assert all(each.remedy for each in report.found if not each.works and each.name != "memory")


def test_it_names_the_network_that_is_quickest(report: Report) -> None:
    used = {each.part: each for each in report.used}
    assert set(used) == {"networks", "pictures", "video", "event loop"}
    took = used["networks"].why.removeprefix("quickest of ").split(", ")
    times = {name: float(ms) for name, ms, _ in (each.rsplit(" ", 2) for each in took)}
    assert {"painter f32", "painter_int8 f32"} <= set(times)
    chosen = used["networks"].what.removeprefix("openvino, ")
    assert times[chosen] == min(times.values())


def test_as_json_it_is_the_same(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ready"] is True
    assert [each["name"] for each in said["found"]] == [each.name for each in report.found]
    assert [each["part"] for each in said["used"]] == [each.part for each in report.used]


def test_a_backend_that_is_not_here_serves_no_call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, no_driver = doctor._probed, "NVIDIA's driver is not installed"

    def without(code: str, *given: str) -> str:
        if code == doctor._GPU or (given == ("tensorrt",) and code == doctor._NETWORK):
            code = f'sys.exit("{no_driver}")'
        return real(code, *given)

    monkeypatch.setattr(doctor, "_probed", without)
    assert cli.main(["doctor", "--backend", "tensorrt"]) == 2
    said = capsys.readouterr().out
    head, _, tail = said.partition(f" ! networks         {no_driver}\n")
    assert head and tail.startswith(" - "), "to install TensorRT would not help"
    assert said.endswith("No call can be served: what is marked with ! is missing.\n")


def test_whatever_breaks_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        raise SystemError("broken\nto pieces")

    for name in ("_cpu", "_memory", "_avatars", "_codecs", "_version", "_probed", "_engines"):
        monkeypatch.setattr(doctor, name, broken)
    monkeypatch.setattr(driver, "first_gpu", broken)
    found = doctor.examine("openvino", "cpu")
    assert not found.ready
    wrong = {each.name: each.what for each in found.found if not each.works}
    assert {"CPU", "memory", "avatars", "codecs", "event loop", "NVIDIA driver", "networks"} <= set(
        wrong
    )
    assert wrong["CPU"] == "broken to pieces"
    assert "! codecs" in doctor.text(found, 80)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os\nos.abort()", "died of signal 6"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("sys.exit('finds nothing')", "finds nothing"),
        ("sys.stderr.write('noise')\nraise ValueError('two\\nlines')", "ValueError: two lines"),
        ("from engine.errors import BackendError\nraise BackendError('ours')", "ours"),
    ],
)
def test_a_library_that_takes_its_process_along_is_a_line(code: str, message: str) -> None:
    report = Report()
    doctor._look(report, "it", lambda: doctor._probed(code), "pip install it")
    assert report.found == [Found("it", message, False, "pip install it")]


def test_what_never_answers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PROBE_S", 0.1)
    report = Report()
    doctor._look(report, "it", lambda: doctor._probed("import time\ntime.sleep(60)"))
    assert [found.what for found in report.found] == ["does not answer within 0.1 s"]


def test_libraries_do_not_come_from_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_such_library.py").write_text("")
    monkeypatch.chdir(tmp_path)
    report = Report()
    doctor._look(report, "it", lambda: doctor._probed("import no_such_library"))
    assert not report.found[0].works
    doctor._look(report, "ours", lambda: doctor._probed("import engine\nprint('here')"))
    assert report.found[1].what == "here"


words = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=12)
lines = st.lists(words, max_size=40).map(" ".join)


@given(st.integers(40, 80), lines, lines, st.booleans(), st.booleans())
def test_it_fits_the_terminal(width: int, what: str, why: str, works: bool, needed: bool) -> None:
    report = Report("1.0")
    report.found.append(Found("CPU", what, works, "pip install x", needed))
    report.used.append(Used("networks", "openvino", why))
    said = doctor.text(report, width)
    assert all(len(line) <= width for line in said.splitlines())
    assert "".join(what.split()) in "".join(said.split())


def test_a_remedy_is_said_once() -> None:
    report = Report("1.0")
    report.found.append(Found("A", "not here: pip install a", False, "pip install a"))
    report.found.append(Found("B", "not here", False, "pip install b"))
    said = doctor.text(report, 80)
    assert said.count("pip install a") == said.count("pip install b") == 1


def test_it_is_a_command() -> None:
    pytest.importorskip("onnxruntime", reason="the onnxruntime extra is not installed")
    command = [sys.executable, "-m", "engine.cli", "doctor", "--json", "--backend", "onnxruntime"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ready"] is True


def test_kernels_that_cannot_draw_serve_no_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_KERNELS", "raise ValueError('no GPU for ' + sys.argv[1])")
    monkeypatch.setattr(doctor, "_NETWORK", "print('quick, net: the only one')")
    assert cli.main(["doctor", "--kernels", "cuda"]) == 2
    said = capsys.readouterr().out
    assert "> pictures         none: cuda cannot be used, see below" in said
    assert "! kernels          ValueError: no GPU for cuda" in said
    assert cli.main(["doctor", "--kernels", "abacus"]) == 2
    assert "kernels is 'abacus', expected one of" in capsys.readouterr().err


def test_kernels_on_a_gpu_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_KERNELS", "print('cuda kernels')")
    monkeypatch.setattr(doctor, "_NETWORK", "print('quick, net: the only one')")
    report = doctor.examine("openvino", "cuda")
    assert report.ready and Used("pictures", "cuda", "as asked for") in report.used
    assert Used("networks", "quick, net", "the only one") in report.used


def test_an_unknown_backend_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--backend", "tpu"]) == 2
    assert "backend 'tpu' is unknown, expected one of ['onnxruntime'," in capsys.readouterr().err

import json
import re
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest

from engine import __version__, cli, present
from engine.present import PresentStats
from kernels import gpu


@pytest.fixture(autouse=True)
def _signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def broken(tmp_path, speech_path):
    """Makes a speech file that is broken in the way named."""

    def make(kind: str) -> Path:
        path = tmp_path / f"{kind}.wav"
        match kind:
            case "folder":
                path.mkdir()
            case "empty":
                path.touch()
            case "text":
                path.write_text("not a sound at all, just a text\n" * 100)
            case "cut-off":
                path.write_bytes(speech_path.read_bytes()[:100])
            case "three-hours":
                size = 3 * 3600 * 8000
                header = (
                    b"RIFF",
                    36 + size,
                    b"WAVEfmt ",
                    16,
                    1,
                    1,
                    8000,
                    8000,
                    1,
                    8,
                    b"data",
                    size,
                )
                with path.open("wb") as file:
                    file.write(struct.pack("<4sI8sIHHIIHH4sI", *header))
                    file.truncate(44 + size)
        return path

    return make


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The single line on stderr, with nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("visavis: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"visavis {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["sing"], "invalid choice: 'sing'"),
        (["serve", "--prot", "80"], "unrecognized arguments: --prot 80"),
        (["serve", "--port", "eighty"], "invalid int value: 'eighty'"),
        (["present", "a.wav"], "the following arguments are required: --out"),
        (["avatar"], "the following arguments are required: ACTION"),
        (["bench"], "the following arguments are required: WHAT; see `visavis bench --help`"),
        (["bench", "speed"], "invalid choice: 'speed'"),
        (["bench", "render", "--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_wrong_flags(capsys, argv, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2
    assert words in one_error(capsys)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "cannot be read: no such file or directory"),
        ("folder", "is a folder"),
        ("empty", "is empty (0 bytes)"),
        ("text", "is cut off, damaged, or not a sound or video file"),
        ("cut-off", "cut-off.wav"),
        ("three-hours", "is 3:00:00 long, the limit is 2:00:00"),
    ],
)
def test_present_of_a_broken_speech(capsys, tmp_path, avatar, broken, kind, words):
    out = tmp_path / "film.mp4"
    assert cli.main(["present", str(broken(kind)), "--out", str(out)]) == 2
    assert words in one_error(capsys)
    assert not [path for path in tmp_path.iterdir() if "film" in path.name]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--out", "film.avi"], "film.avi ends in '.avi', expected '.mp4'"),
        (
            ["--out", "film.mp4", "--background", "transparent"],
            "film.mp4 ends in '.mp4', a kind of film without transparency, "
            "expected '.webm' or '.mov'",
        ),
        (["--out", "nowhere/film.mp4"], "nowhere/film.mp4 cannot be written"),
        (["--out", "film.mp4", "--avatar", "nobody"], "avatar 'nobody' is unknown"),
        (["--out", "film.mp4", "--size", "500"], "size_px is 500, expected a multiple of 16"),
        (["--out", "film.mp4", "--size", "64"], "size_px is 64, expected 128 to 1080"),
        (["--out", "film.mp4", "--liveliness", "9"], "liveliness is 9.0, expected 0.0 to 2.0"),
        (["--out", "film.mp4", "--seed", "-1"], "seed is -1, expected 0 to"),
        (["--out", "film.mp4", "--expression", "cross"], "expression 'cross' is unknown"),
        (["--out", "film.mp4", "--kernels", "npu"], "kernels is 'npu', expected one of ['cpu',"),
    ],
)
def test_present_with_wrong_settings(
    capsys, tmp_path, monkeypatch, avatar, speech_path, flags, words
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["present", str(speech_path), *flags]) == 2
    assert words in one_error(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "99999"], "port is 99999, expected 0 to 65535"),
        (["--max-sessions", "0"], "max_sessions is 0, expected 1 to 1000"),
        (["--avatar", "nobody"], "avatar 'nobody' is unknown"),
        (["--video-kbps", "1"], "video_kbps is 1, expected 250 to 2500"),
        (
            ["--background", "transparent"],
            "background is 'transparent', but a call's codecs carry no alpha: expected 'still'",
        ),
    ],
)
def test_serve_with_wrong_settings(capsys, avatar, flags, words):
    assert cli.main(["serve", *flags]) == 2
    assert words in one_error(capsys)


@pytest.mark.parametrize("command", ["serve", "present"])
def test_cuda_that_cannot_be_had_is_said_before_anything_is_drawn(
    capsys, monkeypatch, tmp_path, avatar, speech_path, command
):
    blind = ModuleType("cupy")
    blind.is_available = lambda: False
    monkeypatch.setattr(gpu, "import_module", lambda name: blind)
    film = [str(speech_path), "--out", str(tmp_path / "film.mp4")]
    argv = [command, *(film if command == "present" else ["--port", "0"]), "--kernels", "cuda"]
    assert cli.main(argv) == 2
    assert "finds no NVIDIA GPU" in one_error(capsys)
    assert not list(tmp_path.iterdir())


def test_serve_takes_what_the_readme_writes(monkeypatch, avatar):
    text = (Path(cli.__file__).parents[1] / "README.md").read_text()
    lines = re.findall(r"visavis serve( [^`#\n]+)?|make serve ARGS=\"([^\"]+)\"", text)
    written = [["serve", *(flags or args).split()] for flags, args in lines]
    assert any("--workers" in argv for argv in written)
    monkeypatch.setattr("engine.server.serve", lambda *args: None)
    for argv in written:
        assert cli.main(argv) == 0, argv


def test_serve_on_a_port_in_use(capsys, avatar):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == 2
    assert f"port {port} of 127.0.0.1: it is in use" in one_error(capsys)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_serve_says_one_line_and_ends_quietly(avatar):
    name = avatar.info.name
    command = [sys.executable, "-m", "engine.cli", "serve", "--port", "0", "--avatar", name]
    server = subprocess.Popen(
        command, cwd=Path(cli.__file__).parent.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        line = server.stdout.readline()
        assert line.startswith("Visavis is ready: http://127.0.0.1:")
        with urllib.request.urlopen(line.split()[-1] + "health", timeout=10) as answer:
            assert json.load(answer)["status"] == "ok"
    finally:
        server.send_signal(signal.SIGINT)
        rest, errors = server.communicate(timeout=20)
    assert (server.returncode, rest, errors) == (0, "", "")


def test_avatar_list_names_the_licence(capsys, avatar):
    assert cli.main(["avatar", "list"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(avatar.info.name)
    assert avatar.info.title in first
    assert avatar.info.licence in first


def test_present_tells_frames_and_speed(capsys, monkeypatch, avatar):
    seen = {}

    def fake(speech, out, avatar, config, progress):
        seen.update(speech=speech, out=out, avatar=avatar, config=config)
        progress(50, 100)
        progress(100, 100)
        return PresentStats(frames=100, speech_s=3.98, wall_s=2.0, stages={})

    monkeypatch.setattr(present, "present_file", fake)
    argv = ["present", "a.wav", "--out", "a.mp4", "--size", "256", "--seed", "7"]
    argv += ["--avatar", avatar.info.name, "--expression", "warm"]
    assert cli.main(argv) == 0
    line = "a.mp4: 100 frames, 3.98 s of speech in 2.0 s, 50.0 frames a second\n"
    assert capsys.readouterr().out == line
    assert (seen["speech"], seen["out"]) == ("a.wav", "a.mp4")
    assert seen["avatar"].info == avatar.info
    assert seen["config"].expression == "warm"
    assert (seen["config"].size_px, seen["config"].seed, seen["config"].live) == (256, 7, False)


def test_interrupt_is_quiet(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(present, "present_file", interrupted)
    assert cli.main(["present", "a.wav", "--out", "a.mp4"]) == 130
    assert capsys.readouterr() == ("", "")


def test_termination_leaves_through_every_finally(monkeypatch):
    cleaned = []

    def terminated(*_):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleaned.append(True)

    monkeypatch.setattr(present, "present_file", terminated)
    with pytest.raises(SystemExit) as stop:
        cli.main(["present", "a.wav", "--out", "a.mp4"])
    assert stop.value.code == 128 + signal.SIGTERM
    assert cleaned == [True]


def test_bench_shows_its_own_flags(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", "render", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: visavis bench render")
    assert "--sizes" in text


def test_engine_imports_nothing_heavy():
    code = "import sys, engine.cli; print({'av', 'cv2', 'numpy', 'aiohttp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

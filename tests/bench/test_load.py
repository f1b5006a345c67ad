"""What `bench load` computes, on streams made up; and its peer against a real server."""

import argparse
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bench import load, peer, processes
from bench.browser import Server
from engine.cli import main
from engine.config import ServerConfig
from engine.errors import BackendError

START_S = 1_000.0
WRAP = 2**32


def streams(seconds=4.0, late_s=0.08, sound_s=0.05, lost=(), first=0, slip_s=0.0):
    """Pictures and sound of one call, each so long after its capture, reports once a second."""
    pictures, sound = peer.Stream(90_000), peer.Stream(48_000)
    for number in range(round(seconds * 25)):
        captured_s = START_S + number * 0.04
        pictures.seen.append((captured_s + late_s, (first + number * 3600) % WRAP))
    for number in range(round(seconds * 50)):
        if number not in lost:
            captured_s = START_S + number * 0.02
            sound.seen.append((captured_s + sound_s, (first + number * 960) % WRAP))
    for second in range(round(seconds)):
        at_s = START_S + second
        slipped_s = at_s + (slip_s if second >= seconds / 2 else 0.0)
        for stream in (pictures, sound):
            stamp = (first + second * stream.rate_hz) % WRAP
            stream.reports.append((at_s, slipped_s, stamp))
    return pictures, sound


@pytest.mark.parametrize("first", [0, WRAP - 90_000, WRAP - 1, 2**31])
def test_rates_delays_and_skew_of_an_even_call(first):
    found = peer.figures(*streams(first=first), 4.0)
    assert found["fps"] == 25
    assert found["longest_gap_ms"] == pytest.approx(40)
    assert found["seen_p50_ms"] == found["seen_p99_ms"] == pytest.approx(80)
    assert found["heard_p95_ms"] == pytest.approx(50)
    assert found["skew_p50_ms"] == pytest.approx(-30)
    assert found["sound_lost_ms"] == 0


def test_lost_sound_is_counted_by_its_own_time():
    pictures, sound = streams(lost={10, 11, 50})
    assert peer.figures(pictures, sound, 4.0)["sound_lost_ms"] == 60
    sound.seen.append(sound.seen[-1])
    assert peer.figures(pictures, sound, 4.0)["sound_lost_ms"] == 60


def test_a_clock_that_was_put_off_counts_from_there_on():
    pictures, _ = streams(slip_s=0.05)
    delays_ms = 1000 * (pictures.arrived_s - pictures.captured_s)
    assert delays_ms[:48] == pytest.approx(80)
    assert delays_ms[50:] == pytest.approx(30)


def test_only_what_came_in_the_span_counts():
    pictures, _ = streams()
    part = pictures.between(START_S + 1, START_S + 3)
    assert len(part.seen) == 50
    assert len(part.reports) == len(pictures.reports)


def test_a_call_without_pictures_or_reports_is_an_error():
    pictures, sound = streams()
    with pytest.raises(ValueError, match="0 pictures"):
        peer.figures(peer.Stream(90_000), sound, 4.0)
    with pytest.raises(ValueError, match="no sender report"):
        peer.figures(peer.Stream(90_000, pictures.seen), sound, 4.0)


def test_a_family_and_what_it_uses_are_found():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        try:
            while len(processes.family(parent.pid)) < 2:
                assert parent.poll() is None
            family = processes.family(parent.pid)
            assert family[0] == parent.pid
            assert family[1] in processes.family(os.getpid())
            assert processes.memory_mb(family) > processes.memory_mb(family[1:]) > 0
        finally:
            parent.communicate(b"\n")
    assert processes.cpu_s(family) == 0.0
    assert processes.memory_mb(family) == 0.0
    before_s = processes.cpu_s([os.getpid()])
    while processes.cpu_s([os.getpid()]) == before_s:
        np.ones(1000).sum()


def test_a_peer_counts_pictures_of_a_real_call_without_decoding(speech_path):
    with Server(ServerConfig(max_sessions=1)) as server, load._peer(server.url, "vp8") as caller:
        for line, answer in (("call", "called"), ("flow", "ready")):
            load._say(caller, line)
            assert load._answer(caller, peer.CONNECT_S) == answer
        load._say(caller, "3")
        found = json.loads(load._answer(caller, 30))
    # Only that all of it flows: a busy machine draws fewer.
    assert found["fps"] > 1
    assert found["seen_p50_ms"] > 0
    assert {"late", "shed", "dropped", "rate", "cpu_percent"} <= set(found)


def test_a_peer_that_cannot_call_is_an_error():
    with load._peer("http://127.0.0.1:9/", "vp8") as caller:
        load._say(caller, "call")
        with pytest.raises(BackendError, match="no answer"):
            load._answer(caller, 60)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--calls", "0"], "calls is 0, expected 1 to 500"),
        (["--seconds", "1"], "seconds is 1, expected 5 to 3600"),
        (["--settle", "-1"], "settle is -1, expected 0 to 600"),
    ],
)
def test_wrong_flags_are_one_line(flags, words, capsys):
    assert main(["bench", "load", *flags]) == 2
    assert words in capsys.readouterr().err


def test_what_serve_is_told():
    parser = argparse.ArgumentParser()
    load.add_arguments(parser)
    told = load._flags(parser.parse_args(["--calls", "4", "--browser"]))
    assert told[told.index("--max-sessions") + 1] == "5"
    assert "--workers" not in told
    assert load._flags(parser.parse_args(["--workers", "2"]))[-2:] == ["--workers", "2"]

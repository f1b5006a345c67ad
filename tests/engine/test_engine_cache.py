import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.backends import engine_cache
from engine.backends.engine_cache import EngineCache, Recipe
from engine.errors import BackendError

RECIPE = Recipe("ab" * 32, "tensorrt", "11.4.0.106", ("no TF32",), (1, 4), "NVIDIA L4", "sm_89")
OTHERS = {
    "network": "cd" * 32,
    "library": "tensorrt_rtx",
    "version": "11.4.0.107",
    "flags": (),
    "sizes": (1, 4, 16),
    "gpu": "NVIDIA L40S",
    "architecture": "sm_90",
    "system": "Plan 9",
    "machine": "vax",
}


def unwanted() -> bytes:
    raise AssertionError("the engine is there: nothing is to be built")


def test_whatever_differs_is_another_engine(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    assert set(OTHERS) == set(Recipe.__dataclass_fields__)
    recipes = [RECIPE, *(replace(RECIPE, **{name: value}) for name, value in OTHERS.items())]
    assert len({recipe.key for recipe in recipes}) == len(recipes)
    assert len({cache.path("painter", recipe) for recipe in recipes}) == len(recipes)
    assert cache.path("painter", RECIPE) == cache.path("painter", replace(RECIPE))


@given(st.text(max_size=80), st.text(max_size=80))
def test_names_stay_in_the_folder(stem: str, gpu: str) -> None:
    cache = EngineCache(Path("engines"))
    found = cache.path(stem[:40], replace(RECIPE, gpu=gpu[:80]))
    assert found.parent == cache.folder and found.suffix == ".engine"
    assert found.name.isascii() and not found.name.startswith(".")
    assert found.with_suffix(".lock").suffixes == [".lock"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_what_is_kept_is_what_is_read(tmp_path: Path, engine: bytes) -> None:
    cache = EngineCache(tmp_path)
    path = cache.path("net", RECIPE)
    cache.write(path, engine)
    assert cache.read(path) == engine
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.data())
def test_any_damage_is_seen(tmp_path: Path, engine: bytes, data: st.DataObject) -> None:
    cache = EngineCache(tmp_path)
    path = cache.path("net", RECIPE)
    cache.write(path, engine)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
    assert cache.read(path) is None


def test_what_is_there_is_not_built_again(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "new" / "folder")
    path = cache.path("net", RECIPE)
    assert cache.get(path, lambda: b"engine", bytes.upper) == b"ENGINE"
    assert cache.get(path, unwanted, bytes.upper) == b"ENGINE"


@pytest.mark.parametrize("kept", [b"", b"something else", b"visavis engine 1\n"])
def test_a_damaged_file_is_built_anew(
    tmp_path: Path, kept: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cache = EngineCache(tmp_path)
    path = cache.path("net", RECIPE)
    path.write_bytes(kept)
    assert cache.get(path, lambda: b"engine", bytes.upper) == b"ENGINE"
    assert "is damaged: the engine is built anew" in caplog.text
    assert cache.get(path, unwanted, bytes.upper) == b"ENGINE"


def test_an_engine_that_never_opens_is_an_error(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    with pytest.raises(BackendError, match="was built, but cannot be opened here"):
        cache.get(cache.path("net", RECIPE), lambda: b"engine", lambda data: None)


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EngineCache(tmp_path / "file" / "engines")
    with pytest.raises(BackendError, match="cannot be kept"):
        cache.write(cache.path("net", RECIPE), b"engine")


def test_what_cannot_be_read_is_as_good_as_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EngineCache(tmp_path / "file" / "engines")
    with pytest.raises(BackendError, match="cannot be kept"):
        cache.get(cache.path("net", RECIPE), unwanted, bytes)
    assert not caplog.text, "one error is enough"
    cache = EngineCache(tmp_path)
    path = cache.path("net", RECIPE)
    path.mkdir()  # so that root, too, cannot read it
    assert cache.read(path) is None and "cannot be read" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no permissions of this kind")
def test_who_serves_may_read_what_another_built(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    path = cache.path("net", RECIPE)
    before = os.umask(0o022)
    try:
        cache.write(path, b"engine")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no file locks of this kind")
def test_a_disk_without_locks_keeps_engines_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(file: Any, kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(engine_cache.fcntl, "flock", refuse)
    cache = EngineCache(tmp_path)
    path = cache.path("net", RECIPE)
    assert cache.get(path, lambda: b"engine", bytes) == b"engine" == cache.read(path)
    assert "nothing keeps others from building it too" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no file locks of this kind")
def test_a_server_waits_for_an_engine_that_is_built_ahead(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    path = cache.path("net", RECIPE)
    begun, go_on = Event(), Event()

    def build() -> bytes:
        begun.set()
        assert go_on.wait(60)
        return b"engine"

    with ThreadPoolExecutor(2) as pool:
        ahead = pool.submit(cache.keep, path, build, True)
        assert begun.wait(60)
        served = pool.submit(cache.get, path, unwanted, bytes)
        time.sleep(0.1)  # a server that would not wait has begun to build by now
        go_on.set()
        ahead.result(60)
        assert served.result(60) == b"engine"
    cache.keep(path, unwanted, again=False)
    cache.keep(path, lambda: b"another", again=True)
    assert cache.read(path) == b"another"


def test_the_folder_is_the_users_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISAVIS_ENGINES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert engine_cache.default_folder() == tmp_path / "visavis" / "engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert engine_cache.default_folder() == tmp_path / ".cache" / "visavis" / "engines"
    monkeypatch.setenv("VISAVIS_ENGINES", "elsewhere")
    assert engine_cache.default_folder() == Path("elsewhere")


def build_slowly(folder: Path, begun: "multiprocessing.Queue[int]", together: Any) -> None:
    cache = EngineCache(folder)

    def build() -> bytes:
        begun.put(os.getpid())
        time.sleep(0.3)  # a build takes its time; the others must find it under way
        return b"engine of one process"

    together.wait(60)
    assert cache.get(cache.path("net", RECIPE), build, bytes) == b"engine of one process"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no file locks of this kind")
def test_of_processes_that_want_an_engine_at_once_one_builds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun: multiprocessing.Queue[int] = context.Queue()
    given_ = (tmp_path, begun, context.Barrier(3))
    several = [context.Process(target=build_slowly, args=given_) for _ in range(3)]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
    assert [process.exitcode for process in several] == [0, 0, 0]
    begun.get(timeout=10)
    assert begun.empty()


def die_building(folder: Path, begun: "multiprocessing.Queue[int]") -> None:
    cache = EngineCache(folder)
    path = cache.path("net", RECIPE)

    def build() -> bytes:
        (folder / f".{path.name}.left.part").write_bytes(b"half of an engine")
        begun.put(os.getpid())
        signal.pause()
        return b""

    cache.get(path, build, bytes)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no file locks of this kind")
def test_a_process_killed_while_it_builds_stops_nobody(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun: multiprocessing.Queue[int] = context.Queue()
    process = context.Process(target=die_building, args=(tmp_path, begun))
    process.start()
    begun.get(timeout=60)
    process.kill()
    process.join(60)
    cache = EngineCache(tmp_path)
    path = cache.path("net", RECIPE)
    opened: Callable[[bytes], bytes] = bytes
    assert cache.get(path, lambda: b"engine", opened) == b"engine"
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))

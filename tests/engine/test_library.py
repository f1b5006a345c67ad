"""Own avatars on disk, and the command that adds and removes them."""

import errno
import io
import json
import zipfile

import pytest

from engine import avatar as files
from engine import cli, library, present
from engine.avatar import Avatar
from engine.errors import AvatarError
from engine.library import Library
from engine.onboarding import command, make
from tests.engine.faces import plain_avatar
from tests.engine.portraits import encoded, photograph, tools

BUILT_IN = files.names()


def agreed(name: str) -> Avatar:
    plain = plain_avatar(name)
    info = make.confirmed(name, "Mia Miller", "a test", "photo.jpg")
    return Avatar(info, plain.portrait, plain.matte, plain.landmarks)


@pytest.fixture
def own(tmp_path):
    return Library(tmp_path / "own")


def test_own_avatars_stand_after_the_built_in_ones(own):
    assert own.names() == BUILT_IN
    own.add(agreed("mia"))
    assert own.names() == [*BUILT_IN, "mia"]
    assert own.find("mia").info.title == "Mia Miller"
    assert Library(own.folder, "mia").names() == ["mia", *BUILT_IN]
    own.remove("mia")
    assert own.names() == BUILT_IN


def test_built_in_avatars_are_not_touched(own):
    with pytest.raises(AvatarError, match=f"avatar '{BUILT_IN[0]}' is built in"):
        own.add(agreed(BUILT_IN[0]), replace=True)
    with pytest.raises(AvatarError, match="is built in and cannot be removed"):
        own.remove(BUILT_IN[0])
    # Nor does a file in the folder take their place.
    own.folder.mkdir()
    agreed(BUILT_IN[0]).save(own.folder)
    assert own.find(BUILT_IN[0]).info.licence == "CC0-1.0"
    assert own.names() == BUILT_IN


def test_an_avatar_is_replaced_on_request_alone(own):
    own.add(agreed("mia"))
    with pytest.raises(AvatarError, match="'mia' is there already"):
        own.add(agreed("mia"))
    own.add(agreed("mia"), replace=True)
    assert own.own() == ["mia"]


def test_without_consent_nothing_is_added(own):
    with pytest.raises(AvatarError, match="carries no consent"):
        own.add(plain_avatar("mia"))
    assert not own.folder.exists()


def test_own_avatars_are_bounded_in_number(own, monkeypatch):
    monkeypatch.setattr(library, "MAX_OWN", 2)
    own.add(agreed("a"))
    own.add(agreed("b"))
    with pytest.raises(AvatarError, match="there are 2 own avatars, limit 2"):
        own.add(agreed("c"))


def test_a_damaged_own_avatar_is_told_of_and_left_out(own, caplog):
    own.add(agreed("mia"))
    (own.folder / "zoe.avatar").write_bytes(b"broken")
    assert own.own() == ["mia"]
    assert "zoe.avatar is damaged" in caplog.text
    own.remove("zoe")


def test_unknown_avatars_are_named(own):
    with pytest.raises(AvatarError, match="'zoe' is unknown, expected one of kofi, maya"):
        own.find("zoe")
    with pytest.raises(AvatarError, match="no own avatar 'zoe', nor any other"):
        own.remove("zoe")
    with pytest.raises(AvatarError, match="is not valid"):
        own.check("../zoe")


def test_a_title_gives_a_free_name(own):
    assert own.free_name("Ünï  Tést!") == "uni-test"
    assert own.free_name("王") == "portrait"
    assert own.free_name("Kofi") == "kofi-2"
    own.add(agreed("kofi-2"))
    assert own.free_name("Kofi") == "kofi-3"
    files.check_name(own.free_name("a" * 200))


class FullDisk:
    """What `tempfile` opens on a disk with room for some bytes."""

    def __init__(self, real, room):
        self._real, self._room = real, room

    def __call__(self, *args, **kwargs):
        file = self._real(*args, **kwargs)
        write, room = file.write, self._room

        def full(data):
            write(data[:room])
            raise OSError(errno.ENOSPC, "No space left on device")

        file.write = full
        return file


@pytest.mark.parametrize("room", [0, 1000])
def test_a_full_disk_leaves_nothing_half_written(own, monkeypatch, room):
    own.add(agreed("mia"))
    before = {path.name: path.read_bytes() for path in own.folder.iterdir()}
    opens = FullDisk(files.tempfile.NamedTemporaryFile, room)
    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", opens)
    for name in ("mia", "zoe"):
        with pytest.raises(AvatarError, match=r"cannot be written: no space left on device"):
            own.add(agreed(name), replace=True)
    assert {path.name: path.read_bytes() for path in own.folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AvatarError, match="cannot be written: "):
        Library(tmp_path / "file" / "own").add(agreed("mia"))


def test_a_file_is_no_folder_of_avatars(capsys, tmp_path):
    (tmp_path / "own").write_text("in the way")
    assert run(tmp_path, "list") == 2
    assert "own is a file, expected a folder" in capsys.readouterr().err


def test_files_without_consent_are_still_read(tmp_path):
    """Those that were written before consent was noted."""
    path = plain_avatar("old").save(tmp_path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    fields = json.loads(members["avatar.json"])
    del fields["consent"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, json.dumps(fields) if name == "avatar.json" else data)
    assert Avatar.load(path).info.consent == ""


# The command


@pytest.fixture
def photo(tmp_path, monkeypatch, avatar):
    """A picture of the default avatar, and a finder that knows where."""
    picture, face = photograph(avatar)
    monkeypatch.setattr(make, "open_tools", lambda backend, landmarker: tools(face))
    path = tmp_path / "me.jpg"
    path.write_bytes(encoded(picture))
    return path


def run(tmp_path, *argv):
    return cli.main(["avatar", *map(str, argv), "--avatars", str(tmp_path / "own")])


def test_added_listed_found_and_removed(capsys, tmp_path, photo):
    assert run(tmp_path, "add", photo, "--name", "mia", "--title", "Mia", "--yes") == 0
    assert "visavis serve --avatar mia" in capsys.readouterr().out
    assert run(tmp_path, "list") == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[-1].split() == ["mia", "Mia", "(private)"]
    info = Library(tmp_path / "own").find("mia").info
    assert info.source == "me.jpg"
    assert make.user() in info.consent
    assert run(tmp_path, "add", photo, "--name", "mia", "--yes") == 2
    assert "'mia' is there already" in capsys.readouterr().err
    assert run(tmp_path, "add", photo, "--name", "mia", "--yes", "--replace") == 0
    assert run(tmp_path, "remove", "mia") == 0
    assert run(tmp_path, "remove", "mia") == 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "status"), [("yes\n", 0), ("Y\n", 0), ("no\n", 2), ("", 2)])
def test_consent_is_asked_for_on_a_terminal(capsys, tmp_path, photo, monkeypatch, answer, status):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert run(tmp_path, "add", photo, "--name", "mia") == status
    told = capsys.readouterr()
    assert "Has that person agreed to it?" in told.out
    assert ("nothing was added" in told.err) == bool(status)
    assert Library(tmp_path / "own").own() == ([] if status else ["mia"])


def test_without_a_terminal_consent_has_to_be_given(capsys, tmp_path, photo, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert run(tmp_path, "add", photo, "--name", "mia") == 2
    assert "pass --yes if they did" in capsys.readouterr().err
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--name", "Mia"], "avatar name 'Mia' is not valid"),
        (["--name", "maya"], "avatar 'maya' is built in"),
        (["--name", "mia", "--face", "2"], "face is 2, expected 1 to 1"),
    ],
)
def test_wrong_flags_are_one_line(capsys, tmp_path, photo, flags, words):
    assert run(tmp_path, "add", photo, *flags, "--yes") == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_own_avatars_are_presented(own, monkeypatch, capsys):
    own.add(agreed("mia"))
    seen = []

    def fake(speech, out, avatar, config, progress):
        seen.append(avatar.info.name)
        return present.PresentStats(frames=1, speech_s=1.0, wall_s=1.0, stages={})

    monkeypatch.setattr(present, "present_file", fake)
    argv = ["present", "a.wav", "--out", "a.mp4", "--avatar", "mia"]
    assert cli.main([*argv, "--avatars", str(own.folder)]) == 0
    assert seen == ["mia"]
    assert cli.main(argv) == 2
    assert "avatar 'mia' is unknown" in capsys.readouterr().err


def test_own_avatars_are_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert command.default_folder() == tmp_path / "visavis" / "avatars"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", ignored)
        monkeypatch.setenv("HOME", "/home/ada")
        assert str(command.default_folder()) == "/home/ada/.local/share/visavis/avatars"

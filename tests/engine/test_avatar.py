import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.avatar import Avatar, find, names
from engine.errors import AvatarError
from tests.engine.faces import plain_avatar


def rewrite(path: Path, **members: bytes) -> Path:
    """The same file with some members replaced."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content.update({key.replace("__", "."): value for key, value in members.items()})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def png(side: int) -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((side, side, 3), np.uint8))[1])


def test_saved_avatar_loads_the_same(tmp_path: Path) -> None:
    avatar = plain_avatar()
    loaded = Avatar.load(avatar.save(tmp_path))
    assert loaded.info == avatar.info
    for field in ("portrait", "matte", "landmarks"):
        assert (getattr(loaded, field) == getattr(avatar, field)).all()
    assert [p.name for p in tmp_path.iterdir()] == ["plain.avatar"]


def test_avatars_are_found_by_name(tmp_path: Path) -> None:
    plain_avatar("b").save(tmp_path)
    plain_avatar("a").save(tmp_path)
    assert names(tmp_path) == ["a", "b"]
    assert find("b", tmp_path).info.name == "b"


@pytest.mark.parametrize("name", ["nobody", "../b", "B", "", "a/b"])
def test_unknown_name_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    plain_avatar("b").save(tmp_path)
    with pytest.raises(AvatarError, match=r"unknown, expected one of \['b'\]"):
        find(name, tmp_path)


def test_name_that_leaves_the_folder_is_refused() -> None:
    with pytest.raises(AvatarError, match="'../x' is not valid"):
        plain_avatar("../x")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AvatarError, match="gone.avatar: No such file"):
        Avatar.load(tmp_path / "gone.avatar")


def test_cut_off_file_is_damaged(tmp_path: Path) -> None:
    path = plain_avatar().save(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(AvatarError, match=r"plain.avatar is damaged"):
        Avatar.load(path)


def test_pickled_landmarks_are_refused(tmp_path: Path) -> None:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], object), allow_pickle=True)
    path = rewrite(plain_avatar().save(tmp_path), landmarks__npy=pickled.getvalue())
    with pytest.raises(AvatarError, match="landmarks.npy cannot be read"):
        Avatar.load(path)


def test_another_format_is_named(tmp_path: Path) -> None:
    path = plain_avatar().save(tmp_path)
    with zipfile.ZipFile(path) as archive:
        info = json.loads(archive.read("avatar.json"))
    info["format"] = 9
    rewrite(path, avatar__json=json.dumps(info).encode())
    with pytest.raises(AvatarError, match="format 9, expected 1"):
        Avatar.load(path)


def test_picture_that_claims_to_be_huge_is_not_decoded(tmp_path: Path) -> None:
    claim = bytearray(png(64))
    claim[16:20] = (60_000).to_bytes(4, "big")
    path = rewrite(plain_avatar().save(tmp_path), portrait__png=bytes(claim))
    with pytest.raises(AvatarError, match="at most 2048 px"):
        Avatar.load(path)


def test_text_in_place_of_a_picture_is_refused(tmp_path: Path) -> None:
    path = rewrite(plain_avatar().save(tmp_path), matte__png=b"hello, this is no picture")
    with pytest.raises(AvatarError, match="matte.png is no PNG"):
        Avatar.load(path)


def test_small_portrait_is_refused_with_the_limit(tmp_path: Path) -> None:
    path = rewrite(plain_avatar().save(tmp_path), portrait__png=png(64))
    with pytest.raises(AvatarError, match="64 px wide, expected 256 to 2048"):
        Avatar.load(path)


def test_landmarks_off_the_picture_are_refused() -> None:
    avatar = plain_avatar()
    with pytest.raises(AvatarError, match="leave the 512 px portrait"):
        replace(avatar, landmarks=avatar.landmarks + 400)

"""Phone times of real speech: paths through words, and times against labels made by others."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.train import lipdata
from models.train.speech import align, phones, sounds

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")


def likely(path: list[int], states: int) -> np.ndarray:
    """(N, S) scores in which one place is the best at each hop."""
    out = np.full((len(path), states), -5.0)
    out[np.arange(len(path)), path] = 0.0
    return out


def route() -> align.Route:
    """Pause, a word of one phone in three parts, pause, another such, pause."""
    states = np.array([0, 3, 4, 5, 0, 6, 7, 8, 0])
    owner = np.array([-1, 0, 0, 0, -1, 1, 1, 1, -1])
    return align.Route(states, owner)


def test_the_likeliest_path_is_found() -> None:
    wanted = [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 7, 8]
    assert route().best(likely(wanted, 9)).tolist() == wanted


def test_a_pause_between_words_may_be_left_out() -> None:
    wanted = [1, 2, 3, 5, 6, 7]
    assert route().best(likely(wanted, 9)).tolist() == wanted


def test_sound_shorter_than_its_words_is_refused() -> None:
    with pytest.raises(ValueError, match="50 ms of sound, too short for 6 states"):
        route().best(np.zeros((5, 9)))


def test_known_word_times_bound_the_path() -> None:
    limits = route().allowed(30, [("a", 0.0, 0.1), ("b", 0.2, 0.3)])
    assert limits[0, 1] == 0
    assert limits[20, 1] < -100  # the first word, 100 ms after its end
    assert limits[5, 5] < -100
    assert limits[20, 5] == 0
    assert not limits[:, 0].any()


def test_word_times_of_grid_are_read_in_seconds(tmp_path: Path) -> None:
    (tmp_path / "bbaf2n.align").write_text("0 23750 sil\n23750 29500 bin\n29500 34000 blue\n")
    assert align.grid_words(tmp_path, "grid_s1__bbaf2n.mpg") == [
        ("bin", 0.95, 1.18),
        ("blue", 1.18, 1.36),
    ]
    assert align.grid_words(tmp_path, "obama__bbaf2n.mp4") is None


@needs_flite
@pytest.mark.shared
def test_phone_times_agree_with_a_corpus_own_labels(shared_data: Path) -> None:
    folder = shared_data / "audio" / "arctic"
    told = []
    for line in (folder / "arctic_a0009_phone.lab").read_text().splitlines():
        begin, _, context = line.split()
        name = re.findall(r"-(\w+)\+", context)
        if name and name[0] not in ("sil", "pau"):
            told.append((name[0], int(begin) / 1e7))
    pcm = lipdata.read_wav(folder / "arctic_a0009.wav")
    text = "He turned sharply and faced Gregson across the table"
    hops, words = align.align([align.Talk(pcm, text)])[0]
    found = phones.segments(hops)
    assert [f[0] for f in found] == [t[0] for t in told]
    late = np.array([f[1] - t[1] for f, t in zip(found, told, strict=True)])
    assert np.abs(late).mean() < 0.025, late
    assert [w for w, _, _ in words] == text.lower().split()
    assert set(hops) <= set(range(len(sounds.SOUNDS)))

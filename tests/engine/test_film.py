from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import MediaError
from engine.film import KINDS, FilmWriter
from engine.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm
from engine.media import decode
from tests.engine.films import decoded


def grey(index: int, size_px: int = 64) -> npt.NDArray[np.uint8]:
    return np.full((size_px * 3 // 2, size_px), 128, np.uint8)


def write_film(
    path: Path,
    sound: npt.NDArray[np.int16],
    picture=grey,
    size_px: int = 64,
    alpha: npt.NDArray[np.uint8] | None = None,
) -> Path:
    with FilmWriter(path, size_px, alpha is not None) as writer:
        for index in range(len(sound) // FRAME_SAMPLES):
            start = index * FRAME_SAMPLES
            pcm = Pcm(start, sound[start : start + FRAME_SAMPLES])
            writer.write(picture(index), pcm, alpha)
    return path


@pytest.mark.parametrize(
    ("name", "pictures", "heard"),
    [
        ("film.mp4", "h264", "aac"),
        ("film.webm", "vp9", "opus"),
        ("film.mov", "prores", "pcm_s16le"),
        ("FILM.MP4", "h264", "aac"),
    ],
)
def test_film_has_the_length_of_its_sound(tmp_path, speech, name, pictures, heard):
    frames = len(speech) // FRAME_SAMPLES
    path = write_film(tmp_path / name, speech)
    with av.open(str(path)) as film:
        video, sound = film.streams.video[0], film.streams.audio[0]
        assert (video.codec.canonical_name, video.average_rate) == (pictures, 25)
        assert (sound.codec.canonical_name, sound.sample_rate) == (heard, SAMPLE_RATE_HZ)
        assert sound.channels == 1
        assert abs(film.duration / av.time_base - frames / 25) < 0.04
        times = sorted(p.pts * p.time_base for p in film.demux(video) if p.pts is not None)
    assert np.abs(np.array(times, float) - np.arange(frames) / 25).max() < 1e-6
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", KINDS)
def test_film_keeps_sound_in_its_place(tmp_path, speech, ending):
    path = write_film(tmp_path / f"film{ending}", speech)
    heard = np.concatenate([pcm.samples for pcm in decode(path)]).astype(np.float64)
    said = speech[: len(heard)].astype(np.float64)
    size = 2 ** int(np.ceil(np.log2(2 * len(heard))))
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)))
    lag = int(np.argmax(match))
    lag = lag - size if lag > size // 2 else lag
    assert abs(lag) <= 2


@pytest.mark.parametrize("name", ["film.mp4", "film.mov"])
def test_film_can_start_before_it_is_all_there(tmp_path, speech, name):
    data = write_film(tmp_path / name, speech).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("name", "see_through", "tags"),
    [
        ("film.mp4", False, (1, 5, 1, 13)),
        ("film.webm", False, (1, 5, None, None)),
        ("film.webm", True, (1, 5, None, None)),
        ("film.mov", False, (1, 6, 1, 1)),
        ("film.mov", True, (1, 6, 1, 1)),
    ],
)
def test_film_tells_its_colours(tmp_path, speech, name, see_through, tags):
    # BT.601 limited: pure red is (81, 90, 240).
    red = np.concatenate([np.full((64, 64), 81), np.full((16, 64), 90), np.full((16, 64), 240)])
    path = write_film(
        tmp_path / name,
        speech[: 5 * FRAME_SAMPLES],
        lambda index: red.astype(np.uint8),
        alpha=np.full((64, 64), 255, np.uint8) if see_through else None,
    )
    frame = decoded(path)[0]
    told = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
    # VP9 itself tells range and matrix alone.
    assert all(found == wanted for found, wanted in zip(told, tags, strict=True) if wanted)
    assert np.abs(frame.to_ndarray(format="rgb24")[32, 32].astype(int) - [255, 0, 0]).max() < 8


@pytest.mark.parametrize("name", ["film.webm", "film.mov"])
@pytest.mark.parametrize("side_px", [64, 144])
def test_alpha_comes_back(tmp_path, speech, name, side_px):
    ramp = np.linspace(0, 255, side_px).round().astype(np.uint8)
    alpha = np.ascontiguousarray(np.broadcast_to(ramp, (side_px, side_px)))
    path = write_film(
        tmp_path / name,
        speech[: 5 * FRAME_SAMPLES],
        lambda index: grey(index, side_px),
        side_px,
        alpha,
    )
    found = [frame.to_ndarray(format="rgba")[..., 3] for frame in decoded(path)]
    assert len(found) == 5
    assert np.abs(np.array(found).astype(int) - alpha).max() <= 6


@pytest.mark.parametrize("name", ["film.avi", "film", "film.mp4.txt"])
def test_unknown_ending_of_the_film(tmp_path, name):
    with pytest.raises(MediaError, match=r"expected '\.mp4' or '\.webm' or '\.mov'$"):
        FilmWriter(tmp_path / name, 64)
    assert not list(tmp_path.iterdir())


def test_mp4_has_no_alpha(tmp_path):
    with pytest.raises(
        MediaError,
        match=r"film\.mp4 ends in '\.mp4', a kind of film without transparency, "
        r"expected '\.webm' or '\.mov'$",
    ):
        FilmWriter(tmp_path / "film.mp4", 64, transparent=True)
    assert not list(tmp_path.iterdir())


def test_film_into_a_missing_folder(tmp_path):
    with pytest.raises(MediaError, match="cannot be written: no such file or directory"):
        FilmWriter(tmp_path / "nowhere" / "film.mp4", 64)


def test_film_over_a_folder(tmp_path):
    (tmp_path / "film.mp4").mkdir()
    with pytest.raises(MediaError, match="is a folder"):
        FilmWriter(tmp_path / "film.mp4", 64)


@pytest.mark.parametrize("ending", KINDS)
def test_broken_off_film_leaves_the_older_one(tmp_path, speech, ending):
    path = tmp_path / f"film{ending}"
    path.write_bytes(b"older")

    def broken(index: int) -> npt.NDArray[np.uint8]:
        if index == 9:
            raise KeyboardInterrupt
        return grey(index)

    with pytest.raises(KeyboardInterrupt):
        write_film(path, speech, broken)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"older"


def test_film_without_a_picture(tmp_path):
    with pytest.raises(MediaError, match="would hold no picture"):
        write_film(tmp_path / "film.mp4", np.zeros(0, np.int16))
    assert not list(tmp_path.iterdir())


def test_picture_of_another_size(tmp_path, speech):
    with pytest.raises(MediaError, match=r"picture is \(192, 128\), expected \(96, 64\)"):
        write_film(tmp_path / "film.mp4", speech, lambda index: grey(index, 128))
    assert not list(tmp_path.iterdir())


def test_alpha_of_another_size_missing_or_not_asked_for(tmp_path, speech):
    sound = speech[:FRAME_SAMPLES]
    with pytest.raises(
        MediaError, match=r"alpha of the picture is \(96, 64\), expected \(64, 64\)"
    ):
        write_film(tmp_path / "film.webm", sound, alpha=grey(0))
    with (
        pytest.raises(MediaError, match=r"alpha of the picture is None, expected \(64, 64\)"),
        FilmWriter(tmp_path / "film.webm", 64, transparent=True) as writer,
    ):
        writer.write(grey(0), Pcm(0, sound))
    with (
        pytest.raises(MediaError, match=r"alpha of the picture is \(64, 64\), expected None"),
        FilmWriter(tmp_path / "film.webm", 64) as writer,
    ):
        writer.write(grey(0), Pcm(0, sound), grey(0)[:64])
    assert not list(tmp_path.iterdir())

import logging
import struct
import wave
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import MediaError
from engine.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from engine.media import SpeechFile, decode

SECONDS = 2.0
TONE_HZ = 440.0


def tone(rate_hz: int, seconds: float = SECONDS) -> npt.NDArray[np.int16]:
    time_s = np.arange(int(rate_hz * seconds)) / rate_hz
    return (12_000 * np.sin(2 * np.pi * TONE_HZ * time_s)).astype(np.int16)


def write_wav(path: Path, samples: npt.NDArray[np.int16], rate_hz: int, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return path


def write_encoded(
    path: Path,
    codec: str,
    samples: npt.NDArray[np.int16],
    rate_hz: int = SAMPLE_RATE_HZ,
    video: bool = False,
    **options: str,
) -> Path:
    with av.open(str(path), "w", container_options=options) as container:
        film = container.add_stream("libx264", 25) if video else None
        if film is not None:
            film.width = film.height = 64
            film.pix_fmt = "yuv420p"
            picture = av.VideoFrame.from_ndarray(np.zeros((96, 64), np.uint8), format="yuv420p")
            picture.pts, picture.time_base = 0, Fraction(1, 25)
        sound = container.add_stream(codec, rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        if film is not None:
            container.mux(film.encode(picture))
            container.mux(film.encode(None))
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def samples_of(path: Path) -> npt.NDArray[np.int16]:
    return np.concatenate([pcm.samples for pcm in decode(path)])


def loudest_hz(samples: npt.NDArray[np.int16]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE_HZ / len(samples))


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels_become_48_khz_mono(tmp_path, rate_hz, channels):
    path = write_wav(tmp_path / "a.wav", tone(rate_hz), rate_hz, channels)
    samples = samples_of(path)
    assert samples.dtype == np.int16
    assert abs(len(samples) - SECONDS * SAMPLE_RATE_HZ) <= 2
    assert abs(loudest_hz(samples) - TONE_HZ) < 1.0
    assert abs(int(samples.max()) - 12_000) < 700


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.flac", "flac"),
        ("a.mp3", "libmp3lame"),
        ("a.ogg", "libopus"),
        ("a.m4a", "aac"),
        ("a.mka", "pcm_f32le"),
    ],
)
def test_formats_keep_length_and_tone(tmp_path, name, codec):
    path = write_encoded(tmp_path / name, codec, tone(SAMPLE_RATE_HZ))
    samples = samples_of(path)
    assert abs(len(samples) / SAMPLE_RATE_HZ - SECONDS) < 0.03
    assert abs(loudest_hz(samples) - TONE_HZ) < 1.0


def test_sound_of_a_video(tmp_path):
    path = write_encoded(tmp_path / "film.mp4", "aac", tone(SAMPLE_RATE_HZ), video=True)
    assert abs(len(samples_of(path)) / SAMPLE_RATE_HZ - SECONDS) < 0.03


def test_pieces_follow_on_without_gap(speech_path):
    pieces = list(decode(speech_path))
    assert pieces[0].pts == 0
    assert all(a.end == b.pts for a, b in pairwise(pieces))
    assert {len(piece.samples) for piece in pieces[:-1]} == {FRAME_SAMPLES}


def test_length_is_told_before_decoding(speech_path):
    with SpeechFile(speech_path) as speech:
        told_s = speech.duration_s
        read = sum(len(pcm.samples) for pcm in speech)
        assert speech.samples == read
    assert abs(told_s - read / SAMPLE_RATE_HZ) < 0.04


def test_missing_file(tmp_path):
    with pytest.raises(MediaError, match=r"nowhere\.wav cannot be read: no such file"):
        SpeechFile(tmp_path / "nowhere.wav")


def test_folder(tmp_path):
    with pytest.raises(MediaError, match="is a folder"):
        SpeechFile(tmp_path)


def test_empty_file(tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(MediaError, match=r"is empty \(0 bytes\)"):
        SpeechFile(path)


def test_text_with_the_name_of_a_sound(tmp_path):
    path = tmp_path / "prose.wav"
    path.write_text("It was a bright cold day in April.\n" * 500)
    with pytest.raises(MediaError, match=r"prose\.wav is cut off, damaged, or not a sound"):
        SpeechFile(path)


def test_playlist_is_not_followed(tmp_path, speech_path):
    path = tmp_path / "list.m3u8"
    path.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{speech_path}\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(MediaError, match="not a sound or video file"):
        SpeechFile(path)


def test_name_with_a_colon_is_a_file(tmp_path):
    path = write_wav(tmp_path / "concat:a.wav", tone(16_000), 16_000)
    assert len(samples_of(path)) > 0


def test_header_without_sound(tmp_path):
    path = write_wav(tmp_path / "none.wav", np.zeros(0, np.int16), 16_000)
    with pytest.raises(MediaError, match="holds no sound: 0 samples"):
        list(decode(path))


def test_video_without_sound(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        film = container.add_stream("libx264", 25)
        film.width = film.height = 64
        film.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((96, 64), np.uint8), format="yuv420p")
        container.mux(film.encode(frame))
        container.mux(film.encode(None))
    with pytest.raises(MediaError, match="holds no sound, only video"):
        SpeechFile(path)


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.mp3", "libmp3lame")])
def test_cut_off_file_gives_what_it_holds_and_warns(tmp_path, caplog, name, codec):
    noise = np.random.default_rng(1).integers(-9000, 9000, 4 * SAMPLE_RATE_HZ, dtype=np.int16)
    path = cut(write_encoded(tmp_path / name, codec, noise), 0.5)
    with caplog.at_level(logging.WARNING, "engine.media"):
        samples = samples_of(path)
    assert 1.7 < len(samples) / SAMPLE_RATE_HZ < 2.2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{name} is cut off: it ends at" in caplog.text


def test_cut_off_wav_gives_what_it_holds(tmp_path):
    path = cut(write_wav(tmp_path / "a.wav", tone(16_000), 16_000), 0.5)
    assert abs(len(samples_of(path)) / SAMPLE_RATE_HZ - SECONDS / 2) < 0.03


def test_cut_off_mp4_has_lost_its_index(tmp_path):
    path = cut(write_encoded(tmp_path / "a.m4a", "aac", tone(SAMPLE_RATE_HZ)), 0.6)
    with pytest.raises(MediaError, match=r"a\.m4a is cut off, damaged"):
        SpeechFile(path)


def test_three_hours_are_refused_before_anything_is_decoded(tmp_path):
    path = tmp_path / "long.wav"
    size = 3 * 3600 * 8000
    with path.open("wb") as file:
        file.write(
            struct.pack(
                "<4sI8sIHHIIHH4sI",
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
        )
        file.truncate(44 + size)
    with pytest.raises(MediaError, match=r"is 3:00:00 long, the limit is 2:00:00"):
        SpeechFile(path)


def test_recording_without_a_length_is_measured_and_limited(tmp_path):
    path = write_encoded(tmp_path / "a.webm", "libopus", tone(SAMPLE_RATE_HZ), live="1")
    with av.open(str(path)) as container:
        assert container.duration is None
    with SpeechFile(path) as speech:
        assert abs(speech.duration_s - SECONDS) < 0.03
        assert abs(sum(len(pcm.samples) for pcm in speech) / SAMPLE_RATE_HZ - SECONDS) < 0.03
    with pytest.raises(MediaError, match="longer than the limit of 0:00:01"):
        SpeechFile(path, limit_s=1.0)


def test_false_length_cannot_pass_the_limit(tmp_path, monkeypatch):
    path = write_wav(tmp_path / "a.wav", tone(16_000), 16_000)
    monkeypatch.setattr(SpeechFile, "_length", lambda self: 0.5)
    with pytest.raises(MediaError, match="longer than the limit of 0:00:01"):
        list(decode(path, limit_s=1.0))

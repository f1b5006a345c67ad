"""`visavis bench render`: ms a frame a stage, with and without encoding, on real speech."""

import argparse
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.report import Report, percentiles
from engine.avatar import Avatar, find
from engine.config import EngineConfig
from engine.encode import VideoCodec, VideoEncoder
from engine.errors import ConfigError
from engine.frames import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, Picture
from engine.media import MAX_SPEECH_S, decode
from engine.metrics import StageSummary
from engine.painters import add_painter
from engine.pipeline import Pipeline
from engine.present import default_avatar, present_file

SPEECH = Path(__file__).resolve().parent.parent / "tests" / "data" / "speech.ogg"
WARM_UP = 25
"""Pictures that are not counted: first uses, caches, and the encoder's first keyframe."""
CODECS: tuple[VideoCodec, ...] = ("vp8", "h264")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this bench's flags."""
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[256, 512, 720],
        metavar="PX",
        help="sides of the picture (256 512 720)",
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of speech for each size (%(default)s)"
    )
    parser.add_argument("--speech", type=Path, default=SPEECH, help="sound file, looped")
    parser.add_argument("--avatar", metavar="NAME", help="the first if not given")
    parser.add_argument("--backend", default=EngineConfig().backend, help="(%(default)s)")
    parser.add_argument(
        "--steps",
        type=int,
        default=EngineConfig().steps,
        metavar="N",
        help="of the render network (%(default)s)",
    )
    parser.add_argument(
        "--kernels", default=EngineConfig().kernels, help="what draws: cpu or cuda (%(default)s)"
    )
    add_painter(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(args: argparse.Namespace) -> int:
    """Measures every size, prints the table, writes the JSON.

    Raises:
        VisavisError: the speech or the avatar cannot be read.
    """
    config = EngineConfig(
        backend=args.backend, steps=args.steps, kernels=args.kernels, painter=args.painter
    )
    avatar = find(args.avatar or default_avatar())
    speech = looped(args.speech, args.seconds)
    report = Report(f"render, avatar {avatar.info.name!r}, {args.seconds:g} s of speech a size")
    for size_px in args.sizes:
        _measure(report, avatar, replace(config, size_px=size_px), speech)
    report.print()
    if args.json is not None:
        report.write_json(args.json)
    return 0


def _measure(
    report: Report, avatar: Avatar, config: EngineConfig, speech: npt.NDArray[np.int16]
) -> None:
    label = f"{config.size_px} px"
    pipeline = Pipeline(avatar, config)
    render_ms: list[float] = []
    encode_ms: dict[VideoCodec, list[float]] = {codec: [] for codec in CODECS}
    encoders = {codec: VideoEncoder(codec, (config.size_px, config.size_px)) for codec in CODECS}
    for pictures, took_ms in _timed(pipeline, speech):
        # A push gives one picture once the look-ahead has filled.
        if len(pictures) == 1:
            render_ms.append(took_ms)
        for picture in pictures:
            if picture.i420 is None:
                continue
            for codec, encoder in encoders.items():
                started = time.perf_counter()
                encoder.encode(picture.i420, picture.index)
                encode_ms[codec].append((time.perf_counter() - started) * 1000.0)
    for stage, times in pipeline.timings.summary().items():
        report.row(f"{label} {stage}", **_row(times))
    _total(report, f"{label} without encoding", render_ms[WARM_UP:])
    for codec, each_ms in encode_ms.items():
        report.row(f"{label} encode {codec}", **percentiles(each_ms[WARM_UP:], (50, 95)))
    for codec, each_ms in encode_ms.items():
        both = np.add(render_ms[WARM_UP:], each_ms[-len(render_ms) :][WARM_UP:])
        _total(report, f"{label} with {codec}", both)
    with tempfile.TemporaryDirectory() as folder:
        wav = _write_wav(Path(folder) / "speech.wav", speech)
        stats = present_file(wav, Path(folder) / "film.mp4", avatar, config)
    report.row(f"{label} file encode", **_row(stats.stages["encode"]))
    report.row(f"{label} present", fps=stats.fps)


def _timed(
    pipeline: Pipeline, speech: npt.NDArray[np.int16]
) -> Iterator[tuple[list[Picture], float]]:
    """Pushes one picture's sound at a time, as a call does, and times each push."""
    for start in range(0, len(speech), FRAME_SAMPLES):
        pcm = Pcm(start, speech[start : start + FRAME_SAMPLES])
        started = time.perf_counter()
        pictures = pipeline.push(pcm)
        yield pictures, (time.perf_counter() - started) * 1000.0


def _total(report: Report, name: str, each_ms: npt.ArrayLike) -> None:
    each = np.asarray(each_ms, np.float64)
    fps = 1000.0 / float(each.mean()) if each.size else None
    report.row(name, **percentiles(each, (50, 95)), fps=fps)


def _row(times: StageSummary) -> dict[str, float]:
    return {"p50_ms": times["p50"], "p95_ms": times["p95"]}


def looped(path: Path, seconds: float) -> npt.NDArray[np.int16]:
    """(N,) int16 at 48 kHz of a sound file, again and again for so long, in whole pictures.

    Raises:
        ConfigError: too short or too long a time for a bench.
        MediaError: the file cannot be read.
    """
    least_s = 2 * WARM_UP * FRAME_MS / 1000.0
    if not least_s <= seconds <= MAX_SPEECH_S:
        raise ConfigError(f"--seconds is {seconds:g}, expected {least_s:g} to {MAX_SPEECH_S}")
    samples = np.concatenate([pcm.samples for pcm in decode(path)])
    count = int(seconds * SAMPLE_RATE_HZ) // FRAME_SAMPLES * FRAME_SAMPLES
    return np.resize(samples, count)


def _write_wav(path: Path, samples: npt.NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())
    return path

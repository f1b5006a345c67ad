"""The sound of a video or sound file, 16 kHz mono, from a given time on."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

FPS = 25
PCM_RATE_HZ = 16_000
MAX_SLIP_S = 0.1
"""A hole in the sound's own times longer than this is filled with silence."""


def read_sound(path: Path, start_s: float, frames: int) -> npt.NDArray[np.int16] | None:
    """(frames * 640,) int16 at 16 kHz whose sample 0 is at `start_s`; None if there is no sound.

    A broken end counts as silence.
    """
    total = frames * PCM_RATE_HZ // FPS
    out = np.zeros(total, np.int16)
    parts: list[npt.NDArray[np.int16]] = []
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        resampler = av.AudioResampler(format="s16", layout="mono", rate=PCM_RATE_HZ)
        first, heard_s = None, 0.0
        try:
            for frame in container.decode(audio=0):
                now = frame.time or 0.0
                if first is None:
                    first = now
                hole = now - first - heard_s
                if hole > MAX_SLIP_S:
                    parts.append(np.zeros(round(hole * PCM_RATE_HZ), np.int16))
                    heard_s += hole
                heard_s += frame.samples / frame.sample_rate
                frame.pts = None
                parts += [f.to_ndarray()[0] for f in resampler.resample(frame)]
            parts += [f.to_ndarray()[0] for f in resampler.resample(None)]
        except av.FFmpegError:
            pass
    if not parts or first is None:
        return None
    sound = np.concatenate(parts)
    skip = round((start_s - first) * PCM_RATE_HZ)
    sound = sound[skip:] if skip >= 0 else np.concatenate([np.zeros(-skip, np.int16), sound])
    got = min(total, len(sound))
    out[:got] = sound[:got]
    return out

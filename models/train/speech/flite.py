"""Speech and pronunciations from flite, an English synthesiser that tells its sounds' times."""

import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models.train import lipdata
from models.train.speech import sounds

F32 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int8]


def speak(text: str, voice: str, stretch: float) -> tuple[F32, I8]:
    """Speech by flite: sound (N,) float32 at 16 kHz and the class of each 10 ms, (N / 160,) int8.

    Raises:
        FileNotFoundError: flite is not installed.
        ValueError: flite named a sound that is not in SOUNDS.
    """
    if shutil.which("flite") is None:
        raise FileNotFoundError("flite was not found; install the package flite")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "-psdur", "--setf", f"duration_stretch={stretch}"]
        done = subprocess.run(
            [*command, "-t", text, "-o", str(out)], check=True, capture_output=True, text=True
        )
        pcm = lipdata.read_wav(out)
    hops = np.zeros(len(pcm) // logmel.HOP, np.int8)
    begin = 0
    for name, end in re.findall(r"(\w+):([\d.]+)", done.stdout):
        if name not in sounds.SOUNDS:
            raise ValueError(f"flite spoke the sound {name!r}, expected one of {sounds.SOUNDS}")
        stop = round(float(end) * 100)
        hops[begin:stop] = sounds.CLASS[name]
        begin = stop
    return pcm, hops


@lru_cache(maxsize=4096)
def pronounce(word: str) -> tuple[int, ...]:
    """Classes of a word's phones, by flite."""
    command = ["flite", "-voice", "rms", "-psdur", "-t", word, "-o", "none"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    names = re.findall(r"([a-z]+):[\d.]+", done.stdout)
    return tuple(sounds.CLASS[n] for n in names if n != "pau")

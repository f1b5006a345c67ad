"""Synthetic speech with exact times of its sounds, spoken by flite's voices.

It has no lips, but it teaches the lip network which sound is which in voices and words that the
footage lacks: the auxiliary head names the sound, and the shared layers must hear it.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models.train import lipdata

F32 = npt.NDArray[np.float32]

VOICES = ("slt", "rms", "awb", "kal16")
SOUNDS = (
    "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th "
    "uh uw v w y z zh"
).split()
"""Class of each sound is its place here; 0 is silence."""

_PEOPLE = (
    "my father|the baby|our neighbour|a woman|the old man|everybody|Bob|Mary|the president|"
    "your brother|people|we|they|you|Pam|the farmer|a good friend|Peter|my family|the boys|"
    "Martha|nobody|the people of Maine|a young lawyer|his mother|the workers|Beth|Vivian"
).split("|")
_ACTS = (
    "bought|wanted|found|put away|believes in|remembers|has been painting|will move|opened|loved|"
    "is looking for|could not see|gave us|always brings|might borrow|never mentioned|broke|"
    "should have built|carried|watched|voted for|measured|is proud of|heard about|threw away|"
    "would prefer|keeps|asked for|happily shared|forgot"
).split("|")
_THINGS = (
    "five purple apples|the big map|a new job|their home by the river|some warm bread|"
    "the blue bowl|a measure of hope|every village in the valley|a very small problem|"
    "more money|good weather|the whole story|another cup of coffee|a beautiful white boat|"
    "those heavy boxes|the front door|fresh vegetables|a piece of music|the bill|"
    "my favourite shoes|enough food|health care|a bottle of milk|his own voice|"
    "the future of this family|eight wooden chairs|a yellow umbrella|fifty dollars|"
    "the library|an awful mess|a question of power|the phone"
).split("|")
_TAILS = (
    "on Monday morning|before the meeting|with both hands|because of the rain|in a few months|"
    "at the back of the shop|if it is possible|for the first time|every evening|without a word|"
    "and that is why we have to work together|so maybe we can go home now|from time to time|"
    "over the bridge|as soon as possible|after all these years|but I do not know how|"
    "when the summer is over|under the tree|right here in America"
).split("|")
_GRID = (
    "bin lay place set".split(),
    "blue green red white".split(),
    "at by in with".split(),
    list("abcdefghijklmnopqrstuvxyz"),
    "zero one two three four five six seven eight nine".split(),
    "again now please soon".split(),
)


def sentence(rng: np.random.Generator) -> str:
    """A sentence of everyday words, or one of letters and digits."""

    def pick(words: list[str]) -> str:
        return words[rng.integers(len(words))]

    if rng.random() < 0.1:
        return " ".join(pick(w) for w in _GRID)
    parts = [pick(_PEOPLE), pick(_ACTS), pick(_THINGS)]
    if rng.random() < 0.8:
        parts.append(pick(_TAILS))
    text = " ".join(parts)
    return (
        text if rng.random() < 0.5 else f"{text}, and {pick(_PEOPLE)} {pick(_ACTS)} {pick(_THINGS)}"
    )


def speak(text: str, voice: str, stretch: float) -> tuple[F32, npt.NDArray[np.int8]]:
    """Sound (N,) float32 at 16 kHz and the class of the sound at each 10 ms, (N / 160,) int8.

    Raises:
        ValueError: flite named a sound that is not in SOUNDS.
    """
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
        if name not in SOUNDS:
            raise ValueError(f"flite spoke the sound {name!r}, expected one of {SOUNDS}")
        stop = round(float(end) * 100)
        hops[begin:stop] = SOUNDS.index(name)
        begin = stop
    return pcm, hops


def corpus(number: int, sentences: int) -> list[tuple[str, F32, npt.NDArray[np.int8]]]:
    """(speaker, mel (4 T, 80), sound (4 T,)) of newly spoken and augmented sentences."""
    rng = np.random.default_rng(5000 + number)
    out = []
    for i in range(sentences):
        voice = VOICES[i % len(VOICES)]
        pcm, hops = speak(sentence(rng), voice, float(np.exp(rng.uniform(-0.25, 0.35))))
        if rng.random() < 0.8:
            pcm = lipdata.shift_pitch(pcm, float(np.exp(rng.uniform(-0.28, 0.35))))
        if rng.random() < 0.4:
            pcm = lipdata.room(pcm, rng)
        count = len(hops) // 4
        mel = logmel.LogMel().push(pcm[: count * lipdata.CHUNK])
        out.append((f"voice_{voice}", mel, hops[: count * 4]))
    return out

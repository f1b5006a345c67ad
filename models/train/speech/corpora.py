"""Speech whose sounds and lips are known: written for lip training, and as clips for tests."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kernels import logmel
from models import facemodel
from models.train import lipdata
from models.train.speech import (
    align,
    coarticulation,
    codec,
    espeak,
    flite,
    phones,
    sentences,
    sounds,
)

F32 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int8]

SOUNDS = sounds.SOUNDS
VOICES = ("slt", "rms", "awb")
"""flite's voices that train: those made from recordings of people reading."""
VARIANTS = (
    "f1 f2 f3 f4 m1 m2 m3 m4 m5 m7 m8 klatt klatt2 klatt3 klatt6 Alex Alicia Andrea Annie Denis "
    "Diogo Gene Henrique Jacky Lee Marco Mario Michael Mike Nguyen adam anika antonio aunty "
    "belinda benjamin boris caleb david ed edward grandma grandpa gustave iven john linda marcelo "
    "max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby travis zac"
).split()
"""espeak-ng's variants of a language's voice that train."""
UNHEARD_VARIANTS = ("f5", "m6", "Andy", "klatt4", "steph")
"""espeak-ng's variants never trained on, for measuring."""
UNHEARD_CLIPS = dict(zip(("de", "fr", "es", "it", "pt"), UNHEARD_VARIANTS, strict=True))
"""What speaks the clips that the engine's test hears."""
TRAINED_LANGUAGES = tuple(n for n in sentences.LANGUAGES if n not in ("sv", "fi"))
"""Swedish and Finnish are never trained on, in any voice."""

_LATE_S = 0.02
"""espeak-ng tells a vowel about 20 ms after a nasal or a liquid gave way to it (half of the rise
in level, over 270 vowels after m in five voices), since it counts the transition to the former."""
_SONORANT = frozenset(sounds.CLASS[s] for s in "m n ng l".split())


@dataclass(frozen=True, slots=True)
class Spoken:
    """Speech with known sounds: pcm (N,) float32 at 16 kHz, hops (N / 160,) classes at 10 ms."""

    pcm: F32
    hops: I8


def classes(told: list[espeak.Phoneme], language: str, count: int) -> I8:
    """(count,) class at each 10 ms, from espeak-ng's phonemes."""
    marks: list[tuple[float, tuple[int, ...]]] = []
    for phoneme in told:
        if phoneme.name.startswith("("):
            continue  # a word of another language begins or ends
        found = sounds.of_ipa(phoneme.name, language) if phoneme.name else (0,)
        begin = phoneme.begin_s
        if marks and found[0] in sounds.VOWELS and marks[-1][1][-1] in _SONORANT:
            begin -= min(_LATE_S, (begin - marks[-1][0]) / 2)
        marks.append((begin, found))
    hops = np.zeros(count, np.int8)
    ends = [begin for begin, _ in marks[1:]] + [count * 0.01]
    for (begin, found), end in zip(marks, ends, strict=True):
        edges = np.round(np.linspace(begin, end, len(found) + 1) * 100).astype(int)
        for sound, a, b in zip(found, edges[:-1], edges[1:], strict=True):
            hops[a:b] = sound
    return hops


def say(text: str, language: str, variant: str, pace: int = 170, pitch: int = 50) -> Spoken:
    """Speech by espeak-ng, with 200 ms of silence before and after it.

    Args:
        pace: words a minute.
        pitch: 0 to 99.
    """
    voice = f"{language}+{variant}" if variant else language
    pcm, told = espeak.library().speak(text, voice, pace, pitch)
    pause = np.zeros(logmel.RATE_HZ // 5, np.float32)
    hops = classes(told, language, len(pcm) // logmel.HOP)
    rest = np.zeros(len(pause) // logmel.HOP, np.int8)
    return Spoken(np.concatenate([pause, pcm, pause]), np.concatenate([rest, hops, rest]))


def worn(pcm: F32, rng: np.random.Generator) -> F32:
    """A voice as it may reach us: another pitch, a room, a call's codec, in random shares."""
    if rng.random() < 0.25:
        pcm = lipdata.shift_pitch(pcm, float(np.exp(rng.uniform(-0.28, 0.35))))
    if rng.random() < 0.4:
        pcm = lipdata.room(pcm, rng)
    if rng.random() < 0.25:
        pcm = codec.opus(pcm, int(rng.choice((16, 20, 24, 32))))
    return pcm


def corpus(number: int, count: int) -> list[tuple[str, F32, I8]]:
    """(speaker, mel (4 T, 80), sound (4 T,)) of newly spoken and augmented sentences: three of
    ten by flite, the others by espeak-ng, every third of those English."""
    rng = np.random.default_rng(5000 + number)
    out = []
    for i in range(count):
        if i % 10 < 3:
            voice = VOICES[i % 10]
            text = sentences.sentence(rng)
            pcm, hops = flite.speak(text, voice, float(np.exp(rng.uniform(-0.25, 0.35))))
            speaker = f"voice_{voice}"
        else:
            english = rng.random() < 0.33
            language = str(rng.choice(("en-us", "en") if english else TRAINED_LANGUAGES))
            variant = str(rng.choice(VARIANTS))
            text = sentences.sentence(rng, language)
            spoken = say(
                text, language, variant, int(rng.integers(115, 230)), int(rng.integers(15, 85))
            )
            pcm, hops = spoken.pcm, spoken.hops
            speaker = "voice_espeak"
        pcm = worn(pcm, rng)
        pictures = min(len(hops) // 4, len(pcm) // lipdata.CHUNK)
        mel = logmel.LogMel().push(pcm[: pictures * lipdata.CHUNK])
        out.append((speaker, mel, hops[: pictures * 4]))
    return out


def write_set(out: Path, number: int, lips: coarticulation.Lips, count: int = 240) -> None:
    """Writes OUT/variant_sNN.npz, as `lipprep` writes it: synthetic speech, its sounds and lips."""
    target = out / f"variant_s{number:02d}.npz"
    if target.exists():
        return
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    index = []
    for i, (speaker, mel, sound) in enumerate(corpus(number, count)):
        name = f"{speaker}_{i}"
        arrays[name + ".mel"], arrays[name + ".sound"] = mel.astype(np.float16), sound
        index.append({"name": name, "speaker": speaker})
    _save(target, index, arrays, lips)


def write_read(out: Path, lips: coarticulation.Lips, folder: Path, readings: int = 12) -> None:
    """Writes OUT/variant_read.npz: augmented readings of one speaker's real speech, aligned.

    `folder` is laid out like LJSpeech: NAME.wav, and NAME|raw words|words in metadata.csv.
    """
    rng = np.random.default_rng(6000)
    talks = [align.Talk(pcm, words) for pcm, words in phones.read_speech(folder)]
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    index: list[dict[str, str]] = []
    for talk, (hops, _) in zip(talks, tqdm(align.align(talks), desc="readings"), strict=True):
        for reading in range(readings):
            pcm, factor = lipdata.resample(
                worn(talk.pcm, rng), float(np.exp(rng.uniform(-0.2, 0.2)))
            )
            mel = logmel.LogMel().push(pcm)
            at = np.round(np.arange(len(pcm) // logmel.HOP) * factor).astype(int)
            name = f"voice_{folder.name}_{len(index)}_{reading}"
            arrays[name + ".mel"] = mel.astype(np.float16)
            arrays[name + ".sound"] = hops[np.minimum(at, len(hops) - 1)]
            index.append({"name": name, "speaker": f"voice_{folder.name}"})
    _save(out / "variant_read.npz", index, arrays, lips)


def renew_lips(out: Path, lips: coarticulation.Lips) -> int:
    """Gives all speech in OUT new lips for its sounds; returns how many files changed."""
    files = [*sorted(out.glob("variant_s*.npz")), *out.glob("variant_read.npz")]
    for target in tqdm(files, desc="lips"):
        with np.load(target) as data:
            arrays = {k: data[k] for k in data.files if k != "index"}
            index = json.loads(str(data["index"]))
        _save(target, index, arrays, lips)
    return len(files)


def unheard(count: int = 5) -> dict[str, Spoken]:
    """`count` sentences in each of five languages, by voices never trained on."""
    out = {}
    for seed, (language, variant) in enumerate(UNHEARD_CLIPS.items()):
        rng = np.random.default_rng(9000 + seed)
        parts = [
            say(
                sentences.sentence(rng, language), language, variant, 160, int(rng.integers(30, 70))
            )
            for _ in range(count)
        ]
        pcm = np.concatenate([p.pcm[: len(p.hops) * logmel.HOP] for p in parts])
        out[language] = Spoken(pcm, np.concatenate([p.hops for p in parts]))
    return out


def write_clips(out: Path, lips: coarticulation.Lips) -> None:
    """Writes OUT/LANGUAGE.ogg of voices never trained on, and their sounds and the openings that
    follow from them as OUT/languages.json."""
    out.mkdir(parents=True, exist_ok=True)
    told = {}
    for name, spoken in unheard().items():
        codec.write_opus(spoken.pcm, out / f"{name}.ogg")
        opening = lips.codes(spoken.hops) @ facemodel.load().opening
        told[name] = {
            "sounds": [[s, round(a, 2), round(b, 2)] for s, a, b in phones.segments(spoken.hops)],
            "opening": [round(float(x), 4) for x in opening],
        }
    (out / "languages.json").write_text(json.dumps(told) + "\n")


def _save(
    target: Path,
    index: list[dict[str, str]],
    arrays: dict[str, npt.NDArray[np.generic]],
    lips: coarticulation.Lips,
) -> None:
    for row in index:
        sound = np.asarray(arrays[row["name"] + ".sound"], np.int8)
        code = lips.codes(sound)
        arrays[row["name"] + ".code"] = code.astype(np.float16)
        arrays[row["name"] + ".mask"] = np.full(len(code), coarticulation.TRUST, np.float16)
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, index=np.array(json.dumps(index)), **arrays)  # type: ignore[arg-type]
    part.replace(target)

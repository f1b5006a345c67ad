"""Speech with exact phoneme times from the espeak-ng library (1.51), by ctypes.

The library tells each phoneme in IPA with the sample at which it begins. It speaks about a
hundred languages with a hundred voices; its output carries no licence of its own.
"""

import ctypes
import ctypes.util
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kernels import logmel
from models.train import lipdata

F32 = npt.NDArray[np.float32]

_SYNCHRONOUS = 2
_PHONEME_EVENTS, _IPA = 1, 2
_END, _PHONEME = 0, 7
_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4


class _Id(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Phoneme:
    """One phoneme: its IPA name (empty for a pause) and the second at which it begins."""

    name: str
    begin_s: float


class Espeak:
    """The library; one instance a process, for its state is global."""

    def __init__(self) -> None:
        found = ctypes.util.find_library("espeak-ng")
        if found is None:
            raise FileNotFoundError("libespeak-ng was not found; install the package espeak-ng")
        self._library = ctypes.CDLL(found)
        flags = _PHONEME_EVENTS | _IPA
        self.rate_hz = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, flags))
        if self.rate_hz <= 0:
            raise OSError(f"espeak_Initialize returned {self.rate_hz}, expected a sample rate")
        self._sound: list[npt.NDArray[np.int16]] = []
        self._told: list[Phoneme] = []
        self._callback = _CALLBACK(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(
        self, text: str, voice: str, words_per_minute: int = 170, pitch: int = 50, spread: int = 50
    ) -> tuple[F32, list[Phoneme]]:
        """Sound (N,) float32 at 16 kHz and its phonemes in order.

        `voice` is a language and a variant, such as "de+f2"; `pitch` and `spread` (how far the
        voice rises and falls) lie in 0 to 99.

        Raises:
            ValueError: the library does not know the voice, or refuses the text.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        values = ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, spread), (_VOLUME, 80))
        for parameter, value in values:
            self._library.espeak_SetParameter(parameter, value, 0)
        self._sound, self._told = [], []
        raw = text.encode() + b"\0"
        error = self._library.espeak_Synth(raw, len(raw), 0, 1, 0, _UTF8, None, None)
        if error != 0 or not self._sound:
            raise ValueError(f"espeak-ng did not speak {text!r} as {voice!r}: error {error}")
        samples = np.concatenate(self._sound)
        pcm = np.asarray(samples / 32768, np.float32)
        return lipdata.resample(pcm, self.rate_hz / logmel.RATE_HZ)[0], self._told

    def _take(self, wav: object, count: int, events: object) -> int:
        if count > 0 and wav:
            self._sound.append(np.ctypeslib.as_array(wav, (count,)).copy())  # type: ignore[call-overload]
        at = 0
        while (event := events[at]).type != _END:  # type: ignore[index]
            if event.type == _PHONEME:
                name = bytes(event.id.string).split(b"\0")[0].decode(errors="replace")
                self._told.append(Phoneme(name, event.sample / self.rate_hz))
            at += 1
        return 0


@lru_cache(maxsize=1)
def library() -> Espeak:
    """The process's instance."""
    return Espeak()

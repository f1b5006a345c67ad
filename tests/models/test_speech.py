"""Synthetic speech: sounds of every language, exact times, and what a call does to a voice."""
# ruff: noqa: RUF001 (IPA letters)

import ctypes.util
import shutil

import numpy as np
import pytest

from kernels import logmel
from models import facemodel, weights
from models.train.speech import coarticulation, codec, corpora, flite, phones, sentences, sounds

needs_espeak = pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None, reason="espeak-ng is not installed"
)


def names(ipa: str, language: str = "de") -> list[str]:
    return [sounds.SOUNDS[c] for c in sounds.of_ipa(ipa, language)]


def test_ipa_of_other_languages_falls_into_one_inventory() -> None:
    assert names("yː") == ["ue"]
    assert names("ts") == ["t", "s"]
    assert names("œ̃", "fr") == ["oe"]
    assert names("tʲ", "ru") == ["t"]
    assert names("y", "ru") == ["ih"]  # espeak-ng's letter for the Russian unrounded vowel
    assert names("ɾ", "es") == ["rr"]
    assert names("ɾ", "en-us") == ["d"]
    assert names("ç") == ["kh"]


def test_an_unknown_ipa_letter_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no class for 'ǃ' in the phoneme 'ǃa'"):
        sounds.of_ipa("ǃa", "de")


def test_sentences_of_an_unknown_language_are_refused() -> None:
    with pytest.raises(ValueError, match="no sentences in 'xx'"):
        sentences.sentence(np.random.default_rng(0), "xx")


def test_voices_kept_out_never_train() -> None:
    assert not set(corpora.UNHEARD_VARIANTS) & set(corpora.VARIANTS)
    assert set(corpora.UNHEARD_CLIPS.values()) <= set(corpora.UNHEARD_VARIANTS)
    assert len(corpora.TRAINED_LANGUAGES) >= 10


@needs_espeak
@pytest.mark.parametrize("language", sentences.LANGUAGES)
def test_every_language_speaks_with_known_sounds(language: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(3):
        spoken = corpora.say(sentences.sentence(rng, language), language, "f2")
        assert abs(len(spoken.hops) - len(spoken.pcm) / logmel.HOP) <= 4
        share = float((spoken.hops > 0).mean())
        assert 0.5 < share < 0.95, share


@needs_espeak
def test_told_times_are_those_of_the_sound() -> None:
    spoken = corpora.say("Sasha sees six seas.", "en-us", "m3")
    mel = logmel.LogMel().push(spoken.pcm)[: len(spoken.hops)]
    hiss = mel[:, 60:].mean(1) - mel[:, 10:40].mean(1)
    is_s = spoken.hops[: len(mel)] == sounds.CLASS["s"]
    vowel = np.isin(spoken.hops[: len(mel)], list(sounds.VOWELS))
    assert hiss[is_s].mean() > hiss[vowel].mean() + 0.3
    shifted = [hiss[is_s[: len(hiss)].nonzero()[0] + lag].mean() for lag in (-4, -2, 0, 2, 4)]
    assert int(np.argmax(shifted)) == 2, shifted


@needs_espeak
def test_silence_around_speech_is_told_as_silence() -> None:
    spoken = corpora.say("Hello.", "en-us", "")
    assert not spoken.hops[:20].any()
    assert np.abs(spoken.pcm[: 19 * logmel.HOP]).max() == 0


@needs_espeak
def test_an_unknown_voice_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no voice 'xx-yy"):
        corpora.say("Hello.", "xx-yy", "f2")


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_flite_tells_its_sounds() -> None:
    pcm, hops = flite.speak("Bob met Pam.", "slt", 1.0)
    told = [name for name, _, _ in phones.segments(hops)]
    assert told == ["b", "aa", "b", "m", "eh", "t", "p", "ae", "m"]
    assert len(hops) == len(pcm) // logmel.HOP


@pytest.mark.parametrize("kbps", [16, 32])
def test_a_codec_changes_a_voice_but_not_its_times(kbps: int) -> None:
    rng = np.random.default_rng(0)
    loud = np.repeat(rng.random(20) > 0.5, logmel.RATE_HZ // 20)
    pcm = np.asarray(rng.normal(0, 0.1, len(loud)) * loud, np.float32)
    heard = codec.opus(pcm, kbps)
    assert heard.shape == pcm.shape
    assert not np.array_equal(heard, pcm)
    lag = np.argmax(np.correlate(heard, pcm[400:-400], "valid")) - 400
    assert abs(int(lag)) <= 2  # samples of 16 kHz
    with pytest.raises(ValueError, match="1000 kb/s"):
        codec.opus(pcm, 1000)


def hops_of(*told: tuple[str, float]) -> np.ndarray:
    """Classes at 10 ms of sounds with their seconds."""
    return np.concatenate(
        [np.full(round(seconds * 100), sounds.CLASS[name], np.int8) for name, seconds in told]
    )


def corners(code: np.ndarray) -> np.ndarray:
    """(T,) distance of the mouth's corners, in face widths more than at rest."""
    face = facemodel.load()
    left, right = 61, 291
    return np.asarray(code @ (face.basis[:, right, 0] - face.basis[:, left, 0]))


LIPS = coarticulation.Lips.load(weights.path("shapes.npz"))


def test_lips_shut_on_p_b_and_m_and_in_silence() -> None:
    for name in ("p", "b", "m"):
        hops = hops_of(("pau", 0.4), ("aa", 0.16), (name, 0.08), ("aa", 0.16), ("pau", 0.6))
        opening = LIPS.codes(hops) @ facemodel.load().opening
        assert opening[15] < 1e-6, name  # 0.60 s, its middle
        assert opening[12] > 0.02, name
        assert opening[19] > 0.02, name
        assert not opening[:5].any()
        assert not opening[-10:].any()


def test_open_vowels_open_further_than_close_ones() -> None:
    def widest(vowel: str) -> float:
        hops = hops_of(("pau", 0.4), ("t", 0.08), (vowel, 0.16), ("t", 0.08), ("pau", 0.4))
        return float((LIPS.codes(hops) @ facemodel.load().opening).max())

    for open_, close in (("ae", "uw"), ("aa", "uw"), ("a", "ue"), ("ay", "ih"), ("eh", "uh")):
        assert widest(open_) > widest(close), (open_, close)


def test_rounding_comes_before_the_rounded_vowel() -> None:
    def before(vowel: str) -> float:
        hops = hops_of(("pau", 0.4), ("s", 0.16), (vowel, 0.2), ("pau", 0.4))
        return float(corners(LIPS.codes(hops))[13])  # 0.52 s: 40 ms before the vowel

    assert before("uw") < before("iy")
    assert before("oo") < before("ee")


def test_known_closures_are_counted_where_the_sound_is() -> None:
    told = [("m", 0.08, 0.16), ("aa", 0.16, 0.3), ("b", 0.4, 0.48)]
    opening = np.full(20, 0.05, np.float32)
    opening[3] = 0.0
    assert coarticulation.closures(opening, told) == [True, False]

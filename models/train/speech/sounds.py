"""One inventory of speech sounds for every voice and language, and the way into it from IPA."""
# ruff: noqa: RUF001 (IPA has letters that look like Latin ones)

import unicodedata

SOUNDS = (
    "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th "
    "uh uw v w y z zh a ee oo ue oe rr kh"
).split()
"""Class of each sound is its place here; 0 is silence. The first 41 are those of American English
by flite's names; then open front a, close e and o, the rounded front vowels of "für" (ue) and
"schön" (oe), tapped, trilled and uvular r (rr), and the fricative of "ach" and "ich" (kh)."""
CLASS = {name: i for i, name in enumerate(SOUNDS)}
SHUT = tuple(CLASS[s] for s in ("p", "b", "m"))
"""Sounds for which the lips meet."""
VOWELS = frozenset(
    CLASS[s] for s in "aa ae ah ao aw ax ay eh er ey ih iy ow oy uh uw a ee oo ue oe".split()
)

_IPA_LETTERS = """
a a, ɑ aa, æ ae, ɐ ah, ʌ ah, ɒ ao, ɔ ao, ə ax, e ee, ɛ eh, ɜ ax, ɜː er, ɚ er, i iy, ɪ ih, ɨ ih,
ᵻ ih, ɯ ih, o oo, u uw, ʊ uh, y ue, ʉ ue, ø oe, œ oe, ɵ oe, aɪ ay, ai ay, æi ay, aʊ aw, au aw,
ʌʊ aw, ɐʊ aw, eɪ ey, ei ey, ɛɪ ey, oʊ ow, əʊ ow, ɔɪ oy, oɪ oy, oi oy, ɔø oy, əl ax l, eʊ ee uh,
b b, c k, d d, ð dh, f f, ɡ g, ɟ g, ɣ kh, h hh, j y, ʲ y, k k, l l, ɫ l, ɭ l, ʎ l, m m, n n, ɲ n,
ŋ ng, p p, r rr, ɹ r, ɾ rr, ʁ rr, s s, ʃ sh, ɕ sh, t t, θ th, v v, ʋ v, β v, w w, x kh, z z, ʒ zh,
ʑ zh, ʔ pau, tʃ ch, tɕ ch, dʒ jh, dʑ jh
"""
_IPA = dict(pair.strip().split(" ", 1) for pair in _IPA_LETTERS.split(","))
_LANGUAGE = {
    "en-us": {"ɾ": "d"},
    "ru": {"y": "ih", "ɵ": "oo"},
    "hu": {"ɑ": "ao"},
}
"""Where espeak-ng's IPA for a language does not mean what it means elsewhere."""


def of_ipa(name: str, language: str) -> tuple[int, ...]:
    """Classes of one IPA phoneme, to be spoken for equal shares of its time.

    A diphthong that the inventory lacks gives its two vowels; an affricate its stop and fricative;
    length, palatalisation of a consonant and nasality are dropped, for lips do not show them.

    Raises:
        ValueError: the name holds a letter of which the inventory knows nothing.
    """
    marks = unicodedata.normalize("NFD", unicodedata.normalize("NFC", name).replace("ç", "x"))
    bare = "".join(c for c in marks if not unicodedata.combining(c))
    for dropped in "-^\"'ˈˌ":
        bare = bare.replace(dropped, "")
    if len(bare) > 1:
        bare = bare.rstrip("ʲ")
    if bare not in _IPA:
        bare = bare.replace("ː", "")
    table = _IPA | _LANGUAGE.get(language, {})
    found: list[int] = []
    at = 0
    while at < len(bare):
        size = next((n for n in (2, 1) if bare[at : at + n] in table), 0)
        if not size:
            raise ValueError(f"no class for {bare[at]!r} in the phoneme {name!r} of {language!r}")
        for sound in table[bare[at : at + size]].split():
            if not found or found[-1] != CLASS[sound]:
                found.append(CLASS[sound])
        at += size
    return tuple(found)

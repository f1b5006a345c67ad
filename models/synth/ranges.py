"""How far synthetic people and their expressions vary."""

SKINS = {
    ("dark", "female"): ("middleage_darkskinned_female_diffuse", "old_darkskinned_female_diffuse"),
    ("dark", "male"): (
        "young_darkskinned_male_diffuse",
        "middleage_darkskinned_male_diffuse",
        "old_darkskinned_male_diffuse",
    ),
    ("light", "female"): (
        "young_lightskinned_female_diffuse2",
        "young_lightskinned_female_diffuse3",
        "middleage_lightskinned_female_diffuse2",
    ),
    ("light", "male"): (
        "young_lightskinned_male_diffuse",
        "young_lightskinned_male_diffuse2",
        "young_lightskinned_male_diffuse3",
        "middleage_lightskinned_male_diffuse",
        "middleage_lightskinned_male_diffuse2",
        "old_lightskinned_male_diffuse2",
    ),
}
SKIN_RED = {
    "middleage_darkskinned_female_diffuse": 0.86,
    "old_darkskinned_female_diffuse": 0.64,
    "old_darkskinned_male_diffuse": 0.84,
    "old_lightskinned_male_diffuse2": 0.8,
}
"""Factor on linear red where MakeHuman's picture is far redder than skin."""
SKIN_AGES = {"young": 0.1, "middleage": 0.4, "old": 0.75}
EYES = {
    "any": {"blue_eye": 0.3, "grey_eye": 0.2, "green_eye": 0.15, "brownlight_eye": 0.35},
    "dark": {"brownlight_eye": 1.0},
}
BROWS = {
    "female": {"eyebrow001": 0.6, "eyebrow006": 0.2, "eyebrow009": 0.2},
    "male": {"eyebrow001": 0.45, "eyebrow009": 0.55},
}
HAIR = {  # not bob02 and short03, which hide an eye
    "female": {
        "long01": 0.26,
        "ponytail01": 0.2,
        "short01": 0.12,
        "short02": 0.08,
        "short04": 0.12,
        "": 0.02,
    },
    "male": {
        "short01": 0.12,
        "short02": 0.22,
        "short04": 0.22,
        "long01": 0.04,
        "": 0.18,
    },
}
HAIR_TONES = {
    "black": (0.018, 0.014, 0.012),
    "dark brown": (0.05, 0.026, 0.014),
    "brown": (0.11, 0.06, 0.033),
    "chestnut": (0.18, 0.075, 0.035),
    "blond": (0.42, 0.28, 0.14),
    "red": (0.28, 0.085, 0.03),
}
"""From dark to light; the first three are common everywhere."""
VIEWS = (
    ("Standard", "None"),
    ("Filmic", "None"),
    ("Filmic", "Medium High Contrast"),
    ("AgX", "None"),
    ("AgX", "AgX - Medium High Contrast"),
)

HEADS = (
    "head-oval",
    "head-round",
    "head-rectangular",
    "head-square",
    "head-triangular",
    "head-invertedtriangular",
    "head-diamond",
)


def _pairs(folder: str, table: str) -> dict[tuple[str, str], float]:
    """Rows of `name less|more spread` as (target, opposite target) -> spread."""
    found = {}
    for row in table.split(";"):
        name, ends, spread = row.split()
        less, more = (f"{folder}/{name}-{end}" for end in ends.split("|"))
        found[less, more] = float(spread)
    return found


MODIFIERS = {
    **_pairs(
        "head",
        "head-fat decr|incr 0.35; head-scale-horiz decr|incr 0.25; head-age decr|incr 0.2;"
        "head-scale-vert decr|incr 0.25; head-scale-depth decr|incr 0.2",
    ),
    **_pairs(
        "forehead",
        "forehead-scale-vert decr|incr 0.3; forehead-nubian decr|incr 0.25;"
        "forehead-temple decr|incr 0.3; forehead-trans backward|forward 0.2",
    ),
    **_pairs(
        "eyes",
        "*-eye-scale decr|incr 0.3; *-eye-height1 decr|incr 0.25; *-eye-height2 decr|incr 0.25;"
        "*-eye-height3 decr|incr 0.25; *-eye-trans in|out 0.25; *-eye-trans down|up 0.15;"
        "*-eye-corner1 down|up 0.25; *-eye-corner2 down|up 0.3; *-eye-push1 in|out 0.2;"
        "*-eye-push2 in|out 0.2; *-eye-bag decr|incr 0.3; *-eye-epicanthus in|out 0.3;"
        "*-eye-eyefold-angle down|up 0.3; *-eye-eyefold concave|convex 0.2",
    ),
    **_pairs(
        "nose",
        "nose-scale-depth decr|incr 0.3; nose-scale-horiz decr|incr 0.35;"
        "nose-scale-vert decr|incr 0.3; nose-trans down|up 0.2; nose-base down|up 0.3;"
        "nose-curve concave|convex 0.35; nose-flaring decr|incr 0.3; nose-greek decr|incr 0.25;"
        "nose-hump decr|incr 0.35; nose-nostrils-angle down|up 0.3; nose-point down|up 0.35;"
        "nose-nostrils-width decr|incr 0.3; nose-point-width decr|incr 0.35;"
        "nose-volume decr|incr 0.25; nose-width1 decr|incr 0.3; nose-width2 decr|incr 0.3;"
        "nose-width3 decr|incr 0.3; nose-septumangle decr|incr 0.2",
    ),
    **_pairs(
        "mouth",
        "mouth-scale-horiz decr|incr 0.35; mouth-scale-vert decr|incr 0.25;"
        "mouth-scale-depth decr|incr 0.2; mouth-trans down|up 0.2; mouth-angles down|up 0.25;"
        "mouth-upperlip-volume decr|incr 0.4; mouth-lowerlip-volume decr|incr 0.4;"
        "mouth-upperlip-height decr|incr 0.3; mouth-lowerlip-height decr|incr 0.3;"
        "mouth-upperlip-width decr|incr 0.25; mouth-lowerlip-width decr|incr 0.25;"
        "mouth-cupidsbow decr|incr 0.35; mouth-cupidsbow-width decr|incr 0.3;"
        "mouth-laugh-lines in|out 0.3; mouth-philtrum-volume decr|incr 0.3;"
        "mouth-dimples in|out 0.2",
    ),
    **_pairs(
        "chin",
        "chin-bones decr|incr 0.3; chin-cleft decr|incr 0.25; chin-height decr|incr 0.3;"
        "chin-jaw-drop decr|incr 0.3; chin-prognathism decr|incr 0.15;"
        "chin-prominent decr|incr 0.3; chin-width decr|incr 0.35",
    ),
    **_pairs(
        "cheek",
        "*-cheek-bones decr|incr 0.35; *-cheek-inner decr|incr 0.3;"
        "*-cheek-volume decr|incr 0.35; *-cheek-trans down|up 0.2",
    ),
    **_pairs(
        "ears",
        "*-ear-scale decr|incr 0.3; *-ear-wing decr|incr 0.3; *-ear-lobe decr|incr 0.3;"
        "*-ear-rot backward|forward 0.3",
    ),
    **_pairs(
        "eyebrows",
        "eyebrows-angle down|up 0.3; eyebrows-trans down|up 0.3;"
        "eyebrows-trans backward|forward 0.2",
    ),
    **_pairs(
        "neck",
        "neck-scale-horiz decr|incr 0.25; neck-scale-depth decr|incr 0.25;"
        "neck-double decr|incr 0.3",
    ),
}
"""(target, its opposite) -> standard deviation of the weight between them."""

LEANINGS = {"eyes/*-eye-scale-incr": 0.45, "eyes/*-eye-height2-incr": 0.3}
"""Mean weight where it is not zero: MakeHuman's eyes are small."""

BROW_RAISERS = ("eyebrows-left-inner-up", "eyebrows-right-inner-up")
BROW_LOWERERS = ("eyebrows-left-down", "eyebrows-right-down")

Span = tuple[float, float]
MOUTH_ODDS = {
    "shut": 0.04,
    "pressed": 0.06,
    "ajar": 0.26,
    "open": 0.30,
    "wide": 0.14,
    "rounded": 0.14,
    "teeth": 0.06,
}
"""How often each kind of mouth is seen; shut ones teach little of what lips hide."""
SHUT = ("shut", "pressed")
MOUTHS: dict[str, dict[str, Span]] = {
    "shut": {"mouth-corner-puller": (0.0, 0.3)},
    "pressed": {"mouth-compression": (0.3, 1.0)},
    "ajar": {"mouth-open": (0.05, 0.25), "mouth-part-later": (0.1, 0.6)},
    "open": {"mouth-open": (0.15, 0.6), "mouth-part-later": (0.0, 0.4)},
    "wide": {
        "mouth-open": (0.05, 0.35),
        "mouth-retraction": (0.1, 0.5),
        "mouth-part-later": (0.1, 0.5),
        "mouth-corner-puller": (0.0, 0.4),
    },
    "rounded": {"mouth-pursing": (0.4, 0.9), "mouth-open": (0.1, 0.5)},
    "teeth": {
        "mouth-part-later": (0.5, 1.0),
        "mouth-corner-puller": (0.3, 0.8),
        "mouth-elevation": (0.0, 0.35),
        "mouth-depression": (0.0, 0.4),
        "mouth-open": (0.0, 0.12),
    },
}
MOUTH_EXTRAS = {
    "mouth-elevation": (0.15, 0.3),
    "mouth-depression": (0.15, 0.3),
    "mouth-protusion": (0.1, 0.3),
    "mouth-corner-puller": (0.15, 0.4),
}
"""Expression unit -> how often it is added, and up to which weight."""

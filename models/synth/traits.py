"""Who a synthetic person is, and what each of their pictures shows, drawn from a seed."""

from dataclasses import dataclass, field

import numpy as np

from . import ranges

Colour = tuple[float, float, float]
Angles = tuple[float, float, float]
"""Yaw (towards the picture's right), pitch (down), roll (clockwise in the picture); degrees."""
Rng = np.random.Generator


@dataclass(frozen=True)
class Light:
    """A square soft light. Angles as seen from the face: 0 is the camera, 90 the picture's right.

    Attributes:
        round_deg, up_deg: where it stands.
        size_m, watts, colour: linear RGB.
    """

    round_deg: float
    up_deg: float
    size_m: float
    watts: float
    colour: Colour


@dataclass(frozen=True)
class Skin:
    """How skin looks.

    Attributes:
        name: of the skin's picture.
        gain: factors on its linear red, green, blue.
        hue: a turn of the hue, 0.5 is none.
        saturation: how much of the picture's colourfulness is kept.
        roughness: of the shine, 0 a mirror.
    """

    name: str
    gain: Colour
    hue: float
    saturation: float
    roughness: float


@dataclass(frozen=True)
class Stage:
    """Light, camera and backdrop of all of a person's pictures, and the portrait's pose.

    Attributes:
        lights: one to four.
        ambient: linear RGB of the room above and below.
        backdrop: two sRGB colours in [0, 1] and the way from one to the other, degrees.
        distance_m: from the eyes to the camera.
        face_width: of the face, as a share of the picture's.
        centre: where the face's middle lies, as shares of the picture.
        torso, head: how body and head stand in the portrait.
        brightness: mean of the face in the picture, sRGB in [0, 1].
        view, look: Blender's way from linear light to sRGB.
    """

    lights: tuple[Light, ...]
    ambient: tuple[Colour, Colour]
    backdrop: tuple[Colour, Colour, float]
    distance_m: float
    face_width: float
    centre: tuple[float, float]
    torso: Angles
    head: Angles
    brightness: float
    view: str
    look: str


@dataclass(frozen=True)
class Traits:
    """One person with clothes and stage; all random, all from `seed`.

    Attributes:
        shape: MakeHuman target (`*` is both sides) -> weight.
        races: share of each race, for the expressions made for it.
        eyes, brows, lashes, hair, teeth: names of assets; no hair is "".
        eye_hue: a turn of the hue, 0.5 is none.
        brow_cover: how thick the brows are, 0 to 1.
        *_gain, *_colour, shirt: linear RGB, gains are factors.
        teeth_drop: how far below the line where the lips meet the upper teeth end, decimetres.
        teeth_rise: how far over the lower lip's rim the lower teeth rise at most, decimetres.
        collar_m: height of the collar's middle over the neck's root.
        mouth_light: light that teeth and flesh right behind the lips get besides, as a share of
            what falls on the face.
    """

    seed: int
    shape: dict[str, float]
    races: dict[str, float]
    skin: Skin
    eyes: str
    eye_gain: float
    eye_hue: float
    brows: str
    brow_colour: Colour
    brow_cover: float
    lashes: str
    hair: str
    hair_colour: Colour
    teeth: str
    teeth_gain: Colour
    teeth_drop: float
    teeth_rise: float
    shirt: Colour
    collar_m: float
    stage: Stage
    mouth_light: float


@dataclass(frozen=True)
class Shot:
    """What one picture shows.

    Attributes:
        mouth: expression unit -> weight.
        shut: share of the lips' gap that is closed, 0 to 1.
        blink: how far each lid falls, person's right and left, 0 to 1.
        brows: expression unit -> weight.
        gaze: yaw and pitch of the eyes against the head, degrees.
        head: how the head stands, degrees.
        tongue: how far its front rises, 0 to 1.
    """

    mouth: dict[str, float] = field(default_factory=dict)
    shut: float = 0.0
    blink: tuple[float, float] = (0.0, 0.0)
    brows: dict[str, float] = field(default_factory=dict)
    gaze: tuple[float, float] = (0.0, 0.0)
    head: Angles = (0.0, 0.0, 0.0)
    tongue: float = 0.0


def person(seed: int) -> Traits:
    """Draws a person. The same seed gives the same person."""
    rng = np.random.default_rng([seed, 0])
    races = _shares(rng, ("caucasian", "asian", "african"))
    race = max(races, key=lambda name: races[name])
    female = bool(rng.random() < 0.5)
    old = float(0.9 * rng.beta(1.0, 1.8))
    hair = _pick(rng, ranges.HAIR["female" if female else "male"])
    tone = _hair_tone(rng, race, old)
    grey = float(rng.uniform(0.75, 1.1))
    return Traits(
        seed=seed,
        shape=_macro(rng, races, female, old) | _modifiers(rng),
        races=races,
        skin=_skin(rng, race, female, old),
        eyes=_pick(rng, ranges.EYES["any" if race == "caucasian" else "dark"]),
        eye_gain=float(rng.uniform(0.9, 1.3) if race == "caucasian" else rng.uniform(0.6, 0.9)),
        eye_hue=float(rng.normal(0.5, 0.006)),
        brows=_pick(rng, ranges.BROWS["female" if female else "male"]),
        brow_colour=_times(tone, 1.3),
        brow_cover=float(rng.uniform(0.75, 1.0)),
        lashes=_pick(rng, {"eyelashes01": 0.7, "eyelashes02": 0.3 if female else 0.05}),
        hair=hair,
        hair_colour=tone,
        teeth="teeth_shape01" if rng.random() < 0.5 else "teeth_base",
        teeth_gain=_times((1.5, 1.43 - 0.06 * rng.random(), 1.3 - 0.3 * rng.random()), grey),
        teeth_drop=float(rng.uniform(0.005, 0.045)),
        teeth_rise=float(rng.uniform(-0.03, 0.04)),
        shirt=_colour(rng, 0.02, 0.6),
        collar_m=float(rng.uniform(-0.012, 0.004)),
        stage=_stage(rng),
        mouth_light=float(rng.uniform(0.15, 0.6)),
    )


def portrait(traits: Traits) -> Shot:
    """The shut, calm face that the shots are driven from."""
    rng = np.random.default_rng([traits.seed, 1])
    mouth = {}
    if rng.random() < 0.35:
        mouth["mouth-corner-puller"] = float(rng.uniform(0.0, 0.35))
    brows = {
        name: float(w) for name, w in zip(ranges.BROW_RAISERS, rng.uniform(0, 0.25, 2), strict=True)
    }
    gaze = (float(rng.normal(0, 2.0)), float(rng.normal(0, 1.5)))
    return Shot(mouth, 1.0, (0.0, 0.0), brows, gaze, traits.stage.head)


def shot(traits: Traits, number: int) -> Shot:
    """Draws shot `number` (from 0) of a person; more shots leave the earlier ones as they are."""
    rng = np.random.default_rng([traits.seed, 2, number])
    kind = _pick(rng, ranges.MOUTH_ODDS)
    mouth = {name: float(rng.uniform(*span)) for name, span in ranges.MOUTHS[kind].items()}
    for name, (odds, top) in ranges.MOUTH_EXTRAS.items():
        if rng.random() < odds:
            mouth[name] = mouth.get(name, 0.0) + float(rng.uniform(0, top))
    brows: dict[str, float] = {}
    if rng.random() < 0.4:
        raised = float(rng.uniform(-0.4, 0.8))
        names = ranges.BROW_RAISERS if raised > 0 else ranges.BROW_LOWERERS
        brows = dict.fromkeys(names, abs(raised))
    blink = (0.0, 0.0)
    if rng.random() < 0.22:
        depth = float(rng.uniform(0.3, 1.0))
        blink = (depth, float(np.clip(depth + rng.normal(0, 0.04), 0, 1)))
    turn = rng.uniform(-8.0, 8.0, 3) * (1.0, 0.75, 0.6)
    yaw, pitch, roll = (float(a + b) for a, b in zip(traits.stage.head, turn, strict=True))
    away = (float(-0.6 * turn[0] + rng.normal(0, 3)), float(-0.6 * turn[1] + rng.normal(0, 2)))
    shut = 1.0 if kind in ranges.SHUT else 0.0
    return Shot(mouth, shut, blink, brows, away, (yaw, pitch, roll), float(rng.beta(1.0, 2.0)))


def _pick(rng: Rng, odds: dict[str, float]) -> str:
    names = list(odds)
    share = np.asarray([odds[name] for name in names])
    return names[int(rng.choice(len(names), p=share / share.sum()))]


def _times(colour: Colour, gain: float) -> Colour:
    red, green, blue = (float(c * gain) for c in colour)
    return red, green, blue


def _colour(rng: Rng, low: float, high: float, vivid: float = 0.6) -> Colour:
    """A colour of random brightness (log-uniform) and a random touch of hue."""
    level = np.exp(rng.uniform(np.log(low), np.log(high)))
    red, green, blue = np.clip(level * np.exp(rng.normal(0, vivid, 3)), 0, 1).tolist()
    return red, green, blue


def _shares(rng: Rng, names: tuple[str, ...]) -> dict[str, float]:
    """Shares that sum to one: most people are mainly one thing."""
    cells = rng.dirichlet([0.35] * len(names))
    return {name: float(share) for name, share in zip(names, cells, strict=True)}


def _macro(rng: Rng, races: dict[str, float], female: bool, old: float) -> dict[str, float]:
    pure = float(rng.uniform(0.75, 1.0))
    sexes = {"female": pure if female else 1 - pure, "male": 1 - pure if female else pure}
    ages = {"young": 1 - old, "old": old}
    return {
        f"macrodetails/{race}-{sex}-{age}": a * b * c
        for race, a in races.items()
        for sex, b in sexes.items()
        for age, c in ages.items()
    }


def _modifiers(rng: Rng) -> dict[str, float]:
    """Random weights of the modifiers; the sides differ a little, as in every face."""
    out: dict[str, float] = {}
    for name in rng.choice(ranges.HEADS, 2, replace=False):
        out[f"head/{name}"] = float(rng.uniform(0, 0.5))
    for (less, more), spread in ranges.MODIFIERS.items():
        use, weight, uneven = rng.random(), rng.normal(0, spread), rng.normal(0, 0.04, 2)
        weight += ranges.LEANINGS.get(more, 0.0)
        if use > 0.65 and more not in ranges.LEANINGS:
            continue
        weight = float(np.clip(weight, -2.5 * spread, 2.5 * spread))
        name = more if weight > 0 else less
        if "*" not in name:
            out[name] = abs(weight)
            continue
        for side, extra in zip("lr", uneven, strict=True):
            out[name.replace("*", side)] = max(abs(weight) + float(extra), 0.0)
    return out


def _skin(rng: Rng, race: str, female: bool, old: float) -> Skin:
    sex = "female" if female else "male"
    dark = race == "african" or (race == "asian" and rng.random() < 0.12)
    names = ranges.SKINS[("dark" if dark else "light", sex)]
    ages = np.asarray([ranges.SKIN_AGES[name.split("_")[0]] for name in names])
    odds = np.exp(-(((ages - old) / 0.3) ** 2)) + 0.05
    level = float(rng.uniform(1.1, 2.0) if dark else np.exp(rng.uniform(-0.75, 0.05)))
    warm = float(rng.normal(0.06 if race == "asian" else 0.0, 0.06))
    name = str(rng.choice(names, p=odds / odds.sum()))
    red_gain = ranges.SKIN_RED.get(name, 1.0) * (1 + warm * 0.5)
    gain = np.asarray([red_gain, 1.0, 1 - warm * (1.5 if warm > 0 else 1.0)]) * level
    red, green, blue = gain.tolist()
    return Skin(
        name=name,
        gain=(red, green, blue),
        hue=float(rng.normal(0.5, 0.006)),
        saturation=float(rng.uniform(0.68, 0.82) if dark else rng.uniform(0.75, 1.05)),
        roughness=float(rng.uniform(0.36, 0.62)),
    )


def _hair_tone(rng: Rng, race: str, old: float) -> Colour:
    """Linear RGB of hair: black to blond, grey with age."""
    if rng.random() < 0.8 * old:
        level = float(rng.uniform(0.12, 0.5))
        return level, level * 0.97, level * 0.92
    names = list(ranges.HAIR_TONES)[: 3 if race != "caucasian" else None]
    red, green, blue = ranges.HAIR_TONES[str(rng.choice(names))]
    gain = float(np.exp(rng.normal(0, 0.25)))
    return red * gain, green * gain, blue * gain


def _stage(rng: Rng) -> Stage:
    """Light, backdrop, camera and pose."""
    key = float(rng.uniform(-75, 75))
    tint = _tint(rng, 0.12)
    lights = [Light(key, float(rng.uniform(-5, 60)), float(rng.uniform(0.15, 1.4)), 24.0, tint)]
    if rng.random() < 0.7:
        fill = float(rng.uniform(1, 14))
        lights.append(
            Light(-key + rng.uniform(-30, 30), rng.uniform(-20, 40), 1.0, fill, _tint(rng, 0.12))
        )
    for side in (-1, 1):
        if rng.random() < 0.25:
            place = side * float(rng.uniform(110, 160))
            lights.append(
                Light(place, rng.uniform(0, 50), 0.7, rng.uniform(3, 14), _tint(rng, 0.2))
            )
    room = float(np.exp(rng.uniform(np.log(0.08), np.log(1.3))))
    above, below = _times(_tint(rng, 0.12), room), _times(_tint(rng, 0.15), 0.6 * room)
    torso = (float(np.clip(rng.normal(0, 6), -12, 12)), float(rng.normal(0, 2)), 0.0)
    head = (rng.normal(0, 7) - 0.4 * torso[0], rng.normal(0, 4), rng.normal(0, 3))
    yaw, pitch, roll = np.clip(head, -13, 13).tolist()
    one = _colour(rng, 0.08, 0.9, 0.2)
    other = one if rng.random() < 0.4 else _colour(rng, 0.08, 0.9, 0.2)
    view, look = ranges.VIEWS[int(rng.integers(len(ranges.VIEWS)))]
    return Stage(
        lights=tuple(lights),
        ambient=(above, below),
        backdrop=(one, other, float(rng.uniform(0, 360))),
        distance_m=float(np.exp(rng.uniform(np.log(0.45), np.log(1.6)))),
        face_width=float(rng.uniform(180, 220) / 320),
        centre=(float(rng.normal(0.5, 0.02)), float(rng.normal(0.5, 0.02))),
        torso=torso,
        head=(yaw, pitch, roll),
        brightness=float(rng.uniform(0.34, 0.56)),
        view=view,
        look=look,
    )


def _tint(rng: Rng, spread: float) -> Colour:
    """A light's colour between warm and cool, of brightness one."""
    warm = float(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread))
    return 1 + warm, 1.0, 1 - warm

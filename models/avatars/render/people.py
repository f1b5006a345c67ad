"""Who the built-in avatars are: shape, skin, hair, clothes and light, as data."""

from dataclasses import dataclass, field

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """How strands are grown on a hair mesh. Lengths in metres.

    Attributes:
        strands: how many.
        length_m: longest strand.
        spread: shortest strand as a share of the longest.
        lift_m: strands lie between this far below and above the card.
        tip_lift: how much the tips turn away from the head, as a share of the length.
        wave_m: sideways wave of locks.
        fray_m: wander of single hairs.
        cut_z_m: no hair below this height over the eyes (negative is below).
        radius_m: half the thickness of a hair.
        locks: how many locks the strands gather in; 0 is none.
        clump: how far tips are drawn to their lock's middle, 0 to 1.
        rooted: below 1 more strands begin at the hair's own roots, above 1 fewer do.
        parting_m: half the width of a middle parting; 0 is none.
        down: 1 when tips hang down, 0 when they point away from the crown.
    """

    strands: int = 80_000
    length_m: float = 0.30
    spread: float = 0.5
    lift_m: tuple[float, float] = (-0.003, 0.004)
    tip_lift: float = 0.0
    wave_m: float = 0.002
    fray_m: float = 0.0012
    cut_z_m: float = -0.5
    radius_m: float = 0.00006
    locks: int = 1500
    clump: float = 0.5
    rooted: float = 0.45
    parting_m: float = 0.0
    down: float = 1.0


@dataclass(frozen=True)
class Person:
    """One built-in avatar.

    Attributes:
        name: file name of the avatar.
        title: what the page calls it.
        shape: MakeHuman target (`*` is both sides) -> weight.
        skin: stem of a skin texture.
        skin_gain: factors on the skin's linear red, green, blue.
        skin_saturation: how much of the skin picture's colourfulness is kept.
        skin_roughness: of the skin's shine, 0 a mirror.
        eyes: stem of an eye texture.
        eye_gain: factor on the eye's brightness.
        brows: name of an eyebrow mesh.
        brow_cover: how thick the brows are, 0 to 1.
        brow_colour: linear colour multiplied on the brows.
        lashes: name of an eyelash mesh.
        hair: name of a hair mesh; none for hair cropped close to the scalp.
        scalp_grey: the skin's picture is scalp where it is darker than this, 0 to 255.
        hair_colour: linear RGB that the strands reflect.
        style: how the strands grow.
        undercoat_m: how far the hair mesh is sunk below the strands.
        undercoat_gain: its colour as a share of the strands'.
        fluff: how much wider the hair is at the temples, as a share.
        shirt: linear RGB of the garment.
        collar_m: height of the collar's middle over the neck's root.
        backdrop: sRGB colours in [0, 1] of the background: left, right, glow.
        parting: where a gap between strands is closed: its (top, bottom) in picture heights.
        seed: of everything random.
    """

    name: str
    title: str
    shape: dict[str, float] = field(default_factory=dict)
    skin: str = "young_lightskinned_female_diffuse3"
    skin_gain: Colour = (1.0, 1.0, 1.0)
    skin_saturation: float = 1.0
    skin_roughness: float = 0.40
    eyes: str = "brownlight_eye"
    eye_gain: float = 0.9
    brow_cover: float = 1.0
    brows: str = "eyebrow001"
    brow_colour: Colour = (1.0, 1.0, 1.0)
    lashes: str = "eyelashes01"
    hair: str = "bob02"
    scalp_grey: float = 45.0
    hair_colour: Colour = (0.1, 0.06, 0.03)
    style: Style = field(default_factory=Style)
    undercoat_m: float = 0.003
    undercoat_gain: float = 0.35
    fluff: float = 0.0
    shirt: Colour = (0.02, 0.03, 0.045)
    collar_m: float = -0.005
    backdrop: tuple[Colour, Colour, Colour] = (
        (0.52, 0.57, 0.60),
        (0.40, 0.43, 0.45),
        (0.93, 0.84, 0.72),
    )
    parting: tuple[float, float] | None = None
    seed: int = 1


PEOPLE: dict[str, Person] = {
    "maya": Person(
        name="maya",
        title="Maya",
        shape={
            "macrodetails/caucasian-female-young": 0.7,
            "macrodetails/asian-female-young": 0.3,
            "macrodetails/caucasian-female-old": 0.06,
            "head/head-oval": 0.6,
            "chin/chin-width-decr": 0.35,
            "nose/nose-scale-horiz-decr": 0.25,
            "mouth/mouth-angles-up": 0.7,
            "mouth/mouth-lowerlip-volume-incr": 0.15,
            "mouth/mouth-upperlip-volume-incr": 0.3,
            "cheek/*-cheek-volume-incr": 0.15,
            "eyes/*-eye-scale-incr": 0.35,
            "expression/units/caucasian/mouth-part-later": -0.22,
            "expression/units/caucasian/eyebrows-left-inner-up": 0.2,
            "expression/units/caucasian/eyebrows-right-inner-up": 0.2,
        },
        hair="long01",
        hair_colour=(0.055, 0.024, 0.011),
        style=Style(parting_m=0.022, length_m=0.34),
        parting=(0.075, 0.245),
        undercoat_m=0.006,
        fluff=0.07,
    ),
    "kofi": Person(
        name="kofi",
        title="Kofi",
        shape={
            "macrodetails/african-male-young": 0.75,
            "macrodetails/caucasian-male-young": 0.25,
            "macrodetails/african-male-old": 0.15,
            "head/head-oval": 0.3,
            "mouth/mouth-angles-up": 0.75,
            "eyebrows/eyebrows-trans-up": 0.3,
            "cheek/*-cheek-volume-incr": 0.15,
            "eyes/*-eye-scale-incr": 0.15,
            "expression/units/caucasian/mouth-part-later": -0.2,
            "expression/units/caucasian/eyebrows-left-inner-up": 0.2,
            "expression/units/caucasian/eyebrows-right-inner-up": 0.2,
        },
        skin="middleage_darkskinned_male_diffuse",
        skin_gain=(1.45, 1.40, 1.35),
        skin_saturation=0.78,
        skin_roughness=0.60,
        eyes="brownlight_eye",
        eye_gain=0.72,
        brows="eyebrow001",
        brow_colour=(0.12, 0.12, 0.12),
        hair="",
        scalp_grey=52.0,
        hair_colour=(0.012, 0.010, 0.009),
        style=Style(
            strands=60_000, length_m=0.008, spread=0.5, fray_m=0.003, radius_m=0.00009, locks=0
        ),
        shirt=(0.46, 0.43, 0.38),
        backdrop=((0.68, 0.63, 0.57), (0.47, 0.49, 0.52), (0.86, 0.89, 0.92)),
        seed=2,
    ),
}

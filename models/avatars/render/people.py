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
class Sculpt:
    """A cartoon's hair: broad locks round the head. Angles in radians from the face's middle.

    Attributes:
        locks: how many a side and layer.
        layers: how many lie over one another.
        over_m: how far over the skull the innermost and the outermost layer lie.
        length_m: how far below the eyes the tips are.
        width_m, thick_m: of a lock.
        open_turn: between this angle and its mirror the face is free.
        parting_turn, parting_rise: where the parting meets the forehead.
        curl_m: how far the tips turn in.
        wave_m: how far a lock swings to its sides.
        tip: how late a lock thins to its tip, 1 evenly, 8 only at the end.
        slope: how much longer the front locks are, in centimetres.
        fringe: how many locks sweep over the forehead, from the parting to the wider side.
    """

    locks: int = 14
    layers: int = 3
    over_m: tuple[float, float] = (0.008, 0.028)
    length_m: float = 0.078
    width_m: float = 0.030
    thick_m: float = 0.012
    open_turn: float = 1.15
    parting_turn: float = 0.35
    parting_rise: float = 0.66
    curl_m: float = 0.028
    wave_m: float = 0.004
    tip: float = 9.0
    slope: float = 1.0
    fringe: int = 5


@dataclass(frozen=True)
class Iris:
    """A cartoon's eye. Radii as shares of the eyeball's.

    Attributes:
        radius, pupil: of the iris and of the black in it.
        upper, lower: linear RGB of the iris, dark above and bright below.
        white: linear RGB around it.
    """

    radius: float = 0.51
    pupil: float = 0.21
    upper: Colour = (0.010, 0.055, 0.030)
    lower: Colour = (0.10, 0.40, 0.16)
    white: Colour = (0.80, 0.80, 0.78)


@dataclass(frozen=True)
class Person:
    """One built-in avatar.

    Attributes:
        name: file name of the avatar.
        title: what the page calls it.
        shape: MakeHuman target (`*` is both sides) -> weight.
        swell: joint -> (gain, radius in decimetres): how much larger all around it is made, fading
            to nothing beyond the radius; a cartoon's eyes, or a smaller neck.
        skin: stem of a skin texture.
        skin_gain: factors on the skin's linear red, green, blue.
        skin_saturation: how much of the skin picture's colourfulness is kept.
        skin_roughness: of the skin's shine, 0 a mirror.
        skin_smooth_px: patches of the skin's picture smaller than this are painted over; 0 keeps
            the picture and its pores.
        blush: how much redder cheeks and the nose's tip are, 0 to 1.
        eyes: stem of an eye texture.
        eye_gain: factor on the eye's brightness.
        painted_iris: a cartoon's iris instead of the picture's; none keeps the picture.
        lip_gain: factors on the lips' linear red, green, blue.
        brows: name of an eyebrow mesh.
        brow_cover: how thick the brows are, 0 to 1.
        brow_colour: linear colour multiplied on the brows; a cartoon's brows have it as it is.
        lashes: name of an eyelash mesh.
        lash_cover: how thick the lashes are, 0 to 1.
        lower_lashes: whether the lower lids have any.
        hair: name of a hair mesh; none for hair cropped close to the scalp.
        scalp_grey: the skin's picture is scalp where it is darker than this, 0 to 255.
        hair_colour: linear RGB that the strands reflect.
        hair_vary: how much one strand is brighter than another, as a share; grey hair is mixed.
        style: how the strands grow.
        sculpt: locks instead of strands, for a cartoon; `hair` is not looked at then.
        beard: how a short beard grows; none for a shaven face or a woman's.
        undercoat_m: how far the hair mesh is sunk below the strands.
        undercoat_gain: its colour as a share of the strands', times the card's picture.
        undercoat_plain: the share alone, without the picture's dark strokes.
        fluff: how much wider the hair is at the temples, as a share.
        shirt: linear RGB of the garment.
        collar_m: height of the collar's middle over the neck's root.
        collar_even: how often the collar's line is evened out.
        backdrop: sRGB colours in [0, 1] of the background: left, right, glow.
        parting: where a gap between strands is closed: its (top, bottom) in picture heights.
        view: Blender's view transform and look: how light becomes colour.
        exposure: how much brighter the picture is made, in stops.
        seed: of everything random.
    """

    name: str
    title: str
    shape: dict[str, float] = field(default_factory=dict)
    swell: dict[str, tuple[float, float]] = field(default_factory=dict)
    skin: str = "young_lightskinned_female_diffuse3"
    skin_gain: Colour = (1.0, 1.0, 1.0)
    skin_saturation: float = 1.0
    skin_roughness: float = 0.40
    skin_smooth_px: int = 0
    blush: float = 0.0
    eyes: str = "brownlight_eye"
    eye_gain: float = 0.9
    painted_iris: Iris | None = None
    lip_gain: Colour = (1.0, 1.0, 1.0)
    brow_cover: float = 1.0
    brows: str = "eyebrow001"
    brow_colour: Colour = (1.0, 1.0, 1.0)
    lashes: str = "eyelashes01"
    lash_cover: float = 0.65
    lower_lashes: bool = True
    hair: str = "bob02"
    scalp_grey: float = 45.0
    hair_colour: Colour = (0.1, 0.06, 0.03)
    hair_vary: float = 0.5
    style: Style = field(default_factory=Style)
    sculpt: Sculpt | None = None
    beard: Style | None = None
    undercoat_m: float = 0.003
    undercoat_gain: float = 0.35
    undercoat_plain: bool = False
    fluff: float = 0.0
    shirt: Colour = (0.02, 0.03, 0.045)
    collar_m: float = -0.005
    collar_even: int = 10
    backdrop: tuple[Colour, Colour, Colour] = (
        (0.52, 0.57, 0.60),
        (0.40, 0.43, 0.45),
        (0.93, 0.84, 0.72),
    )
    parting: tuple[float, float] | None = None
    view: tuple[str, str] = ("AgX", "AgX - Medium High Contrast")
    exposure: float = 0.0
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
            "macrodetails/african-male-young": 0.85,
            "macrodetails/caucasian-male-young": 0.25,
            "head/head-oval": 0.3,
            "mouth/mouth-angles-up": 0.35,
            "eyebrows/eyebrows-trans-up": 0.7,
            "cheek/*-cheek-volume-incr": 0.25,
            "eyes/*-eye-scale-incr": 0.45,
            "eyes/*-eye-height2-incr": 0.35,
            "expression/units/caucasian/mouth-corner-puller": 0.45,
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
        collar_even=15,
        exposure=0.2,
        seed=2,
    ),
    "pippa": Person(
        name="pippa",
        title="Pippa",
        shape={
            "macrodetails/caucasian-female-young": 0.75,
            "macrodetails/asian-female-young": 0.25,
            "head/head-round": 0.5,
            "head/head-scale-vert-decr": 0.2,
            "nose/nose-scale-horiz-decr": 0.6,
            "nose/nose-scale-vert-decr": 0.8,
            "nose/nose-scale-depth-decr": 0.5,
            "nose/nose-point-up": 0.5,
            "nose/nose-hump-decr": 0.5,
            "nose/nose-volume-decr": 0.6,
            "chin/chin-width-decr": 0.6,
            "chin/chin-height-decr": 0.3,
            "cheek/*-cheek-volume-incr": 0.5,
            "mouth/mouth-angles-up": 0.6,
            "mouth/mouth-scale-horiz-decr": 0.1,
            "mouth/mouth-lowerlip-volume-incr": 0.3,
            "mouth/mouth-upperlip-volume-incr": 0.3,
            "expression/units/caucasian/mouth-corner-puller": 0.55,
            "expression/units/caucasian/mouth-part-later": -0.22,
            "expression/units/caucasian/eyebrows-left-inner-up": 0.2,
            "expression/units/caucasian/eyebrows-right-inner-up": 0.2,
            "eyebrows/eyebrows-trans-up": 1.2,
            "eyes/*-eye-scale-incr": 0.8,
            "eyes/*-eye-height2-incr": 0.5,
            "ears/*-ear-scale-decr": 0.2,
            "neck/neck-scale-horiz-decr": 0.8,
            "neck/neck-scale-depth-decr": 0.6,
        },
        swell={"l-eye": (0.74, 0.42), "r-eye": (0.74, 0.42)},
        skin_gain=(1.02, 1.0, 0.98),
        skin_saturation=0.85,
        skin_smooth_px=15,
        skin_roughness=0.50,
        blush=0.5,
        painted_iris=Iris(),
        lip_gain=(1.0, 0.72, 0.72),
        brow_colour=(0.07, 0.02, 0.007),
        lash_cover=1.0,
        lower_lashes=False,
        hair_colour=(0.30, 0.075, 0.018),
        sculpt=Sculpt(),
        shirt=(0.62, 0.24, 0.03),
        collar_even=30,
        backdrop=((0.36, 0.62, 0.66), (0.22, 0.42, 0.50), (0.80, 0.90, 0.80)),
        view=("Khronos PBR Neutral", "None"),
        exposure=0.15,
    ),
    "tomas": Person(
        name="tomas",
        title="Tomas",
        shape={
            "macrodetails/caucasian-male-old": 0.5,
            "macrodetails/asian-male-old": 0.1,
            "macrodetails/african-male-old": 0.1,
            "macrodetails/caucasian-male-young": 0.3,
            "head/head-oval": 0.4,
            "mouth/mouth-angles-up": 0.35,
            "mouth/mouth-scale-horiz-decr": 0.2,
            "eyes/*-eye-scale-incr": 0.5,
            "eyes/*-eye-height2-incr": 0.3,
            "eyebrows/eyebrows-trans-up": 0.5,
            "cheek/*-cheek-volume-incr": 0.3,
            "nose/nose-scale-horiz-decr": 0.2,
            "expression/units/caucasian/mouth-corner-puller": 0.5,
            "expression/units/caucasian/mouth-part-later": -0.2,
        },
        skin="old_darkskinned_male_diffuse",
        skin_gain=(1.85, 2.05, 2.1),
        skin_saturation=0.85,
        skin_roughness=0.58,
        eye_gain=0.78,
        brows="eyebrow009",
        brow_cover=0.75,
        brow_colour=(3.6, 3.6, 3.6),
        hair="short01",
        hair_colour=(0.20, 0.195, 0.19),
        hair_vary=1.3,
        style=Style(
            strands=60_000,
            length_m=0.07,
            lift_m=(-0.003, 0.001),
            fray_m=0.001,
            cut_z_m=-0.018,
            locks=2500,
            clump=0.9,
        ),
        beard=Style(
            strands=90_000, length_m=0.006, spread=0.4, fray_m=0.001, radius_m=0.00006, locks=0
        ),
        undercoat_gain=0.3,
        undercoat_plain=True,
        fluff=-0.05,
        shirt=(0.05, 0.12, 0.16),
        collar_even=30,
        backdrop=((0.66, 0.60, 0.52), (0.48, 0.46, 0.43), (0.92, 0.86, 0.76)),
        exposure=0.15,
    ),
}

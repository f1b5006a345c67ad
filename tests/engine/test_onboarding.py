"""From a picture with landmarks to an avatar."""

from itertools import pairwise

import numpy as np
import pytest

from engine.avatar import Avatar, find
from engine.closing import OPEN, closed
from engine.config import EngineConfig
from engine.errors import AvatarError, PortraitError
from engine.frames import Motion
from engine.onboarding import faces, make
from engine.onboarding.anchors import ANCHORS, MOST, anchors, follow
from engine.onboarding.cut import LEAST_PX, MOST_PX, cut, face_px, roll
from engine.onboarding.photo import Photo, read
from engine.onboarding.sample import KINDS, film
from engine.render import guide
from engine.rig import build
from models import facemodel, measures
from models import topology as topo
from tests.engine.draw import draw
from tests.engine.portraits import GREY, ScaledFinder, encoded, photograph, plain_matte

MAYA = find("maya")
AGREED = make.confirmed("mia", "Mia", "a test", "photo.jpg")


def taken(**options: object) -> tuple[Photo, np.ndarray]:
    """A photo of Maya, and where her landmarks are in it, pixels."""
    picture, shares = photograph(MAYA, **options)
    size = np.array([picture.shape[1], picture.shape[0], picture.shape[1]])
    return Photo(picture, None, "JPEG"), (shares * size).astype(np.float32)


def as_maya(landmarks: np.ndarray) -> np.ndarray:
    """How far landmarks are from Maya's, laid over each other in the picture, in face widths."""
    source, target = landmarks[:, :2], MAYA.landmarks[:, :2].astype(np.float64)
    a, b = source - source.mean(0), target - target.mean(0)
    scale = np.sqrt((b**2).sum() / (a**2).sum())
    return np.linalg.norm(a * scale - b, axis=1) / face_px(target)


# Which face


def test_no_face_is_one_clear_error():
    with pytest.raises(PortraitError, match="no face was found"):
        faces.find(MAYA.portrait, ScaledFinder())


def test_several_faces_are_listed_from_left_to_right_with_their_places():
    right, left = (photograph(MAYA, at=at, head_px=500)[1] for at in ((0.8, 0.5), (0.2, 0.5)))
    found = faces.find(np.zeros((900, 1200, 3), np.uint8), ScaledFinder(right, left))
    assert [face.number for face in found] == [1, 2]
    with pytest.raises(PortraitError, match=r"2 faces .* 1 \(left, 183 px wide\), 2 \(right,"):
        faces.choose(found)
    assert faces.choose(found, 2).landmarks[:, 0].min() > 600
    for number in (0, 3, -1):
        with pytest.raises(PortraitError, match=f"face is {number}, expected 1 to 2"):
            faces.choose(found, number)


def test_people_far_behind_are_not_asked_about():
    near, far = photograph(MAYA)[1], photograph(MAYA, head_px=200, at=(0.1, 0.3))[1]
    (only,) = faces.find(np.zeros((900, 1200, 3), np.uint8), ScaledFinder(near, far))
    assert faces.choose([only]) is only


def test_a_tiny_face_is_refused_with_the_limit():
    photo, points = taken(head_px=200)
    shares = points / np.array([1200, 900, 1200])
    with pytest.raises(PortraitError, match="the face is 7[0-9] px wide, expected at least 90"):
        faces.choose(faces.find(photo.rgb, ScaledFinder(shares)))


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        ((60, 0, 0), "turned [56][0-9] degrees to the side, limit 30"),
        ((-45, 0, 0), "turned 4[0-9] degrees to the side, limit 30"),
        ((0, 45, 0), "looks 4[0-9] degrees down, limit 25"),
        ((0, -45, 0), "looks 4[0-9] degrees up, limit 25"),
        ((0, 0, 40), None),
        ((15, 0, 0), None),
    ],
)
def test_a_turned_head_is_refused_with_the_limit(turn, words):
    _, points = taken()
    middle = points.mean(0)
    turned = (points - middle) @ measures.rotation(np.radians(turn)).T + middle
    (face,) = faces.find(
        np.zeros((900, 1200, 3), np.uint8),
        ScaledFinder((turned / np.array([1200, 900, 1200])).astype(np.float32)),
    )
    if words is None:
        assert faces.choose([face]) is face
    else:
        with pytest.raises(PortraitError, match=words):
            faces.choose([face])


def test_a_face_cut_off_by_the_border_is_refused():
    photo, points = taken(at=(0.5, 1.0))
    found = faces.find(photo.rgb, ScaledFinder(points / np.array([1200, 900, 1200])))
    with pytest.raises(PortraitError, match="% of the face lie beyond the picture's border"):
        faces.choose(found)


def test_a_mouth_wide_open_is_refused_with_the_limit():
    _, points = taken()
    points[[*topo.LOWER_LIP, *topo.JAW], 1] += 0.2 * face_px(points)
    shares = points / np.array([1200, 900, 1200])
    with pytest.raises(PortraitError, match=r"the mouth is open by 0\.2\d .*, limit 0\.15"):
        faces.choose(faces.find(np.zeros((900, 1200, 3), np.uint8), ScaledFinder(shares)))


# The square


@pytest.mark.parametrize("tilt", [0.0, 12.0, -25.0])
@pytest.mark.parametrize("head_px", [400, 820])
def test_the_square_has_the_head_upright_with_hair_and_shoulders(tilt, head_px):
    photo, points = taken(tilt=tilt, head_px=head_px)
    square = cut(photo, points)
    side = square.picture.shape[0]
    assert LEAST_PX <= side <= MOST_PX
    assert np.degrees(square.roll) == pytest.approx(tilt, abs=2.0)
    assert abs(np.degrees(roll(square.landmarks))) < 1.5
    assert as_maya(square.landmarks).max() < 0.03
    assert 2.0 <= side / face_px(square.landmarks) <= 3.2
    eyes, chin = square.landmarks[[468, 473], 1].mean(), square.landmarks[topo.CHIN, 1]
    assert 0.3 < eyes / side < 0.56
    assert chin / side < 0.85
    # The pixels went where the landmarks went: eyes are dark in a light face.
    x, y = square.landmarks[468, :2].astype(int)
    cheek = square.landmarks[topo.CHEEKS[0], :2].astype(int)
    assert square.picture[y, x].mean() < square.picture[cheek[1], cheek[0]].mean() - 40


def test_a_small_face_is_hardly_enlarged_and_a_large_one_is_kept_within_bounds():
    photo, points = taken(head_px=260)
    assert cut(photo, points).picture.shape[0] == LEAST_PX
    photo, points = taken(size=(2560, 2400), head_px=2300)
    square = cut(photo, points)
    assert square.picture.shape[0] == MOST_PX
    assert square.enlarged < 1


def test_a_face_near_the_border_is_filled_up_cleanly():
    photo, points = taken(size=(420, 460), head_px=700, at=(0.5, 0.5))
    square = cut(photo, points)
    assert 0.02 < square.lacking < 0.5
    assert any("what is missing was filled in" in words for words in make.warnings(square))
    assert np.abs(square.picture[4, 4].astype(int) - GREY).max() < 12
    avatar = make.avatar_of(square, AGREED, plain_matte)
    assert avatar.landmarks[:, :2].min() >= 0


def test_of_a_cut_out_person_the_alpha_is_the_matte():
    picture, shares = photograph(MAYA)
    alpha = plain_matte(picture)
    rgba = np.concatenate([picture, alpha[..., None]], axis=-1)
    photo = read(encoded(rgba, "PNG"))
    square = cut(photo, shares * np.array([1200, 900, 1200]))

    def asked(picture: np.ndarray) -> np.ndarray:
        raise AssertionError("the picture's own alpha is enough")

    avatar = make.avatar_of(square, AGREED, asked)
    assert avatar.matte[4, 4] == 0
    nose = avatar.landmarks[4, :2].astype(int)
    assert avatar.matte[nose[1], nose[0]] == 255


def test_warnings_say_what_could_be_better():
    photo, points = taken()
    assert make.warnings(cut(photo, points)) == []
    dark = Photo((photo.rgb * 0.15).astype(np.uint8), None, "JPEG")
    assert "The face is dark" in make.warnings(cut(dark, points))[0]
    photo, points = taken(head_px=330)
    assert any("12" in w and "160" in w for w in make.warnings(cut(photo, points)))


# The mouth


@pytest.fixture(scope="module")
def talking() -> tuple[np.ndarray, np.ndarray]:
    """Maya with a wide open mouth: picture and landmarks, teeth showing."""
    rig = build(MAYA, 512, facemodel.load())
    code = np.zeros(len(rig.opening), np.float32)
    code[0] = 2.0
    motion = Motion(0, code)
    moved = guide(rig, motion).landmarks
    points = np.concatenate([moved, rig.landmarks[:, 2:]], 1).astype(np.float64)
    return draw(rig, motion)[0], points


def test_an_open_mouth_is_closed_and_nothing_else_changes(talking):
    picture, points = talking
    assert measures.opening(points[None])[0] > 4 * OPEN
    shut, landmarks = closed(picture, points)
    assert abs(measures.opening(landmarks[None])[0]) < OPEN / 2
    # Its teeth are gone: the mouth is as good as the one that was never open.
    inside = points[[*topo.UPPER_INNER_LIP, *topo.LOWER_INNER_LIP], :2]
    low, high = inside.min(0).astype(int), inside.max(0).astype(int)
    rest = build(MAYA, 512, facemodel.load())
    (wanted,) = draw(rest, Motion(0, np.zeros(6, np.float32)))
    window = slice(low[1] - 4, high[1] + 20), slice(low[0], high[0])
    off = [np.abs(one[window].astype(int) - wanted[window]).mean() for one in (picture, shut)]
    assert off[1] < 0.5 * off[0]
    eyes = slice(0, int(points[topo.UPPER_LIDS[0], 1].max()) + 10)
    assert np.abs(shut[eyes].astype(int) - picture[eyes]).max() <= 3


def test_a_shut_mouth_is_left_as_it_is():
    points = MAYA.landmarks.astype(np.float64)
    picture, landmarks = closed(MAYA.portrait, points)
    assert picture is MAYA.portrait
    assert landmarks is points


# Dragging


def test_an_anchor_arrives_where_it_was_dragged_and_the_rest_stays():
    points = MAYA.landmarks.astype(np.float64)
    x, y = anchors(points)["left_mouth"]
    moved = follow(points, {"left_mouth": (x - 20, y + 5)})
    assert anchors(moved)["left_mouth"] == pytest.approx((x - 20, y + 5), abs=0.5)
    for name in set(ANCHORS) - {"left_mouth"}:
        assert anchors(moved)[name] == pytest.approx(anchors(points)[name], abs=0.5)
    way = np.linalg.norm((moved - points)[:, :2], axis=1)
    assert way[topo.FOREHEAD] < 0.2
    assert way[topo.UPPER_LIP].max() > 8
    assert way.max() < 25


def test_anchors_that_agree_take_the_whole_face_along():
    points = MAYA.landmarks.astype(np.float64)
    turn = np.radians(7)
    spin = 1.1 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    goal = points[:, :2] @ spin.T + np.array([30.0, -60.0])
    wanted = {name: tuple(goal[index]) for name, (index, *_) in ANCHORS.items()}
    moved = follow(points, wanted)
    assert np.linalg.norm(moved[:, :2] - goal, axis=1).max() < 0.06 * face_px(points)


def test_an_anchor_is_not_dragged_off_the_face():
    points = MAYA.landmarks.astype(np.float64)
    x, y = anchors(points)["chin"]
    with pytest.raises(PortraitError, match=f"chin was dragged by .* widths, limit {MOST}"):
        follow(points, {"chin": (x, y + 300)})
    with pytest.raises(PortraitError, match="chin was dragged"):
        follow(points, {"chin": (float("nan"), y)})
    with pytest.raises(PortraitError, match="anchor 'ear' is unknown"):
        follow(points, {"ear": (1.0, 1.0)})


# The avatar


def test_a_photographed_avatar_comes_back_as_itself(tmp_path):
    photo, points = taken(tilt=8.0)
    avatar = make.avatar_of(cut(photo, points), AGREED, plain_matte)
    loaded = Avatar.load(avatar.save(tmp_path))
    assert as_maya(loaded.landmarks).max() < 0.03
    info = loaded.info
    assert (info.title, info.licence, info.author) == ("Mia", "private", "a test")
    assert "a test confirmed at 20" in info.consent
    assert info.created[:10] in info.consent
    nose = loaded.landmarks[4, :2].astype(int)
    assert loaded.matte[nose[1], nose[0]] == 255
    assert loaded.matte[4, 4] == 0


def test_a_bad_name_is_told_before_anything_is_written(tmp_path):
    photo, points = taken()
    info = make.confirmed("../mia", "Mia", "a test", "photo.jpg")
    with pytest.raises(AvatarError, match="is not valid"):
        make.avatar_of(cut(photo, points), info, plain_matte)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_sample_is_a_film_with_sound(kind, tmp_path):
    import av

    path = tmp_path / f"film.{kind}"
    path.write_bytes(film(MAYA, EngineConfig(size_px=256, steps=0), kind))
    with av.open(str(path)) as made:
        pictures = [frame.to_ndarray(format="gray") for frame in made.decode(video=0)]
    with av.open(str(path)) as made:
        sound = np.concatenate([f.to_ndarray().ravel() for f in made.decode(audio=0)])
    assert len(pictures) == 81
    assert np.abs(sound.astype(float)).max() > 0.05
    moved = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(pictures)]
    assert max(moved) > 0.2


def test_a_film_of_no_known_kind_is_refused():
    with pytest.raises(PortraitError, match="kind of film is 'gif', expected one of mp4, webm"):
        film(MAYA, EngineConfig(), "gif")

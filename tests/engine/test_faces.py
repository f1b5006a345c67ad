"""Faces and landmarks found in real pictures: the built-in avatars, stills and paintings."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine import landmarker
from engine.avatar import find, names
from engine.errors import BackendError
from engine.faces import open_finder
from engine.landmarker import MEMBER, ROOM, Landmarker
from models import faces, opencv
from models import topology as topo
from models.faces import Frame, crop, frame_of, planes
from models.train.landmarks import pack

ROOT = Path(__file__).parents[2]
ENOUGH = 0.04
"""Mean error of the landmarks, in distances of the eyes."""


@pytest.fixture(scope="module")
def finder():
    return open_finder()


def rgb(path):
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def error(points, truth):
    return np.linalg.norm((points - truth)[:, :2], axis=1).mean() / pack.eyes_px(truth)


@pytest.mark.parametrize("name", names())
def test_an_avatars_landmarks_are_found(finder, name):
    avatar = find(name)
    (face,) = finder.find(avatar.portrait)
    assert face.landmarks.shape == (478, 3) and face.landmarks.dtype == np.float32
    assert face.score > 0.65
    assert error(face.landmarks, avatar.landmarks) < ENOUGH
    deep = face.landmarks[:, 2] - avatar.landmarks[:, 2]
    assert np.abs(deep - deep.mean()).mean() < 0.1 * pack.eyes_px(avatar.landmarks)
    nose, ear = face.landmarks[1, 2], face.landmarks[topo.FACE_SIDES[0], 2]
    assert nose < ear  # z grows away from the camera


@pytest.mark.parametrize("degrees", [-150, -90, -40, 20, 90, 180])
def test_a_turned_picture_turns_the_landmarks(finder, avatar, degrees):
    side = avatar.portrait.shape[0]
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
    rim = cv2.BORDER_REPLICATE
    picture = cv2.warpAffine(avatar.portrait, turn, (side, side), borderMode=rim)
    truth = avatar.landmarks.copy()
    truth[:, :2] = truth[:, :2] @ turn[:, :2].T + turn[:, 2]
    best = min(finder.find(picture), key=lambda face: error(face.landmarks, truth))
    assert error(best.landmarks, truth) < 1.5 * ENOUGH


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: np.repeat(p.mean(2, keepdims=True), 3, 2), id="gray"),
        pytest.param(lambda p: p * 0.35, id="dark"),
        pytest.param(lambda p: cv2.GaussianBlur(p, (0, 0), 5), id="blurred"),
        pytest.param(lambda p: np.round(p / 64) * 64, id="posterised"),
    ],
)
def test_light_and_style_do_not_hide_a_face(finder, avatar, change):
    picture = change(avatar.portrait.astype(np.float32)).clip(0, 255).astype(np.uint8)
    face = finder.find(picture)[0]
    assert error(face.landmarks, avatar.landmarks) < 1.5 * ENOUGH


def test_several_faces_come_the_largest_first(finder):
    canvas = np.full((900, 1400, 3), 120, np.uint8)
    placed = [(names()[0], 640, 40, 60), (names()[-1], 320, 800, 100), (names()[0], 130, 900, 600)]
    truths = []
    for name, side, left, top in placed:
        avatar = find(name)
        scale = side / avatar.portrait.shape[0]
        small = cv2.resize(avatar.portrait, (side, side), interpolation=cv2.INTER_AREA)
        canvas[top : top + side, left : left + side] = small
        truths.append(avatar.landmarks * scale + np.array([left, top, 0], np.float32))
    found = finder.find(canvas)
    assert len(found) == len(placed)
    sizes = [frame_of(face.landmarks).size for face in found]
    assert sizes == sorted(sizes, reverse=True)
    for face, truth in zip(found, truths, strict=True):
        assert error(face.landmarks, truth) < 2 * ENOUGH
    assert len(finder.find(canvas, most=1)) == 1


def test_a_face_in_a_corner_of_a_large_picture_is_found(finder, avatar):
    canvas = np.full((1500, 2000, 3), 90, np.uint8)
    small = cv2.resize(avatar.portrait, (180, 180), interpolation=cv2.INTER_AREA)
    canvas[1300:1480, 1800:1980] = small
    (face,) = finder.find(canvas)
    scale = 180 / avatar.portrait.shape[0]
    truth = avatar.landmarks * scale + np.array([1800, 1300, 0], np.float32)
    assert error(face.landmarks, truth) < 2 * ENOUGH


def test_no_face_is_found_where_none_is(finder, avatar):
    rng = np.random.default_rng(5)
    clouds = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (500, 400))
    noise = rng.integers(0, 256, (300, 300, 3), np.uint8)
    page = np.full((600, 500, 3), 245, np.uint8)
    for row in range(12):
        cv2.putText(page, "Lorem ipsum dolor 08:36", (20, 50 + 45 * row), 0, 1.0, (30, 30, 30), 2)
    wiped = avatar.portrait.copy()
    hull = cv2.convexHull(avatar.landmarks[:, :2].astype(np.int32))
    cv2.fillConvexPoly(wiped, hull, [int(c) for c in avatar.portrait[hull[0, 0, 1], hull[0, 0, 0]]])
    for picture in (clouds, noise, page, wiped, np.zeros((256, 256, 3), np.uint8)):
        assert finder.find(picture) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (17, 23)])
def test_any_shape_of_picture_is_looked_at(finder, shape):
    assert finder.find(np.full((*shape, 3), 128, np.uint8)) == []


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.float32)],
)
def test_what_is_no_picture_is_refused(finder, wrong):
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8"):
        finder.find(wrong)


def test_a_face_is_followed_until_it_is_gone(finder, avatar):
    side = avatar.portrait.shape[0]
    before = finder.find(avatar.portrait)[0].landmarks
    for step in range(1, 6):
        move = np.float32([[1, 0, 8 * step], [0, 1, -4 * step]])
        rim = cv2.BORDER_REPLICATE
        picture = cv2.warpAffine(avatar.portrait, move, (side, side), borderMode=rim)
        face = finder.follow(picture, before)
        assert face is not None
        truth = avatar.landmarks + np.float32([8 * step, -4 * step, 0])
        assert error(face.landmarks, truth) < ENOUGH
        before = face.landmarks
    assert finder.follow(np.full_like(avatar.portrait, 100), before) is None
    with pytest.raises(ValueError, match=r"landmarks are \(468, 3\)"):
        finder.follow(avatar.portrait, before[:468])


@pytest.mark.parametrize("backend", ["onnxruntime", "torch", "opencv"])
def test_every_backend_finds_the_same(finder, avatar, backend):
    if backend != "opencv":
        pytest.importorskip(backend)
    other = opencv.open_finder() if backend == "opencv" else open_finder(backend)
    ours, theirs = finder.find(avatar.portrait), other.find(avatar.portrait)
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        assert np.abs(one.landmarks - two.landmarks).max() < 0.5
        assert abs(one.score - two.score) < 0.01


def test_a_frame_goes_in_and_out(avatar):
    frame = frame_of(avatar.landmarks)
    back = frame.out(frame.into(avatar.landmarks))
    assert np.abs(back - avatar.landmarks).max() < 1e-2
    inside = frame.into(avatar.landmarks)[:, :2]
    low, high = inside.min(0), inside.max(0)
    assert np.allclose((low + high) / 2, 0.5, atol=1e-3)
    assert (high - low).max() == pytest.approx(1 / faces.ROOM, rel=1e-3)


def test_a_crop_is_smooth_from_a_large_picture():
    fine = np.zeros((2000, 2000, 3), np.uint8)
    fine[::2] = 255
    made = crop(fine, Frame(1000, 1000, 1200, 0.3))
    assert made.shape == (faces.CROP_PX, faces.CROP_PX, 3)
    assert np.abs(made.astype(int) - 128).max() < 30


@pytest.mark.shared
def test_stills_of_people_never_trained_on(finder, shared_data):
    folder = shared_data / "stills"
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    order = {who: at for at, who in enumerate(sorted({row["identity"] for row in rows}))}
    kept = [row for row in rows if order[row["identity"]] % pack.TEST_EVERY == 0][::3]
    missed = 0
    for row in kept:
        found = finder.find(rgb(folder / row["path"]))
        boxes = [(*f.landmarks[:, :2].min(0), *f.landmarks[:, :2].max(0)) for f in found]
        missed += len(found) != 1 or shared_area(boxes[0], row["box"]) < 0.6
    assert len(kept) > 20 and missed <= 0.02 * len(kept)


def shared_area(one, other):
    """Intersection over union of two boxes (left, top, right, bottom)."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = np.prod(np.maximum(high - low, 0))
    area = [np.prod(np.subtract(b[2:], b[:2])) for b in (one, other)]
    return both / (sum(area) - both)


@pytest.mark.shared
def test_a_face_is_found_in_photographs_paintings_and_drawings(finder, shared_data):
    portraits = sorted(p for p in (shared_data / "portraits").rglob("*") if p.is_file())
    missed = [p.name for p in portraits if not finder.find(rgb(p))]
    assert len(portraits) >= 15 and not missed


def wheel_model():
    """MediaPipe's landmark network without irises, out of the wheel of `make venv-label`."""
    here = (ROOT / ".venv-label").glob("lib/*/site-packages/mediapipe/modules/face_landmark")
    found = [p / "face_landmark.tflite" for p in here]
    if not found:
        pytest.skip("no .venv-label with MediaPipe is here")
    return found[0]


@pytest.mark.parametrize("name", names())
def test_mediapipes_landmarks_are_read(name):
    model = Landmarker(wheel_model(), count=468)
    avatar = find(name)
    frame = frame_of(avatar.landmarks)
    grown = frame._replace(size=frame.size * ROOM / faces.ROOM)
    said = model.run({"picture": planes(crop(avatar.portrait, grown, model.crop_px))})
    truth = avatar.landmarks[:468]
    points = grown.out(said["points"][0])
    assert said["score"].item() > 0.9
    off = np.linalg.norm((points - truth)[:, :2], axis=1).mean() / pack.eyes_px(avatar.landmarks)
    assert off < ENOUGH


def test_a_network_of_mediapipes_own_ports_is_read(tmp_path, monkeypatch):
    """Any number of pictures in; landmarks, the face's flag and the tongue's out."""
    openvino = pytest.importorskip("openvino")
    ops = openvino.opset13
    picture = ops.parameter([-1, 256, 256, 3], np.float32, "picture")
    middle = ops.reduce_mean(picture, np.array([1, 2, 3]), True)
    outs = [ops.add(middle, np.zeros((1, 1, 1, n), np.float32)) for n in (3 * 478, 1)]
    tongue = ops.reshape(ops.negative(middle), np.array([-1, 1]), False)
    made = openvino.compile_model(openvino.Model([*outs, tongue], [picture]), "CPU")
    monkeypatch.setattr(landmarker, "compile_model", lambda path, threads: made)
    (tmp_path / "face.tflite").touch()
    model = Landmarker(tmp_path / "face.tflite")
    said = model.run({"picture": np.full((1, 3, 256, 256), 0.5, np.float32)})
    assert model.crop_px == 256 and said["points"].shape == (1, 478, 3)
    assert said["points"][0, 0, 0] == pytest.approx(0.5 / 256)
    assert said["score"].item() == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_a_landmarker_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(BackendError, match="no such file"):
        open_finder(landmarker=tmp_path / "face_landmarker.task")
    junk = tmp_path / "junk.task"
    junk.write_bytes(b"no zip")
    with pytest.raises(BackendError, match="no Face Landmarker file"):
        open_finder(landmarker=junk)
    with zipfile.ZipFile(tmp_path / "hands.task", "w") as archive:
        archive.writestr("hand_detector.tflite", b"")
    with pytest.raises(BackendError, match=r"hand_detector.*expected face_landmarks_detector"):
        open_finder(landmarker=tmp_path / "hands.task")


def test_a_landmarker_without_irises_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "old.task", "w") as archive:
        archive.write(wheel_model(), MEMBER)
    with pytest.raises(BackendError, match="gives 468 landmarks, expected 478"):
        open_finder(landmarker=tmp_path / "old.task")

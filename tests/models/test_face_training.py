"""What the face networks are trained on: the targets say where faces and landmarks are."""

import cv2
import numpy as np
import pytest

from models import facemodel
from models.faces import Frame, crop, frame_of, read_map

torch = pytest.importorskip("torch")

from models.nets.faces import DETECTOR, Detector, FacesConfig, Regressor  # noqa: E402
from models.train.landmarks import augment, crops, doubt, fit, pack, scenes  # noqa: E402
from models.train.landmarks.bank import Bank  # noqa: E402

RNG = np.random.default_rng(3)


def drawn(seed: int) -> pack.Item:
    """A plain face on its landmarks, the picture's dots where they are."""
    rng = np.random.default_rng(seed)
    frame = Frame(*rng.uniform(120, 160, 2), rng.uniform(90, 120), rng.uniform(-0.4, 0.4))
    neutral = facemodel.load().neutral
    points = frame.out(frame_of(neutral).into(neutral))
    picture = np.full((290, 270, 3), 40, np.uint8)
    for x, y, _ in points:
        cv2.circle(picture, (int(x), int(y)), 2, (250, 240, 230), -1)
    return pack.Item(picture, points, "still", seed == 0)


@pytest.fixture(scope="module")
def items():
    clouds = cv2.resize(RNG.integers(0, 255, (9, 9, 3), np.uint8), (320, 320))
    empty = pack.Item(clouds, np.zeros((478, 3), np.float32), "none")
    return [drawn(i) for i in range(6)] + [empty]


@pytest.fixture(scope="module")
def bank(items):
    return Bank.of(items, torch.device("cpu"), {"still": 1.0})


def test_a_pack_gives_back_what_went_in(items, tmp_path):
    pack.write(tmp_path / "pack.npz", items, 90)
    back = pack.read(tmp_path / "pack.npz")
    assert [i.kind for i in back] == [i.kind for i in items]
    assert [i.valid for i in back] == [i.valid for i in items]
    for old, new in zip(items, back, strict=True):
        assert np.abs(new.picture.astype(int) - old.picture).mean() < 8
        assert np.abs(new.landmarks - old.landmarks).max() < 0.6


def test_a_pack_keeps_the_piece_around_a_large_face():
    big = drawn(2)
    picture = cv2.resize(big.picture, None, fx=4, fy=4)
    item = pack.cut(picture, big.landmarks * 4, "still")
    assert frame_of(item.landmarks).size == pytest.approx(pack.FACE_PX, rel=0.02)
    assert max(item.picture.shape[:2]) <= pack.SPAN * pack.FACE_PX + 2
    x, y = item.landmarks[13, :2].astype(int)
    assert item.picture[y, x].min() > 150


def test_landmarks_move_as_their_pictures_do(bank):
    config = crops.CropConfig(none=0, astray=0, covered=0, bent=1, bend=0.03, tilted=0.5)
    torch.manual_seed(0)
    plain_styles, plain_camera = augment.STYLES, augment.CAMERA
    try:
        augment.STYLES = augment.CAMERA = ()
        batch = crops.draw(bank, 32, config)
    finally:
        augment.STYLES, augment.CAMERA = plain_styles, plain_camera
    at = batch.points[..., :2] * 2 - 1
    seen = torch.nn.functional.grid_sample(batch.picture, at[:, None], align_corners=False)
    inside = (at.abs() < 0.95).all(-1)
    bright = seen[:, :, 0].mean(1)[inside]
    assert inside.float().mean() > 0.8
    assert (bright > 0.6).float().mean() > 0.97


def test_a_plain_crop_is_the_one_that_is_served(items, bank):
    batch = crops.plain(bank, jitter=0.0)
    for at in range(6):
        made = batch.picture[at].permute(1, 2, 0).numpy() * 255
        frame = frame_of(items[at].landmarks)
        served = crop(items[at].picture, frame)
        assert np.abs(made - served).mean() < 2
        there = frame.into(items[at].landmarks)
        assert np.abs(batch.points[at].numpy() - there).max() < 1e-3


def test_the_detectors_map_is_read_as_it_is_written(bank):
    torch.manual_seed(1)
    batch = scenes.draw(bank, 12, scenes.SceneConfig(turned=0.5))
    heat, _, rest, _ = scenes.targets(batch)
    maps = torch.cat([torch.logit(heat, 1e-6)[:, None], rest], 1).numpy()
    missed = 0
    for said, faces, there in zip(maps, batch.faces.numpy(), batch.there.numpy(), strict=True):
        found = [frame for _, frame in read_map(said)]
        for x, y, size, roll in faces[there > 0]:
            near = [f for f in found if np.hypot(f.x - x, f.y - y) < 0.02 * size + 0.1]
            fits = [f for f in near if f.size == pytest.approx(size, rel=0.01)]
            turned = [f for f in fits if abs(np.exp(1j * f.roll) - np.exp(1j * roll)) < 0.01]
            missed += not turned
    assert (batch.there > 0).sum() > 10
    assert missed <= 1  # two faces may share a cell


def test_every_change_keeps_a_picture(bank):
    picture = bank.nothing(6, 64)
    assert picture.shape == (6, 3, 64, 64)
    for _, change in augment.STYLES + augment.CAMERA:
        made = change(picture)
        assert made.shape == picture.shape
        assert made.min() >= 0 and made.max() <= 1


def test_a_run_ends_by_the_clock_and_goes_on(items, tmp_path):
    pack.write(tmp_path / "pack.npz", items, 90)
    tiny = FacesConfig((8, 8, 8, 8, 8), (1, 1, 1, 1), 8)
    for which in ("landmarks", "detector"):
        config = fit.TrainConfig(0.05, 6, kinds=(("still", 1.0),), net=tiny)
        run = fit.train(which, tmp_path / "pack.npz", tmp_path / which, config, "cpu")
        steps = run.resume()["step"]
        assert steps > 0
        again = fit.train(which, tmp_path / "pack.npz", tmp_path / which, config, "cpu")
        assert again.resume()["step"] == steps
        net = Detector(tiny) if which == "detector" else Regressor(tiny)
        net.load_state_dict(run.weights())


def test_the_score_alone_is_fitted_anew(bank):
    torch.manual_seed(2)
    tiny = FacesConfig((8, 8, 8, 8, 8), (1, 1, 1, 1), 8)
    net, seeker = Regressor(tiny), Detector(tiny)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    figures = doubt.fit(net, seeker, bank, doubt.DoubtConfig(rounds=3, batch=12, steps=60))
    assert figures["faces"] > 0 and figures["others"] > 0
    moved = {n for n, v in net.state_dict().items() if not torch.equal(v, before[n])}
    assert moved and all(name.startswith("score.") for name in moved)


def test_a_detector_is_asked_about_faces_and_what_it_takes_for_one(bank):
    torch.manual_seed(4)
    batch = scenes.draw(bank, 12, scenes.SceneConfig(turned=0))
    heat, _, rest, _ = scenes.targets(batch)
    maps = torch.cat([torch.logit(heat, 1e-6)[:, None], rest], 1)
    maps[:, :, 0, 0] = torch.tensor([3.0, 0, 0, 1, 1, 0])  # a false face in every corner
    found = list(doubt.asked(lambda _: maps, batch))
    assert sum(said for _, said in found) >= 0.8 * (batch.there > 0).sum()
    assert sum(1 - said for _, said in found) >= 8


def test_what_cannot_be_trained_is_refused(items, tmp_path):
    pack.write(tmp_path / "pack.npz", items, 90)
    config = fit.TrainConfig(0.01, 4, net=DETECTOR)
    with pytest.raises(ValueError, match="no clip in it"):
        fit.train("detector", tmp_path / "pack.npz", tmp_path / "run", config, "cpu")
    with pytest.raises(ValueError, match="network 'eyes' is unknown"):
        fit.train("eyes", tmp_path / "pack.npz", tmp_path / "run", config, "cpu")

"""Figures of pictures, and a portrait that follows landmarks."""

import av
import cv2
import numpy as np
import pytest

from bench.quality.clips import Talk
from bench.reenact import measure, pictures, samples, stills
from bench.reenact.footage import Film
from bench.reenact.sitter import SIDE_PX, Frame, Sitter
from engine.config import EngineConfig
from models import topology as topo
from models import window
from models.train.render.samples import ROOM_PX, Samples
from tests.engine.faces import plain_avatar

WHOLE = np.ones((64, 64), np.float32)


def grain(seed=0, side=64):
    noise = np.random.default_rng(seed).uniform(0, 255, (side, side, 3))
    return cv2.GaussianBlur(noise, (0, 0), 2).round().astype(np.uint8)


def test_psnr_is_that_of_the_error_in_the_region():
    one = np.full((64, 64, 3), 100, np.uint8)
    other = one.copy()
    other[:32] += 10
    below = np.zeros((64, 64), np.float32)
    below[32:] = 1
    assert pictures.psnr(one, other, 1 - below) == pytest.approx(10 * np.log10(255**2 / 100))
    assert pictures.psnr(one, other, below) > 100
    half = pictures.psnr(one, other, WHOLE)
    assert half == pytest.approx(10 * np.log10(255**2 / 50))


def test_ssim_is_one_for_the_same_and_falls_with_noise_and_blur():
    picture = grain()
    noisy = np.clip(picture + np.random.default_rng(1).normal(0, 12, picture.shape), 0, 255)
    same = pictures.ssim(picture, picture, WHOLE)
    worn = pictures.ssim(noisy.astype(np.uint8), picture, WHOLE)
    blurred = pictures.ssim(cv2.GaussianBlur(picture, (0, 0), 3), picture, WHOLE)
    assert same == pytest.approx(1) and blurred < 0.9 and worn < 0.9


def test_sharpness_falls_with_blur():
    blocks = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    picture = cv2.resize(blocks, (128, 128), interpolation=cv2.INTER_NEAREST)
    soft = [picture, *(cv2.GaussianBlur(picture, (0, 0), s) for s in (1, 3))]
    energies = [pictures.energy(p) for p in soft]
    detected = [pictures.cpbd(p) for p in soft]
    assert energies[0] > 2 * energies[1] > 4 * energies[2]
    assert detected[0] > detected[1] > detected[2]


@pytest.fixture(scope="module")
def sitter():
    avatar = plain_avatar()
    frame = Frame.of(avatar.landmarks.astype(np.float64))
    points = frame.points(avatar.landmarks.astype(np.float64))
    return Sitter(frame.picture(avatar.portrait), points)


def opened(points, by):
    out = points.copy()
    out[topo.LOWER_LIP, 1] += by
    out[topo.JAW, 1] += by
    return out


def test_a_frame_lays_a_face_of_any_size_at_one_size():
    landmarks = plain_avatar().landmarks.astype(np.float64)
    frame = Frame.of(landmarks)
    sides = frame.points(landmarks)[list(topo.FACE_SIDES), :2]
    assert np.linalg.norm(sides[0] - sides[1]) == pytest.approx(window.FACE_PX)
    big = cv2.resize(plain_avatar().portrait, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    a, b = frame.picture(plain_avatar().portrait), Frame.of(landmarks * 2).picture(big)
    assert np.abs(a.astype(int) - b).mean() < 1.0


def test_a_sitter_that_does_not_move_is_its_portrait(sitter):
    drawn = sitter.follow(sitter.points)
    assert np.abs(drawn.astype(int) - sitter.picture).max() <= 2


def test_every_landmark_arrives(sitter):
    target = opened(sitter.points, 12.0)
    (guided,) = sitter.lead(target).guided
    np.testing.assert_allclose(guided.landmarks, target[:, :2], atol=0.05)
    mouth = np.rint((target[13, :2] + target[14, :2]) / 2).astype(int)
    inside = sitter.follow(target)[mouth[1], mouth[0]].astype(int)
    assert np.abs(inside - sitter.picture[mouth[1], mouth[0]]).max() > 20


def test_a_mouth_that_is_warped_shut_meets(sitter):
    wide = opened(sitter.points, 10.0)
    shut, points = stills.shut(sitter.follow(wide), wide, None, np.zeros(3))
    assert shut.shape == (SIDE_PX, SIDE_PX, 3)
    np.testing.assert_allclose(
        points[topo.UPPER_INNER_LIP, :2], points[topo.LOWER_INNER_LIP, :2], atol=1e-6
    )


def test_samples_hold_what_was_drawn(sitter, tmp_path):
    target = opened(sitter.points, 10.0)
    truth = sitter.follow(target)
    shut = samples.Shot(sitter.picture, sitter.points)
    made = samples.made([sitter], [(0, samples.Shot(truth, target)), (0, shut)])
    made.save(tmp_path / "one.npz")
    both = Samples.join([Samples.load(tmp_path / "one.npz"), made])
    assert len(both) == 4 and both.of.tolist() == [0, 0, 1, 1]
    assert both.warp.shape == (4, ROOM_PX, ROOM_PX, 3)
    is_open = both.openness()
    assert is_open[0] > 0.5 and is_open[1] == 0
    assert both.taken(np.flatnonzero(is_open)).of.tolist() == [0, 1]
    cover = both.plates[0, ..., 3:] / 255
    guide = both.warp[0] + cover * (both.plates[0, ..., :3] - both.warp[0].astype(float))
    assert np.abs(guide - both.truth[0]).mean() < 0.5  # the truth here is the guide itself


def test_a_file_that_lacks_an_array_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", of=np.zeros(1))
    with pytest.raises(ValueError, match=r"x\.npz: array 'portrait' is missing"):
        Samples.load(tmp_path / "x.npz")


def test_windows_reach_beyond_the_picture():
    picture = grain()
    window_at = samples.at(picture, (-8, 60), 16)
    assert (window_at[:, :8] == picture[[60, 61, 62, 63] + [63] * 12, :1]).all()


@pytest.fixture(scope="module")
def film(sitter, tmp_path_factory):
    """A second of the sitter's mouth opening and closing, as footage, and its landmarks."""
    path = tmp_path_factory.mktemp("film") / "me.mp4"
    ways = [opened(sitter.points, 6 * (1 - np.cos(i / 4))) for i in range(30)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for points in ways:
            frame = av.VideoFrame.from_ndarray(sitter.follow(points), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path, np.stack(ways)


def test_pictures_of_a_film_have_their_landmarks(film, sitter):
    path, labels = film
    found = Film.open(path)
    # Where the jaw turns back a picture hardly differs from the one before: it may count as one.
    assert len(found.times) == 30 and found.fresh.sum() >= 28
    np.testing.assert_allclose(found.points(labels), labels, atol=1e-3)
    assert found.usable(np.arange(30) < 10).tolist() == [True] * 10 + [False] * 20
    assert not found.usable(np.ones(5, bool))[5:].any()
    seen = found.see({3, 29})
    assert np.abs(seen[3].astype(int) - sitter.follow(labels[3])).mean() < 4


def test_a_clip_is_drawn_in_every_way(film, speech, tmp_path):
    path, labels = film
    sound = speech[::3][: 30 * 640].astype(np.float32) / 32768
    talk = Talk("me", "me.mp4", labels, np.ones(30, bool), sound, tmp_path)
    drawn = measure.draw(talk, path, [1, 2], 0.6, EngineConfig())
    assert len(drawn) in (13, 14, 15)
    assert list(drawn[0].windows) == ["copy", "warp", "guide", "1 step", "2 steps", "true"]
    found = measure.figures(drawn)
    # The film is the guide's own: nothing comes nearer to it, and the network stays in the mouth.
    assert found["guide"]["mouth_db"] > 30 > found["copy"]["mouth_db"]
    assert found["1 step"]["gain_db"] < 0 and found["1 step"]["window_ssim"] > 0.8
    measure.sheet(tmp_path / "sheet.png", {"me": drawn})
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (24 + 6 * 128, 6 * 128, 3)


def test_figures_of_drawn_pictures(sitter):
    lips = window.region(sitter.points, (0, 0), (128, 128), window.FACE_PX)
    drawn = []
    for index in range(4):
        truth = grain(index, 128)
        near = cv2.GaussianBlur(truth, (0, 0), 0.8)
        far = cv2.GaussianBlur(truth, (0, 0), 3)
        windows = {measure.GUIDE: far, "1 step": near, measure.TRUE: truth}
        points = sitter.points + (index > 1) * 5 * index
        drawn.append(measure.Drawn(index, points, windows, windows, lips * 0 + 1, lips * 0 + 1))
    found = measure.figures(drawn)
    assert found["1 step"]["gain_db"] > 3 and found[measure.GUIDE]["gain_db"] == 0
    assert found[measure.GUIDE]["sharp"] < found["1 step"]["sharp"] < 1
    assert found["1 step"]["mouth_ssim"] > found[measure.GUIDE]["mouth_ssim"]
    assert measure.TRUE not in found
    likeness = [pictures.ssim(d.faces["1 step"], d.faces["true"], d.face) for d in drawn]
    assert found["1 step"]["kept"] == pytest.approx(likeness[-1] / likeness[0])
    # The first two pictures alone show a still head.
    true, made = (pictures.change(*(d.windows[n] for d in drawn[:2])) for n in ("true", "1 step"))
    assert found["1 step"]["still_flicker"] == pytest.approx(made / true, rel=1e-6)

"""The matting network and its training: packs, what is drawn from them, learning, going on."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.nets.matte import SIDE_PX, MatteConfig, MatteNet  # noqa: E402
from models.train.matte import colours, fit, pack, score  # noqa: E402
from models.train.matte.augment import Sampler, Variety  # noqa: E402
from models.train.matte.camera import photographed  # noqa: E402

TINY = MatteConfig((8, 8, 8, 8, 16), 1, 4, 2)
CPU = torch.device("cpu")


def portrait(number, kind="still", held=False, size=(300, 280)):
    """A bright disc on a dark ground, with its exact matte."""
    dice = np.random.default_rng(number)
    matte = np.zeros(size, np.uint8)
    place = int(dice.integers(110, 170)), int(dice.integers(130, 170))
    cv2.circle(matte, place, int(dice.integers(60, 100)), 255, -1, cv2.LINE_AA)
    front, back = dice.integers(190, 256, 3), dice.integers(0, 60, 3)
    share = matte[..., None] / 255
    picture = np.rint(share * front + (1 - share) * back).astype(np.uint8)
    return pack.Labelled(f"{kind}{number}", kind, held, picture, matte)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    items = [portrait(n) for n in range(6)] + [portrait(n, "head") for n in range(6, 9)]
    items += [portrait(9, held=True), portrait(10, "head", held=True)]
    path = tmp_path_factory.mktemp("pack") / "pack.npz"
    counts = pack.write(path, items, 90)
    assert counts["still"] == 6 and counts["head"] == 3 and counts["still held out"] == 1
    return items, pack.read(path)


def test_a_pack_gives_back_what_was_put_in(packed):
    items, found = packed
    assert found.pictures.shape == (11, 3, SIDE_PX, SIDE_PX)
    assert found.held.sum() == 2
    by_name = {item.name: item for item in items}
    for at, name in enumerate(found.names):
        item = by_name[name]
        assert pack.KINDS[found.kinds[at]] == item.kind and found.held[at] == item.held
        wanted = pack.boxed(item.picture).astype(float).transpose(2, 0, 1)
        assert np.abs(found.pictures[at] - wanted).mean() < 6
        assert np.abs(found.mattes[at, 0] - pack.boxed(item.matte).astype(float)).mean() < 3


def test_a_picture_is_boxed_with_its_rims_drawn_out():
    wide = np.zeros((100, 200, 3), np.uint8)
    wide[:50], wide[50:] = 40, 90
    found = pack.boxed(wide)
    assert found.shape == (SIDE_PX, SIDE_PX, 3)
    assert (found[:70] == 40).all() and (found[-70:] == 90).all()


def test_a_file_that_is_no_pack_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"no pack of portraits, it holds \['a'\]"):
        pack.read(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="1 labelled pictures, none of them to train on"):
        pack.write(tmp_path / "pack.npz", [portrait(0, held=True)], 80)


def test_labels_are_read_and_the_doubtful_left_out(tmp_path):
    rows = []
    for number in range(12):
        item = portrait(number)
        name = f"a{number:02}.jpg" if number < 11 else "film_lieu.mp4@40"
        laid = np.dstack([item.picture[..., ::-1], item.matte])
        cv2.imwrite(str(tmp_path / f"{name}.png"), laid)
        rows.append(f"{name},{50.0 if number == 3 else 2.0},0.000\n")
    (tmp_path / "figures.csv").write_text("".join(rows))
    found = {item.name: item for item in pack.labelled(tmp_path, frozenset({"a05.jpg"}))}
    assert set(found) == {r.split(",")[0] for r in rows} - {"a03.jpg", "a05.jpg"}
    assert {n for n, item in found.items() if item.held} == {
        "a00.jpg",
        "a10.jpg",
        "film_lieu.mp4@40",
    }
    assert (found["a01.jpg"].picture == portrait(1).picture).all()


def test_batches_vary_and_keep_to_their_ranges(packed):
    _, found = packed
    sampler = Sampler(found, Variety(), CPU, seed=1)
    picture, alpha = sampler.draw(8)
    assert picture.shape == (8, 3, SIDE_PX, SIDE_PX) and alpha.shape == (8, 1, SIDE_PX, SIDE_PX)
    for values in (picture, alpha):
        assert torch.isfinite(values).all() and values.min() >= 0 and values.max() <= 1
    assert (alpha.mean((1, 2, 3)) > 0.005).all()
    assert alpha.mean((1, 2, 3)).std() > 0.02
    again = Sampler(found, Variety(), CPU, seed=1).draw(8)
    assert torch.equal(again[0], picture) and torch.equal(again[1], alpha)


def test_what_is_held_out_is_never_drawn(packed):
    _, found = packed
    marked = np.where(found.held[:, None, None, None], np.uint8(255), np.zeros_like(found.mattes))
    marked = replace(found, mattes=marked)
    sampler = Sampler(marked, Variety(), CPU, seed=2)
    assert max(float(sampler.draw(6)[1].max()) for _ in range(2)) == 0
    with pytest.raises(ValueError, match="all 11 portraits of the pack are held out"):
        Sampler(replace(found, held=np.ones(11, bool)), Variety(), CPU, seed=2)


def test_colours_are_parted_in_batches():
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., 16:48, 16:48] = 1
    alpha = torch.nn.functional.avg_pool2d(alpha, 5, 1, 2)
    red, green = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.7, 0.2])
    picture = alpha * red[:, None, None] + (1 - alpha) * green[:, None, None]
    front = colours.foreground(picture, alpha)
    inside = (alpha > 0.5).expand_as(picture)
    wanted = red[:, None, None].expand_as(picture[0])[None]
    assert (front - wanted)[inside].abs().max() < 0.1 < (picture - wanted)[inside].abs().max()
    back = colours.background(picture, alpha)
    assert (back - green[:, None, None]).abs().max() < 0.05


def test_a_camera_changes_pictures_little_in_the_mean():
    dice = torch.Generator().manual_seed(5)
    picture = torch.rand(24, 3, 4, 4, generator=dice).repeat_interleave(16, 2)
    picture = picture.repeat_interleave(16, 3)
    seen = photographed(picture, dice)
    assert seen.shape == picture.shape and seen.min() >= 0 and seen.max() <= 1
    apart = (seen - picture).abs().mean((1, 2, 3))
    assert 0.02 < apart.median() < 0.25
    flat = lambda x: x.flatten(1) - x.flatten(1).mean(1, keepdim=True)  # noqa: E731
    alike = torch.nn.functional.cosine_similarity(flat(seen), flat(picture))
    assert alike.median() > 0.8


class Clock:
    """Ten seconds go by each time it is looked at; it stops a run after some looks."""

    def __init__(self, looks=10**9):
        self.now, self._left = 0.0, looks

    def __call__(self):
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        self.now += 10.0
        return self.now


def test_training_learns_and_goes_on_where_it_was_broken_off(packed, tmp_path):
    _, found = packed
    config = fit.TrainConfig(
        budget_s=260,
        batch=2,
        lr=4e-3,
        kept_every_s=60,
        ema=0.8,
        net=TINY,
        variety=Variety(own=1.0, turn=0.0, shift=0.0, alike=0.0, kinds=(1.0, 0.0, 0.0)),
    )
    with pytest.raises(KeyboardInterrupt):
        fit.train(found, tmp_path, config, CPU, Clock(looks=14))
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert 0 < kept["step"] < 14 and 0 < kept["spent_s"] < 140
    fit.train(found, tmp_path, config, CPU, Clock())
    done = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert done["step"] > kept["step"] and done["spent_s"] >= 260
    rows = (tmp_path / "curve.csv").read_text().splitlines()
    names = rows[0].split(",")
    losses = [float(row.split(",")[names.index("loss")]) for row in rows[1:]]
    assert len(losses) >= 4 and losses[-1] < 0.5 * losses[0]
    steps = [float(row.split(",")[0]) for row in rows[1:]]
    assert steps == sorted(set(steps))
    net = fit.load(tmp_path)
    assert net.config == TINY
    judged = score.judged(net, found)
    assert judged["still_iou"] > 0.95
    assert set(judged) == {
        f"{kind}_{name}" for kind in ("still", "head") for name in ("iou", "mae", "grad")
    }
    with pytest.raises(ValueError, match="another lr"):
        fit.train(found, tmp_path, replace(config, lr=1e-3), CPU, Clock())


def test_figures_of_an_alpha():
    truth = np.zeros((64, 64), np.float32)
    truth[16:48, 16:48] = 1
    assert score.figures(truth, truth) == {"iou": 1.0, "mae": 0.0, "grad": 0.0}
    half = truth.copy()
    half[16:32] = 0
    found = score.figures(half, truth)
    assert found["iou"] == 0.5 and found["mae"] == 0.125 and found["grad"] > 1
    with pytest.raises(ValueError, match="none of the labelled portraits is held out"):
        score.held_out(MatteNet(TINY), [portrait(1)])


def test_what_is_exported_is_the_network(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from models.train.matte.export import export

    torch.manual_seed(1)
    net = MatteNet(TINY).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
    export(net, tmp_path / "matte.onnx")
    session = runtime.InferenceSession(str(tmp_path / "matte.onnx"))
    picture = torch.rand(1, 3, SIDE_PX, SIDE_PX)
    (found,) = session.run(["alpha"], {"picture": picture.numpy()})
    wanted = net(picture).sigmoid().detach().numpy()
    assert wanted.std() > 1e-3
    assert np.abs(found - wanted).max() < 5e-3

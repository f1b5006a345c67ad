"""The render network and its training: what it may touch, what it learns, what is shipped of it."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models import diffusion, window  # noqa: E402
from models.nets.painter import PRESETS, Painter, PainterConfig, count  # noqa: E402
from models.train import runs  # noqa: E402
from models.train.render import (  # noqa: E402
    command,
    critic,
    fit,
    latent,
    losses,
    score,
    widen,
)
from models.train.render.batches import Batch, Batches, Variety, mirrored  # noqa: E402
from models.train.render.samples import INDEX, ROOM_PX, Samples, read  # noqa: E402
from tests.models.painters import feeds, fresh  # noqa: E402


@torch.no_grad()
def test_it_paints_only_where_it_may():
    net, (noisy, t, guide, region, told) = fresh(), feeds()
    found = net(noisy, t, guide, region, told, net.sit(guide.flip(3)))
    outside = (region == 0).expand_as(guide)
    assert torch.equal(found.picture[outside], guide[outside])
    assert (found.picture - guide)[~outside].abs().mean() > 1e-4
    assert found.mask.min() >= 0 and found.mask.max() <= 1


@torch.no_grad()
def test_every_condition_is_heard():
    net, given = fresh(), feeds()
    sitting = net.sit(given[2])
    base = net(*given, sitting).picture
    for number in (0, 1, 4):
        changed = list(given)
        changed[number] = given[number] * 0.5 + 0.1
        assert (net(*changed, sitting).picture - base).abs().max() > 1e-5, number
    assert (net(*given, net.sit(given[2].flip(2))).picture - base).abs().max() > 1e-5


@torch.no_grad()
def test_windows_of_a_batch_do_not_meet():
    net, given = fresh(), feeds()
    whole = net(*given, net.sit(given[2])).picture
    one = [x[1:] for x in given]
    alone = net(*one, net.sit(one[2])).picture
    torch.testing.assert_close(whole[1:], alone, atol=1e-5, rtol=1e-4)


def test_a_mirror_twice_changes_nothing_and_once_turns_the_head_about():
    told = torch.randn(3, window.CONDITIONS)
    once = mirrored(told)
    torch.testing.assert_close(mirrored(once), told)
    # A head shifted to the right, blinking its left eye, is one shifted left, blinking its right.
    assert torch.equal(once[:, 6], -told[:, 6]) and torch.equal(once[:, 7], told[:, 7])
    assert torch.equal(once[:, window.POSE], told[:, window.POSE + 1])
    assert torch.equal(once[:, window.POSE + 2 :], told[:, window.POSE + 2 :])


def samples(count, seed, bright=0.0):
    """A person whose truth is a guide made darker in the region: easy to learn."""
    dice = np.random.default_rng(seed)
    small = dice.integers(60, 200, (count, ROOM_PX // 16, ROOM_PX // 16, 3))
    warp = np.kron(small, np.ones((1, 16, 16, 1))).astype(np.uint8)
    region = np.zeros((count, ROOM_PX, ROOM_PX), np.uint8)
    region[:, 60:100, 50:110] = 255
    plates = np.concatenate([warp, region[..., None]], -1)
    truth = warp - (region[..., None] // 255) * 50
    return Samples(
        warp[:1],
        np.zeros(count, np.int32),
        warp,
        plates,
        truth.astype(np.uint8),
        region,
        np.zeros((count, window.CONDITIONS), np.float32),
    )


@pytest.fixture
def root(tmp_path):
    for kind, people in (("stills", 14), ("clips", 2)):
        folder = tmp_path / kind
        folder.mkdir()
        names = {f"{kind}{i}": f"{kind}_{i}" for i in range(people)}
        (folder / INDEX).write_text(str(names).replace("'", '"'))
        for i, name in enumerate(names):
            samples(4, i).save(folder / f"{name}.npz")
    return tmp_path


def test_people_held_out_are_in_no_batch(root):
    held = {"clips_1", "stills_0"}
    people = read(root, but=held)
    assert not held & set(people.names) and len(people.names) == 14
    assert set(read(root, wanted=held).names) == held
    with pytest.raises(ValueError, match="holds nobody of"):
        read(root, wanted={"nobody"})
    assert "stills_0" in fit.validation(root, ())


def test_batches_are_varied_alike_and_repeat_by_seed(root):
    people = read(root)
    shares = {"stills": 0.5, "clips": 0.5}
    plain = Batches(people, shares, None, 0).draw(6)
    assert plain.guide.shape == (6, 3, window.HIGH_PX, window.WIDE_PX)
    one, two = (Batches(people, shares, Variety(), 5).draw(6) for _ in range(2))
    assert torch.equal(one.truth, two.truth)
    # Truth and guide differ in the region alone, however the sample was turned and tinted.
    apart = (one.truth - one.guide).abs().amax(1, keepdim=True)
    assert apart[one.region == 0].max() < 1e-5 and apart[one.region == 1].min() > 0
    with pytest.raises(ValueError, match="name none of the kinds"):
        Batches(people, {"heads": 1.0}, None, 0)


def test_batches_show_every_portrait_in_the_same_light(root):
    people = read(root, wanted={"clips_0"})
    batches = Batches(people, {"clips": 1.0}, None, 0)
    before = batches.draw(2)
    tinted = (people.samples.portrait * np.array([1.0, 0.9, 0.6])).astype(np.uint8)
    warmer = replace(people, samples=replace(people.samples, portrait=tinted))
    after = Batches(warmer, {"clips": 1.0}, None, 0).draw(2)

    def blue(x):
        mean = x.mean((0, 2, 3)) + 1
        return mean[2] / mean.mean()

    assert blue(after.portrait) > 0.85 * blue(before.portrait)
    assert blue(after.guide) > blue(before.guide)  # the gains are the portrait's


def test_batches_have_the_tone_that_the_engine_gives_a_portrait(root):
    batches = Batches(read(root), {"stills": 1.0}, None, 0)
    portraits = torch.rand(5, 3, 12, 14, generator=torch.Generator().manual_seed(2))
    portraits[0] = 0
    wanted = torch.from_numpy(window.tone(portraits.numpy()))
    torch.testing.assert_close(batches._tone(portraits), wanted)


def test_half_of_the_windows_keep_their_grain(root):
    people = read(root, wanted={"clips_0"})
    still = Variety(0.0, 0.0, 8, 0.0, 0.0, 0.0, 0.0, 0.0)
    batch = Batches(people, {"clips": 1.0}, still, 0).draw(40)
    high, wide = window.HIGH_PX, window.WIDE_PX
    kept = 0
    for row in batch.region:
        assert row.shape == (1, high, wide) and row.max() > 0.99
        grain = row[0, 8:-8, 8:-8]
        kept += bool(((grain < 1e-3) | (grain > 1 - 1e-3)).all())
    assert 12 <= kept <= 28


def test_a_latent_of_more_channels_loses_less(root):
    people, judges = (read(root, wanted={f"clips_{i}"}) for i in range(2))
    small, large = (latent.bound(people, judges, channels, 400, 4) for channels in (1, 24))
    assert large.best_db > small.best_db + 2
    assert small.decode_ms > 0 and 0 < small.sharpness < 1.5


def test_training_learns_goes_on_and_keeps_its_best(root, tmp_path):
    config = replace(fit.PRESETS["tiny"], steps=60, lr=3e-3, held_out=())
    run = tmp_path / "run"
    fit.train(root, run, config)
    rows = (run / "curve.csv").read_text().splitlines()
    gain = float(rows[-1].split(",")[rows[0].split(",").index("gain_db")])
    assert gain > 1.0, rows
    judges = read(root, wanted=fit.validation(root, ()))
    found = score.people(fit.load(run), judges, 1)
    assert found.gain_db == pytest.approx(gain, abs=0.2) and found.worst_db <= found.gain_db
    with pytest.raises(ValueError, match="another lr"):
        fit.train(root, run, replace(config, lr=1e-3))


def test_the_recipe_of_the_large_network_runs_and_learns(root, tmp_path):
    """A few hundred steps with a small batch: the full ones want a GPU."""
    config = replace(fit.PRESETS["base"], steps=200, batch=4, held_out=())
    fit.train(root, tmp_path / "run", config)
    net = fit.load(tmp_path / "run")
    assert 9e6 < count(net) < 13e6
    judges = read(root, wanted=fit.validation(root, ()))
    assert score.people(net, judges, 1).gain_db > 1.0


WIDER = [
    PainterConfig((32, 48, 64), 2, 96, 0.1),
    PainterConfig((48, 48, 96), 1, 48),
    PainterConfig((16, 24, 64), 3, 144),
]


@torch.no_grad()
@pytest.mark.parametrize("config", WIDER)
def test_a_widened_network_paints_the_same_pictures(config):
    net, given = fresh(), feeds()
    large = widen.widened(net, config)
    assert large.config == config and count(large) > count(net)
    portrait = given[2].flip(3)
    wanted = net(*given, net.sit(portrait))
    found = large(*given, large.sit(portrait))
    assert (wanted.picture - given[2]).abs().max() > 0.01
    torch.testing.assert_close(found.picture, wanted.picture, atol=2e-5, rtol=0)
    torch.testing.assert_close(found.mask, wanted.mask, atol=2e-5, rtol=0)


def test_copies_of_a_unit_part_in_training():
    net = widen.widened(fresh(), WIDER[0]).train()
    noisy, t, guide, region, told = feeds()
    stem = net.stem.weight
    assert torch.equal(stem[0::2], stem[1::2])
    net(noisy, t, guide, region, told, net.sit(guide)).picture.square().mean().backward()
    for layer in (stem, net.down[1][0].told.weight, net.sit.stem.weight):
        apart = (layer.grad[0::2] - layer.grad[1::2]).norm()
        assert apart > 0.1 * layer.grad.norm()
    fresh_block = net.up[0][1].conv_out.weight
    assert fresh_block.abs().max() == 0 and fresh_block.grad.abs().max() > 0


@pytest.mark.parametrize("wrong", [PainterConfig((32, 40, 64), 2, 96), PRESETS["lite"]])
def test_what_is_no_whole_multiple_is_refused(wrong):
    with pytest.raises(ValueError, match=r"expected whole multiples of \(16, 24, 32, 48, 1\)"):
        widen.widened(fresh(), wrong)


def test_the_large_network_begins_as_good_as_the_run_it_begins_with(root, tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    fit.train(root, small, replace(fit.PRESETS["lite"], steps=40, batch=4, held_out=()))
    told = ["train", str(root), str(large), "--preset", "base", "--begin", str(small)]
    command.main([*told, "--steps", "1", "--batch", "2", "--held-out", ""])
    assert fit.load(large).config == PRESETS["base"]
    judges = read(root, wanted=fit.validation(root, ()))
    before, after = (score.people(fit.load(run), judges, 1).gain_db for run in (small, large))
    assert before > 1.0 and after == pytest.approx(before, abs=0.1)


def test_open_mouths_are_drawn_more_often(root):
    people = read(root)
    people.samples.plates[people.person == 0, ..., 3] = 0
    assert len(people.opened().samples) == len(people.samples) - 4
    batches = Batches(people, {"stills": 0.5, "clips": 0.5}, Variety(shut=0.25), 0)
    shut = people.person == 0
    like = (people.kind == people.kind[shut][0]) & ~shut
    weights = batches._weights
    assert weights[shut].mean() == pytest.approx(0.25 * weights[like].mean())


def test_a_sound_is_lent_to_those_that_have_none_and_tells_nothing_of_where_they_are_from(root):
    people = read(root)
    told = people.samples.told
    clips = people.kind == people.kinds.index("clips")
    told[clips, -1], told[clips, window.POSE + window.BLINK : -1] = 1.0, 7.0
    batches = Batches(people, {"stills": 0.5, "clips": 0.5}, Variety(deaf=0.25), 0)
    seen = batches.take(np.flatnonzero(~clips).repeat(4)).told
    has_one = seen[:, -1] == 1
    assert 0.6 < has_one.float().mean() < 0.9
    sound = slice(window.POSE + window.BLINK, -1)
    assert (seen[has_one, sound] == 7).all() and (seen[~has_one, sound] == 0).all()
    assert (told[~clips] == 0).all()


def test_a_critic_learns_to_tell_and_asks_for_less_of_what_it_saw():
    torch.manual_seed(0)
    rival = fit.Rival(replace(fit.PRESETS["tiny"], critic=1.0, critic_lr=2e-3), "cpu")
    region = torch.zeros(8, 1, window.HIGH_PX, window.WIDE_PX)
    region[..., 24:72, 28:84] = 1
    plain = torch.zeros(8, 3, *region.shape[2:])
    told = torch.zeros(8, window.CONDITIONS)
    for _ in range(40):
        grain = 0.5 * torch.randn_like(plain)
        batch = Batch(plain, plain, grain, region, told)
        wish, figures = rival.meet(plain, batch)
    assert figures["doubt"] < 0.5 and figures["verdict"] < -0.5
    assert wish.abs().sum() > 0
    # A step against the gradient pleases the critic better, and rims alone are touched outside.
    better = plain - 0.2 * wish / wish.abs().max()
    with torch.no_grad():
        before, after = (
            critic.displeasure(rival.net, x, grain, region)[0] for x in (plain, better)
        )
    assert (after < before).all()
    assert wish[..., :8, :].abs().max() == 0


def test_a_run_with_a_critic_goes_on_where_it_was_broken_off(root, tmp_path, monkeypatch):
    config = replace(fit.PRESETS["tiny"], steps=6, leaps=1, critic=0.5, held_out=())
    monkeypatch.setattr(runs, "KEPT_EVERY", 3)
    once, twice = tmp_path / "once", tmp_path / "twice"
    fit.train(root, once, config)
    monkeypatch.setattr(runs.Course, "__iter__", lambda self: iter(range(self.first, 3)))
    fit.train(root, twice, config)
    kept = runs.Run(twice).resume()
    assert kept["step"] == 3 and {"critic", "critic_optimiser"} <= set(kept)
    monkeypatch.undo()
    fit.train(root, twice, config)
    last = runs.Run(twice).resume()
    assert last["step"] == 6 and not (twice / "best.pt").exists()
    moved = [(last["critic"][k] - v).abs().max() for k, v in kept["critic"].items()]
    assert max(moved) > 0
    assert fit.load(twice).config == config.net


def test_a_student_learns_what_its_teacher_does_in_two_steps(root):
    teacher = fresh()
    batch = Batches(read(root), {"stills": 1.0}, None, 0).draw(2)
    noise = torch.randn(batch.truth.shape, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([1.0, 0.5])
    noisy = diffusion.mix(batch.truth, noise, fit.shares(t))
    goal = fit._taught(teacher, batch, noisy, t, 2)
    sitting = teacher.sit(batch.portrait)
    for row, begin in enumerate((1.0, 0.5)):
        own = [x[row : row + 1] for x in (noisy, batch.guide, batch.region)]
        sat = type(sitting)(*(x[row : row + 1] for x in sitting))
        x, at = own[0], begin
        with torch.no_grad():
            for _ in range(2):
                told = batch.told[row : row + 1]
                made = teacher(x, torch.tensor([at]), *own[1:], told, sat).picture
                now, then = diffusion.shares(at), diffusion.shares(at - 0.25)
                x, at = diffusion.step(x, made, now, then), at - 0.25
        ends = diffusion.shares(begin), diffusion.shares(begin - 0.5)
        target = diffusion.leap(own[0], x, *ends) if begin > 0.5 else made
        torch.testing.assert_close(goal[row : row + 1], target.clamp(-1, 1), atol=0.05, rtol=0)


def test_consistency_tuning_asks_for_the_truth_and_then_for_what_it_said_earlier(root, tmp_path):
    net = fresh()
    batch = Batches(read(root), {"stills": 1.0}, None, 0).draw(2)
    noise = torch.randn(batch.truth.shape, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([1.0, 0.25])
    assert fit._agreed(net, batch, noise, t, 0.0) is batch.truth
    goal = fit._agreed(net, batch, noise, t, 0.75)
    earlier = torch.tensor([0.75, 0.1875])
    x = diffusion.mix(batch.truth, noise, fit.shares(earlier))
    with torch.no_grad():
        sitting = net.sit(batch.portrait)
        own = net(x, earlier, batch.guide, batch.region, batch.told, sitting).picture
    torch.testing.assert_close(goal[0], own[0], atol=0.05, rtol=0)
    assert torch.equal(goal[1], batch.truth[1])
    run = tmp_path / "run"
    fit.train(root, run, replace(fit.PRESETS["tiny"], steps=6, halvings=2, held_out=()))
    assert "gain_db" in (run / "curve.csv").read_text()


def test_losses_are_least_for_the_truth_and_count_in_the_region_alone():
    dice = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 3, 128, 128, generator=dice) * 2 - 1
    region = torch.zeros(2, 1, 128, 128)
    region[..., 40:80, 40:80] = 1
    mask, w = torch.zeros_like(region), losses.Weights()
    least = losses.painted(truth, mask, truth, region, w)
    off = truth.clone()
    off[..., :30, :] = 0
    torch.testing.assert_close(losses.painted(off, mask, truth, region, w), least)
    soft = torch.nn.functional.avg_pool2d(truth, 5, 1, 2)
    assert (losses.painted(soft, mask, truth, region, w) > least + 0.1).all()
    assert (losses.bands(soft, truth, region) > losses.bands(0.9 * truth, truth, region)).all()


def test_the_mean_of_networks_lies_between_them():
    one, other = fresh(), fresh()
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.5)
    for own, a in zip(fit.mean([one, other]).parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(own, a + 0.25)
    with pytest.raises(ValueError, match="expected all of one size"):
        fit.mean([one, Painter(replace(PRESETS["tiny"], code=64))])

"""The motion network: what makes it safe to run for hours."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models import activity  # noqa: E402
from models.latents import Latents  # noqa: E402
from models.nets.motion import STYLE, MotionNetConfig, MotionVae, divergence, spread  # noqa: E402

CONFIG = MotionNetConfig(width=16, heads=2, window=12, memories_s=(0.0, 0.4, 2.0), hold=5)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = MotionVae(CONFIG).eval()
    with torch.no_grad():  # a fresh network hardly looks back
        for p in net.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return net


def feeds(pictures, batch=2):
    dice = torch.Generator().manual_seed(1)
    heard = torch.rand(batch, pictures, activity.SIZE, generator=dice)
    style = torch.randn(batch, STYLE, generator=dice)
    noise = torch.randn(batch, pictures, CONFIG.latent, generator=dice)
    return heard, style, noise, torch.rand(batch, pictures, generator=dice)


@pytest.mark.parametrize("cuts", [[1] * 60, [7, 1, 30, 22], [59, 1]])
def test_chunks_equal_the_whole(net, cuts):
    heard, style, noise, since = feeds(60)
    with torch.inference_mode():
        whole = net.decoder(heard, style, noise, since, net.decoder.init_cache(2))
        cache, parts, first = net.decoder.init_cache(2), [], 0
        for n in cuts:
            part = slice(first, first + n)
            pose, blink, cache = net.decoder(
                heard[:, part], style, noise[:, part], since[:, part], cache
            )
            parts.append((pose, blink))
            first += n
    for i in range(2):
        torch.testing.assert_close(
            torch.cat([p[i] for p in parts], 1), whole[i], atol=1e-5, rtol=1e-4
        )
    torch.testing.assert_close(cache, whole[2], atol=1e-5, rtol=1e-4)


def test_the_future_is_not_seen(net):
    heard, style, noise, since = feeds(40)
    later = [x.clone() for x in (heard, noise, since)]
    for x in later:
        x[:, 25:] += 1
    with torch.inference_mode():
        cache = net.decoder.init_cache(2)
        pose, blink, _ = net.decoder(heard, style, noise, since, cache)
        other, wink, _ = net.decoder(later[0], style, later[1], later[2], cache)
    torch.testing.assert_close(pose[:, :25], other[:, :25])
    torch.testing.assert_close(blink[:, :25], wink[:, :25])
    assert not torch.allclose(pose[:, 25:], other[:, 25:])


def test_what_is_long_past_is_forgotten(net):
    reach = CONFIG.layers * CONFIG.window + 1
    heard, style, noise, since = feeds(reach + 20)
    other = noise.clone()
    other[:, :19] += 3
    with torch.inference_mode():
        cache = net.decoder.init_cache(2)
        a = net.decoder(heard, style, noise, since, cache)[0]
        b = net.decoder(heard, style, other, since, cache)[0]
    assert not torch.allclose(a[:, 19:25], b[:, 19:25])
    torch.testing.assert_close(a[:, -1], b[:, -1])


def test_latents_glide_and_keep_their_spread(net):
    noise = net.draw(40, 2000, torch.Generator().manual_seed(0))
    assert noise.shape == (40, 2000, 3)
    for latent in range(3):
        assert noise[..., latent].std().item() == pytest.approx(1.0, abs=0.05)
    slow = noise[:, :, 2]
    assert (slow[:, 50:] * slow[:, :-50]).mean().item() == pytest.approx(np.exp(-1), abs=0.1)


def test_engine_draws_the_latents_that_were_trained(net):
    latents = Latents(CONFIG.memories_s, CONFIG.hold, np.random.default_rng(0))
    steps = torch.from_numpy(np.concatenate([latents.step() for _ in range(200)]))[None]
    knots = steps[:, 4::5]
    torch.testing.assert_close(spread(knots, CONFIG.kept, CONFIG.hold), steps, atol=1e-5, rtol=1e-5)


def test_divergence_is_that_of_a_monte_carlo(net):
    dice = torch.Generator().manual_seed(0)
    mean = torch.randn(1, 6, 3, generator=dice)
    log_var = torch.randn(1, 6, 3, generator=dice)
    kept = CONFIG.kept
    z = mean + (0.5 * log_var).exp() * torch.randn(200_000, 6, 3, generator=dice)
    fresh = (1 - kept**2).sqrt()
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0]).sum(1)
    steps = torch.distributions.Normal(kept * z[:, :-1], fresh).log_prob(z[:, 1:])
    found = torch.distributions.Normal(mean, (0.5 * log_var).exp()).log_prob(z).sum((1, 2))
    expected = (found - prior - steps.sum((1, 2))).mean()
    torch.testing.assert_close(divergence(mean, log_var, kept).sum(), expected, rtol=0.01, atol=0.1)


def test_draws_are_seeded(net):
    once, again = (net.draw(1, 50, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(once, again)
    other = net.draw(1, 50, torch.Generator().manual_seed(4))
    assert not torch.allclose(once, other)


def test_encoder_ignores_what_is_masked(net):
    pose, heard = torch.randn(1, 40, CONFIG.axes), torch.rand(1, 40, activity.SIZE)
    mask = torch.arange(40)[None] < 20
    longer = pose.clone()
    longer[:, 20:] += 5
    with torch.inference_mode():
        a, b = (net.encoder(p, heard, mask)[0][:, :4] for p in (pose, longer))
    torch.testing.assert_close(a, b)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width is 10, expected a multiple of heads 4"):
        MotionNetConfig(width=10)


def test_exported_step_is_the_network(net, tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    draw = pytest.importorskip("models.train.motion.draw")
    draw.export(net, tmp_path / "motion.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "motion.onnx"))
    heard, style, noise, since = feeds(30, 1)
    with torch.inference_mode():
        pose, blink, _ = net.decoder(heard, style, noise, since, net.decoder.init_cache(1))
    cache = net.decoder.init_cache(1).numpy()
    for t in range(30):
        parts = (heard[:, t], style, noise[:, t], since[:, t : t + 1])
        values = [*(x.numpy() for x in parts), cache]
        found = session.run(None, dict(zip(draw.INPUTS, values, strict=True)))
        cache = found[2]
        np.testing.assert_allclose(found[0], pose[:, t].numpy(), atol=1e-4)
        np.testing.assert_allclose(found[1], blink[:, t : t + 1].sigmoid().numpy(), atol=1e-4)

"""Samplers: pure arithmetic, alike for NumPy and torch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import diffusion

PICTURE = np.random.default_rng(0).uniform(-1, 1, (3, 4, 4))
NOISE = np.random.default_rng(1).standard_normal((3, 4, 4))


def at(t: float):
    return diffusion.mix(PICTURE, NOISE, diffusion.shares(t))


@pytest.mark.parametrize("steps", [1, 2, 4, 16])
def test_who_knows_the_picture_arrives_at_it(steps):
    asked = []

    def predict(x, t):
        asked.append(t)
        np.testing.assert_allclose(x, at(t), atol=1e-9)  # and stays on the path all the way
        return PICTURE

    np.testing.assert_array_equal(diffusion.sample(predict, NOISE, steps), PICTURE)
    assert asked == diffusion.times(steps)[:-1] and asked[0] == 1.0


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps is 0, expected at least 1"):
        diffusion.times(0)


@given(st.floats(0.2, 1.0), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_leap_goes_as_far_as_two_steps(t, middle, last):
    s = t * middle
    r = s * last
    now, then, end = (diffusion.shares(time) for time in (t, s, r))
    first = diffusion.step(at(t), PICTURE * 0.5, now, then)
    later = diffusion.step(first, PICTURE * 0.8, then, end)
    leapt = diffusion.leap(at(t), later, now, end)
    np.testing.assert_allclose(diffusion.step(at(t), leapt, now, end), later, atol=1e-6)


def test_signal_and_noise_share_the_energy():
    for t in np.linspace(0, 1, 11):
        alpha, sigma = diffusion.shares(t)
        assert alpha**2 + sigma**2 == pytest.approx(1)
    assert diffusion.shares(1.0)[0] == 0 and diffusion.shares(0.0)[1] == 0

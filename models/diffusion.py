"""Few-step diffusion in the form that the render network uses: it predicts the picture itself.

x_t = alpha(t) x_0 + sigma(t) noise with t from 0 (the picture) to 1 (noise alone), on the cosine
path alpha = cos(pi t / 2) of Nichol and Dhariwal (2021, eq. 17) without its offset. Functions of
plain arithmetic: NumPy arrays and torch tensors go through alike, nothing is kept.
"""

from collections.abc import Callable
from itertools import pairwise
from math import cos, pi, sin
from typing import Any

Array = Any
"""A NumPy array or a torch tensor."""


Shares = tuple[Any, Any]
"""Of the picture and of the noise: two numbers, or two arrays that fit the pictures."""


def shares(t: float) -> Shares:
    """(alpha, sigma) at time t."""
    return cos(0.5 * pi * t) if t < 1 else 0.0, sin(0.5 * pi * t)


def mix(picture: Array, noise: Array, now: Shares) -> Array:
    """x at a time of these shares."""
    alpha, sigma = now
    return alpha * picture + sigma * noise


def times(steps: int) -> list[float]:
    """The times of a sampler of so many steps, from 1 down to 0: steps + 1 of them."""
    if steps < 1:
        raise ValueError(f"steps is {steps}, expected at least 1")
    return [1 - i / steps for i in range(steps)] + [0.0]


def step(x: Array, picture: Array, now: Shares, then: Shares) -> Array:
    """x at an earlier time, by the picture predicted now: DDIM without noise (Song 2021, eq. 12).

    Args:
        x: of now.
        picture: the network's x_0.
        now, then: shares of both times.
    """
    return _blend(x, picture, *step_shares(now, then))


def step_shares(now: Shares, then: Shares) -> Shares:
    """What `step` takes of x and of the picture predicted now."""
    ratio = then[1] / now[1]
    return ratio, then[0] - ratio * now[0]


Blend = Callable[[Array, Array, Any, Any], Array]
"""x and the picture, and what is taken of each."""


def _blend(x: Array, picture: Array, of_x: Any, of_picture: Any) -> Array:
    return of_x * x + of_picture * picture


def sample(
    predict: Callable[[Array, float], Array], noise: Array, steps: int, blend: Blend = _blend
) -> Array:
    """The picture that `predict(x, t)` leads to from noise, in so many steps of `step`.

    Args:
        predict: gives the picture.
        noise: where it begins.
        steps: at least 1.
        blend: sums where arrays are not of the host.
    """
    x = picture = noise
    for t, s in pairwise(times(steps)):
        picture = predict(x, t)
        if s:
            x = blend(x, picture, *step_shares(shares(t), shares(s)))
    return picture


def leap(x: Array, later: Array, now: Shares, then: Shares) -> Array:
    """The picture which, predicted now, would have led from x to `later` in one step.

    Progressive distillation's target (Salimans and Ho 2022, appendix G).
    """
    of_x, of_picture = step_shares(now, then)
    return (later - of_x * x) / of_picture

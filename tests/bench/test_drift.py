"""The drift bench finds a drift that is there, and none that is not."""

import numpy as np
import pytest

from bench import drift
from engine import cli
from engine.config import EngineConfig
from tests.engine.faces import plain_avatar


def test_a_window_compared_with_itself_and_with_a_redder_one():
    guide = np.random.default_rng(0).integers(40, 200, (60, 60, 3)).astype(np.uint8)
    np.testing.assert_allclose(drift.compare(guide, guide), [1, 1, 0, 0, 0], atol=1e-9)
    red = guide.copy()
    red[..., 0] += 10
    np.testing.assert_allclose(drift.compare(red, guide)[2:], [10, 0, 0], atol=1e-9)
    assert drift.change(np.array([1.0, 0.9, 1, 2, 3]), np.array([0.9, 0.9, 2, 2, 2])) == (
        pytest.approx({"sharp_pct": -10, "likeness_pct": 0, "red": 1, "green": 0, "blue": -1})
    )


def test_a_row_for_every_picture(speech):
    config = EngineConfig(size_px=256, steps=1)
    rows = drift.talk(plain_avatar(), config, speech[: 2 * 48_000])
    assert rows.shape == (49, 5) and np.isfinite(rows).all()
    assert (rows[:, 1] > 0.5).all()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--minutes", "1"], "--minutes is 1, expected 2 to 120"),
        (["--steps", "0"], "--steps is 0, expected 1 to 4"),
        (["--steps", "5"], "steps is 5, expected 0 to 4"),
    ],
)
def test_wrong_flags_are_named(capsys, avatar, flags, words):
    assert cli.main(["bench", "drift", *flags]) == 2
    assert words in capsys.readouterr().err

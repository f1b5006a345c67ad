import numpy as np

from models.likeness import CODES, comparable

DICE = np.random.default_rng(3)
VECTORS = DICE.standard_normal((40, 8)).astype(np.float32)
LIPS = DICE.standard_normal((40, 6)).astype(np.float32)


def test_what_is_the_same_all_along_tells_nothing() -> None:
    plain, shifted = comparable(VECTORS, LIPS), comparable(VECTORS + 3, 5 * LIPS - 2)
    assert plain.shape == (40, 14)
    assert np.allclose(plain, shifted, atol=1e-4)


def test_lip_codes_weigh_alike_however_far_a_mouth_opens() -> None:
    assert np.allclose(comparable(VECTORS, LIPS)[:, 8:].std(0), CODES, rtol=1e-3)


def test_a_still_mouth_adds_nothing() -> None:
    assert not comparable(VECTORS, np.zeros_like(LIPS))[:, 8:].any()

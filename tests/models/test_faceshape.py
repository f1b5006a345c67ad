import time
from pathlib import Path

import numpy as np
import pytest

from models import facemodel, faceshape, measures, weights
from models.facemodel import INNER_LOWER, INNER_UPPER

SHAPE = faceshape.load()
HELD_OUT = Path(__file__).parent.parent / "data" / "landmarks.npz"


def made(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks (T, 478, 3) of a made-up person, the angles, the identity and the expression."""
    rng = np.random.default_rng(seed)
    identity = rng.normal(size=len(SHAPE.identity)).clip(-2, 2)
    expression = rng.normal(size=(count, len(SHAPE.expression))) * 0.7
    angles = rng.uniform(-0.35, 0.35, (count, 3))
    size, shift = rng.uniform(150, 250, (count, 1, 1)), rng.uniform(100, 300, (count, 1, 3))
    faces = SHAPE.face(identity, expression) @ measures.rotation(angles).swapaxes(1, 2)
    return faces * size + shift, angles, identity, expression


def test_a_made_up_face_is_found_again() -> None:
    points, angles, identity, _ = made(40)
    fit = faceshape.fit(points)
    assert fit.residual.max() < 0.003
    assert np.abs(measures.angles(fit.rotation) - angles).max() < 0.03
    assert fit.identity.shape == identity.shape
    assert np.corrcoef(fit.identity[:10], identity[:10])[0, 1] > 0.95


def test_one_picture_is_fitted_with_an_identity_of_its_own() -> None:
    points = np.concatenate([made(1, seed)[0] for seed in range(5)])
    fit = faceshape.fit(points, shared=False)
    assert fit.identity.shape == (5, len(SHAPE.identity))
    assert fit.residual.max() < 0.003
    assert faceshape.fit(points).residual.mean() > fit.residual.mean()


def test_a_fit_stays_within_its_bounds() -> None:
    points = made(10)[0]
    points[:, INNER_LOWER, 1] += 300  # a mouth torn open
    fit = faceshape.fit(points)
    assert (fit.expression >= SHAPE.low - 1e-9).all()
    assert (fit.expression <= SHAPE.high + 1e-9).all()
    assert np.abs(fit.identity).max() <= SHAPE.identity_bound + 1e-9


def test_bounded_least_squares_meets_its_conditions() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(8, 12))
    gram, right = a @ a.T + 0.1 * np.eye(8), rng.normal(size=(50, 8)) * 5
    low, high = np.full(8, -0.5), np.full(8, 0.8)
    x = faceshape.bounded(gram, right, low, high)
    slope = x @ gram - right
    inside = (x > low + 1e-6) & (x < high - 1e-6)
    assert np.abs(slope[inside]).max() < 0.02
    assert (slope[x <= low + 1e-6] > -0.02).all()
    assert (slope[x >= high - 1e-6] < 0.02).all()


def test_frames_that_are_not_valid_do_not_tell_of_the_identity() -> None:
    points = made(20)[0]
    broken = points.copy()
    broken[5:10, :200, 0] += 60
    valid = np.ones(20, bool)
    valid[5:10] = False
    spoiled, kept = faceshape.fit(broken), faceshape.fit(broken, valid)
    clean = faceshape.fit(points, valid)
    assert np.abs(kept.identity - clean.identity).max() < 1e-6
    assert np.abs(spoiled.identity - clean.identity).max() > 0.1


def test_at_rest_the_mouth_is_shut_whoever_it_is() -> None:
    rng = np.random.default_rng(2)
    people = rng.normal(size=(20, len(SHAPE.identity)))
    faces = SHAPE.face(people, np.zeros((20, len(SHAPE.expression))))
    assert np.abs(faces[:, INNER_LOWER, 1] - faces[:, INNER_UPPER, 1]).max() < 1e-3
    assert measures.eye_aspect(faces).min() > 0.1


@pytest.mark.parametrize("person", ["lieu", "aoc", "grid_lbax4n"])
def test_people_never_built_from_are_fitted_within_two_percent(person: str) -> None:
    with np.load(HELD_OUT) as data:
        points = data[person] / 16
    fit = faceshape.fit(points)
    assert fit.residual.mean() < 0.003
    assert fit.residual.max() < 0.02
    seen, given = measures.eye_aspect(points), measures.eye_aspect(fit.faces)
    assert np.abs(seen - given).mean() < 0.02
    gap = measures.opening(points) - measures.opening(fit.faces)
    assert np.abs(gap).mean() < 0.005


def test_two_minutes_are_fitted_in_seconds() -> None:
    points = np.tile(made(100)[0], (30, 1, 1))
    start = time.process_time()
    faceshape.fit(points)
    assert time.process_time() - start < 15


def test_landmarks_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"landmarks are \(2, 468, 3\), expected \(T, 478, 3\)"):
        faceshape.fit(np.zeros((2, 468, 3)))
    with pytest.raises(ValueError, match=r"valid is \(2,\) with 0 frames"):
        faceshape.fit(made(2)[0], np.zeros(2, bool))


def test_a_damaged_file_names_the_array(tmp_path: Path) -> None:
    with np.load(weights.path("face_shape.npz")) as data:
        arrays = dict(data)
    np.savez(tmp_path / "a.npz", **(arrays | {"low": arrays["low"][:3]}))
    with pytest.raises(ValueError, match=r"'low' is \(3,\), expected \(40,\)"):
        faceshape.read(tmp_path / "a.npz")
    del arrays["identity"]
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(ValueError, match="'identity' is missing"):
        faceshape.read(tmp_path / "b.npz")


def test_left_and_right_are_alike() -> None:
    flipped = SHAPE.mean[facemodel.load().mirror] * np.array([-1, 1, 1])
    np.testing.assert_allclose(SHAPE.mean, flipped, atol=1e-4)

from pathlib import Path

import numpy as np
import pytest

from models import expression, faceshape, measures, weights
from models.expression import Split
from models.train import face
from models.train.splitscore import Network, Person, aspect, from_rest, reach, score

SHAPE, NET = faceshape.load(), expression.load()
HELD_OUT = Path(__file__).parent.parent / "data" / "landmarks.npz"


@pytest.fixture(scope="module")
def people() -> dict[str, Person]:
    """Frames of people that neither the modes nor the codes were made from."""
    with np.load(HELD_OUT) as data:
        tracks = [
            face.Track(
                name, name, data[name] / np.float32(16), np.ones(len(data[name]), bool), None
            )
            for name in data
        ]
    return {t.name: from_rest(t, SHAPE) for t in tracks}


def moved(codes: Split) -> np.ndarray:
    """(T, 478, 3) the mean face with expressions of codes."""
    return SHAPE.face(np.zeros(len(SHAPE.identity)), NET.join(codes))


def test_no_code_is_a_face_at_rest() -> None:
    lip, blink, rest = NET.sizes
    nothing = Split(np.zeros((1, lip)), np.zeros((1, blink)), np.zeros((1, rest)))
    assert np.abs(moved(nothing) - SHAPE.mean).max() < 0.006
    codes = NET.split(np.zeros((1, len(SHAPE.expression))))
    assert max(np.abs(c).max() for c in codes) < 0.2


@pytest.mark.parametrize("person", ["lieu", "aoc", "grid_lbax4n"])
def test_swapped_codes_leave_what_is_not_theirs(people: dict[str, Person], person: str) -> None:
    own = people[person].rest + people[person].seen
    ranges = reach(aspect(own)), reach(measures.inner_gap(own))
    row = score(Network(SHAPE, NET), people[person], ranges)
    assert row["lip>eye"] < 5
    assert row["eye>lip"] < 5
    assert row["opens"] < 5
    assert row["shuts"] < 8


def test_a_blink_code_shuts_its_own_eye() -> None:
    lip, blink, rest = NET.sizes
    codes = Split(np.zeros((3, lip)), np.zeros((3, blink)), np.zeros((3, rest)))
    codes.blink[1, 0] = codes.blink[2, 1] = 1.0
    open_eyes, left, right = measures.eye_aspect(moved(codes))
    assert left[0] < 0.6 * open_eyes[0]
    assert left[1] > 0.85 * open_eyes[1]
    assert right[1] < 0.6 * open_eyes[1]
    assert right[0] > 0.85 * open_eyes[0]


def test_the_first_lip_component_alone_opens_the_mouth_and_nothing_else() -> None:
    lip, blink, rest = NET.sizes
    codes = Split(np.zeros((3, lip)), np.zeros((3, blink)), np.zeros((3, rest)))
    codes.lip[:, 0] = [0.0, 1.0, 2.0]
    faces = moved(codes)
    gaps = measures.inner_gap(faces)
    np.testing.assert_allclose(gaps, [0, 0.0537, 0.1074], atol=0.012)
    assert np.ptp(measures.eye_aspect(faces), axis=0).max() < 0.03


def test_codes_of_a_batch_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    e = rng.normal(size=(4, 3, len(SHAPE.expression)))
    whole = NET.split(e)
    one = NET.split(e[2, 1])
    for a, b in zip(whole, one, strict=True):
        np.testing.assert_allclose(a[2, 1], b, atol=1e-12)


def test_serving_gives_what_the_trained_network_gives() -> None:
    torch = pytest.importorskip("torch")
    from models.nets.expression import Expression

    net = Expression(len(SHAPE.expression), *NET.sizes)
    with np.load(weights.path("face_codes.npz")) as data:
        state = {n: torch.from_numpy(data[n.replace(".", "_")]).float() for n in net.state_dict()}
    net.load_state_dict(state)
    e = np.random.default_rng(1).normal(size=(20, len(SHAPE.expression)))
    with torch.no_grad():
        codes = net.split(torch.from_numpy(e).float())
        joined = net.join(codes).numpy()
    for ours, theirs in zip(NET.split(e), codes, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
    np.testing.assert_allclose(NET.join(NET.split(e)), joined, atol=1e-3)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    with np.load(weights.path("face_codes.npz")) as data:
        arrays = dict(data)
    np.savez(tmp_path / "a.npz", **(arrays | {"sizes": np.array([6, 2, 9], np.int32)}))
    with pytest.raises(ValueError, match="the encoder does not give 17 codes"):
        expression.read(tmp_path / "a.npz")
    del arrays["sizes"]
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(ValueError, match="'sizes' is missing"):
        expression.read(tmp_path / "b.npz")

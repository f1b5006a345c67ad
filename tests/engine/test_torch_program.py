"""The torch backend on the CPU against ONNX Runtime, wherever both are installed."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest

from engine import backends
from models import weights

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("onnxruntime", reason="the onnxruntime extra is not installed")

FILES = ("lips.onnx", "motion.onnx", "painter.onnx", "painter_portrait.onnx")


def feeds(like: backends.Network, seed: int) -> backends.Arrays:
    rng = np.random.default_rng(seed)
    return {n: (0.3 * rng.normal(size=s)).astype(np.float32) for n, s in like.inputs.items()}


@pytest.mark.parametrize("file", FILES)
def test_networks_agree_with_onnxruntime_run_after_run(file: str) -> None:
    usual, own = (backends.load(n, weights.path(file)) for n in ("onnxruntime", "torch"))
    for seed in range(3):  # what is folded for a shape must not hold an input's values
        given = feeds(usual, seed)
        found = own.run(given)
        for key, value in usual.run(given).items():
            np.testing.assert_allclose(found[key], value, atol=1e-5)


@pytest.mark.parametrize("file", FILES)
def test_no_shape_is_left_to_compute_in_a_run(file: str) -> None:
    torch_program = importlib.import_module("engine.backends.torch_program")
    program = torch_program.Program(weights.path(file), torch.device("cpu"), 1)
    values = {n: torch.zeros([max(side, 1) for side in s]) for n, s in program.inputs.items()}
    steps, _ = program.ready(values)
    assert steps and not any(step.kind == "Shape" for step in steps)
    for step in steps:
        for place in torch_program.ON_HOST.get(step.kind, ()):
            if place < len(step.given) and step.given[place]:
                assert step.bound[place] is not None, step.name


def test_sessions_share_weights_and_not_results() -> None:
    one, other = (backends.load("torch", weights.path("motion.onnx")) for _ in range(2))
    kept = one.run(feeds(one, 1))["pose"]
    before = kept.copy()
    other.run(feeds(other, 2))
    np.testing.assert_array_equal(kept, before)


def test_float16_rounds_less_than_a_level() -> None:
    """Here each node computes in the type that the file says, as on a GPU."""
    exact, half = (weights.path("painter.onnx"), weights.path("painter_fp16.onnx"))
    whole, own = (backends.load("torch", path) for path in (exact, half))
    given = feeds(whole, 4) | {"t": np.ones(1, np.float32)}
    given["region"] = np.ones_like(given["region"])
    apart = 127.5 * (own.run(given)["picture"] - whole.run(given)["picture"])
    assert 0 < np.sqrt((apart**2).mean()) < 0.1 and np.abs(apart).max() < 1  # of 255
    program = importlib.import_module("engine.backends.torch_program").Program
    made = program(half, torch.device("cpu"), 1)
    values = {n: torch.from_numpy(v) for n, v in given.items()}
    steps, known = made.ready(values)
    known = {**known, **values}
    types: dict[str, set[torch.dtype]] = {}
    for step in steps:
        step.run(known)
        types.setdefault(step.kind, set()).add(known[step.made[0]].dtype)
    for kind in ("Conv", "Gemm", "MatMul", "GroupNorm"):  # of a group norm, what comes out
        assert types[kind] == {torch.float16}
    for kind in ("Softmax", "Sin", "Cos", "Clip"):
        assert types[kind] == {torch.float32}


@pytest.mark.parametrize("file", ["painter.onnx", "painter_fp16.onnx", "painter_portrait.onnx"])
def test_what_an_exporter_took_apart_is_put_together_again(file: str) -> None:
    module = importlib.import_module("engine.backends.torch_program")
    program = module.Program(weights.path(file), torch.device("cpu"), 1)
    kinds = [step.kind for step in program._steps]
    assert "InstanceNormalization" not in kinds
    assert kinds.count("GroupNorm") >= 8 and kinds.count("Silu") >= 8
    assert kinds.count("Sigmoid") <= 1  # of the mask, which multiplies something else


def test_pieces_that_others_want_are_left_alone() -> None:
    fusing = importlib.import_module("engine.backends.torch_fusing")

    def node(kind: str, given: str, made: str) -> SimpleNamespace:
        return SimpleNamespace(kind=kind, settings={}, given=tuple(given), made=tuple(made))

    both = [node("Sigmoid", "x", "s"), node("Mul", "xs", "y")]
    (one,) = fusing.found(both, {}, {"y"})
    assert (one.given, one.made, one.at, one.gone) == (("x",), ("y",), 1, {0})
    assert not fusing.found(both, {}, {"s", "y"}), "the sigmoid is an output, too"
    assert not fusing.found([*both, node("Add", "sy", "z")], {}, {"z"}), "and taken elsewhere"
    assert not fusing.found([both[0], node("Mul", "ws", "y")], {}, {"y"}), "of something else"
    norm = [
        node("Reshape", "xg", "a"),
        node("InstanceNormalization", "aob", "c"),
        node("Shape", "x", "h"),
        node("Reshape", "ch", "d"),
        node("Mul", "dw", "e"),
        node("Add", "ev", "y"),
    ]
    constants = {
        "g": torch.tensor([0, 2, -1]),
        "o": torch.ones(2),
        "b": torch.zeros(2),
        "w": torch.rand(4, 1, 1),
        "v": torch.rand(4, 1, 1),
    }
    (one,) = fusing.found(norm, constants, {"y"})
    assert one.gone == {0, 1, 3, 4} and one.given == ("x", "w", "v")
    x = torch.rand(3, 4, 5, 6)
    grouped = torch.nn.functional.instance_norm(x.reshape(3, 2, -1)).reshape(x.shape)
    expected = grouped * constants["w"] + constants["v"]
    made = one.operator([x, constants["w"], constants["v"]], one.settings)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
    for other in ({"o": torch.full((2,), 0.5)}, {"w": torch.rand(1, 1, 6)}):
        assert not fusing.found(norm, constants | other, {"y"})
    assert not fusing.found(norm, constants, {"d", "y"})
    narrower = [*norm[:2], node("Cast", "c", "n"), *norm[2:]]
    narrower[4] = node("Reshape", "nh", "d")
    assert not fusing.found(narrower, constants, {"y"}), "what comes out is of another type"
    wider = [norm[0], node("Cast", "a", "f"), node("InstanceNormalization", "fob", "c"), *norm[2:]]
    assert not fusing.found(wider, constants, {"y"})
    both = [*wider[:3], node("Cast", "c", "n"), norm[2], node("Reshape", "nh", "d"), *norm[4:]]
    (one,) = fusing.found(both, constants, {"y"})
    assert one.gone == {0, 1, 2, 3, 5, 6}

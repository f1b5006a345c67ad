from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import facemodel, weights
from models.facemodel import INNER_LOWER, INNER_UPPER

MODEL = facemodel.load()
LIPS = [61, 291, 0, 17, 13, 14, 78, 308]


def gap(face: np.ndarray) -> np.ndarray:
    return face[INNER_LOWER, 1] - face[INNER_UPPER, 1]


def test_the_neutral_face_is_one_width_wide_upright_and_shut() -> None:
    face = MODEL.neutral
    assert np.isclose(np.linalg.norm(face[454] - face[234]), 1, atol=1e-5)
    assert face[10, 1] < face[1, 1] < face[13, 1] < face[152, 1]
    assert np.abs(gap(face)).max() < 1e-6


def test_no_code_is_a_shut_mouth() -> None:
    shut = MODEL.decode(np.zeros(MODEL.size, np.float32))
    np.testing.assert_allclose(shut, MODEL.neutral, atol=1e-7)


def test_the_first_component_opens_the_mouth_by_what_it_says() -> None:
    code = np.zeros(MODEL.size, np.float32)
    code[0] = 2
    middle = gap(MODEL.decode(code))[3:6].mean()
    assert np.isclose(middle, code @ MODEL.opening, atol=1e-4)
    assert 0.05 < middle < 0.2


@given(st.lists(st.floats(-4, 4), min_size=MODEL.size, max_size=MODEL.size))
def test_lips_never_cross(code: list[float]) -> None:
    face = MODEL.decode(np.array(code, np.float32))
    assert gap(face).min() >= -1e-6


def test_speech_moves_lips_and_jaw_and_leaves_the_rest() -> None:
    reach = np.linalg.norm(MODEL.basis, axis=2).max(0)
    assert reach[LIPS].min() > 0.008
    assert reach[152] > 0.01
    for still in (10, 33, 133, 263, 362, 70, 300, 168, 468, 473):
        assert reach[still] == 0


def test_a_code_survives_encoding() -> None:
    code = np.array([[1.5, -0.5, 0.3, 1.0, -1.0, 0.2]], np.float32)
    moved = np.einsum("tk,knc->tnc", code, MODEL.basis)
    np.testing.assert_allclose(MODEL.encode(moved), code, atol=1e-3)


def test_left_and_right_move_alike() -> None:
    flipped = MODEL.basis[:, MODEL.mirror] * np.array([-1, 1, 1], np.float32)
    np.testing.assert_allclose(MODEL.basis, flipped, atol=1e-5)


def test_a_damaged_file_names_the_array(tmp_path: Path) -> None:
    with np.load(weights.path("face.npz")) as data:
        arrays = dict(data)
    np.savez(tmp_path / "a.npz", **(arrays | {"neutral": arrays["neutral"][:10]}))
    with pytest.raises(ValueError, match=r"'neutral' is \(10, 3\), expected \(478, 3\)"):
        facemodel.read(tmp_path / "a.npz")
    del arrays["opening"]
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(ValueError, match="'opening' is missing"):
        facemodel.read(tmp_path / "b.npz")


def test_weights_that_are_not_shipped_are_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"'eyes.onnx' are not shipped"):
        weights.path("eyes.onnx")

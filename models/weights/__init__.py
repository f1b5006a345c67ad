"""The shipped weights, each with a card of the same name (`lips.onnx`, `lips.md`)."""

from pathlib import Path

PAINTER, PORTRAIT = "painter.onnx", "painter_portrait.onnx"
"""The render network, and its part that reads the portrait."""
FACE_LANDMARKS, FACE_DETECTOR = "faces.onnx", "faces_detector.onnx"
"""The network of a face's landmarks, and the one that finds faces."""
MATTE = "matte.onnx"
"""The network that tells a person from their background."""
FOLDER = Path(__file__).parent
USUAL_PAINTER = "lite"
PAINTERS = {USUAL_PAINTER: FOLDER, "base": FOLDER / "base"}
"""Folders of the shipped render networks: `base` is for GPUs."""


def path(name: str) -> Path:
    """Path of a shipped file, such as `lips.onnx`.

    Raises:
        FileNotFoundError: no such weights are shipped.
    """
    found = FOLDER / name
    if not found.is_file() or found.parent != FOLDER:
        shipped = sorted(p.name for p in FOLDER.iterdir() if p.suffix in {".onnx", ".npz", ".json"})
        raise FileNotFoundError(f"weights {name!r} are not shipped, expected one of {shipped}")
    return found


def beside(path: Path, kind: str) -> Path:
    """The file of the same network in numbers of another kind: `painter_int8.onnx`."""
    return path.with_name(f"{path.stem}_{kind}{path.suffix}")

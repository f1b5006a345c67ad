"""Packages import downward only, so that each can be used, and read, without those above it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["kernels", "models", "engine", "bench"]
OFFLINE = ["models/train", "models/label", "models/nets", "models/avatars"]
ON_REQUEST = [
    f"engine/backends/{name}.py"
    for name in ("torch", "torch_cuda", "torch_fusing", "torch_ops", "torch_program")
]


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_downward(layer):
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    wrong = {str(path): imported(path) & above for path in (ROOT / layer).rglob("*.py")}
    assert not {path: names for path, names in wrong.items() if names}


def test_serving_needs_no_torch():
    for layer in LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            if not any(path.is_relative_to(ROOT / folder) for folder in OFFLINE + ON_REQUEST):
                assert "torch" not in imported(path), path

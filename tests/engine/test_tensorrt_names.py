"""Every name of TensorRT that the backend uses is one of the real libraries'."""

import ast
import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import host

BACKENDS = Path(__file__).parent.parent.parent / "engine" / "backends"
COMMON, RTX_ALONE = ("tensorrt.py", "tensorrt_builder.py"), ("tensorrt_rtx.py",)
CLASSES = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "context": "IExecutionContext",
    "each": "ITensor",
    "engine": "ICudaEngine",
    "levels": "ILogger.Severity",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "runtime": "Runtime",
    "settings": "IRuntimeConfig",
    "trt": "",
}
"""What our names for TensorRT's objects stand for; with or without `self._`."""
OWN = {"__init__", "_tell", "said"}
"""Methods that our subclasses of TensorRT's add."""
BINDINGS = "tensorrt-cu13-bindings"
ENTRIES = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
"""What the bindings take from TensorRT's own libraries, which come from another index."""
RESOLVE = """
import json, sys
from importlib import import_module
module, names = import_module(sys.argv[1]), json.load(sys.stdin)
def there(name):
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True
print(json.dumps([module.__version__, [name for name in names if not there(name)]]))
"""


MAKE = """
import sys
from pathlib import Path
import tensorrt_bindings
from engine.backends.tensorrt_builder import Build, Library, Target
from engine.errors import BackendError
try:
    Build(Library("tensorrt", tensorrt_bindings), Path(sys.argv[1]), Target("GPU", "sm_90"))
except BackendError as error:
    print(error)
"""


def path_of(node: ast.expr) -> list[str]:
    """`a.b.c` as its parts; none where it is anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Call) and parts:
        # What the parser's errors are asked for.
        return ["error", *parts] if path_of(node.func)[-1:] == ["get_error"] else []
    return [node.id, *parts] if isinstance(node, ast.Name) else []


def names(file: str) -> set[str]:
    """TensorRT's names in one of our files: `Builder.create_network`."""
    found = set()
    known = CLASSES | {"error": "ParserError"}
    for node in ast.walk(ast.parse((BACKENDS / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            first, *others = path_of(node) or [""]
            if first == "self" and others and others[0].startswith("_"):
                first, others = others[0][1:], others[1:]
            if first in known and others:
                found.add(".".join(filter(None, (known[first], *others))))
        if isinstance(node, ast.ClassDef) and node.bases:
            base = path_of(node.bases[0])
            if base[:1] == ["trt"]:
                methods = (each.name for each in node.body if isinstance(each, ast.FunctionDef))
                found |= {f"{base[1]}.{name}" for name in methods if name not in OWN}
    return found


def missing(module: str, wanted: set[str], **settings: str) -> tuple[str, list[str]]:
    """A library's version, and which names it does not have, asked in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE, module],
        input=json.dumps(sorted(wanted)),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | settings,
    )
    assert done.returncode == 0, done.stderr
    version, absent = json.loads(done.stdout.splitlines()[-1])
    return version, absent


def common() -> set[str]:
    return set().union(*(names(file) for file in COMMON))


def test_the_names_are_found_in_the_sources() -> None:
    # Where this list falls behind, the checks below see less than the backend uses.
    assert {
        "Builder.build_serialized_network",
        "IBuilderConfig.add_optimization_profile",
        "ICudaEngine.get_tensor_mode",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.set_tensor_address",
        "ILogger.Severity.INTERNAL_ERROR",
        "ILogger.log",
        "INetworkDefinition.get_input",
        "IOptimizationProfile.set_shape",
        "IProgressMonitor.step_complete",
        "ITensor.shape",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "OnnxParser.parse",
        "ParserError.desc",
        "Runtime.deserialize_cuda_engine",
        "TensorIOMode.INPUT",
    } <= common()
    assert {
        "BuilderFlag.REQUIRE_USER_ALLOCATION",
        "DynamicShapesKernelSpecializationStrategy.EAGER",
        "IExecutionContext.is_stream_capturable",
        "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
    } <= names("tensorrt_rtx.py")


def test_tensorrt_for_rtx_has_them_all() -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    wanted = common().union(*(names(file) for file in RTX_ALONE))
    _, absent = missing("tensorrt_rtx", wanted)
    assert absent == []


def stand_ins(folder: Path, version: str) -> None:
    """Empty libraries of TensorRT's names: its bindings load, and describe their classes."""
    if (compiler := host.compiler()) is None:
        pytest.skip("g++ is not installed: the bindings cannot be loaded")
    source = folder / "empty.cpp"
    calls = "".join(f'extern "C" void* {name}() {{ return nullptr; }}\n' for name in ENTRIES)
    source.write_text(calls)
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        name = f"lib{library}.so.{version.partition('.')[0]}"
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", str(source)]
        subprocess.run([*command, "-o", str(folder / name)], check=True)


def test_tensorrt_has_those_that_all_share(tmp_path: Path) -> None:
    try:
        version = importlib.metadata.version(BINDINGS)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{BINDINGS} is not installed")
    stand_ins(tmp_path, version)
    found, absent = missing("tensorrt_bindings", common(), LD_LIBRARY_PATH=str(tmp_path))
    assert found == version and absent == []
    _, absent = missing("tensorrt_bindings", {"Builder.no_such"}, LD_LIBRARY_PATH=str(tmp_path))
    assert absent == ["Builder.no_such"]


def test_where_tensorrt_gives_nothing_its_bindings_error_is_ours(tmp_path: Path) -> None:
    """As without a driver, or with one that is too old: there is no builder."""
    if find_spec("tensorrt_bindings") is None:
        pytest.skip(f"{BINDINGS} is not installed")
    stand_ins(tmp_path, importlib.metadata.version(BINDINGS))
    done = subprocess.run(
        [sys.executable, "-c", MAKE, str(tmp_path / "net.onnx")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        cwd=BACKENDS.parent.parent,
    )
    said = done.stdout.strip().splitlines()[-1:]
    assert said and said[0].startswith("TensorRT makes no builder: "), done.stderr


def test_the_stand_in_has_no_name_that_the_libraries_lack() -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    fake: Any = importlib.import_module("tests.engine.fake_tensorrt")
    kinds = {
        "Context": "IExecutionContext",
        "Engine": "ICudaEngine",
        "OnnxParser": "OnnxParser",
        "Runtime": "Runtime",
        "Builder": "Builder",
    }
    wanted = {
        f"{real}.{name}"
        for own, real in kinds.items()
        for name, value in vars(getattr(fake, own)).items()
        if callable(value) and not name.startswith("_")
    }
    assert len(wanted) > 15
    _, absent = missing("tensorrt_rtx", wanted)
    assert absent == []

"""The command `visavis doctor`: what this machine has, what a call will use of it, and why."""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine import __version__
from engine.config import EngineConfig
from engine.errors import PIP, BackendError, ConfigError, install_command
from engine.machine import cores

EXIT_UNFIT = 2
_WIDTH = 80
_LABEL = 16
_PROBE_S = 600.0
_CPU_FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
)
"""Those that networks are quicker with."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was looked for.

    Attributes:
        name: of it.
        what: version and the like; why it cannot be used where `works` is false.
        works: whether it can be used.
        remedy: the command that installs it, where one does.
        needed: whether no call can be served without it.
    """

    name: str
    what: str
    works: bool = True
    remedy: str = ""
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """What one part of a call will run on."""

    part: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """All of it.

    Attributes:
        version: of Visavis.
        found: what was looked for.
        used: what a call will run on.
        ready: whether a call can be served.
    """

    version: str = __version__
    found: list[Found] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """See above."""
        return all(each.works for each in self.found if each.needed)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ready": self.ready}


def add_doctor(commands: Any) -> None:
    """Adds the command to a parser's commands."""
    doctor = commands.add_parser(
        "doctor", help="what was found here, what is used, what is missing"
    )
    doctor.add_argument("--json", action="store_true", help="the same for programs")
    usual = EngineConfig()
    add = doctor.add_argument
    add("--backend", default=usual.backend, help="where networks run (%(default)s)")
    add("--kernels", default=usual.kernels, help="what draws pictures (%(default)s)")
    doctor.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from engine.backends import names

    if args.backend not in names():
        raise ConfigError(f"backend {args.backend[:40]!r} is unknown, expected one of {names()}")
    EngineConfig(kernels=args.kernels)  # says what is wrong with it
    report = examine(args.backend, args.kernels)
    if args.json:
        sys.stdout.write(json.dumps(report.as_dict(), indent=1) + "\n")
    else:
        width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
        sys.stdout.write(text(report, max(width, 40)) + "\n")
    return 0 if report.ready else EXIT_UNFIT


def examine(backend: str, kernels: str) -> Report:
    """Looks at everything. Whatever is missing or broken is a line of the report, never an error.

    Args:
        backend: where networks would run.
        kernels: what would draw pictures.
    """
    report = Report()
    look = partial(_look, report)
    look("Python", lambda: f"{platform.python_version()}, {sys.executable}")
    look("system", lambda: f"{platform.system()} {platform.release()}, {platform.machine()}")
    look("CPU", _cpu)
    look("memory", _memory)
    look("avatars", _avatars, needed=True, remedy=f"{PIP} install --force-reinstall -e .")
    look("codecs", _codecs, needed=True, remedy=f"{PIP} install {_pinned('av')}")
    look("event loop", partial(_version, "uvloop"), remedy=f"{PIP} install {_pinned('uvloop')}")
    look("OpenVINO", partial(_probed, _OPENVINO), remedy=f"{PIP} install {_pinned('openvino')}")
    for name, module, extra in (
        ("ONNX Runtime", "onnxruntime", "onnxruntime"),
        ("torch", "torch", "torch"),
    ):
        look(name, partial(_imported, module), remedy=install_command(extra))
    look("NVIDIA driver", _gpu, remedy="https://www.nvidia.com/drivers")
    for name, code in (("CuPy", _CUPY), ("NVRTC", _NVRTC)):
        look(name, partial(_with_cupy, code), remedy=install_command("gpu"))
    look("TensorRT", partial(_imported, "tensorrt"), remedy=install_command("tensorrt"))
    rtx = partial(_imported, "tensorrt_rtx")
    look("TensorRT for RTX", rtx, remedy=install_command("tensorrt-rtx"))
    look("engines", _engines)
    _look_at_use(report, backend, kernels)
    return report


def _look(
    report: Report, name: str, ask: Callable[[], str], remedy: str = "", needed: bool = False
) -> None:
    try:
        found = Found(name, ask(), True, "", needed)
    except Exception as error:  # noqa: BLE001 - a broken library raises whatever it likes
        what = " ".join(str(error).split()) or type(error).__name__
        found = Found(name, what, False, remedy, needed)
    report.found.append(found)


def _look_at_use(report: Report, backend: str, kernels: str) -> None:
    """What networks, pictures, pictures' streams and the event loop run on."""
    works = {each.name: each.works for each in report.found}
    remedies = {each.name: each.remedy for each in report.found}
    usual = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "torch": "torch"}
    # What TensorRT lacks may be itself, CuPy or a driver: its errors say which.
    remedy = remedies.get(usual.get(backend, ""), "")
    _look(report, "networks", partial(_probed, _NETWORK, backend), remedy, needed=True)
    network = report.found[-1]
    if network.works:
        name, _, why = network.what.partition(": ")
        report.used.append(Used("networks", name, why))
    else:
        report.used.append(Used("networks", "none", f"{backend} cannot be used, see below"))
    if kernels == "cpu":
        gpu = all(works[name] for name in ("NVIDIA driver", "CuPy", "NVRTC"))
        why = "--kernels cuda draws on the GPU" if gpu else "CUDA kernels want CuPy and a GPU"
        report.used.append(Used("pictures", "cpu", why))
    else:
        remedy = install_command("gpu")
        _look(report, "kernels", partial(_probed, _KERNELS, kernels), remedy, needed=True)
        ready = report.found[-1].works
        why = "as asked for" if ready else f"{kernels} cannot be used, see below"
        report.used.append(Used("pictures", kernels if ready else "none", why))
    if works["codecs"]:
        report.used.append(Used("video", "VP8 or H.264", "what the browser asks for first"))
    loop = ("uvloop", "quicker") if works["event loop"] else ("asyncio", "uvloop is not here")
    report.used.append(Used("event loop", *loop))


def _pinned(name: str) -> str:
    """A package as this version of Visavis wants it: `av==18.1.0`."""
    try:
        wanted = importlib.metadata.requires("visavis") or []
    except importlib.metadata.PackageNotFoundError:
        wanted = []
    plain = (line.split(";")[0].strip() for line in wanted)
    return next((line for line in plain if line.startswith(f"{name}==")), name)


def _cpu() -> str:
    lines = _lines("/proc/cpuinfo")
    model = next((v for k, v in lines if k == "model name"), platform.processor() or "unknown")
    flags = next((v.split() for k, v in lines if k in ("flags", "Features")), [])
    known = [name for name in _CPU_FEATURES if name in flags]
    return f"{model}, {cores()} cores; {' '.join(known) or 'no feature that networks want'}"


def _memory() -> str:
    sizes = {key: value for key, value in _lines("/proc/meminfo") if value.endswith(" kB")}
    if "MemTotal" not in sizes:
        raise BackendError("this system does not say")
    total, free = (int(sizes[k].split()[0]) / 2**20 for k in ("MemTotal", "MemAvailable"))
    return f"{total:.1f} GiB, {free:.1f} GiB of it free"


def _lines(path: str) -> list[tuple[str, str]]:
    """Pairs of a file such as /proc/cpuinfo; none where there is no such file."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    pairs = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def _version(name: str) -> str:
    return f"{name} {importlib.metadata.version(name)}"


def _avatars() -> str:
    from engine.avatar import names

    if not (known := names()):
        raise BackendError("none is built in, expected at least one")
    return f"{len(known)} built in: {', '.join(known)}"


def _codecs() -> str:
    import av

    if missing := [n for n in ("libvpx", "libx264", "libopus") if n not in av.codecs_available]:
        raise BackendError(f"PyAV {av.__version__} lacks {', '.join(missing)}")
    return f"libvpx (VP8), libx264 (H.264), libopus, in PyAV {av.__version__}"


def _gpu() -> str:
    gpu = json.loads(_probed(_GPU))
    memory = gpu["memory_bytes"] / 2**30
    cuda = ".".join(map(str, gpu["cuda"]))
    return f"{gpu['name']}, {gpu['architecture']}, {memory:.0f} GiB, CUDA {cuda}"


def _engines() -> str:
    from engine.backends.engine_cache import default_folder

    folder = default_folder()
    sizes = [path.stat().st_size for path in folder.glob("*.engine")]
    return f"{len(sizes)} of {sum(sizes) / 1e6:.0f} MB in {folder}"


def _imported(name: str) -> str:
    """The version of a library, imported in a process of its own: what breaks there ends there."""
    if find_spec(name) is None:
        raise BackendError("not installed")
    return _probed(_IMPORT, name)


def _with_cupy(code: str) -> str:
    if find_spec("cupy") is None:
        raise BackendError("CuPy is not installed")
    return _probed(code)


_IMPORT = """
import importlib
print(importlib.import_module(sys.argv[1]).__version__)
"""
_OPENVINO = """
from engine.backends import openvino
print(openvino.version())
"""
_CUPY = """
import cupy
if not cupy.is_available():
    sys.exit(f"{cupy.__version__} finds no NVIDIA GPU")
print(cupy.__version__)
"""
_NVRTC = """
from cupy.cuda import nvrtc
print(".".join(map(str, nvrtc.getVersion())))
"""
_GPU = """
import json
from dataclasses import asdict
from engine.backends.driver import first_gpu
gpu = first_gpu()
print(json.dumps({**asdict(gpu), "architecture": gpu.architecture}))
"""
_KERNELS = """
from kernels.dispatch import load
load(sys.argv[1])
print(f"{sys.argv[1]} kernels")
"""
_NETWORK = """
from engine import backends
from models import weights
path = weights.path(weights.PAINTER)
choice = backends.choose(sys.argv[1], path)
why = ", ".join(f"{name} {ms:.1f} ms" for name, ms in choice.took_ms.items())
why = f"quickest of {why}" if why else "the only one to choose"
if sys.argv[1] == "tensorrt":
    from engine.backends import tensorrt
    why = tensorrt.state(choice.path)
else:
    backends.load(sys.argv[1], path, 1, "fastest")
print(f"{sys.argv[1]}, {choice.name}: {why}")
"""


def _probed(code: str, *given: str) -> str:
    """The last line that a piece of Python prints in a process of its own.

    Raises:
        BackendError: it fails, with its last word.
    """
    # Its own errors are said in one line.
    whole = (
        "import sys\nfrom engine.errors import VisavisError\ntry:\n"
        + textwrap.indent(code, "    ")
        + "\nexcept (Exception, SystemExit) as error:\n"
        "    name = '' if isinstance(error, (VisavisError, SystemExit)) else "
        "type(error).__name__ + ': '\n"
        "    sys.stderr.write('\\n' + name + ' '.join(str(error).split()))\n    sys.exit(1)\n"
    )
    # -P: the folder that one happens to be in holds no libraries.
    command: Sequence[str] = [sys.executable, "-P", "-c", whole, *given]
    roots = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_S,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, roots))},
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"does not answer within {_PROBE_S:g} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        end = f"died of signal {-done.returncode}" if done.returncode < 0 else "failed"
        raise BackendError(said[-1] if said and done.returncode > 0 else end)
    return done.stdout.strip().rpartition("\n")[2]


def text(report: Report, width: int) -> str:
    """The report for a terminal of as many columns."""
    lines = [f"Visavis {report.version}", "", "Found"]
    for each in report.found:
        if each.works and each.name != "networks":
            lines += _entry("+", each.name, each.what, width)
    lines += ["", "Used by a call"]
    for used in report.used:
        lines += _entry(">", used.part, f"{used.what}: {used.why}", width)
    missing = sorted((f for f in report.found if not f.works), key=lambda each: not each.needed)
    if missing:
        lines += ["", "Not here"]
    for each in missing:
        mark = "!" if each.needed else "-"
        lines += _entry(mark, each.name, each.what, width)
        if each.remedy and each.remedy not in each.what:
            lines += _entry(" ", "", each.remedy, width)
    verdict = (
        "A call can be served."
        if report.ready
        else "No call can be served: what is marked with ! is missing."
    )
    return "\n".join([*lines, "", *textwrap.wrap(verdict, width)])


def _entry(mark: str, name: str, what: str, width: int) -> list[str]:
    return textwrap.wrap(
        what or "?",
        width,
        initial_indent=f" {mark} {name:{_LABEL}} ",
        subsequent_indent=" " * (_LABEL + 4),
        break_on_hyphens=False,
    )

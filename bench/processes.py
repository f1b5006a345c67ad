"""What processes use, read from /proc: processor time, memory, threads, descriptors."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from engine.errors import ConfigError

PROC = Path("/proc")


def check(bench: str) -> None:
    """Raises ConfigError where this system has no /proc."""
    if not (PROC / "self" / "status").exists():
        raise ConfigError(f"bench {bench} reads /proc, which this system does not have")


def family(pid: int) -> list[int]:
    """A process and all that come from it, those that have ended left out."""
    parents = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time that processes have used, in seconds; one that has ended counts nothing."""
    ticks = 0
    for pid in pids:
        try:
            text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def busy_s() -> tuple[float, float]:
    """Processor time of the whole machine so far, in seconds: used, and taken by its host."""
    fields = (PROC / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, soft, steal = (int(field) for field in fields[:8])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + soft) / tick, steal / tick


def memory_mb(pids: Iterable[int]) -> float:
    """Memory of processes together, in MB; what they share is counted once."""
    kilobytes = 0
    for pid in pids:
        try:
            text = (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        kilobytes += int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0])
    return kilobytes / 1024


def status(pid: int) -> dict[str, float | int]:
    """Memory in MB, threads and descriptors of a process."""
    text = (PROC / str(pid) / "status").read_text(encoding="ascii")
    values = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", text, re.MULTILINE))
    return {
        "rss_mb": int(values["VmRSS"]) / 1024,
        "threads": int(values["Threads"]),
        "descriptors": sum(1 for _ in (PROC / str(pid) / "fd").iterdir()),
    }

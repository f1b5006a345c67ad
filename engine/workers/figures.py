"""The figures of several processes as one: what counts is added up, and never falls back."""

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Samples = list[list[Any]]
"""`[family, kind, description, name, {label: value}, value]` of each sample: JSON types only."""
FPS: Final = "visavis_fps"
SESSIONS: Final = "visavis_sessions"
_GAUGE: Final = "gauge"


def samples_of(registry: CollectorRegistry) -> Samples:
    """All figures of a registry."""
    return [
        [family.name, family.type, family.documentation, sample.name, sample.labels, sample.value]
        for family in registry.collect()
        for sample in family.samples
    ]


def lasting(samples: Samples) -> Samples:
    """What stays of a process's figures when it has ended: all but the state of the moment."""
    return [sample for sample in samples if sample[1] != _GAUGE]


def added(sources: Iterable[Samples]) -> Samples:
    """One set of figures: sums; the mean of calls for pictures a second; the earliest beginning."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[Any]] = {}
    shown = 0.0
    for samples in sources:
        sessions = sum(value for *_, name, _, value in samples if name == SESSIONS)
        for family, kind, words, name, labels, value in samples:
            key = name, tuple(sorted(labels.items()))
            before = found.setdefault(key, [family, kind, words, name, labels, None])
            if name == FPS:
                shown += value * sessions
            if before[5] is None:
                before[5] = value
            elif name.endswith("_created"):
                before[5] = min(before[5], value)
            else:
                before[5] += value
    sessions = sum(sample[5] for sample in found.values() if sample[3] == SESSIONS)
    for sample in found.values():
        if sample[3] == FPS:
            sample[5] = shown / sessions if sessions else 0.0
    return list(found.values())


def text_of(samples: Samples) -> bytes:
    """Figures in the Prometheus text format."""
    registry = CollectorRegistry()
    registry.register(_Given(samples))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for family, kind, words, name, labels, value in self._samples:
            if family not in families:
                families[family] = Metric(family, words, kind)
            families[family].add_sample(name, labels, value)
        return families.values()

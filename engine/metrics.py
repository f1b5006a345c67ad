"""What is measured: recent times a stage for anyone, and the server's Prometheus figures."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_RECENT = 512
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_SLACK_MS = (-200, -100, -40, -20, -10, 0, 5, 10, 15, 20, 25, 30, 35, 40)
_BUCKETS_MS = (1, 2, 3, 5, 8, 12, 18, 25, 40, 60, 90, 120, 160, 200, 300, 500, 1000)


class StageSummary(TypedDict):
    """One stage's recent times: median and 95th percentile in ms, and how often it ran in all."""

    p50: float
    p95: float
    count: int


class StageTimes:
    """Recent times of each stage in ms; safe to use from several threads.

    Args:
        clock: seconds, monotonic.
        observe: called with (stage, ms) for each time recorded, on the recording thread.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        observe: Callable[[str, float], None] | None = None,
    ) -> None:
        self.observe = observe
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: dict[str, deque[float]] = {}
        self._count: dict[str, int] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Records how long the block took under `name`, also when it raises."""
        started = self._clock()
        try:
            yield
        finally:
            self.record(name, (self._clock() - started) * 1000.0)

    def record(self, name: str, ms: float) -> None:
        """Adds one time in ms to the stage `name`."""
        with self._lock:
            self._recent.setdefault(name, deque(maxlen=_RECENT)).append(ms)
            self._count[name] = self._count.get(name, 0) + 1
        if self.observe is not None:
            self.observe(name, ms)

    def summary(self) -> dict[str, StageSummary]:
        """Median, p95 and count by stage, in the order in which the stages first ran."""
        with self._lock:
            recent = {name: sorted(times) for name, times in self._recent.items()}
            counts = dict(self._count)
        return {
            name: {
                "p50": _percentile(times, 0.50),
                "p95": _percentile(times, 0.95),
                "count": counts[name],
            }
            for name, times in recent.items()
        }


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class ServerMetrics:
    """The server's figures, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions = Gauge("visavis_sessions", "Calls now running", registry=self.registry)
        self.sessions_total = Counter(
            "visavis_sessions_ended", "Calls ended, by how", ["end"], registry=self.registry
        )
        self.refused_total = Counter(
            "visavis_refused", "Calls refused, by reason", ["reason"], registry=self.registry
        )
        self.pictures_total = Counter("visavis_pictures", "Pictures sent", registry=self.registry)
        self.dropped_total = Counter(
            "visavis_dropped", "Pictures and sound not sent", ["kind"], registry=self.registry
        )
        self.microphone_seconds_total = Counter(
            "visavis_microphone_seconds",
            "Microphone sound lost, filled with silence, or dropped as late",
            ["kind"],
            registry=self.registry,
        )
        self.bytes_total = Counter(
            "visavis_bytes", "Bytes of media, by direction", ["direction"], registry=self.registry
        )
        self.fps = Gauge("visavis_fps", "Pictures a second, mean of calls", registry=self.registry)
        self.stage_ms = Histogram(
            "visavis_stage_ms",
            "Time a stage takes, ms",
            ["stage"],
            buckets=_BUCKETS_MS,
            registry=self.registry,
        )

        self.batch_size = Histogram(
            "visavis_batch_size",
            "Pictures drawn together",
            buckets=_BATCHES,
            registry=self.registry,
        )
        self.padding_total = Counter(
            "visavis_batch_padding", "Places in batches that were empty", registry=self.registry
        )
        self.slack_ms = Histogram(
            "visavis_slack_ms",
            "Time left when a picture was drawn, ms; below 0 it was late",
            buckets=_SLACK_MS,
            registry=self.registry,
        )

    def observe_batch(self, count: int, size: int, slack_ms: Sequence[float]) -> None:
        """Adds a batch of `count` pictures, padded to `size`, and what time each had left."""
        self.batch_size.observe(count)
        self.padding_total.inc(size - count)
        for left_ms in slack_ms:
            self.slack_ms.observe(left_ms)

    def watch_drawing(self, figures: Callable[[], tuple[dict[str, int], int]]) -> None:
        """Has the text tell what becomes of pictures, and how many sessions have a lower rate.

        Args:
            figures: gives counts by name, see `engine.scheduler.Counts`, and that number.
        """
        self.registry.register(_Drawing(figures))

    def observe_stage(self, name: str, ms: float) -> None:
        """Adds one time in ms to the histogram of the stage `name`."""
        self.stage_ms.labels(name).observe(ms)

    def text(self) -> bytes:
        """All figures in the Prometheus text format."""
        return generate_latest(self.registry)


class _Drawing(Collector):
    """Reads counters where they are kept, when the text is asked for."""

    def __init__(self, figures: Callable[[], tuple[dict[str, int], int]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The counters and the gauge."""
        counts, lowered = self._figures()
        pictures = CounterMetricFamily(
            "visavis_scheduled",
            "Pictures asked to be drawn, and what became of them",
            labels=["fate"],
        )
        for fate, number in counts.items():
            pictures.add_metric([fate], number)
        yield pictures
        yield GaugeMetricFamily(
            "visavis_sessions_lowered", "Calls at less than their full rate", lowered
        )

"""One call: the microphone's sound through the pipeline, pictures and their sound back."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from engine.config import EngineConfig, ServerConfig
from engine.encode import AnyPacket, VideoCodec, VideoEncoder
from engine.frames import FPS, FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, Picture
from engine.metrics import ServerMetrics, StageTimes
from engine.mic import MicClock
from engine.probe import flash
from engine.renderer import Share
from engine.transport import BitrateControl, Peer
from engine.voice import STALE_MS, Voice

T = TypeVar("T")
logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 15.0
WORK_TIMEOUT_S: Final = 5.0
"""How long the end of a call waits for a step that is under way."""
FILL_EVERY_S: Final = 0.02
FILL_WITHIN_S: Final = 0.1
"""How soon and how late missing sound is looked for again."""
MEASURE_EVERY_S: Final = 1.0
TYPICAL_WORK_MS: Final = 15
BACKLOG_MS: Final = 1000
"""Sound that waits for the pipeline; beyond it all but the newest `KEEP_MS` is passed over."""
KEEP_MS: Final = 200


class PipelineLike(Protocol):
    """What a session needs of `engine.pipeline.Pipeline`."""

    timings: StageTimes

    @property
    def share(self) -> Share:
        """What the session gets of what draws for several."""
        ...

    def push(self, pcm: Pcm) -> list[Picture]:
        """Takes sound in order, gives the pictures that are now ready."""
        ...

    def reset(self) -> None:
        """Forgets everything; the next sound starts at pts 0."""
        ...

    def close(self) -> None:
        """Nothing more will be pushed."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded picture; `packets` is empty where the picture was dropped."""

    index: int
    packets: list[AnyPacket]


class Worker:
    """The part of a session that computes; runs off the event loop.

    Args:
        pipeline: of this session alone.
        encoder: of this session alone.
        probe: mark pictures whose sound holds the probe's beep.
    """

    def __init__(self, pipeline: PipelineLike, encoder: VideoEncoder, probe: bool = False) -> None:
        self.pipeline = pipeline
        self.encoder = encoder
        self._probe = probe
        self._base = 0
        self._end = 0

    def step(self, pcm: Pcm) -> list[Encoded]:
        """Pushes sound and encodes the pictures that come out.

        Sound may leave out some time; what follows then begins with a picture.
        """
        timings = self.pipeline.timings
        done = []
        if pcm.pts != self._end:
            self.pipeline.reset()
            self._base = pcm.pts
        self._end = pcm.end
        for picture in self.pipeline.push(Pcm(pcm.pts - self._base, pcm.samples)):
            index = picture.index + self._base // FRAME_SAMPLES
            packets: list[AnyPacket] = []
            if picture.i420 is not None:
                i420 = flash(picture.i420, picture.pcm) if self._probe else picture.i420
                with timings.measure("encode"):
                    packets = self.encoder.encode(i420, index)
            done.append(Encoded(index, packets))
        return done


class Session:
    """One call, from its offer to its end.

    Args:
        name: of the call, for tasks, thread and log.
        make_pipeline: builds the session's pipeline; called on one of the threads.
        engine_config: gives the picture's size and the lookahead.
        config: bitrates and probe mode.
        metrics: the server's.
        executor: threads for heavy work; a session never uses more than one at a time.
        clock: seconds, monotonic.

    Attributes:
        end: how the call ended: "closed", "lost", "deleted", "unconnected", "error", "shutdown".
    """

    def __init__(
        self,
        name: str,
        make_pipeline: Callable[[], PipelineLike],
        engine_config: EngineConfig,
        config: ServerConfig,
        metrics: ServerMetrics,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.end = "closed"
        self._make_pipeline = make_pipeline
        self._engine_config = engine_config
        self._config = config
        self._metrics = metrics
        self._executor = executor
        self._work: asyncio.Future[Any] | None = None
        self._built: asyncio.Future[Worker] | None = None
        self._clock = clock
        self._bitrate = BitrateControl(
            config.video_kbps, config.min_video_kbps, config.max_video_kbps
        )
        self._peer = Peer(
            self._bitrate, self._want_keyframe, self._want_bitrate, self._age_s, self._listen
        )
        self._worker: Worker | None = None
        self._mic: MicClock | None = None
        self._voice: Voice | None = None
        self._unspoken: asyncio.Queue[AnyPacket] = asyncio.Queue()
        self._inbox: deque[Pcm] = deque()
        self._wake = asyncio.Event()
        self._ahead_ms = max(FRAME_MS, engine_config.lookahead_ms)
        self._enough = _samples(self._ahead_ms)
        self._sent_s: deque[float] = deque(maxlen=100)
        self._latency_ms: deque[float] = deque(maxlen=100)
        self._counts = {"pictures": 0, "dropped": 0, "shed": 0}
        self._counted_bytes = {"in": 0, "out": 0}
        self._counted_mic = {"lost": 0, "filled": 0, "late": 0}

    async def answer(self, offer: str) -> str:
        """Answers the offer; `run` must follow, or `close`.

        Raises:
            SignallingError: the offer cannot be answered.
        """
        return await self._peer.answer(offer)

    async def close(self) -> None:
        """Gives up a session that was never run."""
        await self._peer.close()

    def hang_up(self, end: str) -> None:
        """Ends the call from this side; `run` returns soon after."""
        if not self._peer.ended.is_set():
            self._peer.end = end
            self._peer.ended.set()

    async def run(self) -> None:
        """Runs the call until either side ends it; leaves no task, thread or socket behind."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._compute(), name=f"{self.name}-compute"),
                    group.create_task(self._measure(), name=f"{self.name}-measure"),
                ]
                await self._peer.ended.wait()
                for task in tasks:
                    task.cancel()
            self.end = self._peer.end
        except* Exception as errors:
            self.end = "error"
            logger.error("%s failed", self.name, exc_info=errors.exceptions[0])
        finally:
            await self._peer.close()
            if self._work is not None:
                await asyncio.wait([self._work], timeout=WORK_TIMEOUT_S)
            if self._built is not None:
                # It may be built yet, where the call ended soon.
                self._built.add_done_callback(_close)
            self._work = self._built = self._worker = None
            logger.info("%s ended: %s", self.name, self.end)

    def figures(self) -> dict[str, Any]:
        """Live figures for the page and for tests; JSON types only."""
        now = self._clock()
        recent = [at for at in self._sent_s if now - at <= 2.0]
        span_s = now - recent[0] if len(recent) > 1 else 0.0
        latency = sorted(self._latency_ms)
        peer = self._peer.figures
        mic = self._mic
        timings = self._worker.pipeline.timings.summary() if self._worker else {}
        share = self._worker.pipeline.share if self._worker else Share()
        return {
            "fps": round(len(recent) / span_s, 1) if span_s > 0.2 else 0.0,
            "latency_ms": round(latency[len(latency) // 2], 1) if latency else None,
            "pictures": self._counts["pictures"],
            "dropped": self._counts["dropped"],
            "shed": self._counts["shed"],
            "late": share.late,
            "stride": share.stride,
            "rate": round(FPS / share.stride, 1),
            "sound_hold_ms": round(self._voice.hold_ms, 1) if self._voice else None,
            "kbps": round(self._bitrate.sent_kbps()),
            "target_kbps": self._bitrate.kbps,
            "codec": self._peer.video_codec,
            "loss": round(peer.loss, 4),
            "rtt_ms": None if peer.rtt_ms is None else round(peer.rtt_ms, 1),
            "bytes_sent": peer.bytes_sent,
            "bytes_received": peer.bytes_received,
            "bad_packets": peer.bad_packets,
            "mic_lost_ms": _ms(mic.lost) if mic else 0,
            "mic_filled_ms": _ms(mic.filled) if mic else 0,
            "mic_late_ms": _ms(mic.late) if mic else 0,
            "mic_anchors": mic.anchors if mic else 0,
            "stages": timings,
        }

    def _listen(self, pcm: Pcm) -> None:
        # What comes before the pipeline stands would only be a backlog.
        if self._mic is not None and self._voice is not None:
            slipped_s = self._mic.slipped_s
            self._take(self._mic.push(pcm, self._clock()))
            if self._mic.slipped_s > slipped_s:
                self._voice.rebase((self._mic.slipped_s - slipped_s) * 1000.0)

    async def _compute(self) -> None:
        self._built = self._begin(partial(self._build, self._peer.video_codec))
        worker, _ = await asyncio.gather(asyncio.shield(self._built), self._connected())
        if self._peer.ended.is_set():
            return
        self._worker = worker
        mic = MicClock(self._clock(), self._ahead_ms)
        self._voice = Voice(mic.arrival_s, self._ahead_ms + TYPICAL_WORK_MS)
        self._mic = mic
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fill(mic), name=f"{self.name}-fill")
            group.create_task(self._speak(self._voice), name=f"{self.name}-speak")
            while True:
                await self._wake.wait()
                pcm = self._next_sound()
                for done in await self._off_loop(partial(worker.step, pcm)):
                    self._show(done, mic, self._voice)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        """Runs heavy work on a thread; it runs to its end even if the call ends before."""
        return await asyncio.shield(self._begin(work))

    def _begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        begun = asyncio.get_running_loop().run_in_executor(self._executor, work)
        self._work = begun
        return begun

    async def _connected(self) -> None:
        try:
            await asyncio.wait_for(self._peer.connected.wait(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            self.hang_up("unconnected")

    async def _fill(self, mic: MicClock) -> None:
        while True:
            now = self._clock()
            self._take(mic.fill(now))
            await asyncio.sleep(min(FILL_WITHIN_S, max(FILL_EVERY_S, mic.fill_s(now) - now)))

    async def _speak(self, voice: Voice) -> None:
        while True:
            packet = await self._unspoken.get()
            wait_s = voice.due_s(packet) - self._clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            stale = wait_s * 1000.0 < -STALE_MS
            if stale or self._peer.send_sound(packet):
                self._metrics.dropped_total.labels("sound").inc()

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_EVERY_S)
            figures = await self._peer.measure()
            for key, value in (("in", figures.bytes_received), ("out", figures.bytes_sent)):
                self._metrics.bytes_total.labels(key).inc(value - self._counted_bytes[key])
                self._counted_bytes[key] = value
            if self._mic is not None:
                for key in self._counted_mic:
                    value = getattr(self._mic, key)
                    seconds = (value - self._counted_mic[key]) / SAMPLE_RATE_HZ
                    self._metrics.microphone_seconds_total.labels(key).inc(seconds)
                    self._counted_mic[key] = value

    def _build(self, codec: VideoCodec) -> Worker:
        size_px = self._engine_config.size_px
        encoder = VideoEncoder(
            codec,
            (size_px, size_px),
            kbps=self._config.video_kbps,
            max_kbps=self._config.max_video_kbps,
        )
        # Last: once it is made, something must close it.
        pipeline = self._make_pipeline()
        pipeline.timings.observe = self._metrics.observe_stage
        return Worker(pipeline, encoder, self._config.probe)

    def _take(self, pcm: Pcm | None) -> None:
        if pcm is None or self._voice is None:
            return
        self._inbox.append(pcm)
        # What completes no picture is not worth a thread's turn yet.
        if pcm.end >= self._enough:
            self._wake.set()
        for packet in self._voice.push(pcm):
            self._unspoken.put_nowait(packet)

    def _next_sound(self) -> Pcm:
        """All waiting sound as one run: what is ready together must be pushed together."""
        self._wake.clear()
        start, end = self._inbox[0].pts, self._inbox[-1].end
        samples = np.concatenate([pcm.samples for pcm in self._inbox])
        self._inbox.clear()
        self._enough = end + FRAME_SAMPLES - (end - _samples(self._ahead_ms)) % FRAME_SAMPLES
        if _ms(end - start) > BACKLOG_MS:
            keep = _samples(KEEP_MS)
            newest = (end - keep) // FRAME_SAMPLES * FRAME_SAMPLES
            self._drop_pictures((newest - start) // FRAME_SAMPLES)
            samples, start = samples[newest - start :], newest
        return Pcm(start, samples)

    def _show(self, picture: Encoded, mic: MicClock, voice: Voice) -> None:
        now = self._clock()
        dropped = 1
        if picture.packets:
            latency_ms = (now - mic.arrival_s(picture.index * FRAME_SAMPLES)) * 1000.0
            if not mic.overdue:
                voice.follow(latency_ms)
            dropped = self._peer.send_picture(picture.packets)
            self._sent_s.append(now)
            self._latency_ms.append(latency_ms)
            self._counts["pictures"] += 1
            self._metrics.pictures_total.inc()
            self._metrics.observe_stage("session", latency_ms)
        elif self._counts["shed"] < self._shed():
            self._counts["shed"] += 1
            self._metrics.dropped_total.labels("shed").inc()
            return
        if dropped:
            self._drop_pictures(dropped)

    def _shed(self) -> int:
        """Pictures left out for an even, lower rate."""
        return 0 if self._worker is None else self._worker.pipeline.share.shed

    def _drop_pictures(self, count: int) -> None:
        self._counts["dropped"] += count
        self._metrics.dropped_total.labels("picture").inc(count)

    def _age_s(self, pts: int) -> float:
        return 0.0 if self._mic is None else self._clock() - self._mic.arrival_s(pts)

    def _want_keyframe(self) -> None:
        if self._worker is not None:
            self._worker.encoder.request_keyframe()

    def _want_bitrate(self, kbps: int) -> None:
        if self._worker is not None:
            self._worker.encoder.set_bitrate(kbps)


def _close(built: asyncio.Future[Worker]) -> None:
    if not built.cancelled() and built.exception() is None:
        built.result().pipeline.close()


def _ms(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE_HZ


def _samples(ms: int) -> int:
    return ms * SAMPLE_RATE_HZ // 1000

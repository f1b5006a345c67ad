"""A caller for `visavis bench load`, in a process of its own; it decodes no picture.

`python -m bench.peer URL CODEC SPEECH` answers each line with a line: the first with `called` once
pictures come, the second with `ready` once they flow, the third, seconds, with what it measured for
so long, as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import uvloop
from aiortc import RTCRtpReceiver
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket

from bench.caller import Caller, calling, heard_delay_ms
from bench.report import percentiles
from engine.frames import SAMPLE_RATE_HZ
from engine.media import decode

PICTURES: Final = 25
"""They count as flowing when so many have come."""
CONNECT_S: Final = 60.0
_VIDEO_HZ: Final = 90_000
_SOUND_PACKET: Final = SAMPLE_RATE_HZ // 50
_ECHO_S: Final = 10.0

F64 = npt.NDArray[np.float64]


@dataclass(slots=True)
class Stream:
    """What came of one stream.

    Attributes:
        rate_hz: of its RTP time.
        seen: (arrival, RTP time) of each picture's last packet, or of each sound packet; arrival in
            seconds of the wall clock.
        reports: (arrival, capture, RTP time) of each sender report: which moment of the sender's
            wall clock, in seconds, an RTP time stands for. It moves where the server comes to
            expect the microphone's sound later.
    """

    rate_hz: int
    seen: list[tuple[float, int]] = field(default_factory=list)
    reports: list[tuple[float, float, int]] = field(default_factory=list)

    def watch(self, receiver: RTCRtpReceiver, now_s: Callable[[], float] = time.time) -> None:
        """Notes packets as they come in; pictures are neither put together nor decoded."""
        handle_rtp, handle_rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet
        video = receiver.track.kind == "video"

        async def note_rtp(packet: RtpPacket, arrival_time_ms: int) -> None:
            if packet.payload and (packet.marker or not video):
                self.seen.append((now_s(), packet.timestamp))
            await handle_rtp(packet, arrival_time_ms=arrival_time_ms)

        async def note_rtcp(packet: AnyRtcpPacket) -> None:
            if isinstance(packet, RtcpSrPacket):
                info = packet.sender_info
                sent_s = _unix_s(info.ntp_timestamp)
                self.reports.append((now_s(), sent_s, info.rtp_timestamp))
            await handle_rtcp(packet)

        receiver._handle_rtp_packet = note_rtp  # type: ignore[method-assign]
        receiver._handle_rtcp_packet = note_rtcp  # type: ignore[method-assign]
        if video:
            receiver._RTCRtpReceiver__decoder_queue.put = _only_the_end(  # type: ignore[attr-defined]
                receiver._RTCRtpReceiver__decoder_queue.put  # type: ignore[attr-defined]
            )

    def between(self, since_s: float, until_s: float) -> "Stream":
        """What came in a span of time; reports are kept."""
        seen = [each for each in self.seen if since_s <= each[0] < until_s]
        return Stream(self.rate_hz, seen, self.reports)

    @property
    def arrived_s(self) -> F64:
        """(N,) when each came, in seconds of the wall clock."""
        return np.array([arrival for arrival, _ in self.seen], np.float64)

    @property
    def captured_s(self) -> F64:
        """(N,) when each was captured by the sender's word, in seconds of its wall clock.

        Raises:
            ValueError: no report has come.
        """
        if not self.reports:
            raise ValueError("no sender report has come, expected one a second")
        came_s = [came for came, _, _ in self.reports]
        last = np.maximum(np.searchsorted(came_s, self.arrived_s, side="right") - 1, 0)
        captured_s = []
        for (_, stamp), number in zip(self.seen, last, strict=True):
            _, sent_s, reported = self.reports[number]
            captured_s.append(sent_s + _since(stamp, reported) / self.rate_hz)
        return np.array(captured_s, np.float64)


def figures(pictures: Stream, sound: Stream, seconds: float) -> dict[str, float | None]:
    """What one call was like.

    Args:
        pictures, sound: what came in that time.
        seconds: length of it.

    Raises:
        ValueError: nothing came, or no sender report.
    """
    if len(pictures.seen) < 2 or len(sound.seen) < 2:
        raise ValueError(
            f"{len(pictures.seen)} pictures and {len(sound.seen)} packets of sound came, "
            "expected two at least of each"
        )
    stamps = {_since(stamp, sound.seen[0][1]) for _, stamp in sound.seen}
    expected = (max(stamps) - min(stamps)) // _SOUND_PACKET + 1
    gaps_ms, sound_gaps_ms = (1000 * np.diff(each.arrived_s) for each in (pictures, sound))
    seen_ms, heard_ms = (1000 * (each.arrived_s - each.captured_s) for each in (pictures, sound))
    skew_ms = _skew_ms(pictures, sound)
    found: dict[str, float | None] = {
        "fps": len(pictures.seen) / seconds,
        "longest_gap_ms": float(gaps_ms.max()),
        "p95_gap_ms": float(np.percentile(gaps_ms, 95)),
        "sound_lost_ms": 20.0 * (expected - len(stamps)),
        "longest_sound_gap_ms": float(sound_gaps_ms.max()),
        "skew_p50_ms": float(np.median(skew_ms)),
        "skew_p5_ms": float(np.percentile(skew_ms, 5)),
        "skew_p95_ms": float(np.percentile(skew_ms, 95)),
    }
    for name, delays_ms in (("seen", seen_ms), ("heard", heard_ms)):
        for key, value in percentiles(delays_ms, (50, 95, 99)).items():
            found[f"{name}_{key}"] = None if value is None else float(value)
    return found


def _skew_ms(pictures: Stream, sound: Stream) -> F64:
    """(N,) how much later than each picture its sound came, in ms."""
    order = np.argsort(sound.captured_s)
    came_s = np.interp(pictures.captured_s, sound.captured_s[order], sound.arrived_s[order])
    return np.asarray(1000 * (came_s - pictures.arrived_s), np.float64)


def _since(stamp: int, reference: int) -> int:
    """RTP time between two stamps, which wrap at 32 bits."""
    return (stamp - reference + 2**31) % 2**32 - 2**31


def _unix_s(ntp: int) -> float:
    """Seconds since 1970 of a 64-bit NTP time (RFC 5905), which counts from 1900."""
    return ntp / 2**32 - 2_208_988_800


def _only_the_end(put: Callable[[Any], None]) -> Callable[[Any], None]:
    def put_end(task: Any) -> None:
        if task is None:
            put(None)

    return put_end


async def _measure(caller: Caller) -> None:
    receivers = {each.kind: each.receiver for each in caller.connection.getTransceivers()}
    pictures, sound = Stream(_VIDEO_HZ), Stream(SAMPLE_RATE_HZ)
    pictures.watch(receivers["video"])
    sound.watch(receivers["audio"])
    await _came(pictures, 1)
    _say("called")
    if not await _line():
        return
    await _came(pictures, PICTURES)
    _say("ready")
    if not (line := await _line()):
        return
    before = await caller.figures()
    since_s, cpu_s = time.time(), time.process_time()
    await asyncio.sleep(float(line))
    until_s, cpu_s = time.time(), time.process_time() - cpu_s
    seconds = until_s - since_s
    after = await caller.figures()
    found: dict[str, Any] = dict(
        figures(pictures.between(since_s, until_s), sound.between(since_s, until_s), seconds)
    )
    found |= {key: after[key] - before[key] for key in ("late", "shed", "dropped")}
    found |= {"rate": after["rate"], "server_p50_ms": after["latency_ms"]}
    found["cpu_percent"] = 100 * cpu_s / seconds
    try:
        found["echo_ms"] = await asyncio.to_thread(heard_delay_ms, caller, _ECHO_S)
    except ValueError:
        found["echo_ms"] = None
    _say(json.dumps(found))


async def _came(pictures: Stream, count: int) -> None:
    async with asyncio.timeout(CONNECT_S):
        while len(pictures.seen) < count:  # noqa: ASYNC110 - packets tell nobody
            await asyncio.sleep(0.05)


async def _line() -> str:
    """What is said to it; nothing where nobody will say more."""
    return await asyncio.to_thread(sys.stdin.readline)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _main(url: str, codec: str, path: str) -> None:
    speech = np.concatenate([pcm.samples for pcm in decode(Path(path))])
    if not await _line():
        return
    async with calling(url, speech, codec, keep=False) as caller:
        await _measure(caller)


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:4]))

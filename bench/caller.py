"""A caller without a browser: an aiortc peer that speaks to a server and notes what comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import aiohttp
import av
import numpy as np
import numpy.typing as npt
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from engine import transport_mends
from engine.encode import AnyPacket
from engine.frames import SAMPLE_RATE_HZ

PTIME_MS = 10
_PTIME_SAMPLES = SAMPLE_RATE_HZ * PTIME_MS // 1000
_PIECE_RUNS = 25
_LIKENESS = 0.6
_LOUD = 500.0


class Microphone(MediaStreamTrack):
    """Speaks samples in a loop, in Opus packets of 10 ms, at the pace of the wall clock.

    Args:
        samples: (N,) int16 mono at 48 kHz.

    Attributes:
        skip: asked with each packet's number; where it says yes, the packet is never sent.
        muted: while True no packet is sent, as if the sound card had stopped.
        number: of the next packet.
    """

    kind = "audio"

    def __init__(self, samples: npt.NDArray[np.int16]) -> None:
        super().__init__()
        self.skip: Callable[[int], bool] = lambda number: False
        self.muted = False
        self.number = 0
        self.samples = samples
        self._started_s = 0.0
        self._encoder = av.CodecContext.create("libopus", "w")
        self._encoder.format = "s16"
        self._encoder.layout = "mono"
        self._encoder.sample_rate = SAMPLE_RATE_HZ
        self._encoder.bit_rate = 32_000
        self._encoder.options = {
            "application": "voip",
            "compression_level": "0",
            "frame_duration": str(PTIME_MS),
        }

    @property
    def said(self) -> int:
        """Samples sent so far, packets that were skipped included."""
        return self.number * _PTIME_SAMPLES

    async def recv(self) -> AnyPacket:
        """The next packet, when it is time."""
        if self.number == 0:
            self._started_s = time.perf_counter()
        while True:
            due_s = self._started_s + (self.number + 1) * PTIME_MS / 1000
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            packet = self._encode(self.number)
            self.number += 1
            if not self.muted and not self.skip(self.number - 1):
                return packet

    def _encode(self, number: int) -> AnyPacket:
        start = number * _PTIME_SAMPLES
        block = self.samples.take(range(start, start + _PTIME_SAMPLES), mode="wrap")
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = start
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        (packet,) = self._encoder.encode(frame)
        packet.pts = start
        packet.time_base = Fraction(1, SAMPLE_RATE_HZ)
        return packet


class Caller:
    """One call to a server.

    Args:
        url: of the server, with a slash at its end.
        samples: what the microphone hears, (N,) int16 mono at 48 kHz.
        codec: "VP8" or "H264", offered first.
        keep: whether to keep the pictures; if not, only when they came.

    Attributes:
        pictures: (seconds, picture) of each received picture; the picture's (H, W) luma, uint8.
        sound: (said, pts, samples) of each received run of sound, mono int16; `said` is how much
            the microphone had sent by then, in samples.
        location: path of the call on the server.
    """

    def __init__(
        self,
        url: str,
        samples: npt.NDArray[np.int16],
        codec: str = "VP8",
        keep: bool = True,
    ) -> None:
        transport_mends.apply()
        self.pictures: list[tuple[float, npt.NDArray[np.uint8]]] = []
        self.sound: list[tuple[int, int, npt.NDArray[np.int16]]] = []
        self.location = ""
        self.microphone = Microphone(samples)
        self.changed = asyncio.Condition()
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._url = url
        self._codec = codec
        self._keep = keep
        self._tasks: list[asyncio.Task[None]] = []
        self._http = aiohttp.ClientSession()

    async def offer(self) -> str:
        """The SDP offer, with its candidates."""
        self.connection.addTransceiver(self.microphone, direction="sendrecv")
        video = self.connection.addTransceiver("video", direction="recvonly")
        capabilities = video.receiver.getCapabilities("video")
        assert capabilities is not None
        video.setCodecPreferences(
            sorted(capabilities.codecs, key=lambda c: c.name not in (self._codec, "rtx"))
        )
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def call(self, avatar: str = "") -> None:
        """Calls and begins to note pictures and sound.

        Raises:
            aiohttp.ClientResponseError: the server refuses.
        """
        offer = await self.offer()
        async with self._http.post(
            f"{self._url}api/call",
            params={"avatar": avatar} if avatar else {},
            data=offer,
            headers={"Content-Type": "application/sdp"},
        ) as response:
            response.raise_for_status()
            self.location = response.headers["Location"]
            answer = await response.text()
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        for transceiver in self.connection.getTransceivers():
            track = transceiver.receiver.track
            if transceiver.kind == "audio":
                transport_mends.remove_audio_delay(transceiver.receiver)
            self._tasks.append(asyncio.create_task(self._note(track), name="caller-note"))

    async def wait(self, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Waits until `done` holds; it is asked after each picture and run of sound.

        Raises:
            TimeoutError: it did not come to hold.
        """
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(done)

    async def seen(self, count: int, timeout_s: float = 20.0) -> None:
        """Waits until so many pictures have come.

        Raises:
            TimeoutError: they did not come.
        """
        await self.wait(lambda: len(self.pictures) >= count, timeout_s)

    async def spoken(self, number: int, timeout_s: float = 20.0) -> None:
        """Waits until the microphone has sent packets up to this number.

        Raises:
            TimeoutError: it did not get so far.
        """
        await self.wait(lambda: self.microphone.number >= number, timeout_s)

    async def figures(self) -> dict[str, Any]:
        """The server's live figures of this call."""
        async with self._http.get(self._url + self.location[1:]) as response:
            response.raise_for_status()
            figures: dict[str, Any] = await response.json()
            return figures

    async def server_idle(self, timeout_s: float = 10.0) -> None:
        """Waits until the server says that no call runs.

        Raises:
            TimeoutError: some call still runs.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                async with self._http.get(f"{self._url}health") as response:
                    if (await response.json())["sessions"] == 0:
                        return
                await asyncio.sleep(0.05)

    async def hang_up(self) -> int:
        """Ends the call by DELETE; returns the status."""
        async with self._http.delete(self._url + self.location[1:]) as response:
            return response.status

    def vanish(self) -> None:
        """Goes without a word, like a killed browser: the sockets close and nothing is sent."""
        for transceiver in self.connection.getTransceivers():
            ice = transceiver.receiver.transport.transport
            for protocol in ice._connection._protocols:
                protocol.transport.abort()

    async def close(self) -> None:
        """Closes the connection and stops noting."""
        await transport_mends.close(self.connection)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def _note(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            now = time.perf_counter()
            if isinstance(frame, av.VideoFrame):
                luma = np.zeros((0, 0), np.uint8)
                if self._keep:
                    luma = frame.to_ndarray(format="gray").astype(np.uint8)
                self.pictures.append((now, luma))
            elif isinstance(frame, av.AudioFrame) and frame.pts is not None:
                channels = len(frame.layout.channels)
                samples = frame.to_ndarray().reshape(-1, channels)[:, 0].astype(np.int16)
                self.sound.append((self.microphone.said, frame.pts, samples))
            async with self.changed:
                self.changed.notify_all()


@asynccontextmanager
async def calling(
    url: str, samples: npt.NDArray[np.int16], codec: str = "VP8", keep: bool = True
) -> AsyncIterator[Caller]:
    """A call that lasts as long as the block."""
    caller = Caller(url, samples, codec, keep)
    try:
        await caller.call()
        yield caller
    finally:
        await caller.close()


def heard_delay_ms(caller: Caller, last_s: float = 2.0) -> float:
    """From the end of a sound in the microphone to the end of the same sound coming back, in ms.

    Pieces of what came back over the last seconds are found again in what was said. Time is
    told by the microphone's own packets, so that a busy machine, which delays both ends, counts
    little; the quickest piece counts.

    Raises:
        ValueError: nothing was loud and like enough to be found again.
    """
    runs = caller.sound[-int(last_s * 50) :]
    delays = []
    for first in range(0, len(runs) - _PIECE_RUNS + 1, _PIECE_RUNS):
        piece = runs[first : first + _PIECE_RUNS]
        echo = np.concatenate([run for _, _, run in piece]).astype(np.float32)
        if np.sqrt(np.mean(echo**2)) > _LOUD:
            likeness, end = _find(caller.microphone.samples, piece[-1][0], echo)
            if likeness > _LIKENESS:
                delays.append((piece[-1][0] - end) * 1000.0 / SAMPLE_RATE_HZ)
    if not delays:
        raise ValueError(f"nothing that was said came back in the last {last_s} s")
    return min(delays)


def _find(
    samples: npt.NDArray[np.int16], until: int, echo: npt.NDArray[np.float32]
) -> tuple[float, int]:
    """How like the echo what was said is at best, 0 to 1, and at which sample it ends."""
    since = max(0, until - 4 * SAMPLE_RATE_HZ)
    said = samples.take(range(since, until), mode="wrap").astype(np.float32)
    size = 1 << (len(said) + len(echo)).bit_length()
    match = np.fft.irfft(np.fft.rfft(said, size) * np.conj(np.fft.rfft(echo, size)), size)
    # Normalised by the energy under the echo, or the loudest place would always win.
    total = np.cumsum(np.pad(said.astype(np.float64) ** 2, (1, 0)))
    energy = total[len(echo) :] - total[: -len(echo)]
    likeness = match[: len(energy)] / np.sqrt((energy + 1) * np.sum(echo.astype(np.float64) ** 2))
    best = int(np.argmax(likeness))
    return float(likeness[best]), since + best + len(echo)

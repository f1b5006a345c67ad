"""Small stand-ins for what a call needs, so that transport is tested by itself and quickly."""

import time

import numpy as np

from engine.avatar import Avatar, AvatarInfo
from engine.config import EngineConfig
from engine.frames import FRAME_SAMPLES, Motion, Pcm, Picture
from engine.metrics import StageTimes
from engine.renderer import Share

SIZE_PX = 128
CONFIG = EngineConfig(size_px=SIZE_PX)
BIT_PX = 16


class CountingPipeline:
    """Keeps the pipeline's promises; its pictures show their own number in black and white."""

    work_s = 0.0
    share = Share()

    def __init__(self, avatar: Avatar, config: EngineConfig) -> None:
        self.timings = StageTimes()
        self.config = config
        self.pushed: list[Pcm] = []
        self.closed = False
        self.reset()

    def reset(self) -> None:
        self._sound = np.zeros(0, np.int16)
        self._next = 0

    def close(self) -> None:
        self.closed = True

    def push(self, pcm: Pcm) -> list[Picture]:
        assert pcm.pts == len(self._sound), "sound must come without gaps"
        self.pushed.append(pcm)
        self._sound = np.concatenate((self._sound, pcm.samples))
        ahead = max(self.config.lookahead_ms * 48, FRAME_SAMPLES)
        ready = []
        while self._next * FRAME_SAMPLES + ahead <= len(self._sound):
            ready.append(self._next)
            self._next += 1
        return [self._picture(index, drawn=index == ready[-1]) for index in ready]

    def _picture(self, index: int, drawn: bool) -> Picture:
        start = index * FRAME_SAMPLES
        pcm = Pcm(start, self._sound[start : start + FRAME_SAMPLES])
        motion = Motion(index, np.zeros(1, np.float32))
        if not drawn:
            return Picture(index, None, pcm, motion)
        time.sleep(self.work_s)
        return Picture(index, number_picture(index), pcm, motion)


def number_picture(index: int) -> np.ndarray:
    i420 = np.full((SIZE_PX * 3 // 2, SIZE_PX), 128, np.uint8)
    for bit in range(16):
        x, y = bit % 8 * BIT_PX, bit // 8 * BIT_PX
        i420[y : y + BIT_PX, x : x + BIT_PX] = 235 if index >> bit & 1 else 16
    return i420


def read_number(luma: np.ndarray) -> int:
    return sum(
        int(luma[bit // 8 * BIT_PX + 8, bit % 8 * BIT_PX + 8] > 128) << bit for bit in range(16)
    )


class OneAvatar:
    """An avatar library with a single grey portrait."""

    def names(self) -> list[str]:
        return ["grey"]

    def find(self, name: str) -> Avatar:
        return Avatar(
            AvatarInfo(name, "Grey", "CC0-1.0", "test", "2026-01-01"),
            np.full((256, 256, 3), 128, np.uint8),
            np.full((256, 256), 255, np.uint8),
            np.full((478, 3), 100, np.float32),
        )


def main() -> None:
    """Serves calls with the stand-ins: `python -m tests.engine.stand_ins [PORT]`."""
    import asyncio
    import sys

    from engine.config import ServerConfig
    from engine.server import create_app, running

    async def run() -> None:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
        config = ServerConfig(port=port, probe=True)
        async with running(config, create_app(config, CONFIG, OneAvatar(), CountingPipeline)):
            await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()

"""Pictures of footage at their true times, where labels at 25 a second are read between."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from models.data import timing

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

FPS = 25


def pictures(path: Path) -> Iterator[tuple[float, U8]]:
    """(seconds by the file, (H, W, 3) uint8 RGB in square pixels) of each picture.

    Raises:
        av.FFmpegError: it cannot be read.
    """
    last = -np.inf
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        sar = float(stream.sample_aspect_ratio or 1)
        for frame in container.decode(stream):
            if frame.time is None or frame.time <= last:
                continue
            last = frame.time
            wide = round(frame.width * sar)
            rgb = frame.to_ndarray(format="rgb24", width=wide, height=frame.height)
            turned = np.rot90(rgb, round(frame.rotation / 90))
            yield frame.time, np.ascontiguousarray(turned, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """When the pictures of a video were taken.

    Attributes:
        path: of the video.
        times: (N,) seconds since label 0, see `models.data.timing`.
        fresh: (N,) bool, the picture is no repeat of the one before.
    """

    path: Path
    times: F64
    fresh: npt.NDArray[np.bool_]

    @staticmethod
    def open(path: Path) -> "Film":
        """Goes through a video once.

        Raises:
            av.FFmpegError: it cannot be read.
        """
        filed, change, before = [], [], None
        for time, rgb in pictures(path):
            thin = max(1, min(rgb.shape[:2]) // 256)
            small = rgb[::thin, ::thin, 1].astype(np.int16)
            if before is not None:
                change.append(float(np.abs(small - before).mean()))
            before = small
            filed.append(time)
        times, fresh, _ = timing.true_times(np.array(filed), np.array(change))
        return Film(path, times - times[0], fresh)

    def points(self, labels: F64) -> F64:
        """(N, 478, 3) landmarks of the pictures, from labels (T, 478, 3)."""
        grid = np.arange(len(labels)) / FPS
        return timing.resample(grid, labels.astype(np.float32), self.times).astype(np.float64)

    def label(self, picture: int) -> int:
        """The label nearest to a picture."""
        return round(float(self.times[picture]) * FPS)

    def usable(self, valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """(N,) whether a picture is no repeat and lies among valid labels (T,)."""
        at = np.rint(self.times * FPS).astype(int)
        inside = at < len(valid)
        return np.asarray(self.fresh & inside & valid[at.clip(0, len(valid) - 1)], np.bool_)

    def see(self, wanted: Set[int]) -> dict[int, U8]:
        """Some of the pictures, by number."""
        return {i: rgb for i, (_, rgb) in enumerate(pictures(self.path)) if i in wanted}

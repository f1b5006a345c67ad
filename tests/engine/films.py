"""Films read back, transparency and all."""

from pathlib import Path

import av


def decoded(path: Path) -> list[av.VideoFrame]:
    """Every picture of a film. FFmpeg's own VP9 decoder drops alpha, libvpx keeps it."""
    with av.open(str(path)) as film:
        video = film.streams.video[0]
        if video.codec.canonical_name != "vp9":
            return list(film.decode(video))
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        return [frame for packet in film.demux(video) for frame in decoder.decode(packet)]

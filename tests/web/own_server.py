"""A server that takes pictures, with a finder that knows the test's picture: `FOLDER`."""

import sys
from pathlib import Path

from engine.avatar import find
from engine.config import EngineConfig, ServerConfig
from engine.library import Library
from engine.server import serve
from tests.engine.portraits import photograph, tools


def ready(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    faces = [photograph(find(name), at=at, head_px=620)[1] for name, at in (("maya", (0.3, 0.55)), ("kofi", (0.72, 0.55)))]
    if len(sys.argv) > 2:
        faces = [photograph(find("maya"), tilt=5)[1]]
    serve(ServerConfig(port=0), EngineConfig(), ready, Library(Path(sys.argv[1])), lambda: tools(*faces))

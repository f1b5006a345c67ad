"""A server that takes pictures: `FOLDER NAME...`, where the avatars stand in the picture brought.

Its finder knows where `photograph` put them, so that the page is tested apart from the networks.
"""

import sys
from pathlib import Path

from engine.avatar import find
from engine.config import EngineConfig, ServerConfig
from engine.library import Library
from engine.server import serve
from tests.engine.portraits import photograph, tools

PLACES = {"maya": (0.28, 0.55), "kofi": (0.74, 0.55)}
HEAD_PX = 560


def ready(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    folder, *shown = sys.argv[1:]
    faces = [photograph(find(name), at=PLACES[name], head_px=HEAD_PX)[1] for name in shown]
    config = EngineConfig(live=True)
    serve(ServerConfig(port=0), config, ready, Library(Path(folder)), lambda: tools(*faces))

"""A server that takes pictures, with the shipped networks: `FOLDER` is where avatars are kept."""

import sys
from functools import partial
from pathlib import Path

from engine.config import EngineConfig, ServerConfig
from engine.library import Library
from engine.onboarding.make import open_tools
from engine.server import serve


def ready(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    config = EngineConfig(live=True)
    tools = partial(open_tools, config.backend)
    serve(ServerConfig(port=0), config, ready, Library(Path(sys.argv[1])), tools)

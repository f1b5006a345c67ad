"""What tests of a session's way to render processes share."""

import pytest

from engine.renderer import Scene
from tests.engine.render_threads import SIDE, Renderer


@pytest.fixture
def renderers():
    made = []

    def make(level=100):
        made.append(Renderer(level))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def scene(avatar):
    return Scene(avatar, SIDE, "still", "openvino", 1)

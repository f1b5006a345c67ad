"""Pictures of an avatar, for tests that look at them."""

import numpy as np

from engine.composite import Batch
from engine.frames import Motion
from engine.mouth import MouthPainter
from engine.paint import Painter, paint
from engine.render import guide
from engine.rig import Rig
from kernels import dispatch


def draw(
    rig: Rig, *motions: Motion, painter: Painter | None = None, background: str = "still"
) -> list[np.ndarray]:
    """(H, W, 3) uint8 of each motion, with plates of teeth if no painter is given."""
    batch = Batch(dispatch.load("cpu"), [guide(rig, motion) for motion in motions])
    painted = paint(batch, [painter or MouthPainter(rig)] * len(motions))
    return batch.pictures(painted, [background] * len(motions))

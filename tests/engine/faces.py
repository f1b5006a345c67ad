"""A made-up avatar for tests of geometry: the face model's own mean face on a plain gradient."""

import cv2
import numpy as np

from engine.avatar import Avatar, AvatarInfo
from models import facemodel

SIDE_PX = 512
FACE_PX = 200.0


def plain_avatar(name: str = "plain") -> Avatar:
    landmarks = facemodel.load().neutral * FACE_PX + np.array([256, 240, 0], np.float32)
    ramp = np.linspace(40, 220, SIDE_PX).astype(np.uint8)
    portrait = np.stack(
        [
            np.tile(ramp, (SIDE_PX, 1)),
            np.tile(ramp[:, None], (1, SIDE_PX)),
            np.full((512, 512), 90),
        ],
        axis=-1,
    ).astype(np.uint8)
    matte = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.ellipse(matte, (256, 220), (130, 190), 0, 0, 360, 255, -1)
    info = AvatarInfo(name, "Plain", "CC0-1.0", "test", "2026-01-01")
    return Avatar(info, portrait, matte, landmarks.astype(np.float32))

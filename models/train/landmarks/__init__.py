"""Face detector and landmark network: their pack of pictures, training, score and export."""

from models.train.landmarks.command import main

__all__ = ["main"]

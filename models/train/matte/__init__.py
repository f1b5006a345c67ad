"""Training of the matting network: a portrait in, the person's alpha out.

Pack: labelled stills and film pictures (`python -m models.label.segment`), and synthetic heads
with their exact mattes (`python -m models.synth`), into one small file. Train on it, score it on
what was held out, export it for the engine.
"""

from models.train.matte.command import main

__all__ = ["main"]

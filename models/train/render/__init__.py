"""Trains, distils, measures and exports the render network.

visavis train render train   SAMPLES RUN [--preset lite]        the teacher; resumes from RUN
visavis train render distil  SAMPLES TEACHER STUDENTS           8, 4, 2 and 1 steps
visavis train render score   SAMPLES RUN [--steps 1 2 4]        people never trained on
visavis train render latent  SAMPLES [--channels 4 8 16]        what a latent would allow
visavis train render export  RUN FOLDER [--samples SAMPLES]     ONNX files for the engine, int8 too

SAMPLES is written by `visavis train windows`.
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; torch is imported only here."""
    from models.train.render.command import main as run

    run(argv)

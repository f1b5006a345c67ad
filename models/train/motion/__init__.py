"""Trains, measures and exports the motion network.

visavis train motion train    LABELS RUN [--preset lite]   resumes from RUN
visavis train motion evaluate LABELS RUN                   drawn heads beside true ones
visavis train motion export   LABELS RUN WEIGHTS.onnx
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; torch is imported only here."""
    from models.train.motion.command import main as run

    run(argv)

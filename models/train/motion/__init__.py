"""Trains, measures and exports the motion network.

python -m models.train.motion train    LABELS RUN [--preset lite]   resumes from RUN
python -m models.train.motion evaluate LABELS RUN                   drawn heads beside true ones
python -m models.train.motion export   LABELS RUN WEIGHTS.onnx
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; torch is imported only here."""
    from models.train.motion.command import main as run

    run(argv)

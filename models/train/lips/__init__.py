"""Trains, measures and exports the lip network and the sync expert.

visavis train lips prepare  LABELS FEATURES [--variants 8]   augmented readings, noises
visavis train lips hear     LABELS FEATURES HEARING          sounds, from many voices
visavis train lips train    LABELS FEATURES RUN --hearing HEARING      and lips
visavis train lips pair     LABELS FEATURES RUN              the lip-audio pair for it
visavis train lips evaluate LABELS RUN                       a table of held-out clips
visavis train lips export   LABELS RUN WEIGHTS.onnx [--sync SYNC.npz]
visavis train lips openings LABELS FOOTAGE OUT.json          for the engine's own test

FEATURES also takes the synthetic speech of `models.train.speech`. `hear` and `train` go on where
they were broken off.
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; what trains is imported only here."""
    from models.train.lips.command import main as run

    run(argv)

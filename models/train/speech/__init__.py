"""Synthetic speech with exact times of its sounds, spoken by espeak-ng and flite.

visavis train speech write OUT [--sets 10]     features for lip training
visavis train speech read OUT FOLDER           the same of read speech, words known
visavis train speech lips OUT                  new lips for all that was written
visavis train speech clips OUT                 clips of voices never trained on, for tests

`write` goes on where it was broken off. It has no lips of its own: they follow from the sounds
(`coarticulation`). It teaches the lip network which sound is which in voices, words and languages
that the footage lacks.
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; what trains is imported only here."""
    from models.train.speech.command import main as run

    run(argv)

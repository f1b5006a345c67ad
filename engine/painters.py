"""Which render network paints the mouth: a shipped one by name, or a folder of one's own."""

import argparse
from pathlib import Path

from engine.errors import ConfigError
from models import weights

NEEDED = (weights.PAINTER, weights.PORTRAIT)
"""What a folder must hold."""


def painter_folder(painter: str) -> Path:
    """Folder of a render network's files; names go before folders of the same name.

    Raises:
        ConfigError: no such network is shipped, and no such folder holds one.
    """
    if painter in weights.PAINTERS:
        return weights.PAINTERS[painter]
    folder = Path(painter)
    if not painter or not all((folder / name).is_file() for name in NEEDED):
        raise ConfigError(
            f"painter {painter!r} is unknown, expected one of {sorted(weights.PAINTERS)} "
            f"or a folder that holds {' and '.join(NEEDED)}"
        )
    return folder


def add_painter(parser: argparse.ArgumentParser) -> None:
    """Adds the flag `--painter`."""
    parser.add_argument(
        "--painter",
        default=weights.USUAL_PAINTER,
        metavar="WHICH",
        help="network that paints the mouth: lite, base (for GPUs), or a folder that "
        "`visavis train render export` wrote (%(default)s)",
    )

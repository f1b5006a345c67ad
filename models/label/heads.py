"""Synthetic heads -> what MediaPipe sees in them, for laying their landmarks over its own.

    python -m models.label.heads HEADS OUT.npz

HEADS is a folder that `models.synth` filled. OUT has an array (478, 3) float32 px for each picture
in which a face was found, named `<person>_<picture>`; the mean of the picture and its mirror image.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import facemodel
from models.label import looks
from models.synth import store

F32 = npt.NDArray[np.float32]


def seen(look: looks.Look, picture: looks.Picture) -> F32 | None:
    """(478, 3) px of the face in a square picture, None where none is found."""
    side, found = np.float32(len(picture)), []
    if (plain := look.see(picture)) is not None:
        found.append(plain * side)
    if (mirrored := look.see(np.ascontiguousarray(picture[:, ::-1]))) is not None:
        turned = mirrored * np.array([-side, side, side], np.float32)
        found.append(turned[facemodel.load().mirror] + np.array([side, 0, 0], np.float32))
    return np.asarray(np.mean(found, 0), np.float32) if found else None


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("heads", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(argv)
    look, labels, count = looks.look("mediapipe", video=False), dict[str, F32](), 0
    for path in store.people(args.heads):
        made = store.load(path)
        for at, picture in enumerate((made.portrait, *made.shots)):
            count += 1
            if (points := seen(look, picture)) is not None:
                labels[f"{path.stem}_{at}"] = points
    np.savez_compressed(args.out, **labels)  # type: ignore[arg-type]
    sys.stdout.write(f"{args.out}: {len(labels)} of {count} pictures\n")


if __name__ == "__main__":
    main()

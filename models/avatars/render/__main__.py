"""Renders the built-in avatars and the mouth plates: `python -m models.avatars.render --help`."""

import argparse
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

from . import backdrop, mouth, scene
from .people import PEOPLE


def main() -> None:
    """Reads the arguments and renders what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, required=True, help="folder with base.obj")
    parser.add_argument("--out", type=Path, required=True, help="where the pictures go")
    parser.add_argument("--what", nargs="+", default=[*PEOPLE, "mouth"], help="names, or mouth")
    parser.add_argument("--size", type=int, default=1024, help="side of a portrait, px")
    parser.add_argument("--samples", type=int, default=192, help="rays a pixel")
    parser.add_argument("--threads", type=int, default=2)
    wanted = parser.parse_args()
    wanted.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(wanted.assets / "head_targets.tar.gz") as packed:
            packed.extractall(scratch, filter="data")
        targets = Path(scratch) / "targets"
        for name in wanted.what:
            if name == "mouth":
                mouth.render_plates(
                    wanted.assets, targets, wanted.out, wanted.samples, wanted.threads
                )
                continue
            person = PEOPLE[name]
            scene.build(person, wanted.assets, targets)
            raw = wanted.out / f"{name}.rgba.png"
            scene.render(
                raw,
                wanted.size,
                wanted.samples,
                wanted.threads,
                person.seed,
                person.view,
                person.exposure,
            )
            picture, matte = backdrop.compose(raw, person)
            Image.fromarray(picture).save(wanted.out / f"{name}.png", optimize=True)
            Image.fromarray(matte).save(wanted.out / f"{name}.matte.png", optimize=True)
            scene.render_eyes(wanted.out / f"{name}.eyes.png", wanted.size)


if __name__ == "__main__":
    main()

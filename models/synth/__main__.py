"""Makes synthetic heads, or a contact sheet of them: `python -m models.synth --help`."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from .store import StoreError, people

SPAN = re.compile(r"(\d{1,6}):(\d{1,6})")


def span(text: str) -> range:
    """Seeds `A:B`, from A to before B."""
    found = SPAN.fullmatch(text)
    if not found or int(found[1]) >= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not A:B with A less than B, such as 0:300")
    return range(int(found[1]), int(found[2]))


def whole(low: int, high: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from `low` to `high`."""

    def read(text: str) -> int:
        if not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number in {low} to {high}")
        return int(text)

    return read


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m models.synth", description=__doc__)
    ways = top.add_subparsers(dest="way", required=True)
    make = ways.add_parser("make", help="make people that are not in the folder yet")
    make.add_argument("out", type=Path)
    make.add_argument("--assets", type=Path, required=True, help="MakeHuman's head assets")
    make.add_argument("--people", type=span, required=True, help="seeds A:B")
    make.add_argument("--shots", type=whole(1, 100), default=6)
    make.add_argument("--px", type=whole(64, 1024), default=320, help="side of a picture")
    make.add_argument("--samples", type=whole(1, 1024), default=6, help="rays a pixel")
    make.add_argument("--threads", type=whole(1, 256), default=1)
    sheet = ways.add_parser("sheet", help="draw many people on one sheet")
    sheet.add_argument("folder", type=Path)
    sheet.add_argument("picture", type=Path)
    sheet.add_argument("--landmarks", action="store_true", help="draw landmarks and mouth masks")
    sheet.add_argument("--most", type=whole(1, 1000), default=24, help="at most so many people")
    return top


def main(words: list[str] | None = None) -> None:
    """Reads the arguments and does what is wanted."""
    top = parser()
    wanted = top.parse_args(words)
    if wanted.way == "make":
        if not (wanted.assets / "base.obj").is_file():
            top.error(f"--assets: no base.obj in {wanted.assets}")
        try:
            import bpy  # noqa: F401
        except ImportError:
            top.error("making needs bpy: run it in .venv-render (make venv-render)")
        from .make import make_all

        make_all(
            wanted.out,
            wanted.assets,
            wanted.people,
            wanted.shots,
            wanted.px,
            wanted.samples,
            wanted.threads,
        )
        return
    files = list(people(wanted.folder))
    if not files:
        top.error(f"no people in {wanted.folder}")
    from .sheet import draw

    try:
        draw(files, wanted.picture, wanted.landmarks, wanted.most)
    except StoreError as error:
        top.error(str(error))


if __name__ == "__main__":
    main()

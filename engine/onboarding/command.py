"""`visavis avatar`: list, add, remove."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config import EngineConfig
from engine.errors import PortraitError

if TYPE_CHECKING:
    from engine.library import Library


def default_folder() -> Path:
    """Where a person's own avatars live if no folder is named: by the XDG base directories."""
    data = os.environ.get("XDG_DATA_HOME", "")
    # A relative one is to be ignored, says the specification.
    home = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    return home / "visavis" / "avatars"


def library(args: argparse.Namespace, first: str | None = None) -> "Library":
    """The avatars that a command's flags name; `first` is listed first.

    Raises:
        AvatarError: there is no avatar named `first`.
    """
    from engine.library import Library

    return Library(args.avatars, first)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """The flag that says where one's own avatars are."""
    parser.add_argument(
        "--avatars",
        type=Path,
        default=default_folder(),
        metavar="DIR",
        help="folder of your own avatars (%(default)s)",
    )


def add_landmarker(parser: argparse.ArgumentParser) -> None:
    """The flag that names another network for faces."""
    parser.add_argument(
        "--landmarker",
        type=Path,
        metavar="FILE",
        help="MediaPipe's face_landmarker.task, to find faces with in place of our networks",
    )


def add_avatar(commands: Any) -> None:
    """The command with its actions."""
    avatars = commands.add_parser("avatar", help="the avatars there are; add or remove your own")
    actions = avatars.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="name, title and licence, the default first")
    listing.set_defaults(run=_list)
    adding = actions.add_parser("add", help="make an avatar of a picture of a person who agrees")
    adding.add_argument("photo", help="JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF")
    adding.add_argument("--name", required=True, help="a-z, 0-9, - and _; calls use it")
    adding.add_argument("--title", default="", help="shown to people; the name if not given")
    adding.add_argument("--yes", action="store_true", help="the person shown agreed: do not ask")
    adding.add_argument("--face", type=int, metavar="N", help="which one, where there are several")
    adding.add_argument("--replace", action="store_true", help="an own avatar of that name")
    adding.add_argument(
        "--backend", default=EngineConfig().backend, help="where networks run (%(default)s)"
    )
    add_landmarker(adding)
    adding.set_defaults(run=_add)
    removing = actions.add_parser("remove", help="delete one of your own")
    removing.add_argument("name")
    removing.set_defaults(run=_remove)
    for action in (listing, adding, removing):
        add_folder(action)


def _list(args: argparse.Namespace) -> int:
    found = library(args)
    for name in found.names():
        info = found.find(name).info
        sys.stdout.write(f"{info.name:20} {info.title} ({info.licence})\n")
    return 0


def _add(args: argparse.Namespace) -> int:
    kept = library(args)
    # What needs no picture first: a name that is taken should not cost a wait.
    kept.check(args.name, args.replace)
    if not args.yes and not sys.stdin.isatty():
        raise PortraitError("nobody confirmed that the person shown agreed: pass --yes if they did")
    from engine.onboarding import cut, faces, make, photo

    picture = photo.read_file(args.photo)
    tools = make.open_tools(args.backend, args.landmarker)
    face = faces.choose(faces.find(picture.rgb, tools.finder), args.face)
    square = cut.cut(picture, face.landmarks)
    for warning in make.warnings(square):
        sys.stderr.write(f"visavis: {warning}\n")
    if not args.yes:
        _ask(args.photo)
    info = make.confirmed(args.name, args.title, make.user(), Path(args.photo).name)
    path = kept.add(make.avatar_of(square, info, tools.matte), args.replace)
    sys.stdout.write(f"{path}: try it with visavis serve --avatar {args.name}\n")
    return 0


def _ask(photo: str) -> None:
    sys.stdout.write(
        f"An avatar speaks in the place of the person in {photo}.\n"
        "Has that person agreed to it? Type yes: "
    )
    sys.stdout.flush()
    answer = sys.stdin.readline().strip()
    if answer.lower() not in ("y", "yes"):
        raise PortraitError(f"the answer is {answer[:20]!r}, expected yes: nothing was added")


def _remove(args: argparse.Namespace) -> int:
    kept = library(args)
    kept.remove(args.name)
    sys.stdout.write(f"{args.name} is removed from {kept.folder}\n")
    return 0

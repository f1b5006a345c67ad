"""The command `visavis engine build`: compiles the render network before the first call asks."""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import BackendError
from engine.painters import add_painter, painter_folder
from models import weights

BACKENDS = ("tensorrt",)
"""Those that compile networks into files."""


def add_engine(commands: Any) -> None:
    """Adds the command to a parser's commands."""
    engine = commands.add_parser("engine", help="the render network compiled for a GPU")
    verbs = engine.add_subparsers(required=True, metavar="VERB")
    build = verbs.add_parser(
        "build", help="compile ahead of the first call", description="Compiles the render network."
    )
    add = build.add_argument
    add("--backend", choices=BACKENDS, default=BACKENDS[0], help="what compiles (%(default)s)")
    add(
        "--engines",
        type=Path,
        metavar="DIR",
        help="where engines are kept (VISAVIS_ENGINES, else ~/.cache/visavis/engines); "
        "a server looks for them in VISAVIS_ENGINES",
    )
    add_painter(build)
    add("--gpu", metavar="sm_NN", help="a GPU that is not here; TensorRT for RTX alone can do that")
    add("--again", action="store_true", help="compile what is kept already too")
    build.set_defaults(run=_build)


def _build(args: argparse.Namespace) -> int:
    from engine.backends import tensorrt, tensorrt_builder
    from engine.backends.engine_cache import EngineCache, default_folder

    named = (tensorrt_builder.RTX,) if args.gpu else ()
    found = tensorrt_builder.library(*named)
    wanted = tensorrt_builder.target(found, args.gpu)
    cache = EngineCache(args.engines or default_folder())
    painter = painter_folder(args.painter) / weights.PAINTER
    # The others are small: they run on the CPU, see `engine.backends.beside`.
    ((path, _),) = tensorrt.TensorRtNetwork.choices(painter, 1)
    kept = cache.path(path.stem, tensorrt_builder.recipe(found, path, wanted))
    begun, how = time.monotonic(), "kept already"
    if args.again or cache.read(kept) is None:
        with _bar(path.name) as tell:
            tensorrt.compile_ahead(found, path, wanted, cache, tell, args.again)
        how = f"{time.monotonic() - begun:.1f} s"
    try:
        size = kept.stat().st_size
    except OSError as error:
        raise BackendError(f"{kept}: the engine is gone: {error}") from error
    sys.stdout.write(f"{kept}: {size / 1e6:.1f} MB, {how}\n")
    return 0


@contextmanager
def _bar(name: str) -> Iterator[Any]:
    from tqdm import tqdm

    # disable=None: no bar where stderr is not a terminal.
    with tqdm(desc=name, unit="step", leave=False, disable=None) as bar:

        def tell(done: int, known: int) -> None:
            bar.total = known
            bar.update(done - bar.n)

        yield tell

"""The command `visavis`: the only place that reads arguments."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from engine import __version__, training
from engine.config import EngineConfig, ServerConfig
from engine.doctor import add_doctor
from engine.engines import add_engine
from engine.errors import VisavisError
from engine.onboarding.command import add_avatar, add_folder, add_landmarker, library
from engine.painters import add_painter
from engine.training import GUIDE, TRAININGS

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
BENCHES = {
    "batches": "pictures of several sessions drawn together",
    "faces": "faces and landmarks in pictures against labels",
    "drift": "ten minutes of talk: is the mouth as sharp and as like at their end",
    "kernels": "each CUDA kernel against a copy of the same bytes on the GPU",
    "latency": "from the microphone to the lips in a real browser",
    "load": "many calls at once by real peers: pictures, sound, latency, CPU and memory",
    "portraits": "mouths of portraits as avatars draw them, against their own",
    "quality": "lips, head and eyes from speech against what its speakers did",
    "recovery": "processes of serve --workers killed in a call",
    "render": "ms a frame a stage, with and without encoding",
    "scheduler": "what scheduling costs a picture with many sessions and nothing to draw",
    "soak": "many calls and a long one: memory, threads, drift",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with flags as all other errors are said: in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_ERROR, f"visavis: error: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0, 2 on an error, 130 when interrupted."""
    args = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format="visavis: %(message)s",
    )
    try:
        signal.signal(signal.SIGTERM, _terminate)
        return int(args.run(args))
    except (VisavisError, OSError) as error:
        sys.stderr.write(f"visavis: error: {str(error) or type(error).__name__}\n")
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _terminate(number: int, _frame: FrameType | None) -> None:
    """Leaves through every `finally`, so that nothing half-written stays behind."""
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="visavis", description="A portrait that speaks in your place, in time with your voice."
    )
    parser.add_argument("--version", action="version", version=f"visavis {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell what happens, on stderr")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_present(commands)
    add_avatar(commands)
    add_engine(commands)
    add_doctor(commands)
    bench = commands.add_parser(
        "bench",
        help="measure",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:9} {text}" for name, text in BENCHES.items()),
    )
    bench.add_argument("name", choices=BENCHES, metavar="WHAT", help="what is measured, see below")
    _add_rest(bench, "flags of that bench, see its --help")
    bench.set_defaults(run=_bench)
    train = commands.add_parser(
        "train",
        help="train the networks on footage of your own (in .venv-train, see `make venv-train`)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{n:11} {text}" for n, (_, text) in TRAININGS.items()) + f"\n\n{GUIDE}",
    )
    train.add_argument("name", choices=TRAININGS, metavar="WHAT", help="what is trained, see below")
    _add_rest(train, "its verb and flags, see its --help")
    train.set_defaults(run=lambda args: training.run(args.name, args.rest))
    return parser


def _add_rest(parser: argparse.ArgumentParser, words: str) -> None:
    rest = parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help=words)
    # Python 3.11 would name it where only the word before it is missing.
    rest.required = False


def _add_serve(commands: Any) -> None:
    server = ServerConfig()
    serve = commands.add_parser("serve", help="answer calls from browsers")
    serve.add_argument("--host", default=server.host, help="address to listen on (%(default)s)")
    serve.add_argument(
        "--port", type=int, default=server.port, help="0 takes a free one (%(default)s)"
    )
    serve.add_argument(
        "--max-sessions", type=int, default=server.max_sessions, help="calls at once (%(default)s)"
    )
    serve.add_argument(
        "--video-kbps",
        type=int,
        default=server.video_kbps,
        help="bitrate that a call starts with (%(default)s)",
    )
    serve.add_argument(
        "--workers",
        type=int,
        default=server.workers,
        metavar="N",
        help="media processes for many calls, drawn by one render process; 0 runs all in one "
        "process (%(default)s)",
    )
    add_landmarker(serve)
    _add_engine(serve)
    serve.set_defaults(run=_serve)


def _add_present(commands: Any) -> None:
    present = commands.add_parser("present", help="let an avatar say a sound file, into a film")
    present.add_argument("speech", help="wav, flac, mp3, ogg, m4a, or a video with sound")
    present.add_argument(
        "--out", required=True, metavar="FILE", help="the film: .mp4, .webm or .mov"
    )
    _add_engine(present)
    present.set_defaults(run=_present)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    engine = EngineConfig()
    add = parser.add_argument
    add("--avatar", metavar="NAME", help="see `visavis avatar list`; the first if not given")
    add_folder(parser)
    add(
        "--size",
        type=int,
        default=engine.size_px,
        metavar="PX",
        help="side of the picture (%(default)s)",
    )
    add("--seed", type=int, default=engine.seed, help="of head movement and blinks (%(default)s)")
    add(
        "--liveliness",
        type=float,
        default=engine.liveliness,
        help="of the head, 0 (still) to 2 (%(default)s)",
    )
    add(
        "--expression",
        default=engine.expression,
        metavar="NAME",
        help="of the face: serious, neutral, warm (%(default)s)",
    )
    add("--style", default=engine.style, help="of the head: calm, even, lively (%(default)s)")
    add(
        "--background",
        default=engine.background,
        metavar="WHAT",
        help="behind the person: still, blur, a colour '#rrggbb', a picture file, or transparent "
        "(in .webm and .mov films) (%(default)s)",
    )
    add(
        "--lookahead-ms",
        type=int,
        default=engine.lookahead_ms,
        metavar="MS",
        help="future sound that the lips may see; a call is later by as much (%(default)s)",
    )
    add(
        "--steps",
        type=int,
        default=engine.steps,
        metavar="N",
        help="of the network that paints the mouth: 0 (none) to 4 (%(default)s)",
    )
    add("--backend", default=engine.backend, help="where networks run (%(default)s)")
    add_painter(parser)
    add(
        "--kernels",
        default=engine.kernels,
        metavar="NAME",
        help="what draws pictures: cpu, or cuda on an NVIDIA GPU (%(default)s)",
    )


def _engine_config(args: argparse.Namespace, live: bool) -> EngineConfig:
    return EngineConfig(
        size_px=args.size,
        lookahead_ms=args.lookahead_ms,
        seed=args.seed,
        liveliness=args.liveliness,
        style=args.style,
        expression=args.expression,
        background=args.background,
        backend=args.backend,
        steps=args.steps,
        painter=args.painter,
        kernels=args.kernels,
        live=live,
    )


def _serve(args: argparse.Namespace) -> int:
    config = _engine_config(args, live=True)
    server_config = ServerConfig(
        host=args.host,
        port=args.port,
        max_sessions=args.max_sessions,
        video_kbps=args.video_kbps,
        workers=args.workers,
    )
    avatars = library(args, args.avatar)
    from functools import partial

    from engine.drawing import on_gpu
    from engine.onboarding.make import open_tools
    from engine.server import serve

    if config.painter == "base" and not on_gpu(config.backend, config.kernels):
        logging.warning("painter 'base' is for GPUs: a CPU draws fewer pictures than a call shows")
    tools = partial(open_tools, args.backend, args.landmarker)
    if args.landmarker is not None:
        # Its file is a person's own: what is wrong with it should be said now.
        opened = tools()
        serve(server_config, config, _say_address, avatars, lambda: opened)
        return 0
    serve(server_config, config, _say_address, avatars, tools)
    return 0


def _say_address(url: str) -> None:
    sys.stdout.write(f"Visavis is ready: {url}\n")
    sys.stdout.flush()


def _present(args: argparse.Namespace) -> int:
    config = _engine_config(args, live=False)
    avatar = library(args).find(args.avatar) if args.avatar else None
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from engine.present import present_file

    # disable=None: no bar where stderr is not a terminal.
    with tqdm(unit="frame", disable=None) as bar, logging_redirect_tqdm():

        def progress(done: int, expected: int) -> None:
            bar.total = expected
            bar.update(done - bar.n)

        stats = present_file(args.speech, args.out, avatar, config, progress)
        bar.total = bar.n
    sys.stdout.write(
        f"{args.out}: {stats.frames} frames, {stats.speech_s:.2f} s of speech in "
        f"{stats.wall_s:.1f} s, {stats.fps:.1f} frames a second\n"
    )
    return 0


def _bench(args: argparse.Namespace) -> int:
    module = import_module(f"bench.{args.name}")
    parser = _Parser(prog=f"visavis bench {args.name}", description=BENCHES[args.name])
    module.add_arguments(parser)
    given = parser.parse_args(args.rest)
    if given.json is not None:
        import_module("bench.report").check_json(given.json)
    return int(module.run(given))


if __name__ == "__main__":
    sys.exit(main())

"""The command line of `visavis train lips`: one function a verb."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from kernels import logmel
from models import facemodel
from models.label import sound
from models.nets.contrast import Pair, PairConfig
from models.nets.lips import HOPS, LipNet
from models.train import lipdata
from models.train.lips import hearing, pairing, preparing, tuning
from models.train.lips.hearing import HearingConfig
from models.train.lips.mixing import Pool
from models.train.lips.pairing import PairTraining
from models.train.lips.scoring import Score, calibrate, load, measure, predict, retrieved, table
from models.train.lips.tuning import TuneConfig
from models.train.runs import Run

PRESETS = {
    "quick": HearingConfig(steps=600),
    "standard": HearingConfig(),
    "long": HearingConfig(steps=5000),
}
"""How long the hearing is trained."""
LIPS = {
    "quick": TuneConfig(steps=400),
    "standard": TuneConfig(),
    "long": TuneConfig(steps=3000),
}
"""How long the lips are."""
MIN_PICTURES = 50
"""Clips shorter than two seconds are not measured."""
MAX_CODES = 250
"""Clips longer than ten seconds are told by their opening alone."""


def held_clips(labels: Path, held_out: tuple[str, ...]) -> list[lipdata.Clip]:
    """Clips of the held-out speakers that are long enough to be measured.

    Raises:
        ValueError: there are none.
    """
    clips = lipdata.load_clips(labels)
    held = [c for c in clips if c.speaker in held_out and len(c.code) >= MIN_PICTURES]
    if not held:
        raise ValueError(f"{labels}: no clip of 2 s by any of {sorted(held_out)}")
    return held


def fit_pair(labels: Path, features: Path, folder: Path, config: PairTraining) -> None:
    """Fits the pair to a run's network and keeps both in the run's folder + "pair"."""
    net, run = load(folder), Run(folder)
    pool = Pool.load(features, labels, set(run.config["held_out"]))
    pair = pairing.fit(net, pool, config, lambda row: sys.stdout.write(f"{row}\n"))
    torch.save(net.state_dict(), folder / "paired.pt")
    torch.save(pair.state_dict(), folder / "pair.pt")


def paired(folder: Path) -> tuple[LipNet, Pair]:
    """A run's network with its pair.

    Raises:
        FileNotFoundError: `pair` was not run.
    """
    net = load(folder)
    net.load_state_dict(torch.load(folder / "paired.pt", weights_only=True))
    pair = Pair(PairConfig(net.config.code, net.config.embedding))
    pair.load_state_dict(torch.load(folder / "pair.pt", weights_only=True))
    return net, pair.eval()


def evaluate(labels: Path, folder: Path) -> tuple[list[Score], tuple[int, int]]:
    """Scores of the speakers that a run never saw, calibrated as it would ship, and how many
    windows of a second there are, and how many the pair places within a picture."""
    (net, pair), held_out = paired(folder), tuple(Run(folder).config["held_out"])
    calibrate(net)
    held = held_clips(labels, held_out)
    return [measure(c, predict(net, c)) for c in held], retrieved(net, pair, held)


def _begins_s(film: Path, pcm: npt.NDArray[np.float32]) -> float:
    """Where in a film's sound its label's sound begins, by their correlation: labels begin with
    the first picture's own time."""
    own = sound.read_sound(film, 0.0, len(pcm) // lipdata.CHUNK)
    if own is None:
        raise ValueError(f"{film}: no sound")
    size = 2 * len(pcm)
    spectrum = np.fft.rfft(own.astype(np.float64), size) * np.conj(np.fft.rfft(pcm, size))
    lag = int(np.fft.irfft(spectrum).argmax())
    return (lag - size if lag > len(pcm) else lag) / logmel.RATE_HZ


def write_openings(labels: Path, footage: Path, speakers: set[str], out: Path) -> None:
    """Writes the lip openings of clips as JSON, for tests that hear the footage themselves; of
    short clips, the lip codes too."""
    opening = facemodel.load().opening
    told, offsets = {}, lipdata.offsets(labels)
    pcm = {name: row[3] for name, row in lipdata.codes(labels).items()}
    for clip in lipdata.load_clips(labels):
        if clip.speaker not in speakers:
            continue
        voiced = clip.valid & ~lipdata.quiet(clip.pcm)
        begins = lipdata.begins(offsets.get(clip.name, 0.0))
        whole = pcm[clip.name]
        leads = 0.0 if whole is None else _begins_s(footage / clip.name.replace("__", "/"), whole)
        row: dict[str, object] = {
            "sound_starts_ms": round(1000 * (begins / logmel.RATE_HZ + leads), 2),
            "opening": [round(float(x), 4) for x in clip.code @ opening],
            "speech": "".join("01"[int(v)] for v in voiced),
        }
        if len(clip.code) <= MAX_CODES:
            row["code"] = [[round(float(x), 2) for x in code] for code in clip.code]
        told[clip.name.replace("__", "/")] = row
    out.write_text(json.dumps(told) + "\n")


class Step(nn.Module):
    """What is exported: one chunk, mel (1, 4, 80) and state (1, S) -> code (1, K), embedding
    (1, E), next_state."""

    def __init__(self, net: LipNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        code, embedding, state = self.net(mel, state)
        return code[:, 0], embedding[:, 0], state


def export(folder: Path, out: Path, sync: Path | None = None) -> None:
    """Writes a run's network as ONNX, calibrated, and the pair's weights."""
    net, pair = paired(folder)
    calibrate(net)
    example = (torch.zeros(1, HOPS, logmel.BANDS), net.init_state(1))
    names = {"input_names": ["mel", "state"], "output_names": ["code", "embedding", "next_state"]}
    part = out.with_suffix(".part")
    torch.onnx.export(Step(net).eval(), example, str(part), dynamo=False, opset_version=17, **names)
    part.replace(out)
    if sync is not None:
        weights = {k: v.numpy() for k, v in pair.state_dict().items()}
        np.savez_compressed(sync, **weights)  # type: ignore[arg-type]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visavis train lips", description="Train, measure and export the lip network."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    held_out = ",".join(TuneConfig().held_out)

    def verb(name: str, text: str, *paths: str) -> argparse.ArgumentParser:
        p = verbs.add_parser(name, help=text, description=text)
        p.add_argument("labels", type=Path, help="labelled footage, see `models.data`")
        told = {
            "features": "folder of augmented features",
            "hearing": "folder of the run that learns sounds",
            "run": "folder of the run that learns lips",
            "footage": "folder of the films that were labelled",
            "out": "file to write",
        }
        for path in paths:
            p.add_argument(path, type=Path, help=told[path])
        return p

    p = verb("prepare", "augmented readings of every clip, and noises", "features")
    p.add_argument("--variants", type=int, default=8, help="readings of every clip")
    p.add_argument("--speech", type=Path, help="folder of WAV files for babble noise")
    p = verb("hear", "learn which sound is spoken when", "features", "hearing")
    p.add_argument("--preset", choices=sorted(PRESETS), default="standard", help="how long")
    p.add_argument("--steps", type=int, help="optimiser steps, in place of the preset's")
    p.add_argument("--begin", type=Path, help="run of `hear` whose weights to begin from")
    p.add_argument("--threads", type=int, default=1, help="CPU threads")
    p = verb("train", "learn lips, from filmed people", "features", "run")
    p.add_argument("--hearing", type=Path, help="run of `hear` to begin from")
    p.add_argument("--begin", type=Path, help="run of `train` whose weights to begin from")
    p.add_argument("--spoken", type=float, help="share of synthetic speech, 0 to 1")
    p.add_argument("--lr", type=float, help="highest learning rate")
    p.add_argument("--seed", type=int, default=0, help="of what is drawn")
    p.add_argument("--preset", choices=sorted(LIPS), default="standard", help="how long")
    p.add_argument("--steps", type=int, help="optimiser steps, in place of the preset's")
    p.add_argument("--lookahead-ms", type=int, default=60, choices=hearing.LOOKAHEADS_MS)
    p.add_argument("--held-out", default=held_out, help="speakers left out, with commas")
    p.add_argument("--threads", type=int, default=1, help="CPU threads")
    p = verb("pair", "fit the lip-audio pair to a trained network", "features", "run")
    p.add_argument("--steps", type=int, default=PairTraining().steps, help="optimiser steps")
    verb("evaluate", "figures on the speakers left out", "run")
    p = verb("export", "write the network that the engine runs", "run", "out")
    p.add_argument("--sync", type=Path, help="npz to write the sync expert's weights to")
    p = verb("openings", "write lip openings as JSON, for tests", "footage", "out")
    p.add_argument("--speakers", default=held_out, help="whose, with commas")
    return parser


def _prepare(labels: Path, out: Path, variants: int, speech: Path | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if not (labels / "sounds.npz").exists():
        preparing.write_sounds(labels)
    if not (out / "noises.npz").exists():
        preparing.write_noises(out, speech)
    for number in tqdm(range(variants)):
        preparing.write_variant(labels, out, number)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line.

    Raises:
        ValueError, OSError: an input is missing or of the wrong kind.
    """
    args = _parser().parse_args(argv)
    if not any((args.labels / "train").glob("*.npz")):
        raise ValueError(f"{args.labels}: no labelled clips in its folder train/")
    if args.verb == "prepare":
        _prepare(args.labels, args.features, args.variants, args.speech)
    elif args.verb == "hear":
        torch.set_num_threads(args.threads)
        config = PRESETS[args.preset]
        config = replace(config, steps=args.steps or config.steps)
        hearing.train(args.features, args.labels, args.hearing, config, args.begin)
    elif args.verb == "train":
        torch.set_num_threads(args.threads)
        lips = LIPS[args.preset]
        held_out = tuple(s for s in args.held_out.split(",") if s)
        lips = replace(
            lips,
            steps=args.steps or lips.steps,
            held_out=held_out,
            lookahead_ms=args.lookahead_ms,
            spoken=lips.spoken if args.spoken is None else args.spoken,
            lr=args.lr or lips.lr,
            seed=args.seed,
        )
        tuning.train(args.labels, args.features, args.hearing, args.run, lips, args.begin)
    elif args.verb == "pair":
        torch.set_num_threads(1)
        fit_pair(args.labels, args.features, args.run, PairTraining(steps=args.steps))
    elif args.verb == "openings":
        write_openings(args.labels, args.footage, set(args.speakers.split(",")), args.out)
    elif args.verb == "export":
        export(args.run, args.out, args.sync)
    elif args.verb == "evaluate":
        scores, (windows, hits) = evaluate(args.labels, args.run)
        share = hits / max(windows, 1)
        sys.stdout.write(
            table(scores) + f"\noffset found in {hits} of {windows} windows, {share:.2f}\n"
        )

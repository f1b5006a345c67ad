"""Footage -> the autoencoder that splits expressions (face_codes.npz), and the swap test.

    visavis train expression train LABELS RUN [--shape FILE] [--without NAME ...]
    visavis train expression export RUN OUT
    visavis train expression measure LABELS [--codes FILE] [--shape FILE] [--only NAME ...]

Expressions come from `models.faceshape.fit`, less that of the clip's face at rest. Besides giving
an expression back, the network is asked to give the mouth of one frame, the lids of a second and
all else of a third of the same clip, when it gets the lip code of the first, the blink code of the
second and the rest of the third, and to find these codes again in what it gave. Codes of frames of
different clips are swapped too; there the opening must follow the lip code and the lids the blink
code.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import expression, facemodel, faceshape, measures
from models.faceshape import FaceShape
from models.nets.expression import Expression, Split
from models.topology import LOWER_INNER_LIP, LOWER_LIDS, UPPER_INNER_LIP, UPPER_LIDS
from models.train import face
from models.train.faceshape import FLIP, HELD_OUT
from models.train.runs import Run
from models.train.splitscore import from_rest, regions, report

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

OPENING_UNIT = 0.0537
"""Opening, in face widths, of one unit of lip component 0; that of face.npz."""
CLOSING_UNIT = 0.04
"""Fall of a lid, in face widths, of one unit of blink."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of a training run.

    Attributes:
        without: speakers not trained on.
        lip, blink, rest: lengths of the codes.
        steps, batch, rate: of AdamW with a cosine schedule.
        swap: weight of the swap losses; 0 for none.
        again: weight, among these, of finding swapped codes again.
        alone: weight of what the opening and the lids' fall do alone.
        jitter: noise on the codes, so that near codes give near faces.
        seed: of weights and samples.
    """

    without: tuple[str, ...] = HELD_OUT
    lip: int = 6
    blink: int = 2
    rest: int = 8
    steps: int = 6000
    batch: int = 256
    rate: float = 2e-3
    swap: float = 1.0
    again: float = 0.2
    alone: float = 1.0
    jitter: float = 0.01
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Samples:
    """Expressions (N, E), the clip each belongs to (N,), how often to draw each (N,)."""

    expression: F64
    clip: I64
    share: F64


def gather(labels: Path, shape: FaceShape, without: Sequence[str]) -> Samples:
    """Fitted expressions of all footage but some speakers', with their mirror images; speakers
    count by the square root of their frames, frames with falling lids three times."""
    found, clip, speaker, often = [], [], [], []
    mirror = mirror_codes(shape)
    for i, t in enumerate(face.load_tracks(labels / "train")):
        if t.speaker in without or not t.valid.any():
            continue
        person = from_rest(t, shape)
        code = person.expression
        aspect = measures.eye_aspect(person.rest + person.seen).mean(1)
        falling = aspect < 0.85 * np.quantile(aspect, 0.7)
        for side in (0, 1):
            found.append(code @ mirror if side else code)
            clip.append(np.full(len(code), 2 * i + side))
            speaker += [t.speaker] * len(code)
            often.append(1.0 + 2.0 * falling)
    _, index, count = np.unique(speaker, return_inverse=True, return_counts=True)
    share = np.concatenate(often) / np.sqrt(count[index])
    return Samples(np.concatenate(found), np.concatenate(clip), share / share.sum())


def mirror_codes(shape: FaceShape) -> F64:
    """(E, E) that takes the expression of a face to that of its mirror image."""
    flipped = shape.expression[:, facemodel.load().mirror] * FLIP
    a = shape.expression.reshape(len(flipped), -1)
    return np.asarray(np.linalg.solve(a @ a.T, a @ flipped.reshape(len(flipped), -1).T).T)


class Space:
    """What the losses see of an expression: its landmarks, and the gaps of lips and lids.

    All of it is linear or quadratic in the expression, so no landmark is ever made: an error over
    the landmarks is a quadratic form, and the mouth of one face on another a matrix.
    """

    def __init__(self, shape: FaceShape) -> None:
        modes = shape.expression
        count = len(modes)
        mouth, lids = regions(shape.mean)
        weight = np.sqrt(0.15 + mouth**2 + lids)[:, None] * np.array([1.0, 1.0, 0.2])
        flat = (modes * weight).reshape(count, -1)
        gram = flat @ flat.T
        back = np.linalg.solve(gram + 1e-7 * np.eye(count), flat)

        def only(share: F64) -> Tensor:
            part = (modes * weight * share[:, None]).reshape(count, -1)
            return torch.tensor(part @ back.T, dtype=torch.float32)

        self.mouth, self.lids = only(mouth), only(lids)
        self.gram = torch.tensor(gram / (0.01**2 * flat.shape[1]), dtype=torch.float32)
        down = modes[:, :, 1]
        lips = down[:, LOWER_INNER_LIP[1:-1]] - down[:, UPPER_INNER_LIP[1:-1]]
        pairs = zip(UPPER_LIDS, LOWER_LIDS, strict=True)
        eyes = [down[:, lower[2:-2]] - down[:, upper[2:-2]] for upper, lower in pairs]
        self.lip_gaps = torch.tensor(lips, dtype=torch.float32)
        self.lid_gaps = torch.tensor(np.stack(eyes, 1), dtype=torch.float32)

    def mix(self, mouth: Tensor, lids: Tensor, rest: Tensor) -> Tensor:
        """The expression (B, E) that is nearest to the mouth of one, the lids of another and all
        else of a third."""
        return rest + (mouth - rest) @ self.mouth + (lids - rest) @ self.lids

    def error(self, one: Tensor, other: Tensor) -> Tensor:
        """Mean weighted squared distance of landmarks, in percent of the face width squared."""
        off = one - other
        return ((off @ self.gram) * off).sum(1).mean()

    def usual(self, samples: "Samples") -> Tensor:
        """(E,) the mean expression of the mouth that goes with one unit of opening."""
        rows = torch.tensor(samples.expression, dtype=torch.float32)
        share = torch.tensor(samples.share, dtype=torch.float32)
        opening = self.lips(rows)[:, 3:6].mean(1) / OPENING_UNIT
        return (share * opening) @ rows @ self.mouth / (share @ opening**2)

    def lips(self, expression: Tensor) -> Tensor:
        """(B, 9) gaps of the inner lips, in face widths."""
        return expression @ self.lip_gaps

    def eyes(self, expression: Tensor) -> Tensor:
        """(B, 2, 5) gaps of the lids, in face widths."""
        return torch.einsum("be,ekn->bkn", expression, self.lid_gaps)

    def gap_error(self, lips: Tensor, lids: Tensor, joined: Tensor) -> Tensor:
        """Squared error of `joined`'s lip gaps against one expression's, lids against another's."""
        a = (self.lips(joined) - self.lips(lips)) / 0.01
        b = (self.eyes(joined) - self.eyes(lids)) / 0.01
        return (a**2).mean() + (b**2).mean()


def alone(net: Expression, space: Space, usual: Tensor, codes: Split, weight: float) -> Tensor:
    """Loss of codes of which all but one component are zero: a face at rest, the opening alone."""
    opening = torch.empty(len(codes.lip), 1).uniform_(-0.5, 3.0)
    nothing = Split(*(torch.zeros_like(c) for c in codes))
    lip = torch.cat([opening, nothing.lip[:, 1:]], 1)
    opened = net.join(Split(lip, nothing.blink, nothing.rest))
    wanted = opening * usual
    rest = torch.zeros(1, len(usual))
    at_rest = net.split(rest)
    out = sum((c**2).mean() for c in at_rest) + space.error(net.join(at_rest), rest)
    return out + weight * (
        space.error(opened, wanted) + space.gap_error(wanted, 0 * wanted, opened)
    )


def loss(
    net: Expression, space: Space, usual: Tensor, near: Tensor, far: Tensor, settings: Settings
) -> Tensor:
    """Loss of three frames a clip (3, B, E) and of frames of other clips (B, E)."""
    e = near[0]
    codes = net.split(e)
    noisy = Split(*(c + settings.jitter * torch.randn_like(c) for c in codes))
    given = net.join(noisy)
    out = space.error(given, e) + space.gap_error(e, e, given)
    opening = space.lips(e)[:, 3:6].mean(1) / OPENING_UNIT
    closing = -space.eyes(e).mean(2) / CLOSING_UNIT
    out = out + ((codes.lip[:, 0] - opening) ** 2).mean()
    out = out + ((codes.blink - closing) ** 2).mean()
    out = out + 1e-3 * sum((c**2).mean() for c in codes)
    out = out + alone(net, space, usual, codes, settings.alone)
    if not settings.swap:
        return out
    return out + settings.swap * swaps(net, space, codes, near, far, settings.again)


def swaps(
    net: Expression, space: Space, codes: Split, near: Tensor, far: Tensor, weight: float
) -> Tensor:
    """Loss of codes swapped between frames; `codes` are those of the first."""
    e = near[0]
    lips, lids = net.split(near[1]), net.split(near[2])
    wanted = space.mix(near[1], near[2], e)
    swapped = Split(lips.lip, lids.blink, codes.rest)
    joined = net.join(swapped)
    again, found = net.split(joined), net.split(wanted)
    out = space.error(joined, wanted) + space.gap_error(near[1], near[2], joined)
    for a, b, c in zip(again, found, swapped, strict=True):
        out = out + weight * (((a - c) ** 2).mean() + 0.5 * ((b - c) ** 2).mean())
    other = net.split(far)
    out = out + space.gap_error(far, e, net.join(Split(other.lip, codes.blink, codes.rest)))
    return out + space.gap_error(e, far, net.join(Split(codes.lip, other.blink, codes.rest)))


def train(labels: Path, folder: Path, shape: FaceShape, settings: Settings) -> None:
    """Trains the autoencoder, or goes on from the folder's last checkpoint."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    run = Run.begin(folder, settings)
    samples = gather(labels, shape, settings.without)
    rows = torch.tensor(samples.expression, dtype=torch.float32)
    starts = np.searchsorted(samples.clip, samples.clip, "left")
    ends = np.searchsorted(samples.clip, samples.clip, "right")
    net = Expression(rows.shape[1], settings.lip, settings.blink, settings.rest)
    optimizer = torch.optim.AdamW(net.parameters(), settings.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    space, first = Space(shape), 0
    usual = space.usual(samples)
    if (kept := run.resume()) is not None:
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        first = int(kept["step"])
    rng = np.random.default_rng(settings.seed + first)
    total = 0.0
    for step in range(first + 1, settings.steps + 1):
        one, far = rng.choice(len(rows), (2, settings.batch), p=samples.share)
        low, high = starts[one], ends[one]
        mates = [low + (rng.random(len(one)) * (high - low)).astype(np.int64) for _ in range(2)]
        near = torch.stack([rows[one], *(rows[m] for m in mates)])
        value = loss(net, space, usual, near, rows[far], settings)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        total += float(value.detach())
        if step % 250 == 0:
            run.log({"step": step, "loss": total / 250})
            total = 0.0
            state = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
            state |= {"schedule": schedule.state_dict(), "step": step}
            run.keep(state, net.state_dict())


def export(folder: Path, out: Path) -> None:
    """Writes a run's weights for `models.expression`, as float16."""
    run = Run(folder)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        name.replace(".", "_"): value.numpy().astype(np.float16)
        for name, value in run.weights().items()
    }
    config = run.config
    arrays["sizes"] = np.array([config[n] for n in ("lip", "blink", "rest")], np.int32)
    np.savez_compressed(out, version=np.array(1, np.int32), **arrays)  # type: ignore[arg-type]


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="visavis train expression",
        description="Splits expressions into a lip code, a blink code and the rest.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("train", help="labels -> a run's folder; goes on where it stopped")
    fit.add_argument("labels", type=Path, help="folder of labels, with train/")
    fit.add_argument("run", type=Path, help="folder of the run")
    fit.add_argument("--without", nargs="*", default=[], help="further speakers to leave out")
    fit.add_argument("--rest", type=int, default=8, help="length of the rest's code")
    fit.add_argument("--steps", type=int, default=6000, help="of the optimizer")
    fit.add_argument("--swap", type=float, default=1.0, help="weight of the swap losses")
    ship = commands.add_parser("export", help="a run's folder -> face_codes.npz")
    ship.add_argument("run", type=Path, help="folder of the run")
    ship.add_argument("out", type=Path, help="the face_codes.npz to write")
    test = commands.add_parser("measure", help="reconstruction and swaps on people held out")
    test.add_argument("labels", type=Path, help="folder of labels, with train/")
    test.add_argument("--codes", type=Path, nargs="*", help="the shipped one by default")
    test.add_argument("--only", nargs="*", default=HELD_OUT, help="speakers to measure on")
    for command in (fit, test):
        command.add_argument("--shape", type=Path, help="face_shape.npz; the shipped by default")
    args = parser.parse_args(argv)
    if args.command == "export":
        export(args.run, args.out)
        return
    face.known(args.without if args.command == "train" else args.only, args.labels / "train")
    shape = faceshape.read(args.shape) if args.shape else faceshape.load()
    if args.command == "train":
        settings = Settings(
            without=(*HELD_OUT, *args.without), rest=args.rest, steps=args.steps, swap=args.swap
        )
        train(args.labels, args.run, shape, settings)
        return
    networks = {p.stem: expression.read(p) for p in args.codes or []}
    for line in report(args.labels, shape, networks or {"split": expression.load()}, args.only):
        sys.stdout.write(line + "\n")

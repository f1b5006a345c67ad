"""Poses drawn from a trained motion network: figures beside the footage's, and the ONNX file."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models import activity
from models.nets.motion import STYLE, MotionNetConfig, MotionVae, divergence, spread
from models.train.motion import data, fit, score
from models.train.motion.data import Sequence
from models.train.runs import Run

F32 = npt.NDArray[np.float32]

BLINKS_A_SECOND = (0.28, 0.28)
"""What the blink head is set to in speech and in silence. The training speakers, before a
teleprompter, blink at 0.4 and more; half a minute of pauses does not tell a rate for silence."""
SILENT_S = 60
REFRACTORY_S = 0.3
LEAD_IN = 150
"""Pictures drawn before the first that counts, so that the cache is full."""


def load(run: Path) -> MotionVae:
    """The averaged weights of a run."""
    kept = Run(run)
    net = MotionVae(
        MotionNetConfig(
            **kept.config["net"] | {"memories_s": tuple(kept.config["net"]["memories_s"])}
        )
    )
    net.load_state_dict(kept.weights())
    return net.eval()


@torch.inference_mode()
def draw(net: MotionVae, heard: F32, style: F32, seeds: int, first: int = 0) -> tuple[F32, Tensor]:
    """Draws from the prior under a clip's sound.

    Args:
        net: the network.
        heard: (T, H) conditions; LEAD_IN pictures of them lead in, mirrored in time.
        style: (4,).
        seeds: N, how many draws.
        first: the first seed.

    Returns:
        Poses (N, T, 6) in radians and face widths, and the decoder's features (N, T, D).
    """
    whole = np.pad(heard, ((LEAD_IN, 0), (0, 0)), "reflect")
    sound = torch.from_numpy(whole)[None].expand(seeds, -1, -1)
    dice = torch.Generator().manual_seed(first)
    noise = net.draw(seeds, len(whole), dice)
    manner = torch.from_numpy(style)[None].expand(seeds, -1)
    x, _ = net.decoder.features(sound, manner, noise, net.decoder.init_cache(seeds))
    pose = (net.decoder.poses(x, manner) * net.scale)[:, LEAD_IN:]
    return pose.numpy().astype(np.float32), x[:, LEAD_IN:]


@torch.inference_mode()
def blinks(net: MotionVae, features: Tensor, heard: F32, seed: int = 0) -> npt.NDArray[np.bool_]:
    """(N, T) pictures in which a blink begins, drawn one after the other as at run time."""
    count, pictures = features.shape[:2]
    dice = np.random.default_rng(seed)
    since = torch.full((count, 1), 1.0)
    out = np.zeros((count, pictures), bool)
    sound = torch.from_numpy(heard)[None].expand(count, -1, -1)
    for t in range(pictures):
        logit = net.decoder.begins(features[:, t : t + 1], sound[:, t : t + 1], since)
        begin = (dice.random(count) < logit.sigmoid()[:, 0, 0].numpy()) & (
            since[:, 0].numpy() > REFRACTORY_S
        )
        out[:, t] = begin
        since = torch.where(torch.from_numpy(begin)[:, None], 0.0, since) + 1 / data.FPS
    return out


@torch.no_grad()
def level(net: MotionVae, sequences: list[Sequence]) -> F32:
    """Scales each axis so that drawn poses are as wide and as fast as the clips' own.

    One factor cannot mend both: it is the geometric mean of what spread about the clip's mean and
    speed ask for. Returns it, (6,).
    """
    usual = np.zeros(STYLE, np.float32)
    sums = np.zeros((2, 2, net.config.axes))
    for one in sequences:
        for side, poses in enumerate(([one.pose], draw(net, data.heard(one), usual, 16)[0])):
            for pose in poses:
                share = 1 / len(poses)
                sums[side, 0] += share * ((pose - pose.mean(0)) ** 2).sum(0)
                sums[side, 1] += share * (score.speeds(pose) ** 2).sum(0)
    gain = np.sqrt(np.sqrt(sums[0] / sums[1]).prod(0)).astype(np.float32)
    net.decoder.pose.weight *= torch.from_numpy(gain)[:, None]
    net.decoder.pose.bias *= torch.from_numpy(gain)
    return gain


@torch.no_grad()
def centre(net: MotionVae, sequences: list[Sequence]) -> F32:
    """Takes the mean off poses drawn under the clips' sound, as the footage's own was taken off;
    returns it, (6,) in radians, face widths and log size."""
    usual = np.zeros(STYLE, np.float32)
    drawn = [draw(net, data.heard(s), usual, 32)[0] for s in sequences]
    mean = np.concatenate([d.reshape(-1, d.shape[2]) for d in drawn]).mean(0)
    net.decoder.pose.bias -= torch.from_numpy(mean) / net.scale
    return np.asarray(mean, np.float32)


def calibrate(net: MotionVae, sequences: list[Sequence]) -> tuple[float, float]:
    """Sets `Decoder.lift` so that blinks come at BLINKS_A_SECOND, under the clips' sound and in
    silence; returns both rates before."""
    usual = np.zeros(STYLE, np.float32)
    still = np.zeros(SILENT_S * data.FPS, np.float32)
    talk = [data.heard(s) for s in sequences]
    rest = [activity.conditions(still, still, recent) for recent in (0.0, 1.0)]
    before = []
    for side, sounds in enumerate((talk, rest)):
        drawn = [(draw(net, h, usual, 6)[1], h) for h in sounds]

        def rate(drawn: list[tuple[Tensor, F32]] = drawn) -> float:
            begins = [blinks(net, x, h) for x, h in drawn]
            return sum(int(b.sum()) for b in begins) / sum(b.size for b in begins) * data.FPS

        before.append(rate())
        low, high = -3.0, 3.0
        for _ in range(7):
            net.decoder.lift[side] = (low + high) / 2
            short = rate() < BLINKS_A_SECOND[side]
            low, high = ((low + high) / 2, high) if short else (low, (low + high) / 2)
    return before[0], before[1]


@torch.inference_mode()
def likelihood(
    net: MotionVae, one: Sequence, style: F32, heard: F32 | None = None
) -> dict[str, float]:
    """What a clip costs: divergence in nats a second, errors of its poses in spreads, and the log
    likelihood of its blinks a second."""
    hold = net.config.hold
    count = len(one.pose) // hold * hold
    sound = torch.from_numpy(data.heard(one) if heard is None else heard)[None, :count]
    pose = torch.from_numpy(one.pose[None, :count]) / net.scale
    mean, log_var = net.encoder(pose, sound, torch.ones(1, count, dtype=torch.bool))
    since = torch.from_numpy(_since(one.onset[:count]))[None]
    cache = net.decoder.init_cache(1)
    made, blink, _ = net.decoder(
        sound, torch.from_numpy(style)[None], spread(mean, net.config.kept, hold), since, cache
    )
    apart = divergence(mean, log_var, net.config.kept).sum() / count * data.FPS
    onset = torch.from_numpy(one.onset[None, :count].astype(np.float32))
    awake = since > REFRACTORY_S
    told = nn.functional.binary_cross_entropy_with_logits(blink, onset, reduction="none")
    return {
        "nats_s": float(apart),
        "error": float((made - pose).pow(2).mean().sqrt()),
        "blink_nats_s": float((told * awake).mean()) * data.FPS,
    }


def _since(onset: npt.NDArray[np.bool_]) -> F32:
    out, wait = np.empty(len(onset), np.float32), 2.0
    for i, begins in enumerate(onset):
        out[i] = wait
        wait = 1 / data.FPS if begins else wait + 1 / data.FPS
    return out


def compare(
    net: MotionVae, one: Sequence, style: F32, seeds: int = 16
) -> dict[str, dict[str, float]]:
    """Figures of a clip and, as means over seeds, of poses drawn under its sound; `elsewhere` are
    the drawn poses against the sound moved round by half the clip."""
    heard = data.heard(one)
    poses, features = draw(net, heard, style, seeds)
    true = score.figures(one.pose, one.energy)
    rows = [score.figures(p, one.energy) for p in poses]
    moved = np.roll(one.energy, len(one.energy) // 2)
    other = [score.figures(p, moved) for p in poses]
    seconds = len(one.pose) / data.FPS
    true["blinks_s"] = one.onset.sum() / seconds
    mean = {k: float(np.mean([r[k] for r in rows])) for k in rows[0]}
    mean["blinks_s"] = blinks(net, features, heard).sum() / seeds / seconds
    elsewhere = {k: float(np.mean([r[k] for r in other])) for k in rows[0]}
    return {"true": true, "drawn": mean, "elsewhere": elsewhere}


class Step(nn.Module):
    """What is exported: one picture.

    heard (1, H), style (1, 4), noise (1, latent), since_s (1, 1), cache (1, layers, window, 2 D)
    -> pose (1, 6) in radians, face widths and log size, blink (1, 1) chance that one begins,
    next_cache.
    """

    def __init__(self, net: MotionVae) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, heard: Tensor, style: Tensor, noise: Tensor, since_s: Tensor, cache: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        net, sound = self.net.decoder, heard[:, None]
        x, cache = net.features(sound, style, noise[:, None], cache)
        # The sigmoid comes first: OpenVINO would move it before the indexing, and the name with it.
        chance = net.begins(x, sound, since_s).sigmoid()
        return net.poses(x, style)[:, 0] * self.net.scale, chance[..., 0], cache


INPUTS = ("heard", "style", "noise", "since_s", "cache")
OUTPUTS = ("pose", "blink", "next_cache")


def export(net: MotionVae, out: Path) -> None:
    """Writes the decoder as ONNX, a picture a call."""
    c = net.config
    example = (
        torch.zeros(1, c.heard),
        torch.zeros(1, STYLE),
        torch.zeros(1, c.latent),
        torch.ones(1, 1),
        net.decoder.init_cache(1),
    )
    names = {"input_names": list(INPUTS), "output_names": list(OUTPUTS)}
    part = out.with_suffix(".part")
    torch.onnx.export(Step(net).eval(), example, str(part), dynamo=False, opset_version=17, **names)
    part.replace(out)


def ship(labels: Path, run: Path, out: Path) -> str:
    """Exports a run with blinks at their rate; returns what was done, in a line."""
    net, held_out = load(run), Run(run).config["held_out"]
    known = [s for s in data.load(labels) if s.heard and not fit.is_held_out(s, held_out)]
    long = [s for s in known if len(s.pose) >= 8 * data.FPS]
    gain = level(net, long)
    mean = np.rad2deg(centre(net, long)[:3])
    before = calibrate(net, long)
    export(net, out)
    told = ", ".join(f"{a:.2f} -> {b:.2f}" for a, b in zip(before, BLINKS_A_SECOND, strict=True))
    return (
        f"{out}: axes scaled by {gain.round(2)}, mean of {mean.round(2)} degrees taken off, "
        f"blinks a second {told}"
    )


def evaluate(labels: Path, run: Path, seeds: int = 16) -> str:
    """A table of clips of 8 s or longer, held-out ones and training ones: true and drawn."""
    net, held_out = load(run), Run(run).config["held_out"]
    sequences = [s for s in data.load(labels) if len(s.pose) >= 8 * data.FPS and s.heard]
    known = fit.styles(data.load(labels), net.scale.numpy())
    lines = []
    for one in sequences:
        group = "held out" if fit.is_held_out(one, held_out) else "training"
        rows = compare(net, one, known[one.name], seeds)
        cost = likelihood(net, one, known[one.name])
        told = " ".join(f"{k} {v:.3f}" for k, v in cost.items())
        lines.append(f"{one.name} ({group}) {told}")
        lines += [
            f"  {k:<14}" + "".join(f"{r[k]:10.3f}" for r in rows.values() if k in r)
            for k in rows["true"]
        ]
    return "\n".join(lines)

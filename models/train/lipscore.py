"""How a lip network is run over whole clips and measured against their own lips."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from kernels import logmel
from models import facemodel
from models.nets.lips import HOPS, LipNet, LipNetConfig
from models.train import lipdata
from models.train.lipdata import Clip

F32 = npt.NDArray[np.float32]

MAX_GAIN = 1.6
"""More would turn what the network is unsure of into twitches."""


def load(run: Path) -> LipNet:
    """The averaged weights of a run, ready to run."""
    config = json.loads((run / "config.json").read_text())
    net = LipNet(LipNetConfig(**config["net"]))
    net.load_state_dict(torch.load(run / "weights.pt", weights_only=True))
    return net.eval()


def calibrate(net: LipNet, clips: list[Clip], lookahead_ms: int) -> list[float]:
    """Makes the codes move as much as real lips do: a regression's own move less.

    Each component is scaled by the mean, over speakers, of true over generated standard
    deviation; component 0 is also shifted, so that the mean opening stays. Returns the factors.
    """
    ratios: dict[str, list[F32]] = {}
    means: list[tuple[float, float]] = []
    for clip in clips:
        made = predict(net, clip, lookahead_ms)
        count = min(len(made), len(clip.code))
        use = clip.valid[:count] & ~lipdata.quiet(clip.pcm)[:count]
        if use.sum() < 20:
            continue
        own = clip.code[:count][use] * clip.gain
        ratios.setdefault(clip.speaker, []).append(own.std(0) / made[:count][use].std(0))
        means.append((float(own[:, 0].mean()), float(made[:count][use, 0].mean())))
    ratio = np.mean([np.mean(r, 0) for r in ratios.values()], 0)
    factor = torch.from_numpy(np.clip(ratio, 1.0, MAX_GAIN).astype(np.float32))
    own_mean, made_mean = np.mean(means, 0)
    with torch.no_grad():
        net.head.weight *= factor[:, None]
        net.head.bias *= factor
        net.head.bias[0] += float(own_mean - factor[0] * made_mean)
    return [round(float(f), 3) for f in factor]


def chunked(pcm: F32, lookahead_ms: int) -> F32:
    """(T * 4, 80) log-mel of a clip, shifted so that chunk i ends at picture i's time + lookahead.

    Pictures before the first are kept: the caller drops the first `HOPS` frames' chunk.
    """
    ahead = lookahead_ms // 10
    mel = logmel.LogMel().push(np.concatenate([pcm, np.zeros(ahead * logmel.HOP, np.float32)]))
    shift = ahead - HOPS
    lead = np.tile(logmel.SILENCE, (max(0, -shift), 1))
    return np.concatenate([lead, mel])[max(0, shift) :]


def predict(net: LipNet, clip: Clip, lookahead_ms: int) -> F32:
    """(T, K) codes for a clip."""
    mel = torch.from_numpy(chunked(clip.pcm, lookahead_ms))[None]
    count = mel.shape[1] // HOPS
    warm = torch.from_numpy(np.tile(logmel.SILENCE, (1, 25 * HOPS, 1)))
    with torch.no_grad():
        _, state = net(warm, net.init_state(1))
        codes, _ = net(mel[:, : count * HOPS], state)
    return np.asarray(codes[0].numpy()[: len(clip.code)], np.float32)


@dataclass(frozen=True, slots=True)
class Score:
    """Generated against true lip opening of one clip.

    Attributes:
        correlation: of the two, at no lag.
        best, lag: highest correlation over lags of -5 to 5 pictures, and where (positive: the
            generated lips come late).
        spread: standard deviation of the generated opening over that of the true one.
    """

    name: str
    seconds: float
    correlation: float
    best: float
    lag: int
    spread: float


def measure(clip: Clip, code: F32) -> Score:
    """Compares generated codes (T, K) with a clip's own."""
    opening = facemodel.load().opening
    count = min(len(code), len(clip.code))
    made, true, ok = (code @ opening)[:count], (clip.code @ opening)[:count], clip.valid[:count]

    def at(lag: int) -> float:
        a = made[max(0, lag) : count + min(0, lag)]
        b = true[max(0, -lag) : count - max(0, lag)]
        use = ok[max(0, -lag) : count - max(0, lag)]
        return float(np.corrcoef(a[use], b[use])[0, 1])

    table = {lag: at(lag) for lag in range(-5, 6)}
    lag = max(table, key=lambda k: table[k])
    spread = float(made[ok].std() / true[ok].std())
    return Score(clip.name, count / lipdata.FPS, table[0], table[lag], lag, spread)


def table(scores: list[Score]) -> str:
    """Scores as text."""
    lines = [f"{'clip':36} {'s':>5} {'r':>6} {'best':>6} {'lag':>4} {'spread':>6}"]
    lines += [
        f"{s.name[:36]:36} {s.seconds:5.1f} {s.correlation:6.3f} {s.best:6.3f} {s.lag:4d} "
        f"{s.spread:6.2f}"
        for s in scores
    ]
    weight = np.array([s.seconds for s in scores])
    for name in ("correlation", "spread"):
        mean = float(np.average([getattr(s, name) for s in scores], weights=weight))
        lines.append(f"{name}, mean over seconds: {mean:.3f}")
    return "\n".join(lines)

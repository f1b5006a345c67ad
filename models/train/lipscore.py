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

SHUT_CODE = 0.15
"""Below this first component, 0.008 face widths, a mouth counts as shut."""
MAX_GAIN = 1.6
"""More would turn what the network is unsure of into twitches."""


def load(run: Path) -> LipNet:
    """The averaged weights of a run, ready to run."""
    config = json.loads((run / "config.json").read_text())
    net = LipNet(LipNetConfig(**config["net"]))
    net.load_state_dict(torch.load(run / "weights.pt", weights_only=True))
    return net.eval()


def calibrate(net: LipNet, clips: list[Clip], lookahead_ms: int) -> list[float]:
    """Makes the codes move as much as real lips do, and shut as often: a regression's own do less.

    Each component is scaled by the mean, over speakers, of true over generated standard
    deviation. Component 0 is also shifted, so that the share of shut mouths in speech is the true
    one; what falls below zero then is a shut mouth. Returns the factors.
    """
    by_speaker: dict[str, list[tuple[F32, F32]]] = {}
    for clip in clips:
        made = predict(net, clip, lookahead_ms)
        count = min(len(made), len(clip.code))
        use = clip.valid[:count] & ~lipdata.quiet(clip.pcm)[:count]
        pair = (clip.code[:count][use] * clip.gain, made[:count][use])
        by_speaker.setdefault(clip.speaker, []).append(pair)
    pairs = [
        (np.concatenate([p[0] for p in v]), np.concatenate([p[1] for p in v]))
        for v in by_speaker.values()
    ]
    factor = np.mean([own.std(0) / made.std(0) for own, made in pairs], 0)
    shut = float(np.mean([(own[:, 0] < SHUT_CODE).mean() for own, _ in pairs]))
    shift = 0.0
    for _ in range(10):
        low = np.mean([np.quantile(made[:, 0], shut) for _, made in pairs])
        shift = float(SHUT_CODE - factor[0] * low)
        kept = [np.maximum(factor[0] * made[:, 0] + shift, 0).std() for _, made in pairs]
        factor[0] *= np.mean([o[:, 0].std() / k for (o, _), k in zip(pairs, kept, strict=True)])
        factor = np.clip(factor, 1.0, MAX_GAIN)
    with torch.no_grad():
        scale = torch.from_numpy(factor.astype(np.float32))
        net.head.weight *= scale[:, None]
        net.head.bias *= scale
        net.head.bias[0] += shift
    return [round(float(f), 3) for f in (*factor, shift)]


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
    """Compares generated codes (T, K) with a clip's own, over speech and 200 ms around it."""
    opening = facemodel.load().opening
    count = min(len(code), len(clip.code))
    made = np.maximum(code @ opening, 0)[:count]  # as the engine draws it
    true = (clip.code @ opening)[:count]
    ok = (clip.valid & ~lipdata.quiet(clip.pcm))[:count]

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
        values = [getattr(s, name) for s in scores]
        mean, by_time = np.mean(values), np.average(values, weights=weight)
        lines.append(f"{name}, mean over clips {mean:.3f}, over seconds {by_time:.3f}")
    return "\n".join(lines)

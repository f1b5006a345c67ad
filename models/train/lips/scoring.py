"""How a lip network is run over whole clips and measured against their own lips."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels import logmel
from models import facemodel
from models.likeness import comparable
from models.nets.contrast import Pair
from models.nets.lips import HOPS, LipNet, LipNetConfig
from models.train import lipdata
from models.train.lipdata import Clip
from models.train.lips import contrast
from models.train.runs import Run

F32 = npt.NDArray[np.float32]

SHIFT = 0.1
"""Of the code's first component: 0.005 face widths."""


def load(run: Path) -> LipNet:
    """The averaged weights of a run of `liptune`, ready to run."""
    kept = Run(run)
    net = LipNet(LipNetConfig.of(kept.config["net"]), kept.config["lookahead_ms"])
    net.load_state_dict(kept.weights())
    return net.eval()


def calibrate(net: LipNet) -> None:
    """Lowers the opening a little, so that a mouth that is nearly shut is shut.

    Chosen on Obama by a network that never saw him (correlation 0.544 without, 0.549 with; spread
    0.87, 0.83 of his own). More spread lays lips further from his, on every component.
    """
    with torch.no_grad():
        net.head.bias[0] -= SHIFT


def chunked(pcm: F32, lookahead_ms: int) -> F32:
    """(T * 4, 80) log-mel of a clip, shifted so that chunk i ends at picture i's time + lookahead.

    Pictures before the first are kept: the caller drops the first `HOPS` frames' chunk.
    """
    ahead = lookahead_ms // 10
    mel = logmel.LogMel().push(np.concatenate([pcm, np.zeros(ahead * logmel.HOP, np.float32)]))
    shift = ahead - HOPS
    lead = np.tile(logmel.SILENCE, (max(0, -shift), 1))
    return np.concatenate([lead, mel])[max(0, shift) :]


def listen(net: LipNet, pcm: F32) -> tuple[Tensor, Tensor]:
    """Lip codes (T, K) and embeddings (T, E) for a sound, after a second of silence."""
    mel = torch.from_numpy(chunked(pcm, net.lookahead_ms))[None]
    count = mel.shape[1] // HOPS
    warm = torch.from_numpy(np.tile(logmel.SILENCE, (1, 25 * HOPS, 1)))
    with torch.no_grad():
        _, _, state = net(warm, net.init_state(1))
        codes, embeddings, _ = net(mel[:, : count * HOPS], state)
    return codes[0], embeddings[0]


def predict(net: LipNet, clip: Clip) -> F32:
    """(T, K) codes for a clip."""
    return np.asarray(listen(net, clip.pcm)[0].numpy()[: len(clip.code)], np.float32)


def retrieved(net: LipNet, pair: Pair, clips: list[Clip]) -> tuple[int, int]:
    """(windows of a second, those whose offset is found): see `contrast.retrieval`."""
    windows = hits = 0
    for clip in clips:
        heard, seen = listen(net, clip.pcm)[1], torch.from_numpy(clip.code * np.float32(clip.gain))
        count = min(len(heard), len(seen))
        heard, seen = heard[:count], seen[:count]
        with torch.no_grad():
            audio, lips = pair.of_audio(heard[None])[0], pair.of_lips(seen[None])[0]
        speech = (clip.valid & ~lipdata.quiet(clip.pcm))[:count]
        found = contrast.retrieval(
            torch.from_numpy(comparable(audio.numpy(), heard[:, : net.config.code].numpy())),
            torch.from_numpy(comparable(lips.numpy(), seen.numpy())),
            speech,
        )
        windows, hits = windows + found[0], hits + found[1]
    return windows, hits


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

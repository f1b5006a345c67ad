"""Fits the lip-audio pair to a trained lip network: the rest of its embedding, the lips' side."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.nets.contrast import Pair, PairConfig
from models.nets.lips import HOPS, LipNet
from models.train.lips import contrast
from models.train.lips.mixing import VOICE, Mixer, Piece, Pool

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PairTraining:
    """How the pair is fitted: `steps` of `batch` sequences of `chunks` pictures of unbroken filmed
    speech, AdamW with a one-cycle learning rate up to `lr`."""

    steps: int = 500
    batch: int = 32
    chunks: int = 75
    lr: float = 3e-3
    seed: int = 0


def heard(net: LipNet, mel: F32) -> Tensor:
    """(B, 4 T, 80) -> what the network hears, (B, T, F)."""
    with torch.no_grad():
        return net.hear(torch.from_numpy(mel), net.init_state(len(mel)))[0]


def filmed(pool: Pool, chunks: int) -> list[Piece]:
    """Pieces of at least `chunks` pictures whose lips were seen.

    Raises:
        ValueError: there are none.
    """
    seen = [n for n in sorted(pool.pieces) if not n.startswith(VOICE)]
    found = [p for n in seen for p in pool.pieces[n] if len(p.code) >= chunks]
    if not found:
        raise ValueError(f"no filmed clip of {chunks} pictures")
    return found


def sequences(
    mixer: Mixer, pieces: list[Piece], count: int, chunks: int
) -> tuple[F32, Tensor, Tensor]:
    """mel (B, 4 T, 80), code (B, T, K), mask (B, T) of unbroken filmed speech, augmented."""
    rng = mixer.rng
    share = np.array([len(p.code) for p in pieces], np.float64) ** 0.5
    mels, codes, masks = [], [], []
    for index in rng.choice(len(pieces), count, p=share / share.sum()):
        piece = pieces[index]
        start = int(rng.integers(0, len(piece.code) - chunks + 1))
        mel = piece.mel[start * HOPS : (start + chunks + 5) * HOPS].astype(np.float32)
        mel = mixer.channel(mixer.voice(mel))
        mel = np.pad(mel, ((HOPS, 5 * HOPS), (0, 0)), mode="edge")
        mels.append(mel[mixer.ahead :][: chunks * HOPS])
        codes.append(piece.code[start : start + chunks].astype(np.float32))
        masks.append(piece.mask[start : start + chunks].astype(np.float32))
    code, mask = torch.from_numpy(np.stack(codes)), torch.from_numpy(np.stack(masks))
    return np.stack(mels), code, mask


def fit(net: LipNet, pool: Pool, config: PairTraining, log: Any = None) -> Pair:
    """Fits a pair to a network, whose embedding and head change and whose lips do not: the
    embedding's first K entries become the lip code, the others what the contrast wants besides."""
    torch.manual_seed(config.seed)
    mixer = Mixer(pool, net.lookahead_ms, 0.0, np.random.default_rng(config.seed))
    codes = net.config.code
    with torch.no_grad():
        weight = net.head.weight @ net.embed.weight
        bias = net.head.weight @ net.embed.bias + net.head.bias
    pair = Pair(PairConfig(codes, net.config.embedding)).train()
    pieces = filmed(pool, config.chunks)
    mel, _, _ = sequences(mixer, pieces, config.batch, config.chunks)
    spread = heard(net, mel).flatten(0, 1).std(0) + 0.02
    rest = nn.Linear(net.heard_size, net.config.embedding - codes)
    with torch.no_grad():
        rest.weight.mul_(4)
    parameters = [*pair.parameters(), *rest.parameters()]
    optimiser = torch.optim.AdamW(parameters, config.lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.lr, config.steps)
    for step in range(config.steps):
        mel, code, mask = sequences(mixer, pieces, config.batch, config.chunks)
        x = heard(net, mel)
        noisy = nn.functional.dropout(x, 0.1) / spread
        embedding = torch.cat([x @ weight.T + bias, 0.1 * rest(noisy)], 2)
        scale = pair.log_scale.exp().clamp(max=60)
        terms = contrast.info_nce(pair.of_audio(embedding), pair.of_lips(code), mask, scale)
        loss = terms["within"] + 0.3 * terms["across"]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if log is not None and (step + 1) % 100 == 0:
            log({"step": step + 1} | {k: round(v.item(), 4) for k, v in terms.items()})
    with torch.no_grad():
        net.embed.weight[:codes], net.embed.bias[:codes] = weight, bias
        net.embed.weight[codes:] = 0.1 * rest.weight / spread
        net.embed.bias[codes:] = 0.1 * rest.bias
        net.head.weight.zero_()
        net.head.weight[:, :codes] = torch.eye(codes)
        net.head.bias.zero_()
    return pair.eval()

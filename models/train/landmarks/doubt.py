"""The landmark network's score, fitted anew on what the detector takes for faces.

The network's own training shows it random pieces without a face; a detector asks about those that
look most like one. All but the score's two layers stays as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from models.faces import DETECTOR_PX, crop, read_map
from models.nets.faces import Detector, Regressor
from models.train.landmarks import augment, crops, scenes
from models.train.landmarks.bank import Bank
from models.train.landmarks.fit import TrainConfig
from models.train.landmarks.pack import read
from models.train.runs import Run

_NEAR, _APART = 0.2, 0.7
"""A frame is a face's if its middle is nearer than this share of the size, none's if farther."""
_ALIKE = 0.35
"""And if the logarithms of their sizes differ by less."""
_FAINT = 0.08
"""Heat from which a place is asked about: lower than when serving, so that more are."""


@dataclass(frozen=True, slots=True)
class DoubtConfig:
    """How the score is fitted.

    Attributes:
        rounds: of scenes and crops that are looked at.
        batch: scenes, and crops, a round.
        steps: of the fit, each over a random eighth of what was seen.
        lr, weight_decay, seed: as usual.
    """

    rounds: int = 50
    batch: int = 24
    steps: int = 2500
    lr: float = 2e-3
    weight_decay: float = 0.02
    seed: int = 0


def asked(detector: Detector, batch: scenes.Scenes) -> Iterator[tuple[np.ndarray, float]]:
    """(crop, 1 for a face and 0 for none) of what a detector would have looked at."""
    with torch.no_grad():
        maps = detector(batch.picture).numpy()
    pictures = (batch.picture.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    faces, there = batch.faces.numpy(), batch.there.numpy()
    for picture, said, known, sure in zip(pictures, maps, faces, there, strict=True):
        for _, frame in read_map(said, _FAINT):
            away = np.hypot(known[:, 0] - frame.x, known[:, 1] - frame.y) / known[:, 2].clip(1)
            alike = np.abs(np.log(frame.size / known[:, 2].clip(1))) < _ALIKE
            if ((away < _NEAR) & alike & (sure > 0)).any():
                yield crop(picture, frame), 1.0
            elif not ((away < _APART) & (sure != 0)).any():
                yield crop(picture, frame), 0.0


def fit(net: Regressor, detector: Detector, bank: Bank, config: DoubtConfig) -> dict[str, float]:
    """Fits the score of `net`; returns figures on what was kept aside."""
    torch.manual_seed(config.seed)
    net.eval()
    detector.eval()
    thoughts, labels = _see(net, detector, bank, config)
    order = torch.randperm(len(labels))
    kept, used = order[::8], order[torch.arange(len(order)) % 8 != 0]
    optimiser = torch.optim.AdamW(
        net.score.parameters(), config.lr, weight_decay=config.weight_decay
    )
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    for _ in range(config.steps):
        rows = used[torch.randint(len(used), (max(len(used) // 8, 1),))]
        inputs = F.dropout(thoughts[rows], 0.1)
        logit = net.score(inputs)[:, 0]
        loss = F.binary_cross_entropy_with_logits(logit, labels[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        falling.step()
    with torch.no_grad():
        score = net.score(thoughts[kept])[:, 0].sigmoid()
    face = labels[kept] > 0.5
    return {
        "faces": float(face.sum()),
        "others": float((~face).sum()),
        "missed": float((score[face] < 0.5).float().mean()),
        "false": float((score[~face] > 0.5).float().mean()),
    }


def _see(
    net: Regressor, detector: Detector, bank: Bank, config: DoubtConfig
) -> tuple[Tensor, Tensor]:
    """What the network thinks of crops with and without faces, and which they are."""
    thoughts, labels = list[Tensor](), list[Tensor]()

    def add(pictures: Tensor, face: Tensor) -> None:
        with torch.no_grad():
            thoughts.append(net.thought(pictures))
        labels.append(face)

    nowhere = torch.zeros(2 * config.batch, 1, 4)
    for at in tqdm(range(config.rounds)):
        batch = crops.draw(bank, config.batch, crops.CropConfig(none=0.2, astray=0.05))
        add(batch.picture, batch.face)
        if at % 2:
            canvas = augment.change(bank.nothing(2 * config.batch, DETECTOR_PX))
            staged = scenes.Scenes(canvas, nowhere, nowhere[..., 0])
        else:
            staged = scenes.draw(bank, config.batch, scenes.SceneConfig(blank=0.3))
        found = list(asked(detector, staged))
        if found:
            pictures = np.stack([picture for picture, _ in found]).transpose(0, 3, 1, 2)
            face = torch.tensor([said for _, said in found])
            add(torch.from_numpy(pictures.astype(np.float32) / 255), face)
    return torch.cat(thoughts), torch.cat(labels)


def refit(
    pack: Path, landmarks: Run, detector: Run, out: Run, config: DoubtConfig
) -> dict[str, float]:
    """Fits the score of a run's network on a pack and keeps the network in another run."""
    items = [item for item in read(pack) if not item.valid]
    bank = Bank.of(items, torch.device("cpu"), dict(TrainConfig(0, 0).kinds))
    net, seeker = Regressor(), Detector()
    net.load_state_dict({k: v.float() for k, v in landmarks.weights().items()})
    seeker.load_state_dict({k: v.float() for k, v in detector.weights().items()})
    figures = fit(net, seeker, bank, config)
    out.log(figures)
    weights = {name: value.detach().clone() for name, value in net.state_dict().items()}
    out.keep({}, weights)
    return figures

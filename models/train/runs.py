"""A training run: its folder with settings, newest checkpoint and curve, and its steps."""

import csv
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

KEPT_EVERY = 200
"""Steps between checkpoints, and between rows of the curve."""


class Stateful(Protocol):
    """A network or an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """What it is, for a checkpoint."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Brings it to where it was."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """A folder that a training run can be broken off in and go on from.

    Attributes:
        folder: holds `config.json`, `checkpoint.pt`, `weights.pt` and `curve.csv`.
    """

    folder: Path

    @staticmethod
    def begin(folder: Path, config: Any) -> "Run":
        """Opens a run's folder, made where there is none, for a dataclass of settings.

        Raises:
            ValueError: the folder holds a run of other settings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "config.json"
        wanted = json.dumps(asdict(config), indent=1) + "\n"
        if path.exists() and path.read_text() != wanted:
            kept, new = json.loads(path.read_text()), json.loads(wanted)
            differ = sorted(k for k in kept.keys() | new.keys() if kept.get(k) != new.get(k))
            raise ValueError(f"{folder}: holds a run with another {', '.join(differ)}")
        path.write_text(wanted)
        return Run(folder)

    @property
    def config(self) -> dict[str, Any]:
        """The settings, as JSON types."""
        found: dict[str, Any] = json.loads((self.folder / "config.json").read_text())
        return found

    def resume(self) -> dict[str, Any] | None:
        """The newest checkpoint, None before the first."""
        path = self.folder / "checkpoint.pt"
        found: dict[str, Any] | None = (
            torch.load(path, weights_only=True, map_location="cpu") if path.exists() else None
        )
        return found

    def keep(self, checkpoint: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
        """Writes a checkpoint and the weights to ship, each in one piece or not at all."""
        for name, value in (("checkpoint.pt", checkpoint), ("weights.pt", weights)):
            part = self.folder / (name + ".part")
            torch.save(dict(value), part)
            part.replace(self.folder / name)

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights kept last."""
        found: dict[str, torch.Tensor] = torch.load(
            self.folder / "weights.pt", weights_only=True, map_location="cpu"
        )
        return found

    def log(self, row: Mapping[str, float | int | str]) -> None:
        """Adds a row to `curve.csv`; the first row names the columns."""
        path = self.folder / "curve.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)


class Course:
    """The steps of a run with averaged weights, from its last checkpoint on.

    Args:
        run: the folder.
        net, optimiser, schedule: brought to where the checkpoint left them, if there is one.
        steps: how many the whole run has.
        ema: decay of the averaged weights.
        beside: more that has a state and goes into the checkpoint, by name, such as a critic.

    Attributes:
        first: the step that is next.
        mean: the averaged weights, by name.
    """

    def __init__(
        self,
        run: Run,
        net: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        steps: int,
        ema: float,
        beside: Mapping[str, Stateful] | None = None,
    ) -> None:
        self.first = 0
        self.mean = {k: v.clone() for k, v in net.state_dict().items()}
        self._run, self._net, self._steps, self._ema = run, net, steps, ema
        self._optimiser, self._schedule, self._beside = optimiser, schedule, dict(beside or {})
        self._begun, self._figures = time.time(), dict[str, list[float | Tensor]]()
        if (saved := run.resume()) is not None:
            net.load_state_dict(saved["net"])
            optimiser.load_state_dict(saved["optimiser"])
            schedule.load_state_dict(saved["schedule"])
            for name, other in self._beside.items():
                other.load_state_dict(saved[name])
            self.first = saved["step"]
            for name, value in saved["mean"].items():
                self.mean[name].copy_(value)
        # They share the network's memory, so that one list serves all steps.
        self._learnt = list(net.state_dict().values())

    def __iter__(self) -> Iterator[int]:
        """The steps that are left, with a progress bar."""
        left = range(self.first, self._steps)
        yield from tqdm(left, initial=self.first, total=self._steps, mininterval=20)

    def learn(self, step: int, loss: Tensor, figures: Mapping[str, float | Tensor]) -> None:
        """Goes one step down the loss; now and then keeps a checkpoint and a row of the curve.

        Args:
            figures: for the curve, the same names at every step; nan where there is none. Tensors
                stay where they are until a row is written: to read one would wait for the GPU.
        """
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._net.parameters(), 1.0)
        self._optimiser.step()
        self._schedule.step()
        decay = min(self._ema, (step + 1) / (step + 10))
        get_ema_multi_avg_fn(decay)(list(self.mean.values()), self._learnt, 0)
        for name, figure in figures.items():
            self._figures.setdefault(name, []).append(figure)
        if (step + 1) % KEPT_EVERY == 0 or step + 1 == self._steps:
            self._keep(step + 1)

    def _keep(self, step: int) -> None:
        state: dict[str, Any] = {"net": self._net.state_dict(), "mean": self.mean, "step": step}
        state |= {"optimiser": self._optimiser.state_dict()}
        state |= {name: other.state_dict() for name, other in self._beside.items()}
        self._run.keep(state | {"schedule": self._schedule.state_dict()}, self.mean)
        row: dict[str, float] = {"step": step, "seconds": round(time.time() - self._begun)}
        for name, values in self._figures.items():
            known = [v for v in map(float, values) if not np.isnan(v)]
            row[name] = round(float(np.mean(known)), 4) if known else float("nan")
        self._run.log(row)
        self._figures.clear()

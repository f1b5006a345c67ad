"""A training run's folder: its configuration, its newest checkpoint and its curve."""

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch


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

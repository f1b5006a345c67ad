"""Samples of the render network: windows of a portrait, of its guide, and of the truth."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

ROOM_PX = 160
"""Side of a kept window: more than the network sees, so that training can move and turn it."""
INDEX = "people.json"
_OPEN_PX = 500
"""From how many pixels of teeth and tongue on a mouth counts as open."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Some samples of one person.

    Attributes:
        portrait: (P, R, R, 3) uint8, windows of the portraits, R = ROOM_PX.
        of: (N,) int32, each sample's portrait.
        warp: (N, R, R, 3) uint8, the portrait led by geometry.
        plates: (N, R, R, 4) uint8, teeth and tongue with their alpha, laid over it they make the
            guide; apart, for their colours do not follow the light of the picture.
        truth: (N, R, R, 3) uint8.
        region: (N, R, R) uint8, where the network may paint.
        told: (N, window.CONDITIONS) float32.
    """

    portrait: U8
    of: npt.NDArray[np.int32]
    warp: U8
    plates: U8
    truth: U8
    region: U8
    told: F32

    def __len__(self) -> int:
        return len(self.of)

    def openness(self) -> F32:
        """(N,) how open the mouths are, 0 to 1: where teeth or tongue were laid in."""
        inside = (self.plates[..., 3] > 0).sum((1, 2))
        return np.minimum(inside / _OPEN_PX, 1.0).astype(np.float32)

    def save(self, path: Path) -> None:
        """Writes them in one piece."""
        part = path.with_suffix(".part.npz")
        np.savez(part, **{f.name: getattr(self, f.name) for f in fields(self)})
        part.replace(path)

    @staticmethod
    def load(path: Path) -> "Samples":
        """Reads what `save` wrote.

        Raises:
            ValueError: it is of another form.
        """
        names = [f.name for f in fields(Samples)]
        with np.load(path, allow_pickle=False) as data:
            if missing := [n for n in names if n not in data]:
                raise ValueError(f"{path}: array {missing[0]!r} is missing")
            return Samples(**{n: data[n] for n in names})

    def taken(self, rows: npt.NDArray[np.integer]) -> "Samples":
        """Some of them; all portraits stay."""
        names = [f.name for f in fields(Samples) if f.name != "portrait"]
        return replace(self, **{n: getattr(self, n)[rows] for n in names})

    @staticmethod
    def join(parts: "list[Samples]") -> "Samples":
        """All of them as one."""
        begins = np.cumsum([0, *(len(p.portrait) for p in parts)])
        joined = {
            f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Samples)
        }
        joined["of"] = np.concatenate([p.of + b for p, b in zip(parts, begins, strict=False)])
        return Samples(**joined)


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Samples of many people.

    Attributes:
        samples: all of them.
        person: (N,) number of each sample's person.
        kind: (N,) number of the folder it came from, in `kinds`.
        names: of the people.
        kinds: of the folders.
    """

    samples: Samples
    person: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int32]
    names: list[str]
    kinds: list[str]

    def opened(self) -> "People":
        """Those samples that show some of the mouth's inside; everyone keeps their number."""
        return self.taken(np.flatnonzero(self.samples.openness() > 0))

    def taken(self, rows: npt.NDArray[np.integer]) -> "People":
        """Those of some samples; everyone keeps their number."""
        return replace(
            self,
            samples=self.samples.taken(rows),
            person=self.person[rows],
            kind=self.kind[rows],
        )


def folders(root: Path) -> dict[str, dict[str, str]]:
    """Person by file name, for each folder of samples: stills, clips, heads.

    Raises:
        ValueError: there is none.
    """
    found = {
        path.parent.name: dict(json.loads(path.read_text())) for path in root.glob(f"*/{INDEX}")
    }
    if not found:
        raise ValueError(f"{root}: no samples in it; `visavis train windows` makes them")
    return dict(sorted(found.items()))


def read(root: Path, wanted: set[str] | None = None, but: set[str] | None = None) -> People:
    """The samples of some people, or of all but some.

    Raises:
        ValueError: nobody is left.
    """
    parts, persons, kinds = [], [], []
    names: dict[str, int] = {}
    listed = folders(root)
    for number, (kind, files) in enumerate(listed.items()):
        for file, person in files.items():
            if person in (but or ()) or (wanted is not None and person not in wanted):
                continue
            part = Samples.load(root / kind / f"{file}.npz")
            parts.append(part)
            persons += [names.setdefault(person, len(names))] * len(part)
            kinds += [number] * len(part)
    if not parts:
        raise ValueError(f"{root}: holds nobody of {sorted(wanted or ())}")
    return People(
        Samples.join(parts),
        np.array(persons, np.int32),
        np.array(kinds, np.int32),
        list(names),
        list(listed),
    )

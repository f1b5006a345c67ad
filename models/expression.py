"""An expression split into a lip code, a blink code and the rest, without torch."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models import weights

F64 = npt.NDArray[np.float64]
Layer = tuple[F64, F64]


class Split(NamedTuple):
    """Codes of expressions: lip (..., L), blink (..., 2), rest (..., R); see `models.nets`."""

    lip: F64
    blink: F64
    rest: F64


@dataclass(frozen=True, slots=True)
class Expression:
    """The autoencoder of `face_codes.npz`.

    Attributes:
        encoder, decoder: weight (out, in) and bias (out,) of each layer.
        sizes: lengths of the lip, blink and rest codes.
    """

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]
    sizes: tuple[int, int, int]

    def split(self, expression: F64) -> Split:
        """Codes of expressions (..., E) of `models.faceshape`."""
        code = _run(self.encoder, expression)
        lip, blink, _ = self.sizes
        return Split(code[..., :lip], code[..., lip : lip + blink], code[..., lip + blink :])

    def join(self, codes: Split) -> F64:
        """Expressions (..., E) of codes."""
        return _run(self.decoder, np.concatenate(codes, -1))


def _run(layers: tuple[Layer, ...], x: F64) -> F64:
    for i, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        if i < len(layers) - 1:
            x = x / (1 + np.exp(-x))
    return x


def read(path: Path) -> Expression:
    """Reads an autoencoder's file.

    Raises:
        ValueError: an array is missing, or the layers do not fit the codes.
    """
    with np.load(path, allow_pickle=False) as data:
        if "sizes" not in data:
            raise ValueError(f"{path}: array 'sizes' is missing")
        lip, blink, rest = (int(n) for n in data["sizes"])
        parts = []
        for part in ("encoder", "decoder"):
            names = sorted(n for n in data if n.startswith(part) and n.endswith("weight"))
            parts.append(
                tuple(
                    (data[n].astype(np.float64), data[n[:-6] + "bias"].astype(np.float64))
                    for n in names
                )
            )
    encoder, decoder = parts
    total = lip + blink + rest
    if not encoder or not decoder or len(encoder[-1][1]) != total:
        raise ValueError(f"{path}: the encoder does not give {total} codes")
    if decoder[0][0].shape[1] != total:
        raise ValueError(f"{path}: the decoder takes {decoder[0][0].shape[1]} codes, not {total}")
    return Expression(encoder, decoder, (lip, blink, rest))


@cache
def load() -> Expression:
    """The shipped autoencoder."""
    return read(weights.path("face_codes.npz"))

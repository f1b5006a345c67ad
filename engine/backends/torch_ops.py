"""ONNX operators in torch: those that our networks use, by the operators' own specification.

https://onnx.ai/onnx/operators/, opset 17. Each takes the node's inputs, None where one is left out,
and its attributes; what an operator can do beyond what our exporter writes is refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Given = Sequence[Any]
"""Tensors, None for an input that is left out."""
Settings = dict[str, Any]

ON_HOST: dict[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}
"""Which inputs of an operator are shapes and places, that the host reads; all others are data."""


class UnsupportedError(Exception):
    """An operator is asked for something that it does not do here."""


def _only(settings: Settings, **known: Any) -> None:
    for name, value in known.items():
        if settings.get(name, value) != value:
            raise UnsupportedError(f"{name} is {settings[name]!r}, expected {value!r}")


def _axes(x: Tensor) -> tuple[int, ...]:
    return tuple(int(v) for v in x.reshape(-1))


def _reshape(given: Given, settings: Settings) -> Tensor:
    x, wanted = given
    _only(settings, allowzero=0)
    return x.reshape([x.shape[at] if side == 0 else side for at, side in enumerate(_axes(wanted))])


def _squeeze(x: Tensor, axes: Tensor) -> Tensor:
    return x.squeeze(_axes(axes))


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + axes.numel()
    for axis in sorted(a % rank for a in _axes(axes)):
        x = x.unsqueeze(axis)
    return x


def _slice(
    x: Tensor,
    begins: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    chosen = [slice(None)] * x.ndim
    where = range(begins.numel()) if axes is None else _axes(axes)
    strides = [1] * begins.numel() if steps is None else _axes(steps)
    for axis, begin, end, step in zip(where, _axes(begins), _axes(ends), strides, strict=True):
        if step < 1:
            raise UnsupportedError(f"steps is {step}, expected 1 or more")
        chosen[axis] = slice(begin, end, step)
    return x[tuple(chosen)]


def _gather(given: Given, settings: Settings) -> Tensor:
    x, rows = given
    axis = settings.get("axis", 0) % x.ndim
    rows = torch.where(rows < 0, rows + x.shape[axis], rows)
    taken = x.index_select(axis, rows.reshape(-1))
    return taken.reshape([*x.shape[:axis], *rows.shape, *x.shape[axis + 1 :]])


def _split(given: Given, settings: Settings) -> tuple[Tensor, ...]:
    x, sizes = given
    return tuple(torch.split(x, _axes(sizes), settings.get("axis", 0)))


def _conv(given: Given, settings: Settings) -> Tensor:
    x, weight, bias = (*given, None)[:3]
    _only(settings, auto_pad=b"NOTSET")
    top, left, bottom, right = settings.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise UnsupportedError(f"pads is {settings['pads']}, expected the same at both ends")
    return F.conv2d(
        x,
        weight,
        bias,
        settings.get("strides", 1),
        (top, left),
        settings.get("dilations", 1),
        settings.get("group", 1),
    )


def _gemm(given: Given, settings: Settings) -> Tensor:
    a, b, c = (*given, None)[:3]
    _only(settings, alpha=1.0, beta=1.0, transA=0)
    product = a @ (b.T if settings.get("transB") else b)
    return product if c is None else product + c


def _gru(given: Given, settings: Settings) -> tuple[Tensor, Tensor]:
    """(T, B, I), (1, 3H, I), (1, 3H, H), (1, 6H), none, (1, B, H) -> (T, 1, B, H), (1, B, H)."""
    x, weight, again, bias, lengths, state = given
    _only(settings, direction=b"forward", linear_before_reset=1)
    if lengths is not None:
        raise UnsupportedError("sequence_lens is given, expected none")
    size = settings["hidden_size"]
    into, back = bias[0].split(3 * size)
    h, seen = state[0], []
    for own in torch.matmul(x, weight[0].T) + into:
        update, reset, new = own.split(size, -1)
        old_update, old_reset, old = (h @ again[0].T + back).split(size, -1)
        update, reset = torch.sigmoid(update + old_update), torch.sigmoid(reset + old_reset)
        h = (1 - update) * torch.tanh(new + reset * old) + update * h
        seen.append(h)
    return torch.stack(seen)[:, None], h[None]


def _layer_norm(given: Given, settings: Settings) -> Tensor:
    x, scale, bias = given
    _only(settings, axis=-1)
    return F.layer_norm(x, x.shape[-1:], scale, bias, settings.get("epsilon", 1e-5))


def _instance_norm(given: Given, settings: Settings) -> Tensor:
    x, scale, bias = given
    return F.instance_norm(x, None, None, scale, bias, True, 0.0, settings.get("epsilon", 1e-5))


def _mean(given: Given, settings: Settings) -> Tensor:
    (x,) = given
    return x.mean(settings["axes"], keepdim=bool(settings.get("keepdims", 1)))


def _sum(given: Given, settings: Settings) -> Tensor:
    x, axes = given
    return x.sum(_axes(axes), keepdim=bool(settings.get("keepdims", 1)))


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if low is not None:
        x = torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _resize(given: Given, settings: Settings) -> Tensor:
    x, _, scales = given
    _only(
        settings,
        mode=b"nearest",
        nearest_mode=b"floor",
        coordinate_transformation_mode=b"asymmetric",
    )
    return F.interpolate(x, scale_factor=[float(s) for s in scales[2:]], mode="nearest")


def _depth_to_space(given: Given, settings: Settings) -> Tensor:
    (x,) = given
    _only(settings, mode=b"CRD")
    return F.pixel_shuffle(x, settings["blocksize"])


def _constant_of_shape(given: Given, settings: Settings) -> Tensor:
    value: Tensor = settings["value"]
    return value.reshape(()).expand(_axes(given[0]))


def _expand(x: Tensor, wanted: Tensor) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, _axes(wanted)))


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


def _on_axis(x: Tensor, values: Tensor, axis: int) -> Tensor:
    """One value for all, or one for each place along an axis."""
    return values if values.ndim == 0 else values.reshape([-1] + [1] * (x.ndim - axis - 1))


def _quantize(given: Given, settings: Settings) -> Tensor:
    x, scale, zero = given
    scale, axis = _on_axis(x, scale, settings.get("axis", 1)), settings.get("axis", 1)
    least, most = torch.iinfo(zero.dtype).min, torch.iinfo(zero.dtype).max
    whole = torch.round(x / scale) + _on_axis(x, zero.to(x), axis)
    return whole.clamp(least, most).to(zero.dtype)


def _dequantize(given: Given, settings: Settings) -> Tensor:
    x, scale, zero = given
    axis = settings.get("axis", 1)
    whole = x.float() - _on_axis(x, zero.float(), axis)
    return whole * _on_axis(x, scale, axis)


def _plain(function: Callable[..., Any]) -> Callable[[Given, Settings], Any]:
    """An operator without attributes."""

    def operator(given: Given, settings: Settings) -> Any:
        if settings:
            raise UnsupportedError(f"{next(iter(settings))} is given, expected no attributes")
        return function(*given)

    return operator


OPERATORS: dict[str, Callable[[Given, Settings], Any]] = {
    "Concat": lambda given, settings: torch.cat(tuple(given), settings["axis"]),
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": _dequantize,
    "GRU": _gru,
    "Gather": _gather,
    "Gemm": _gemm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "QuantizeLinear": _quantize,
    "ReduceMean": _mean,
    "ReduceSum": _sum,
    "Reshape": _reshape,
    "Resize": _resize,
    "Softmax": lambda given, settings: given[0].softmax(settings.get("axis", -1)),
    "Split": _split,
    "Transpose": lambda given, settings: given[0].permute(settings["perm"]),
} | {
    name: _plain(function)
    for name, function in {
        "Abs": torch.abs,
        "Add": torch.add,
        "Clip": _clip,
        "Cos": torch.cos,
        "Div": _divide,
        "Equal": torch.eq,
        "Erf": torch.erf,
        "Exp": torch.exp,
        "Expand": _expand,
        "Greater": torch.gt,
        "MatMul": torch.matmul,
        "Max": torch.maximum,
        "Mul": torch.mul,
        "Neg": torch.neg,
        "Or": torch.logical_or,
        "Pow": torch.pow,
        "Relu": torch.relu,
        "Shape": lambda x: torch.tensor(x.shape),
        "Sigmoid": torch.sigmoid,
        "Sin": torch.sin,
        "Slice": _slice,
        "Sqrt": torch.sqrt,
        "Squeeze": _squeeze,
        "Sub": torch.sub,
        "Unsqueeze": _unsqueeze,
        "Where": torch.where,
    }.items()
}

import numpy as np
import pytest

from kernels.cuda.guide import guide, packed_fields, packed_lines, plane_of
from kernels.dispatch import Portrait
from kernels.gpu import FACE, Arena, Device
from kernels.guide import Line, backward_flow, forward_field, joined_flow, lattice
from kernels.plain.guide import flows
from kernels.plain.warp_composite import flow_at
from tests.kernels.devices import device, everywhere
from tests.kernels.portraits import STEP_PX, drivers, lines, portrait

SIZES = (64, 92, 136)


def by_kernel(
    on: Device, known: list[Portrait], moves: list[np.ndarray], parted: list[list[Line]]
) -> np.ndarray:
    """(B, 3, G, G, 2), what `guide.cu` makes of a batch."""
    side = known[0].upper.shape[0]
    plane, batch = plane_of(side), len(known)
    forward, out = (on.empty(batch * n * plane * 8) for n in (2, 3))
    arena = Arena(on, 1 << 22, 4 * batch)
    table = np.zeros(batch, FACE)
    for i, row in enumerate(table):
        row["fields"] = arena.add(packed_fields(known[i].upper, known[i].lower))
        row["drivers"], row["lines"] = (
            arena.add(moves[i]),
            arena.add(packed_lines(parted[i], STEP_PX)),
        )
        row["forward"] = forward.address + i * 2 * plane * 8
        row["flows"] = out.address + i * 3 * plane * 8
        row["line_count"] = len(parted[i])
    at = arena.add(table)
    arena.send()
    guide(on, at, batch, moves[0].shape[0], side, STEP_PX)
    made = on.fetch(out, batch * 3 * plane * 8).view(np.float32).reshape(batch, 3, plane, 2)
    return made[:, :, : side * side].reshape(batch, 3, side, side, 2)


@everywhere
@pytest.mark.parametrize("size_px", SIZES)
def test_kernel_is_bit_equal_to_the_reference(name: str, size_px: int) -> None:
    known = [portrait(seed, size_px) for seed in range(3)]
    moves = [drivers(10 + seed, size_px) for seed in range(3)]
    parted = [lines(5, size_px), lines(7, size_px)[:1], []]
    found = by_kernel(device(name), known, moves, parted)
    for one, face, move, along in zip(found, known, moves, parted, strict=True):
        expected = flows(face.upper, face.lower, move, along, STEP_PX)
        assert np.abs(expected).max() > 1
        np.testing.assert_array_equal(one, expected)


@everywhere
def test_wild_drivers_stay_inside_the_lattice(name: str) -> None:
    known = [portrait(0, 64)] * 3
    moves = [drivers(1) * np.float32(by) for by in (1e9, 1e38, np.nan)]
    found = by_kernel(device(name), known, moves, [lines(5, 64)] * 3)
    assert found.shape == (3, 3, 16, 16, 2)


@pytest.mark.parametrize("size_px", SIZES)
def test_reference_agrees_with_the_path_on_the_cpu(size_px: int) -> None:
    known, move, along = portrait(3, size_px), drivers(4, size_px), lines(5, size_px)
    nodes = lattice(size_px, STEP_PX)
    made = flows(known.upper, known.lower, move, along, STEP_PX)
    plain_lower = backward_flow(forward_field(known.lower, move), nodes, STEP_PX)
    # OpenCV samples fields at 32nds of a cell.
    assert np.abs(made[2] - plain_lower).max() < 0.25
    x, y = np.meshgrid(*[np.arange(size_px, dtype=np.float32)] * 2)
    whole = joined_flow(known.upper, known.lower, move, along, nodes, STEP_PX)
    apart = np.abs(flow_at(made, along, STEP_PX, x, y) - whole)
    assert apart.mean() < 0.02
    # A hard edge may fall on either side of a pixel.
    assert (apart > 0.25).mean() < 1e-3

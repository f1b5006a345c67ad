import numpy as np
import pytest

from kernels.on_cpu import CpuKernels
from kernels.on_cuda import CudaKernels
from kernels.plain import rows as plain
from tests.kernels.devices import device, everywhere
from tests.kernels.networks import Bounded

LENGTHS = {"wide": (3, 5, 7), "even": (64,), "single": ()}


class Sums:
    """A network of the host: each row's sum, and the wide input doubled."""

    def __init__(self) -> None:
        self.inputs = {name: (-1, *shape) for name, shape in LENGTHS.items()}
        self.batches: list[int] = []

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.batches.append(len(feeds["wide"]))
        sums = sum(array.reshape(len(array), -1).sum(1) for array in feeds.values())
        return {"sum": np.asarray(sums, np.float32), "twice": 2 * feeds["wide"]}


def bounded() -> Bounded:
    return Bounded(Sums(), {"sum": (), "twice": LENGTHS["wide"]}, 4)


def feeds(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    return {
        name: rng.standard_normal((rows, *shape)).astype(np.float32)
        for name, shape in LENGTHS.items()
    }


@everywhere
@pytest.mark.parametrize("rows", [1, 4, 7])
def test_a_network_on_the_device_gives_what_it_gives_on_the_host(name: str, rows: int) -> None:
    kernels, network, given = CudaKernels(device(name)), bounded(), feeds(rows)
    there = {key: kernels.put(array) for key, array in given.items()}
    for output in ("sum", "twice"):
        found = kernels.run(network, there, output)
        np.testing.assert_array_equal(kernels.fetch(found), Sums().run(given)[output])
    assert network.bounds == 2 * [min(4, rows - at) for at in range(0, rows, 4)]


@everywhere
def test_a_network_of_the_host_is_run_there(name: str) -> None:
    kernels, network, given = CudaKernels(device(name)), Sums(), feeds(3)
    found = kernels.run(network, {key: kernels.put(a) for key, a in given.items()}, "sum")
    np.testing.assert_array_equal(kernels.fetch(found), Sums().run(given)["sum"])
    assert network.batches == [3]


def test_a_network_with_a_fixed_batch_runs_row_by_row() -> None:
    network, given = Sums(), feeds(3)
    network.inputs = {name: (1, *shape) for name, shape in LENGTHS.items()}
    np.testing.assert_array_equal(
        CpuKernels().run(network, given, "twice"), Sums().run(given)["twice"]
    )
    assert network.batches == [1, 1, 1]


@everywhere
def test_rows_of_several_are_stacked_cut_and_mixed(name: str) -> None:
    kernels, host = CudaKernels(device(name)), CpuKernels()
    rng = np.random.default_rng(0)
    one, other, third = (rng.standard_normal((n, 3, 5)).astype(np.float32) for n in (1, 2, 3))
    stack = kernels.stacked([kernels.put(one), kernels.put(other), kernels.put(one)])
    np.testing.assert_array_equal(kernels.fetch(stack), np.concatenate([one, other, one]))
    np.testing.assert_array_equal(kernels.fetch(stack[1:3]), other)
    mixed = kernels.mixed(stack[:3], kernels.put(third), 0.3, -1.7)
    expected = plain.mix(np.concatenate([one, other]), third, 0.3, -1.7)
    np.testing.assert_array_equal(kernels.fetch(mixed), expected)
    np.testing.assert_array_equal(
        host.mixed(host.stacked([one, other]), third, 0.3, -1.7), expected
    )


def test_rows_of_others_are_refused() -> None:
    kernels, host = CudaKernels(device("threads in order")), CpuKernels()
    row = np.zeros((1, 3), np.float32)
    with pytest.raises(ValueError, match="rows are a ndarray, expected those of a device"):
        kernels.stacked([row])
    with pytest.raises(ValueError, match="rows are a CudaRows of a device, expected arrays"):
        host.fetch(kernels.put(row))
    wrong = {**feeds(1), "even": np.zeros((1, 63), np.float32)}
    given = {name: kernels.put(array) for name, array in wrong.items()}
    with pytest.raises(ValueError, match=r"input 'even' are \(63,\), expected \(64,\)"):
        kernels.run(bounded(), given, "sum")

import numpy as np
import pytest

from kernels.guide import Line, backward_flow, enlarge, forward_field, joined_flow, lattice

SIZE, STEP = 128, 4


def bump(amplitude_px: float, width_px: float) -> np.ndarray:
    nodes = lattice(SIZE, STEP)
    away = ((nodes - SIZE / 2) ** 2).sum(-1)
    field = np.zeros((*nodes.shape[:2], 2), np.float32)
    field[..., 1] = amplitude_px * np.exp(-away / (2 * width_px**2))
    return field


def test_lattice_points_are_the_centres_of_their_cells() -> None:
    nodes = lattice(16, 4)
    assert nodes.shape == (4, 4, 2)
    assert nodes[0, 0].tolist() == [1.5, 1.5]
    assert nodes[1, 2].tolist() == [9.5, 5.5]


def test_lattice_that_does_not_divide_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="130.*multiple of step_px, 4"):
        lattice(130, 4)


def test_no_motion_gives_no_flow() -> None:
    nodes = lattice(SIZE, STEP)
    flow = backward_flow(np.zeros_like(nodes), nodes, STEP)
    assert not flow.any()


def test_flow_undoes_the_forward_field() -> None:
    nodes = lattice(SIZE, STEP)
    forward = bump(amplitude_px=9.0, width_px=20.0)
    flow = backward_flow(forward, nodes, STEP, iterations=8)
    came_from = nodes + flow
    exact = 9.0 * np.exp(-((came_from - SIZE / 2) ** 2).sum(-1) / (2 * 20.0**2))
    landed = came_from[..., 1] + exact
    inside = slice(4, -4)
    assert np.abs(landed - nodes[..., 1])[inside, inside].max() < 0.15


def test_flow_of_a_few_points_equals_that_of_the_whole_lattice() -> None:
    nodes = lattice(SIZE, STEP)
    forward = bump(6.0, 15.0)
    whole = backward_flow(forward, nodes, STEP)
    part = backward_flow(forward, np.ascontiguousarray(nodes[10:20, 5:9]), STEP)
    np.testing.assert_allclose(part, whole[10:20, 5:9], atol=1e-5)


def test_drivers_add_up() -> None:
    rng = np.random.default_rng(3)
    fields = rng.standard_normal((8, 8, 5)).astype(np.float32)
    drivers = rng.standard_normal((5, 2)).astype(np.float32)
    expected = np.einsum("ijn,nc->ijc", fields, drivers)
    np.testing.assert_allclose(forward_field(fields, drivers), expected, rtol=1e-4, atol=1e-5)


def test_enlarging_a_linear_field_keeps_its_values_in_place() -> None:
    field = enlarge(lattice(64, 4), (64, 64))
    rows, columns = np.mgrid[0:64, 0:64]
    inside = slice(2, -2)
    np.testing.assert_allclose(field[inside, inside, 0], columns[inside, inside], atol=1e-4)
    np.testing.assert_allclose(field[inside, inside, 1], rows[inside, inside], atol=1e-4)


def test_relaxed_steps_settle_where_plain_ones_do_not() -> None:
    nodes = lattice(SIZE, STEP)
    steep = np.zeros((*nodes.shape[:2], 2), np.float32)
    steep[..., 1] = np.clip(nodes[..., 1] - 50, 0, 20) * 1.5  # stretched two and a half times
    flow = backward_flow(steep, nodes, STEP, iterations=20, relax=0.6)
    came_from = nodes[..., 1] + flow[..., 1]
    landed = came_from + np.clip(came_from - 50, 0, 20) * 1.5
    stretched = (nodes[..., 1] > 56) & (nodes[..., 1] < 94)
    assert np.abs(landed - nodes[..., 1])[stretched].max() < 0.8


@pytest.mark.parametrize("points", [1, 17])
def test_a_line_of_too_few_or_too_many_points_is_refused(points: int) -> None:
    with pytest.raises(ValueError, match=rf"\({points}, 2\) float32, expected \(2 to 16, 2\)"):
        Line(np.zeros((points, 2), np.float32), (1, 1, 2, 2))


def test_a_line_that_fades_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="fade_px is 0.0, expected over 0"):
        Line(np.zeros((2, 2), np.float32), (1, 1, 2, 2), fade_px=0.0)


def test_fields_are_joined_sharply_in_a_line_s_window_and_softly_beside_it() -> None:
    nodes = lattice(SIZE, STEP)
    still, falling = np.zeros((*nodes.shape[:2], 1), np.float32), np.ones((1, 2), np.float32)
    down = still + 1
    points = np.array([[20, 64.5], [108, 64.5]], np.float32)
    line = Line(points, (10, 12, 20, 20))
    flow = joined_flow(still, down, falling, [line], nodes, STEP)[..., 1]
    inside = slice(10 * STEP, 20 * STEP)
    assert (flow[:65, inside] == 0).all()
    np.testing.assert_allclose(flow[65:80, inside], -1, atol=1e-6)
    beside = flow[60:70, 30]
    assert ((beside < -0.01) & (beside > -0.99)).sum() >= 3
    assert (joined_flow(still, down, falling, [], nodes, STEP) == 0).all()


def test_lines_may_stretch_as_many_cells_as_there_are() -> None:
    step_px, side = 4, 192
    rng = np.random.default_rng(5)
    upper, lower = (0.02 * rng.standard_normal((2, side, side, 3))).astype(np.float32)
    drivers = rng.standard_normal((3, 2)).astype(np.float32)
    nodes = lattice(side * step_px, step_px)
    row = np.array([(100, 300), (300, 310), (500, 300)], np.float32)
    whole = (1, 1, side - 1, side - 1)
    lines = [Line(row, (0, 0, 0, 0)), Line(row, (20, 20, 90, 90), whole, fade_px=40.0)]
    once = joined_flow(upper, lower, drivers, lines, nodes, step_px)
    # 36,100 cells once, and then again: nothing changes.
    twice = joined_flow(upper, lower, drivers, [*lines, lines[1]], nodes, step_px)
    np.testing.assert_array_equal(once, twice)
    assert np.isfinite(once).all()

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.engine.attention import Heatmap, assemble
from probe.engine.grids import Cells, VisualGrid
from probe.video import Tube

CELLS = Cells(((0,), (10,)), 2, 4, (0.0, 0.0, 40.0, 20.0))
GRID = VisualGrid(torch.arange(5, 21), CELLS)


def still(*box):
    return Tube(np.array([0, 10]), np.array([box, box], dtype=float))


def test_folding_and_unfolding_is_the_identity():
    values = torch.randn(3, 16)
    assert torch.equal(GRID.unfold(GRID.fold(values)), values)
    assert GRID.fold(values).shape == (3, 2, 2, 4)


def test_reversing_twice_is_the_identity():
    order = GRID.reversal()
    assert torch.equal(order[order], torch.arange(16))
    heatmap = Heatmap(torch.rand(2, 2, 4), CELLS)
    again = heatmap.reversed().reversed()
    assert torch.equal(again.values, heatmap.values)
    assert again.cells == heatmap.cells


def test_a_cell_knows_its_pixels():
    assert CELLS.box(1, 3) == (30.0, 10.0, 40.0, 20.0)


def test_coverage_is_the_share_of_each_cell_under_the_box():
    share = CELLS.coverage(still(5.0, 0.0, 20.0, 5.0))[0]
    np.testing.assert_allclose(share, [[0.25, 0.5, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("seed", range(5))
def test_coverage_agrees_with_counting_points(seed):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.uniform(-5, 45, 2)), np.sort(rng.uniform(-5, 25, 2))
    fine = (np.arange(400) + 0.5) / 10, (np.arange(200) + 0.5) / 10
    inside = np.outer((fine[1] > y[0]) & (fine[1] < y[1]), (fine[0] > x[0]) & (fine[0] < x[1]))
    counted = inside.reshape(2, 100, 4, 100).mean(axis=(1, 3))
    np.testing.assert_allclose(CELLS.coverage(still(x[0], y[0], x[1], y[1]))[1], counted, atol=0.03)


def test_a_tube_is_nowhere_outside_its_frames():
    tube = Tube(np.array([10, 11]), np.array([[0.0, 0.0, 40.0, 20.0]] * 2))
    share = CELLS.coverage(tube)
    assert share[0].max() == 0
    assert share[1].min() == 1


def test_a_merged_frame_keeps_the_largest_share_of_any_of_its_source_frames():
    merged = Cells(((0, 10), (20,)), 1, 2, (0.0, 0.0, 40.0, 20.0))
    boxes = np.array([[0.0, 0.0, 20.0, 20.0], [20.0, 0.0, 40.0, 20.0]])
    share = merged.coverage(Tube(np.array([0, 10]), boxes))
    np.testing.assert_allclose(share[0], [[1.0, 1.0]])


def test_a_grid_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="15 visual tokens cannot tile 2 frames of 2 x 4"):
        VisualGrid(torch.arange(15), CELLS)


def test_the_peak_within_a_tube_ignores_what_is_outside():
    values = torch.zeros(2, 2, 4)
    values[0, 0, 0], values[0, 1, 3] = 1.0, 9.0
    heatmap = Heatmap(values, CELLS)
    assert heatmap.peak == (0, 1, 3)
    assert_equal_up_to_rounding(heatmap.peak_within(still(5.0, 0.0, 20.0, 10.0)), [0.5, 0.0])


def test_a_map_relative_to_itself_is_flat_where_it_is_bright():
    heatmap = Heatmap(torch.full((2, 2, 4), 0.5), CELLS)
    expected = torch.full((2, 2, 4), 0.5 / 0.5001)
    assert_equal_up_to_rounding(heatmap.relative_to(heatmap).values, expected)


def test_assembling_is_the_mean_the_maximum_or_the_product_cell_by_cell():
    one, other = Heatmap(torch.rand(2, 2, 4), CELLS), Heatmap(torch.rand(2, 2, 4), CELLS)
    pair = [one, other]
    assert_equal_up_to_rounding(assemble(pair).values, (one.values + other.values) / 2)
    assert torch.equal(assemble(pair, "max").values, torch.maximum(one.values, other.values))
    assert torch.equal(assemble(pair, "product").values, one.values * other.values)
    assert torch.equal(assemble([one]).values, one.values)


def test_consistency_is_the_correlation_of_the_cells():
    one, other = Heatmap(torch.rand(2, 2, 4), CELLS), Heatmap(torch.rand(2, 2, 4), CELLS)
    expected = np.corrcoef(one.values.flatten(), other.values.flatten())[0, 1]
    assert_equal_up_to_rounding(one.consistency(other), expected, scale=1)
    assert_equal_up_to_rounding(one.consistency(one), 1)


def test_maps_of_different_cells_are_not_assembled():
    heatmap = Heatmap(torch.rand(2, 2, 4), CELLS)
    with pytest.raises(ValueError, match="different cells"):
        assemble([heatmap, heatmap.reversed()])
    with pytest.raises(ValueError, match="no map"):
        assemble([])

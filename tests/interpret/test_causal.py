import numpy as np
import pandas as pd
import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding

from probe.engine.attention import Heatmap
from probe.interpret.causal import (
    Curve,
    causal_grounding,
    deletion_curve,
    insertion_curve,
    random_map,
    rank_agreement,
)
from probe.interpret.knockouts import Cut
from probe.organism.world import make_clip

QUESTION = "Is there a red circle in this video?"


@pytest.fixture(params=["organism", "tiny"])
def view(request, video):
    return request.getfixturevalue(request.param).watch(video)


def test_a_tokens_effect_is_the_drop_of_the_margin_when_it_is_blind(view):
    table = causal_grounding(view, QUESTION)
    (reading,) = view.read(QUESTION)
    assert sorted(table["index"]) == list(range(len(reading.tokens)))
    assert table["activation"].is_monotonic_decreasing
    for row in table.sample(3, random_state=0).to_dict("records"):
        (blind,) = view.under(Cut(tokens=(row["index"],))).read(QUESTION)
        drop = reading.margin - blind.margin
        assert_equal_up_to_rounding(row["effect"], drop, scale=reading.logits)


def test_cuts_can_be_kept_to_some_layers(tiny, video):
    view = tiny.watch(video)
    table = causal_grounding(view, QUESTION, layers=-1, batch_size=5)
    effects = dict(zip(table["index"], table["effect"], strict=True))
    # At the last layer only the answer's own token can still move the answer.
    logits = view.read(QUESTION)[0].logits
    assert_differ_beyond_rounding(effects.pop(len(table) - 1), 0, scale=logits)
    assert_equal_up_to_rounding(list(effects.values()), [0] * len(effects), scale=logits)


def test_agreement_is_one_for_the_same_order_and_minus_one_for_the_opposite():
    same = pd.DataFrame({"activation": [0.1, 0.2, 0.5], "effect": [-3.0, 0.0, 9.0]})
    opposite = pd.DataFrame({"activation": [0.1, 0.2, 0.5], "effect": [9.0, 0.0, -3.0]})
    flat = pd.DataFrame({"activation": [0.1, 0.2, 0.5], "effect": [1.0, 1.0, 1.0]})
    assert rank_agreement([same, same]).mean == pytest.approx(1)
    assert rank_agreement([opposite]).interval == pytest.approx((-1, -1))
    mixed = rank_agreement([same, opposite, flat])
    assert mixed.per_question == pytest.approx((1, -1, 0))
    assert mixed.interval[0] < mixed.mean == pytest.approx(0, abs=1e-9)


def test_curves_run_from_uncut_to_fully_cut_and_back(view):
    (asked,) = view.read(QUESTION)
    (blind,) = view.under(Cut()).read(QUESTION)
    heatmap = asked.heatmap(-1)
    deletion = deletion_curve(view, QUESTION, heatmap, (0.0, 0.3, 1.0))
    insertion = insertion_curve(view, QUESTION, heatmap, (0.0, 0.3, 1.0), batch_size=2)
    ends = [asked.margin, blind.margin]
    assert_equal_up_to_rounding(
        [deletion.margins[0], deletion.margins[-1]], ends, scale=asked.logits
    )
    assert_equal_up_to_rounding(
        [insertion.margins[-1], insertion.margins[0]], ends, scale=asked.logits
    )
    assert_differ_beyond_rounding(deletion.margins[1], insertion.margins[1], scale=asked.logits)


def test_deletion_cuts_the_strongest_cells_and_insertion_leaves_only_them(tiny, video):
    view = tiny.watch(video)
    heatmap = random_map(view.grid.cells, seed=3)
    count = round(0.25 * len(view.grid))
    strongest = heatmap.values >= heatmap.values.flatten().topk(count).values[-1]
    assert int(strongest.sum()) == count
    for curve, cells in ((deletion_curve, strongest), (insertion_curve, ~strongest)):
        (wanted,) = view.under(Cut(cells=cells)).read(QUESTION)
        measured = curve(view, QUESTION, heatmap, (0.0, 0.25)).margins[1]
        assert_equal_up_to_rounding(measured, wanted.margin, scale=wanted.logits)


def test_area_is_that_under_straight_lines():
    assert Curve((0.0, 0.5, 1.0), (2.0, 2.0, 2.0)).area == pytest.approx(2)
    assert Curve((0.0, 0.2, 1.0), (1.0, 0.0, 0.0)).area == pytest.approx(0.1)


def test_a_curve_is_a_table_a_picture_and_a_line():
    curve = Curve((0.0, 0.2, 1.0), (1.0, 0.0, -0.5))
    assert curve.to_frame().to_dict("list") == {
        "fraction": [0.0, 0.2, 1.0],
        "margin": [1.0, 0.0, -0.5],
    }
    ax = curve.plot(label="deletion")
    assert Curve((0.0, 1.0), (2.0, 3.0)).plot(ax) is ax
    first, second = (np.asarray(line.get_xydata()).tolist() for line in ax.lines)
    assert first == [[0.0, 1.0], [0.2, 0.0], [1.0, -0.5]]
    assert second == [[0.0, 2.0], [1.0, 3.0]]
    assert ax.get_legend_handles_labels()[1] == ["deletion"]
    assert "<img" in curve._repr_html_()
    assert repr(curve) == "Curve(margin +1.00 at 0% to -0.50 at 100% of the cells, area -0.100)"


def test_an_agreement_is_shown_in_a_line():
    same = pd.DataFrame({"activation": [0.1, 0.2, 0.5], "effect": [-3.0, 0.0, 9.0]})
    line = repr(rank_agreement([same] * 1000))
    assert line == "Agreement(+1.000, 95 % +1.000 to +1.000, 1000 questions)"


def test_the_control_follows_its_seed(tiny, video):
    cells = tiny.watch(video).grid.cells
    assert torch.equal(random_map(cells, 1).values, random_map(cells, 1).values)
    assert not torch.equal(random_map(cells, 1).values, random_map(cells, 2).values)


@pytest.mark.parametrize("fractions", [(0.5,), (0.5, 0.2), (0.0, 1.5), (-0.1, 1.0)])
def test_fractions_must_rise(tiny, video, fractions):
    view = tiny.watch(video)
    with pytest.raises(ValueError, match="fractions must rise"):
        deletion_curve(view, QUESTION, random_map(view.grid.cells, 0), fractions)


def test_a_map_of_other_cells_is_refused(tiny, video):
    view = tiny.watch(video)
    with pytest.raises(ValueError, match="other cells"):
        deletion_curve(view, QUESTION, random_map(view.reversed().grid.cells, 0))


def test_a_map_points_at_a_tube_when_its_strongest_cell_lies_on_it(organism):
    clip = make_clip(5)
    cells = organism.watch(clip.video()).grid.cells
    track = clip.things[0].track()
    share = torch.from_numpy(cells.coverage(track)).float()
    assert Heatmap(share, cells).points_at(track)
    assert not Heatmap((share == 0).float(), cells).points_at(track)

import pytest
import torch

from probe.engine.grids import Cells
from probe.grounding.span_rules import BestContrast, GrowFromPeak, TopHull, best_span
from probe.video import Span

RULES = [TopHull(), GrowFromPeak(), BestContrast()]
CELLS = Cells(tuple((i,) for i in (5, 15, 25, 35)), 1, 1, (0.0, 0.0, 1.0, 1.0))


def test_the_hull_holds_the_top_frames_and_all_between():
    scores = torch.tensor([0.0, 9.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0])
    assert TopHull(share=2 / 8)(scores) == range(1, 5)


def test_growing_follows_the_higher_neighbour():
    scores = torch.tensor([0.0, 5.0, 9.0, 1.0, 7.0, 7.0])
    assert GrowFromPeak(share=2 / 6)(scores) == range(1, 3)
    assert GrowFromPeak(share=3 / 6)(scores) == range(1, 4)


def test_growing_at_an_end_goes_the_only_way_there_is():
    assert GrowFromPeak(share=3 / 5)(torch.tensor([9.0, 1.0, 1.0, 1.0, 1.0])) == range(3)


@pytest.mark.parametrize(("first", "stop"), [(0, 3), (2, 5), (4, 8), (7, 8), (0, 1)])
def test_contrast_finds_a_plateau_of_any_length(first, stop):
    scores = torch.full((8,), 0.1)
    scores[first:stop] = 1.0
    noise = torch.rand(8, generator=torch.Generator().manual_seed(0)) * 0.2
    assert BestContrast()(scores + noise) == range(first, stop)


def test_contrast_takes_all_frames_where_all_are_alike():
    assert BestContrast()(torch.ones(6)) == range(6)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("frames", [1, 2, 3, 8, 20])
def test_every_rule_gives_a_run_inside_the_video(rule, frames):
    scores = torch.rand(frames, generator=torch.Generator().manual_seed(frames))
    chosen = rule(scores)
    assert 0 <= chosen.start < chosen.stop <= frames


@pytest.mark.parametrize("rule", RULES[:2], ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("seed", range(5))
def test_the_published_rules_hold_the_peak(rule, seed):
    scores = torch.rand(20, generator=torch.Generator().manual_seed(seed))
    assert int(scores.argmax()) in rule(scores)


def test_a_frame_of_the_map_covers_the_video_around_it():
    assert CELLS.stretches(40) == (0, 10, 20, 30, 40)
    scores = torch.tensor([0.0, 1.0, 1.0, 0.0])
    assert best_span(scores, CELLS, 40, BestContrast()) == Span(10, 30)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        best_span(torch.tensor([0.0, bad, 0.0, 0.0]), CELLS, 40, TopHull())


@pytest.mark.parametrize(
    "given", [range(2, 2), range(3, 9), range(-1, 2), range(0, 4, 2), [0, 1], None, (1, 3)]
)
def test_a_users_rule_that_gives_no_run_of_frames_is_told_what_is_wanted(given):
    with pytest.raises(
        ValueError, match=r"the span rule gave .* a range of consecutive frames"
    ) as no:
        best_span(torch.rand(4), CELLS, 40, lambda _: given)
    assert "\n" not in str(no.value)


def test_a_users_rule_may_choose_any_run_of_frames():
    assert best_span(torch.rand(4), CELLS, 40, lambda scores: range(2, len(scores))) == Span(20, 40)

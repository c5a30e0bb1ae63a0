import dataclasses
import warnings
from itertools import pairwise

import numpy as np
import pytest

from probe.metrics import (
    PROTOCOLS,
    Known,
    QueryScore,
    bootstrap_interval,
    box_iou,
    paired_difference,
    score,
    score_place,
    score_query,
    score_time,
    spatial_iou,
    temporal_iou,
    tube_iou,
)
from probe.video import Span, Tube

SQUARE = [0.0, 0.0, 10.0, 10.0]
LOWER_HALF = [0.0, 5.0, 10.0, 10.0]
"""Half of the square: their IoU is 1/2."""
SEEDS = range(20)
SAMPLED = tuple(range(0, 60, 4))


def tube(frames, box=SQUARE):
    frames = np.asarray(frames, dtype=np.int64)
    return Tube(frames, np.tile(np.array(box), (len(frames), 1)))


def random_tube(seed, *, gaps=False):
    """A tube somewhere in the first 60 frames, with boxes that overlap in part."""
    draw = np.random.default_rng(seed)
    start, stop = sorted(draw.choice(60, 2, replace=False))
    frames = np.arange(start, stop + 1)
    if gaps:
        frames = frames[draw.random(len(frames)) < 0.6]
    corner = draw.uniform(0, 20, (len(frames), 2))
    return Tube(frames, np.hstack([corner, corner + draw.uniform(5, 30, (len(frames), 2))]))


def random_pair(seed, *, gaps=False):
    """Two tubes that have at least one box each."""
    pair = random_tube(2 * seed, gaps=gaps), random_tube(2 * seed + 1, gaps=gaps)
    return pair if all(len(one) for one in pair) else (tube([5, 8]), tube([8, 9]))


def shifted(original, frames):
    return Tube(original.frames + frames, original.boxes)


def scored(predicted, truth, protocol, sampled=SAMPLED, track=None):
    tracks = None if track is None else {"q": track}
    return score({"q": predicted}, {"q": truth}, protocol, {"q": sampled}, tracks=tracks)


def figures(predicted, truth, protocol, **options):
    return dataclasses.astuple(scored(predicted, truth, protocol, **options).per_query["q"])


# The definitions once more, slowly: by frame, with dictionaries, as public evaluators are written.


def slow_box_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def by_frame(one):
    return {int(frame): box.tolist() for frame, box in zip(one.frames, one.boxes, strict=True)}


def slow_tubedetr(predicted, truth, sampled):
    ours, theirs = by_frame(predicted), by_frame(truth)
    start, end = min(ours), max(ours) + 1
    true_start, true_end = min(theirs), max(theirs) + 1
    shared = max(0, min(end, true_end) - max(start, true_start))
    tiou = shared / (end - start + true_end - true_start - shared)
    either = [f for f in sampled if start <= f < end or true_start <= f < true_end]
    seen = {f: slow_box_iou(ours[f], theirs[f]) if f in ours else 0 for f in sampled if f in theirs}
    viou = sum(seen.values()) / len(either) if either else 0
    return tiou, viou, sum(seen.values()) / len(seen) if seen else 0


def slow_stcat(predicted, truth):
    ours, theirs = by_frame(predicted), by_frame(truth)
    known = sorted(ours)
    for left, right in pairwise(known):
        for frame in range(left + 1, right):
            part = (frame - left) / (right - left)
            pairs = zip(ours[left], ours[right], strict=True)
            ours[frame] = [(1 - part) * x + part * y for x, y in pairs]
    pred_span = set(range(min(ours), max(ours) + 1))
    true_span = set(range(min(theirs), max(theirs)))
    overlap = {f: slow_box_iou(ours[f], theirs[f]) if f in ours else 0 for f in theirs}
    either = pred_span | true_span
    viou = sum(overlap[f] for f in overlap if f in pred_span & true_span) / len(either)
    return len(pred_span & true_span) / len(either), viou, sum(overlap.values()) / len(theirs)


def slow_official(predicted, truth):
    ours, theirs = by_frame(predicted), by_frame(truth)
    overlap = [slow_box_iou(ours[f], theirs[f]) for f in theirs if f in ours]
    hull = max(*ours, *theirs) - min(*ours, *theirs) + 1
    return len(overlap) / hull, sum(overlap) / hull, sum(overlap) / len(theirs)


def slow_released(predicted, truth):
    ours = {f // 10: box for f, box in by_frame(predicted).items() if f % 10 == 0}
    theirs = {f // 10: box for f, box in by_frame(truth).items() if f % 10 == 0}
    if not ours or not theirs:
        return 0.0, 0.0, 0.0
    shared = max(0, min(max(ours), max(theirs)) - max(min(ours), min(theirs)))
    lengths = max(ours) - min(ours) + max(theirs) - min(theirs)
    tiou = shared / (lengths - shared) if lengths > shared else 0.0
    overlap = [slow_box_iou(ours[f], theirs[f]) for f in theirs if f in ours]
    hull = max(*ours, *theirs) - min(*ours, *theirs) + 1
    return tiou, sum(overlap) / hull, sum(overlap) / len(theirs)


SLOW = {
    "tubedetr": lambda predicted, truth: slow_tubedetr(predicted, truth, SAMPLED),
    "stcat": slow_stcat,
    "hcstvg-official": slow_official,
    "released-code": slow_released,
}


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_agrees_with_its_slow_definition(protocol, seed, gaps):
    predicted, truth = random_pair(seed, gaps=gaps)
    assert figures(predicted, truth, protocol) == pytest.approx(SLOW[protocol](predicted, truth))


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_plain_metrics_agree_with_their_slow_definitions(seed, gaps):
    predicted, truth = random_pair(seed, gaps=gaps)
    ours, theirs = by_frame(predicted), by_frame(truth)
    overlap = [slow_box_iou(ours[f], theirs[f]) for f in set(ours) & set(theirs)]
    assert tube_iou(predicted, truth) == pytest.approx(sum(overlap) / len(set(ours) | set(theirs)))
    assert spatial_iou(predicted, truth) == pytest.approx(sum(overlap) / len(theirs))
    spans = [set(range(one.span.start, one.span.stop)) for one in (predicted, truth)]
    by_count = len(spans[0] & spans[1]) / len(spans[0] | spans[1])
    assert temporal_iou(predicted.span, truth.span) == pytest.approx(by_count)


def test_time_is_shared_frames_over_all_frames():
    assert temporal_iou(Span(0, 10), Span(5, 20)) == 5 / 20
    assert temporal_iou(Span(0, 5), Span(5, 9)) == 0
    assert temporal_iou(Span(3, 3), Span(3, 3)) == 0


def test_boxes_worked_by_hand():
    a = np.array([SQUARE, SQUARE, SQUARE, SQUARE])
    b = np.array([SQUARE, LOWER_HALF, [5.0, 5.0, 15.0, 15.0], [10.0, 0.0, 20.0, 10.0]])
    assert box_iou(a, b).tolist() == [1, 1 / 2, 25 / 175, 0]


def test_a_box_without_area_agrees_with_nothing_and_is_never_nan():
    point, line = [5.0, 5.0, 5.0, 5.0], [0.0, 5.0, 10.0, 5.0]
    a, b = np.array([point, line, point]), np.array([point, line, SQUARE])
    with warnings.catch_warnings(action="error"):
        assert box_iou(a, b).tolist() == [0, 0, 0]


def test_a_tube_worked_by_hand():
    predicted, truth = tube(range(4), LOWER_HALF), tube(range(2, 8))
    assert tube_iou(predicted, truth) == 2 * 0.5 / 8
    assert spatial_iou(predicted, truth) == 2 * 0.5 / 6


def test_space_is_judged_over_the_true_frames_only():
    assert spatial_iou(tube(range(100)), tube(range(40, 50))) == 1


def test_tubes_without_boxes_agree_with_nothing():
    nothing = tube([])
    assert tube_iou(nothing, nothing) == 0
    assert spatial_iou(nothing, tube([1])) == 0
    assert spatial_iou(tube([1]), nothing) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_agreement_is_mutual(seed):
    a, b = random_pair(seed)
    assert tube_iou(a, b) == pytest.approx(tube_iou(b, a))
    assert temporal_iou(a.span, b.span) == temporal_iou(b.span, a.span)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_figure_is_a_share(protocol, seed, gaps):
    pair = random_pair(seed, gaps=gaps)
    assert all(0 <= figure <= 1 for figure in figures(*pair, protocol))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_box_everywhere_leaves_only_time_and_a_smaller_one_scales_it(protocol, seed):
    predicted, truth = tube(random_tube(seed).frames), tube(random_tube(seed + 99).frames)
    sampled = range(60)
    tiou, viou, _ = figures(predicted, truth, protocol, sampled=sampled)
    if protocol != "released-code":  # which measures time and counts frames differently
        assert viou == pytest.approx(tiou)
    smaller = Tube(predicted.frames, predicted.boxes / 2)
    assert figures(smaller, truth, protocol, sampled=sampled)[1] == pytest.approx(viou / 4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_unit_of_length_does_not_matter(protocol, seed):
    predicted, truth = random_pair(seed)
    larger = Tube(predicted.frames, predicted.boxes * 7.5), Tube(truth.frames, truth.boxes * 7.5)
    expected = figures(predicted, truth, protocol)
    assert figures(*larger, protocol) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_hour_does_not_matter(protocol, seed):
    later = 30  # a whole number of tenth frames
    predicted, truth = random_pair(seed)
    moved = figures(
        shifted(predicted, later),
        shifted(truth, later),
        protocol,
        sampled=[frame + later for frame in SAMPLED],
    )
    assert moved == pytest.approx(figures(predicted, truth, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_prediction_that_comes_later_and_later_never_scores_more(protocol):
    truth = tube(range(200))
    late = [
        figures(shifted(truth, 10 * steps), truth, protocol, sampled=range(0, 500, 10))
        for steps in range(22)
    ]
    tious, vious, _ = zip(*late, strict=True)
    assert list(tious) == sorted(tious, reverse=True)
    assert list(vious) == sorted(vious, reverse=True)
    assert tious[-1] == vious[-1] == 0


PERFECT = {
    "tubedetr": lambda _: 1.0,
    "stcat": lambda n: (n - 1) / n,
    "hcstvg-official": lambda _: 1.0,
    "released-code": lambda _: 1.0,
}


@pytest.mark.parametrize("n", [2, 3, 7, 40])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_perfect_prediction_of_n_compared_frames_scores_what_the_table_says(protocol, n):
    stride = 10 if protocol == "released-code" else 1
    truth = tube(range(20, 20 + n * stride))
    tiou, viou, gt_viou = figures(truth, truth, protocol, sampled=range(20 + n))
    assert tiou == pytest.approx(PERFECT[protocol](n))
    assert viou == pytest.approx(PERFECT[protocol](n))
    assert gt_viou == 1


def test_a_perfect_single_frame_is_where_conventions_part():
    truth = tube([20])
    single = {name: figures(truth, truth, name, sampled=[20]) for name in PROTOCOLS}
    assert single == {
        "tubedetr": (1, 1, 1),
        "stcat": (0, 0, 1),
        "hcstvg-official": (1, 1, 1),
        "released-code": (0, 1, 1),
    }


def test_a_truth_between_compared_frames_scores_zero_but_is_not_missing():
    truth = tube(range(11, 20))
    for protocol, sampled in (("released-code", ()), ("tubedetr", (0, 10, 20))):
        scores = scored(truth, truth, protocol, sampled=sampled)
        assert scores.mean.m_viou == scores.mean.m_gt_viou == 0
        assert scores.missing == ()


def test_only_the_sampled_frames_count_for_space_in_tubedetr():
    truth = tube(range(10))
    boxes = [SQUARE if frame in (0, 5) else LOWER_HALF for frame in range(10)]
    wrong_between = Tube(np.arange(10), np.array(boxes))
    assert figures(wrong_between, truth, "tubedetr", sampled=[0, 5]) == (1, 1, 1)
    assert figures(wrong_between, truth, "tubedetr", sampled=[1, 5])[1] == 0.75


def test_the_order_in_which_frames_were_sampled_does_not_matter():
    pair = random_pair(3)
    forward = figures(*pair, "tubedetr", sampled=[4, 8, 20, 40])
    assert figures(*pair, "tubedetr", sampled=[40, 8, 4, 20, 8]) == forward


def test_missing_boxes_are_drawn_in_by_stcat_and_cost_dearly_in_the_official_evaluator():
    truth, sparse = tube(range(21)), tube([0, 10, 20])
    assert figures(sparse, truth, "stcat") == pytest.approx((20 / 21, 20 / 21, 1))
    assert figures(sparse, truth, "hcstvg-official") == pytest.approx((3 / 21, 3 / 21, 3 / 21))
    assert figures(sparse, truth, "released-code") == (1, 1, 1)


def test_a_track_is_judged_in_space_beyond_the_predicted_span():
    truth, predicted = tube(range(10, 20)), tube(range(10, 15))
    alone = scored(predicted, truth, "hcstvg-official").per_query["q"]
    tracked = scored(predicted, truth, "hcstvg-official", track=tube(range(60))).per_query["q"]
    assert (alone.gt_viou, tracked.gt_viou) == (0.5, 1)
    assert (alone.tiou, alone.viou) == (tracked.tiou, tracked.viou)


def test_an_unanswered_query_counts_as_zero_and_is_listed():
    truths = {name: tube(range(10)) for name in ("answered", "absent", "empty", "also")}
    answers = {"answered": truths["answered"], "empty": tube([]), "also": truths["also"]}
    tracks = dict.fromkeys(truths, tube(range(10)))
    scores = score(answers, truths, "hcstvg-official", tracks=tracks)
    assert scores.missing == ("absent", "empty")
    assert list(scores.per_query) == list(truths)
    assert dataclasses.astuple(scores.per_query["absent"]) == (0, 0, 0)
    assert dataclasses.astuple(scores.per_query["empty"]) == (0, 0, 0)
    assert dataclasses.astuple(scores.mean) == (0.5, 0.5, 0.5, 0.5, 0.5)


def test_no_answer_at_all_is_a_score_of_zero():
    scores = score({}, {"q": tube([1])}, "tubedetr")
    assert dataclasses.astuple(scores.mean) == (0, 0, 0, 0, 0)


def test_a_viou_at_the_threshold_is_not_above_it():
    truths = {"half": tube(range(10)), "whole": tube(range(10))}
    answers = {"half": tube(range(10), LOWER_HALF), "whole": tube(range(10))}
    mean = score(answers, truths, "hcstvg-official").mean
    assert (mean.viou_at_03, mean.viou_at_05) == (1, 0.5)
    assert mean.m_viou == 0.75


@pytest.mark.parametrize(
    ("predictions", "truths", "options", "complaint"),
    [
        ({"q": tube([1])}, {}, {}, "no truths"),
        ({"q": tube([1])}, {"q": tube([])}, {}, "truth of 'q' has no box"),
        ({"x": tube([1])}, {"q": tube([1])}, {}, "no truth for 'x'"),
        ({}, {"q": tube([1])}, {"tracks": {"x": tube([1])}}, "no truth for 'x'"),
        ({}, {"q": tube([1])}, {"protocol": "coco"}, "tubedetr, stcat, hcstvg-official, released"),
        ({"q": tube([1])}, {"q": tube([1])}, {"protocol": "tubedetr"}, "give sampled_frames"),
    ],
)
def test_what_cannot_be_scored_is_refused(predictions, truths, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        score(predictions, truths, **{"protocol": "stcat"} | options)


def test_scoring_changes_nothing_it_was_given():
    predicted, truth = random_pair(1, gaps=True)
    before = [predicted.boxes.copy(), truth.boxes.copy()]
    for protocol in PROTOCOLS:
        figures(predicted, truth, protocol)
    np.testing.assert_array_equal(predicted.boxes, before[0])
    np.testing.assert_array_equal(truth.boxes, before[1])


def test_the_interval_holds_the_mean_and_agrees_with_a_slow_bootstrap():
    values = np.random.default_rng(0).random(50)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    draw = np.random.default_rng(1)
    means = [draw.choice(values, 50).mean() for _ in range(4000)]
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.01)


def test_the_interval_is_the_same_for_the_same_seed_and_narrows_with_the_level():
    values = np.random.default_rng(0).random(30)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)
    wide, narrow = bootstrap_interval(values), bootstrap_interval(values, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("values", [[0.1], [0.1] * 3, [0.0] * 50])
def test_equal_values_give_a_point_without_a_warning(values):
    with warnings.catch_warnings(action="error"):
        assert bootstrap_interval(values) == (values[0], values[0])
        assert paired_difference(values, [0.0] * len(values)) == (values[0],) * 3


def test_nearly_equal_values_give_no_warning_either():
    with warnings.catch_warnings(action="error"):
        low, high = bootstrap_interval([0.0] * 99 + [1e-12])
    assert 0 <= low <= high <= 1e-12


def test_a_paired_difference_changes_sign_with_its_sides_and_ignores_what_they_share():
    draw = np.random.default_rng(0)
    hard, gain = draw.random(40), draw.normal(0.1, 0.01, 40)
    mean, low, high = paired_difference(hard + gain, hard)
    assert 0 < low < mean < high
    assert high - low < 0.02
    assert mean == pytest.approx(gain.mean())
    assert paired_difference(hard, hard + gain)[0] == pytest.approx(-mean)


def test_an_interval_needs_finite_values_and_pairs():
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="NaN"):
        bootstrap_interval([0.5, float("nan")])
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference([0.1, 0.2], [0.1])


# A truth that is known in part


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_time_alone_scores_as_a_tube_with_a_box_in_each_frame_of_it(protocol, seed, gaps):
    predicted, truth = random_pair(seed, gaps=gaps)
    span = truth.span
    filled = truth.interpolated(range(span.start, span.stop))
    found = score_time(predicted, span, protocol, SAMPLED)
    assert found.tiou == score_query(predicted, filled, protocol, SAMPLED).tiou
    assert (found.viou, found.gt_viou) == (None, None)


@pytest.mark.parametrize("seed", SEEDS)
def test_place_alone_is_the_mean_overlap_over_the_known_frames(seed):
    predicted, truth = random_pair(seed)
    found = score_place(predicted, truth)
    assert found.gt_viou == spatial_iou(predicted, truth)
    assert (found.tiou, found.viou) == (None, None)
    with pytest.raises(ValueError, match="no box"):
        score_place(predicted, Tube([], []))


def test_a_failure_is_zero_only_in_what_is_known():
    full = QueryScore(0.5, 0.25, 0.75)
    for known, kept in (
        (Known(), (0.5, 0.25, 0.75)),
        (Known(time=True, place=False), (0.5, None, None)),
        (Known(time=False, place=True), (None, None, 0.75)),
        (Known(time=False, place=False), (None, None, None)),
    ):
        assert known.restrict(full) == QueryScore(*kept)
        assert known.worst == QueryScore(*(None if one is None else 0.0 for one in kept))

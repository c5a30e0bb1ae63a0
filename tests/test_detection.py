"""Figures of detection and their intervals, against slow versions that follow the definitions."""

from itertools import permutations

import numpy as np
import pytest

from probe.metrics import (
    auroc,
    bootstrap_interval,
    brier_score,
    measure_reliability,
    resample_clusters,
    risk_coverage,
    to_probability,
    wilson_interval,
)
from probe.metrics.detection import (
    weigh_auroc,
    weigh_calibration_error,
    weigh_risk_coverage,
)

SEEDS = range(12)


def draw_scores(seed, count=30, levels=8):
    """Scores of two kinds with many ties, two of them infinite."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, count).astype(float)
    scores[0], scores[1] = -np.inf, np.inf
    there = rng.random(count) < 0.4
    there[:2] = True, False
    return scores, there, rng.random(count), rng


def slow_auroc(present, absent):
    """Over all pairs."""
    won = sum((p > a) + 0.5 * (p == a) for p in present for a in absent)
    return won / (len(present) * len(absent))


def slow_area(confidence, risk):
    """Over all orders of the queries that agree with the confidences."""
    areas = []
    for order in permutations(range(len(risk))):
        ordered = [confidence[i] for i in order]
        if ordered == sorted(ordered, reverse=True):
            risks = [risk[i] for i in order]
            areas.append(np.mean([np.mean(risks[:k]) for k in range(1, len(risks) + 1)]))
    return np.mean(areas)


def slow_calibration_error(probability, present, bins):
    total = 0.0
    for i in range(bins):
        low = -1.0 if i == 0 else i / bins
        inside = [k for k, p in enumerate(probability) if low < p <= (i + 1) / bins]
        if inside:
            gap = np.mean([probability[k] for k in inside]) - np.mean([present[k] for k in inside])
            total += len(inside) / len(probability) * abs(gap)
    return total


@pytest.mark.parametrize("seed", SEEDS)
def test_auroc_is_the_share_of_pairs_in_the_right_order(seed):
    scores, there, *_ = draw_scores(seed)
    found = auroc(scores[there], scores[~there])
    assert found == pytest.approx(slow_auroc(scores[there], scores[~there]), abs=1e-12)
    assert auroc(scores[~there], scores[there]) == pytest.approx(1 - found, abs=1e-12)


def test_auroc_knows_the_best_the_worst_and_chance():
    assert auroc([3.0, 4.0], [1.0, 2.0]) == 1
    assert auroc([1.0, 2.0], [3.0, 4.0]) == 0
    assert auroc([5.0, 5.0, 5.0], [5.0, 5.0]) == 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_the_area_under_the_risk_is_the_mean_over_all_orders_of_ties(seed):
    rng = np.random.default_rng(seed)
    confidence, risk = rng.integers(0, 3, 6).astype(float), rng.random(6)
    confidence[0] = np.inf
    curve = risk_coverage(confidence, risk)
    assert curve.area == pytest.approx(slow_area(confidence.tolist(), risk.tolist()), abs=1e-12)
    assert curve.risk[-1] == pytest.approx(risk.mean()), "all are answered at the end"
    assert curve.coverage.tolist() == pytest.approx([k / 6 for k in range(1, 7)])


def test_the_curve_of_a_perfect_order_rises_and_of_its_opposite_falls():
    risk = np.arange(10) / 10
    assert (np.diff(risk_coverage(-risk, risk).risk) > 0).all()
    assert (np.diff(risk_coverage(risk, risk).risk) < 0).all()
    flat = risk_coverage(np.zeros(10), risk)
    np.testing.assert_allclose(flat.risk, risk.mean())


@pytest.mark.parametrize(
    "change", [np.tanh, lambda x: 3 * x + 1, lambda x: x**3], ids=["tanh", "line", "cube"]
)
def test_only_the_order_of_scores_matters_to_auroc_and_risk(change):
    scores, there, risk, _ = draw_scores(3)
    scores = np.clip(scores, -9, 9) / 4
    assert auroc(change(scores[there]), change(scores[~there])) == auroc(
        scores[there], scores[~there]
    )
    np.testing.assert_array_equal(
        risk_coverage(change(scores), risk).risk, risk_coverage(scores, risk).risk
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_queries_does_not_matter(seed):
    scores, there, risk, rng = draw_scores(seed)
    order = rng.permutation(len(scores))
    assert risk_coverage(scores[order], risk[order]).area == pytest.approx(
        risk_coverage(scores, risk).area, abs=1e-12
    )
    stated = to_probability(scores)
    assert measure_reliability(stated[order], there[order]).error == pytest.approx(
        measure_reliability(stated, there).error, abs=1e-12
    )


@pytest.mark.parametrize("bins", [1, 4, 15])
@pytest.mark.parametrize("seed", SEEDS)
def test_calibration_is_the_gap_of_each_bin_weighted_by_its_queries(seed, bins):
    rng = np.random.default_rng(seed)
    # Quarters lie on the limits of the bins; 0 and 1 at the ends.
    stated = np.r_[rng.integers(0, 5, 20) / 4, rng.random(20)]
    there = rng.random(40) < stated
    found = measure_reliability(stated, there, bins)
    assert found.error == pytest.approx(slow_calibration_error(stated, there, bins), abs=1e-12)
    assert found.count.sum() == 40
    squares = [(p - t) ** 2 for p, t in zip(stated, there, strict=True)]
    assert brier_score(stated, there) == pytest.approx(np.mean(squares))


def test_forecasts_that_come_true_as_often_as_they_say_are_calibrated():
    stated = np.repeat([0.25, 0.75], 40)
    there = np.tile(np.r_[np.ones(10), np.zeros(30)], 2).astype(bool)
    there[40:] = ~there[40:]
    assert measure_reliability(stated, there).error == pytest.approx(0, abs=1e-12)
    assert brier_score(stated, there) == pytest.approx(0.25 * 0.75), "spread that remains"
    assert measure_reliability(1 - stated, there).error == pytest.approx(0.5)


def test_a_margin_is_a_probability_of_yes():
    margins = np.array([-np.inf, -2.0, 0.0, 2.0, np.inf])
    stated = to_probability(margins)
    assert stated[[0, 2, 4]].tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(np.log(stated[[1, 3]] / (1 - stated[[1, 3]])), [-2, 2])
    assert to_probability([800.0, -800.0]).tolist() == [1, 0], "no overflow"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_weight_is_a_number_of_copies(seed):
    scores, there, risk, rng = draw_scores(seed)
    weights = rng.integers(0, 4, (5, len(scores))).astype(float)
    stated = to_probability(scores)
    for row, (area, surface, error) in enumerate(
        zip(
            weigh_auroc(scores, there, weights),
            weigh_risk_coverage(scores, risk, weights),
            weigh_calibration_error(stated, there, weights),
            strict=True,
        )
    ):
        copies = np.repeat(np.arange(len(scores)), weights[row].astype(int))
        s, t, r = scores[copies], there[copies], risk[copies]
        assert area == pytest.approx(auroc(s[t], s[~t]), abs=1e-12)
        assert surface == pytest.approx(risk_coverage(s, r).area, abs=1e-10)
        assert error == pytest.approx(measure_reliability(stated[copies], t).error, abs=1e-12)


def test_a_draw_without_a_kind_has_no_auroc():
    scores, there = np.array([1.0, 2.0]), np.array([True, False])
    found = weigh_auroc(scores, there, np.array([[1.0, 1.0], [1.0, 0.0]]))
    assert found[0] == 0
    assert np.isnan(found[1])


def test_clusters_are_drawn_whole():
    """Figures that are equal within a cluster spread as the cluster's number does, and queries that
    are copies of each other add nothing."""
    rng = np.random.default_rng(0)
    values = rng.random(60)
    once = bootstrap_interval(values)
    for copies in (1, 4):
        repeated, clusters = np.repeat(values, copies), np.repeat(np.arange(60), copies)
        found = resample_clusters(
            lambda weights, of=repeated: weights @ of / weights.sum(axis=1), clusters
        )
        np.testing.assert_allclose(found, once, atol=0.01)


def test_the_interval_of_a_figure_covers_it_as_often_as_it_says():
    """AUROC of two normal distributions that are one apart, from clips with one present and two
    absent things: the true value is in about 95 of 100 intervals."""
    truth, held = 0.7602, 0  # the normal distribution function at 1 / sqrt 2
    clusters = np.repeat(np.arange(50), 3)
    there = np.tile([True, False, False], 50)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=150) + there
        low, high = resample_clusters(
            lambda weights, of=scores: weigh_auroc(of, there, weights), clusters, draws=400
        )
        held += low <= truth <= high
    assert 88 <= held <= 100


def test_an_interval_of_one_cluster_is_a_point_and_of_none_is_refused():
    scores, there = np.array([2.0, 1.0]), np.array([True, False])
    found = resample_clusters(lambda w: weigh_auroc(scores, there, w), np.zeros(2, dtype=int))
    assert found == (1, 1)
    with pytest.raises(ValueError, match="no queries"):
        resample_clusters(lambda w: w.sum(axis=1), np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="in any resample"):
        resample_clusters(lambda w: weigh_auroc(scores, ~there & there, w), np.array([0, 1]))


@pytest.mark.parametrize(("right", "count"), [(0, 20), (20, 20), (390, 400), (7, 9)])
def test_a_wilson_interval_is_where_the_share_is_one_score_test_away(right, count):
    """Its ends solve |share - p| = z sqrt(p (1 - p) / n)."""
    values = [1.0] * right + [0.0] * (count - right)
    z = 1.959963984540054
    for end in wilson_interval(values):
        assert abs(right / count - end) == pytest.approx(
            z * np.sqrt(end * (1 - end) / count), abs=1e-9
        )
    low, high = wilson_interval(values)
    assert 0 <= low <= right / count <= high <= 1
    assert high - low > 0, "also if all are right"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: auroc([], [1.0]), "no scores"),
        (lambda: auroc([1.0], []), "no scores"),
        (lambda: auroc([float("nan")], [1.0]), "NaN"),
        (lambda: risk_coverage([1.0], [1.0, 2.0]), "cannot be paired"),
        (lambda: risk_coverage([1.0], [float("inf")]), "infinite"),
        (lambda: measure_reliability([1.5], [True]), "not between 0 and 1"),
        (lambda: brier_score([0.5], [True, False]), "cannot be paired"),
        (lambda: wilson_interval([0.5]), "neither|each 0 or 1"),
        (lambda: wilson_interval([]), "no values"),
    ],
)
def test_what_is_no_score_is_refused_in_one_line(call, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        call()
    assert "\n" not in str(caught.value)

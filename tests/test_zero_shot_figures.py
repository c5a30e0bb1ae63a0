from itertools import pairwise

import numpy as np
import pytest
import torch

from probe.metrics.zero_shot import choose_constant, harmonic_mean, zero_shot_report

SEEN = torch.tensor([True, True, False, True, False])


@pytest.fixture
def named():
    """Scores of 80 samples that are right now and then, and their classes."""
    rng = np.random.default_rng(0)
    classes = torch.from_numpy(rng.choice(5, 80, p=[0.4, 0.1, 0.2, 0.2, 0.1]))
    scores = torch.from_numpy(rng.normal(size=(80, 5))).float()
    scores[torch.arange(80), classes] += 1.0
    scores += 0.7 * SEEN  # as cosines of seen classes are higher
    return scores, classes


def slow_figures(scores, classes, constant=0.0):
    """U, S and T1 by loops over samples."""
    right: dict[str, dict[int, list[bool]]] = {"u": {}, "s": {}, "t1": {}}
    for row, true in zip(scores.tolist(), classes.tolist(), strict=True):
        shown = [one - constant * bool(SEEN[k]) for k, one in enumerate(row)]
        kind = "s" if SEEN[true] else "u"
        right[kind].setdefault(true, []).append(shown.index(max(shown)) == true)
        if kind == "u":
            best = max((one, k) for k, one in enumerate(row) if not SEEN[k])[1]
            right["t1"].setdefault(true, []).append(best == true)
    return {
        kind: float(np.mean([np.mean(own) for own in by_class.values()]))
        for kind, by_class in right.items()
    }


def test_figures_are_means_over_classes_as_a_plain_version_counts_them(named):
    found, slow = zero_shot_report(named[0], named[1], SEEN), slow_figures(*named)
    assert found.unseen == pytest.approx(slow["u"])
    assert found.seen == pytest.approx(slow["s"])
    assert found.t1 == pytest.approx(slow["t1"])
    assert found.harmonic == pytest.approx(2 * slow["u"] * slow["s"] / (slow["u"] + slow["s"]))
    assert found.calibrated is None  # off, where no constant is given


def test_calibration_and_its_area_are_those_of_a_sweep_over_constants(named):
    grid = np.linspace(-6, 6, 241) + 1e-5
    curve = [slow_figures(named[0], named[1], constant) for constant in grid]
    # Trapezia over S, from the constant that names all seen to the one that names none.
    area = sum(
        (one["s"] - other["s"]) * (one["u"] + other["u"]) / 2 for one, other in pairwise(curve)
    )
    constant = choose_constant(named[0], named[1], SEEN)
    found = zero_shot_report(named[0], named[1], SEEN, constant=constant).calibrated
    assert found is not None
    assert found.ausuc == pytest.approx(area, abs=2e-2)
    best = max(harmonic_mean(one["u"], one["s"]) for one in curve)
    assert found.harmonic == pytest.approx(best, abs=2e-2)
    slow = slow_figures(named[0], named[1], constant)
    assert (found.unseen, found.seen) == (pytest.approx(slow["u"]), pytest.approx(slow["s"]))


def test_the_order_of_the_classes_changes_no_figure(named):
    scores, classes = named
    order = torch.tensor([3, 0, 4, 1, 2])
    turned = zero_shot_report(scores[:, order], order.argsort()[classes], SEEN[order], constant=0.3)
    assert turned == zero_shot_report(named[0], named[1], SEEN, constant=0.3)


def test_samples_of_one_kind_alone_are_refused(named):
    scores, classes = named
    own = SEEN[classes]
    with pytest.raises(ValueError, match="no sample is of a class that was unseen"):
        zero_shot_report(scores[own], classes[own], SEEN)
    with pytest.raises(ValueError, match="a score is NaN"):
        zero_shot_report(scores * torch.nan, classes, SEEN)

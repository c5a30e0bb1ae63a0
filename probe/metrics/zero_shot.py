"""Figures of zero-shot recognition: T1, U, S and H, and how calibration changes them.

Every accuracy is the mean, over classes that have samples, of the share of right answers in the
class, so that a frequent class counts no more than a rare one. As in Xian et al., "Zero-shot
learning: a comprehensive evaluation" (2018); calibrated stacking and AUSUC are those of Chao et
al. (2016).
"""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Calibrated:
    """Figures after a constant was subtracted from the scores of seen classes."""

    constant: float
    """The constant; to be chosen on validation classes, never on test ones."""

    unseen: float
    seen: float
    harmonic: float

    ausuc: float
    """Area under the curve of U over S that all constants give: no constant has to be chosen."""


@dataclass(frozen=True)
class ZeroShotReport:
    """Accuracies of naming samples of seen and unseen classes; every figure from 0 to 1."""

    t1: float
    """T1: samples of unseen classes, named among unseen classes."""

    unseen: float
    """U: samples of unseen classes, named among all."""

    seen: float
    """S: samples of seen classes, named among all."""

    harmonic: float
    """H: harmonic mean of U and S."""

    calibrated: Calibrated | None = None
    """Figures with calibrated stacking; None where no constant was given."""

    def __repr__(self) -> str:
        figures = f"T1 {self.t1:.3f}, U {self.unseen:.3f}, S {self.seen:.3f}, H {self.harmonic:.3f}"
        if self.calibrated is None:
            return f"ZeroShotReport({figures})"
        also = self.calibrated
        return (
            f"ZeroShotReport({figures}; calibrated by {also.constant:.3g}: U {also.unseen:.3f}, "
            f"S {also.seen:.3f}, H {also.harmonic:.3f}; AUSUC {also.ausuc:.3f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures in plain values."""
        return asdict(self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row, or a second one for the calibrated scores."""
        row = {"T1": self.t1, "U": self.unseen, "S": self.seen, "H": self.harmonic}
        rows = [{"constant": 0.0, **row}]
        if (also := self.calibrated) is not None:
            named = {"U": also.unseen, "S": also.seen, "H": also.harmonic, "AUSUC": also.ausuc}
            rows.append({"constant": also.constant, "T1": self.t1, **named})
        return pd.DataFrame(rows)


def zero_shot_report(
    scores: Float[Tensor, "sample class"],
    classes: Int[Tensor, " sample"],
    seen: Bool[Tensor, " class"],
    *,
    constant: float | None = None,
) -> ZeroShotReport:
    """Compute T1, U, S and H, without calibration unless a constant is given.

    Args:
        scores: Fit of each class to each sample; the class of the highest score is the answer.
        classes: The true class of each sample.
        seen: True for the classes that were learned from.
        constant: Subtracted from the scores of seen classes for a second set of figures, which
            `calibrated` holds together with AUSUC. Choose it by `choose_constant` on other classes.

    Raises:
        ValueError: if seen or unseen classes have no sample, or a score is NaN.
    """
    curve = _Curve.of(scores, classes, seen)
    among_unseen = _mean_by_class(curve.right[curve.is_unseen], classes[curve.is_unseen])
    unseen, named = curve.at(0.0)
    calibrated = None
    if constant is not None:
        u, s = curve.at(constant)
        calibrated = Calibrated(constant, u, s, harmonic_mean(u, s), curve.area())
    return ZeroShotReport(among_unseen, unseen, named, harmonic_mean(unseen, named), calibrated)


def choose_constant(
    scores: Float[Tensor, "sample class"],
    classes: Int[Tensor, " sample"],
    seen: Bool[Tensor, " class"],
) -> float:
    """Choose the constant of the highest H; of several, the one nearest to 0.

    To be used on classes that were held out for validation: on test classes it would be a choice
    by the truth. Arguments and errors are those of `zero_shot_report`.
    """
    curve = _Curve.of(scores, classes, seen)
    return max(
        curve.constants(), key=lambda one: (round(harmonic_mean(*curve.at(one)), 9), -abs(one))
    )


def harmonic_mean(one: float, other: float) -> float:
    """Compute 2ab / (a + b); 0 if both are 0.

    >>> harmonic_mean(0.5, 1.0)
    0.6666666666666666
    """
    return 2 * one * other / (one + other) if one + other else 0.0


@dataclass(frozen=True, eq=False)
class _Curve:
    """U and S as functions of the constant."""

    margins: Float[Tensor, " sample"]
    """Score of the best seen class minus that of the best unseen one: with a larger constant, the
    answer is unseen."""

    right: Bool[Tensor, " sample"]
    """True for samples that are named rightly among the classes of its own kind, seen or unseen."""

    is_unseen: Bool[Tensor, " sample"]
    classes: Int[Tensor, " sample"]

    @classmethod
    def of(cls, scores: Tensor, classes: Tensor, seen: Tensor) -> "_Curve":
        if scores.isnan().any():
            raise ValueError("a score is NaN; give a number for each sample and class")
        unseen = ~seen[classes]
        for kind, some in (("seen", ~unseen), ("unseen", unseen)):
            if not some.any():
                raise ValueError(f"no sample is of a class that was {kind}; give some of both")
        # All constants follow from the best class of each kind, so scores are gone through once.
        lowest = -torch.inf
        best_seen, seen_class = scores.masked_fill(~seen, lowest).max(-1)
        best_unseen, unseen_class = scores.masked_fill(seen, lowest).max(-1)
        named = torch.where(unseen, unseen_class, seen_class)
        return cls((best_seen - best_unseen).double(), named == classes, unseen, classes)

    def at(self, constant: float) -> tuple[float, float]:
        """Compute U and S; of two equal scores, the seen class is the answer."""
        says_unseen = self.margins < constant
        right = self.right & (says_unseen == self.is_unseen)
        return (
            _mean_by_class(right[self.is_unseen], self.classes[self.is_unseen]),
            _mean_by_class(right[~self.is_unseen], self.classes[~self.is_unseen]),
        )

    def constants(self) -> list[float]:
        """Return 0, and one constant between each two margins that follow each other."""
        sizes = self.margins.unique()
        between = (sizes[:-1] + sizes[1:]) / 2
        return [0.0, float(sizes[0]) - 1, *between.tolist(), float(sizes[-1]) + 1]

    def area(self) -> float:
        """Compute the area under U over S, by trapezia."""
        points = torch.tensor([self.at(one) for one in sorted(self.constants())]).double()
        # A larger constant never lowers U and never raises S.
        return float(-torch.trapezoid(points[:, 0], points[:, 1]))


def _mean_by_class(right: Bool[Tensor, " some"], classes: Int[Tensor, " some"]) -> float:
    # Classes without samples are left out: they have no accuracy.
    _, place = classes.unique(return_inverse=True)
    count = place.bincount().double()
    return float((place.bincount(weights=right.double()) / count).mean())

"""Grounding scores of several configurations, and their paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from inspect import isfunction
from typing import Any

from common import ORANGE, draw_dots, draw_level
from matplotlib.axes import Axes
from measurement import SAME_OBJECT_OVERLAP, Case, Records

from probe.candidates.proposals import propose_tracks
from probe.engine.model import VideoLM
from probe.evaluation.methods import Method, Prediction, Task
from probe.grounder import ground
from probe.grounding.config import GrounderConfig
from probe.grounding.reattention import Absolute, Learning, Relative
from probe.metrics import (
    QueryScore,
    Scores,
    bootstrap_interval,
    paired_difference,
    score,
    score_query,
)
from probe.video import Tube

SCORE_NAMES = ("viou", "tiou", "gt_viou")
NO_SCORE = QueryScore(0.0, 0.0, 0.0)
"""Scores of a clip that failed: it counts as zero, it is not left out."""


def score_configs(
    model: VideoLM, case: Case, configs: Mapping[str, GrounderConfig], protocol: str
) -> dict[str, QueryScore]:
    """Ground a clip with every configuration, and score the answers."""
    return {name: _score_config(model, case, config, protocol) for name, config in configs.items()}


def _score_config(model: VideoLM, case: Case, config: GrounderConfig, protocol: str) -> QueryScore:
    answer = ground(model, case.video, case.query, case.candidates, config=config)
    scores = score(
        {case.name: answer.tube},
        {case.name: case.truth},
        protocol,
        {case.name: case.sampled},
        tracks={case.name: answer.whole_track},
    )
    return scores.per_query[case.name]


METHOD_FIGURES = ("m_viou", "m_tiou", "m_gt_viou", "right_track", "another_track")
"""Figures of a method on one clip; the last is 1 if it chose an object that was not asked about."""


def score_methods(
    model: VideoLM, case: Case, methods: Mapping[str, Method], protocol: str
) -> dict[str, dict[str, float]]:
    """Answer a clip's query with every method, and score the answers.

    A method that cannot answer (it raises ValueError) scores zero.
    """
    closed = case.candidates is not None
    candidates = case.candidates or propose_tracks(case.video)
    answers = answer_by_methods(model, case, methods, candidates, closed=closed)
    return {name: score_prediction(case, answer, protocol) for name, answer in answers.items()}


def answer_by_methods(
    model: VideoLM,
    case: Case,
    methods: Mapping[str, Method],
    candidates: Sequence[Tube],
    *,
    closed: bool,
) -> dict[str, Prediction | None]:
    """Answer a clip's query with every method; None where one cannot (it raises ValueError).

    Args:
        model: The model that is asked.
        case: The clip and its query.
        methods: Methods by name.
        candidates: The tracks that all of them choose from.
        closed: True if one of the candidates must be the answer; else those of a map may join them,
            as in `probe evaluate`.
    """
    task = Task(case.name, case.video, case.queries, tuple(candidates), closed)
    found: dict[str, Prediction | None] = {}
    for name, method in methods.items():
        try:
            found[name] = method(model, task)
        except ValueError:
            found[name] = None
    return found


def score_prediction(case: Case, answer: Prediction | None, protocol: str) -> dict[str, float]:
    """Score the answer to a clip's query; no answer scores zero."""
    if answer is None:
        return dict.fromkeys(METHOD_FIGURES, 0.0)
    # As `Answer.tube` and `Answer.whole_track`, which only the grounder's answers have.
    span = answer.span
    tube = answer.track.interpolated(range(span.start, span.stop))
    track = answer.track.interpolated(range(case.video.source_length))
    figures = score_query(tube, case.truth, protocol, case.sampled, track=track)
    assert figures.gt_viou is not None, "the truth of a case is a whole tube"
    assert figures.viou is not None, "the truth of a case is a whole tube"
    assert figures.tiou is not None, "the truth of a case is a whole tube"
    return {
        "m_viou": figures.viou,
        "m_tiou": figures.tiou,
        "m_gt_viou": figures.gt_viou,
        "right_track": float(figures.gt_viou > SAME_OBJECT_OVERLAP),
        "another_track": float(case.is_another(track)),
    }


def describe_learning(learning: Learning) -> dict[str, Any]:
    """Describe how a latent prompt is learned, under the keys of the stored numbers."""
    rate, loss = learning.rate, learning.loss
    assert isinstance(rate, Absolute | Relative)
    assert isfunction(loss)
    # Written out and not `to_plain`, so that renaming a field does not change stored numbers.
    return {
        "rule": "Learning",
        "layer": learning.layer,
        "steps": learning.steps,
        "rate": {"rule": type(rate).__name__, **asdict(rate)},
        "loss": loss.__name__,
        "two_taps": learning.average_last_two,
        "checkpointing": learning.checkpointing,
    }


@dataclass(frozen=True)
class Comparison:
    """Scores of several configurations, query by query."""

    protocol: str
    scores: Mapping[str, Mapping[str, QueryScore]]
    """Scores by configuration, then query."""

    @classmethod
    def from_records(
        cls, records: Records[Mapping[str, QueryScore]], protocol: str
    ) -> "Comparison":
        """Gather the scores of each clip; a failed clip is zero with all configurations."""
        # Scores are keyed by place: the records of failed clips have no name here.
        nothing = dict.fromkeys(records.values[0], NO_SCORE)
        rows = [*records, *[nothing] * len(records.failed)]
        scores = {
            name: {str(place): row[name] for place, row in enumerate(rows)} for name in nothing
        }
        return cls(protocol, scores)

    def values(self, name: str, figure: str) -> list[float]:
        """Return one score of every query."""
        return [getattr(query, figure) for query in self.scores[name].values()]

    def table(self) -> dict[str, dict[str, Any]]:
        """Compute the means of each configuration, and an interval of m_vIoU."""
        return {
            name: {
                **asdict(Scores(self.protocol, queries, ()).mean),
                "m_viou_interval": bootstrap_interval(self.values(name, "viou")),
            }
            for name, queries in self.scores.items()
        }

    def difference(self, over: str, under: str) -> dict[str, Any]:
        """Compute what one configuration adds to another, paired by query, with intervals."""
        differences = {
            figure: paired_difference(self.values(over, figure), self.values(under, figure))
            for figure in SCORE_NAMES
        }
        return {"over": over, "under": under, **differences}


def draw_differences(axes: Axes, differences: Mapping[str, Sequence[float]]) -> None:
    """Draw paired differences with their intervals, and a line at zero."""
    draw_dots(
        axes,
        {name: {"mean": mean, "interval": ends} for name, (mean, *ends) in differences.items()},
        ORANGE,
    )
    draw_level(axes)

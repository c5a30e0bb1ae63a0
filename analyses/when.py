"""A second reading corrects the ends of the span; other heads or a generic prompt do not.

    python analyses/when.py              draw from the stored numbers (seconds)
    python analyses/when.py --measure    measure them again (one CPU core, six minutes)

All rows have the track that `CAUSAL` chooses, and differ in the time. Three ways to read it are
compared with `CAUSAL`'s own, the mean of all heads read once: heads whose attention gathers in one
interval, chosen without labels; attention over a generic prompt's; and more frames of the found
span. Each has its rivals: random heads; the same points in time without a second reading; a second
reading of the whole clip, which gains about as much. The heads that are chosen look at the right
time indeed, but the mean of all does, too. Heads and margin are chosen on other clips (shapes-val).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import (
    BLUE,
    ORANGE,
    Claim,
    Numbers,
    Table,
    apply_holm,
    compare_paired,
    create_figure,
    describe_tests,
    draw_dots,
    draw_tests,
    finish_figure,
    summary,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig, Records
from scipy import stats
from tables import score_methods

from probe.candidates.proposals import propose_tracks
from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.evaluation.methods import Grounding, Method, Prediction, Task, centred_span
from probe.grounder import choose_time
from probe.grounding.again import (
    FirstReading,
    ReadAgain,
    Reread,
    SecondReading,
    TimedScores,
    choose_jointly,
)
from probe.grounding.config import GrounderConfig
from probe.grounding.looks import Look
from probe.grounding.presets import CAUSAL
from probe.grounding.relevance import MinusGeneric, OverGeneric, read_generic_map
from probe.grounding.span_rules import best_span
from probe.interpret.head_rules import GatheredInTime, TheseHeads
from probe.interpret.heads import list_heads, select_head_maps
from probe.interpret.time_heads import TIME_HEADS, time_head_scores, time_heads
from probe.interpret.token_rules import EVERY_TOKEN
from probe.metrics import temporal_iou
from probe.video import Span, Tube, Video, read_frames

CHOOSING_CLIPS = 100
"""Number of other clips, at most, on which heads and margin are chosen."""

MARGINS = (0.0, 1.0, 2.0)
"""Margins of the second reading to choose from, in steps of the first."""

BASE, AGAIN = "CAUSAL", "read again"
FIGURES = {"m_tiou": "m_tIoU", "m_viou": "m_vIoU"}

RIVALS_OF_AGAIN = ("interpolated, not read again", "read again, the whole clip")
"""Rows over which the gain of a second reading is tested as well."""


@dataclass(frozen=True)
class WholeClipAgain:
    """A second reading of the whole video, half-way between the frames of the first."""

    def __call__(self, first: FirstReading, read: Reread) -> SecondReading:
        """Read as many frames as before, at other times, and choose the span by both readings."""
        seen = np.array(first.video.indices)
        half = int(np.median(np.diff(seen))) // 2
        again = read_frames(first.video, np.unique(np.maximum(seen - half, 0)).tolist())
        span = choose_jointly(first, read(again, first.track), first.within)
        return SecondReading(span, first.track, first.span, again.indices)


@dataclass(frozen=True)
class Interpolate:
    """No second reading: the scores of the first, interpolated between its frames."""

    def __call__(self, first: FirstReading, read: Reread) -> SecondReading:  # noqa: ARG002
        """Choose the span among points in time, by the first reading alone."""
        span = choose_jointly(first, first.timed, first.within)
        return SecondReading(span, first.track, first.span)


def over_cells(view: View, look: Look) -> Heatmap:
    """Divide a map by the generic prompt's cell by cell, as relative attention does."""
    return look.heatmap.relative_to(read_generic_map(view, look))


def list_rows(
    heads: Sequence[tuple[int, int]], drawn: Sequence[tuple[int, int]], margin: float
) -> dict[str, GrounderConfig]:
    """List the ways to choose the time that read the model, and their rivals.

    Args:
        heads: The heads chosen on other clips, the best first.
        drawn: As many heads at random.
        margin: The margin of the second reading.
    """
    choices: dict[str, dict[str, Any]] = {
        BASE: {},
        "time heads of each question": {"heads_when": GatheredInTime()},
        "time heads of other clips": {"heads_when": TheseHeads(heads)},
        "random heads, as many": {"heads_when": TheseHeads(drawn)},
        "the first time head alone": {"heads_when": TheseHeads(heads[:1])},
        "over the generic prompt, by frame": {"relevance_when": OverGeneric()},
        "over the generic prompt, by cell": {"relevance_when": over_cells},
        "minus the generic prompt": {"relevance_when": MinusGeneric()},
        AGAIN: {"again": ReadAgain(margin)},
        "read again, boxes too": {"again": ReadAgain(margin, find_tracks=propose_tracks)},
        "interpolated, not read again": {"again": Interpolate()},
        "read again, the whole clip": {"again": WholeClipAgain()},
    }
    return {name: replace(CAUSAL, **changes) for name, changes in choices.items()}


BLIND = {"middle half": 0.5, "whole clip": 1.0}
"""Share of the clip that rivals take which read nothing."""


class Clip:
    """A clip and the track that `CAUSAL` chose in it, read once for all rows.

    `ground` gives the same answers (a test compares them), but would read the clip once more for
    each row. It keeps its readings, and so changes.
    """

    def __init__(self, model: VideoLM, case: Case) -> None:
        self.model, self.case = model, case
        closed = case.candidates is not None
        candidates = case.candidates or propose_tracks(case.video)
        task = Task(case.name, case.video, case.queries, candidates, closed)
        self.track = Grounding(CAUSAL)(model, task).track
        self._orders: dict[tuple[int, ...], list[tuple[View, Reading]]] = {}

    def read(self, video: Video) -> list[tuple[View, Reading]]:
        """Read the action question in both frame orders of the video, or of other frames of it."""
        if video.indices not in self._orders:
            watch = self.model.watch if video is self.case.video else self._watch_aside
            view = watch(video)
            _, part = CAUSAL.parts(self.case.queries)
            shown = [view, view.reversed()]
            self._orders[video.indices] = [(one, one.read(part.question)[0]) for one in shown]
        return self._orders[video.indices]

    def find(self, config: GrounderConfig) -> Prediction:
        """Find the time of the track by a configuration's rules."""
        video, (view, _) = self.case.video, self.read(self.case.video)[0]
        when = self._look(video, config)
        scores, span = choose_time(view, self.case.queries, when, self.track, config)
        if config.again is None:
            return Prediction(span, self.track)
        timed, whole = TimedScores(when.heatmap.cells, scores), Span(0, video.source_length)
        first = FirstReading(video, self.track, span, timed, whole, len(video), config.span)

        def read(more: Video, track: Tube) -> TimedScores:
            heatmap = self._look(more, config).heatmap
            return TimedScores(heatmap.cells, heatmap.peak_within(track))

        again = config.again(first, read)
        return Prediction(again.span, again.track)

    def _look(self, video: Video, config: GrounderConfig) -> Look:
        """Look for the action in both frame orders, and average their maps."""
        looks = []
        for view, read in self.read(video):
            heads = None if config.heads_when is None else config.heads_when(read)
            reading, tokens = read.through(heads), tuple(read.find(config.token(read)))
            look = Look(reading, tokens, reading.heatmap(tokens))
            freed = config.relevance_when
            looks.append(look if freed is None else replace(look, heatmap=freed(view, look)))
        there, back = looks
        return there.assemble_with(back, "mean")

    def _watch_aside(self, video: Video) -> View:
        # Past the memory of the clip's own view, which other queries about it share.
        return VideoLM.watch(self.model, video)


def measure(measurement: Measurement) -> Numbers:
    """Choose heads and margin on other clips, and measure each way to choose the time."""
    chooser = measurement.for_choosing()
    few = replace(chooser.config, clips=min(chooser.config.clips, CHOOSING_CLIPS))
    protocol = measurement.dataset.protocol
    tried = replace(chooser, config=few).measure_cases(partial(_try_choices, protocol=protocol))
    votes = _average(tried.entries("votes").values)
    margins = {margin: summary(tried.entries(str(margin)).values) for margin in MARGINS}
    margin = max(MARGINS, key=lambda one: margins[one]["mean"])
    heads = time_heads(votes)
    rows = list_rows(heads, _draw_heads(votes), margin)
    records = measurement.measure_cases(partial(_measure_clip, rows=rows, protocol=protocol))
    scores = {name: _gather(records, name) for name in (*rows, *BLIND)}
    alone = _average(records.entries("heads").values)
    found = votes.merge(alone, on=["layer", "head"])
    agreement: Any = stats.spearmanr(found["contrast"], found["m_tiou"])
    return {
        **measurement.provenance(records, tried),
        "protocol": protocol,
        "chosen": {
            "clips": len(tried) + len(tried.failed),
            "heads": [list(pair) for pair in heads],
            "margin": margin,
            "margins": {str(one): row for one, row in margins.items()},
        },
        "heads": found.round(4).to_dict("records"),
        "contrast_and_m_tiou": float(agreement.statistic),
        "table": {name: _summarise(each) for name, each in scores.items()},
        "differences": apply_holm(list(_compare(scores))),
    }


def _try_choices(model: VideoLM, case: Case, protocol: str) -> dict[str, Any]:
    """Score each head by one question without labels, and each margin by the truth."""
    clip = Clip(model, case)
    again = {str(margin): replace(CAUSAL, again=ReadAgain(margin)) for margin in MARGINS}
    found = _score_rows(clip, again, protocol)
    return {
        "votes": time_head_scores([reading for _, reading in clip.read(case.video)]),
        **{name: row["m_tiou"] for name, row in found.items()},
    }


def _measure_clip(
    model: VideoLM, case: Case, rows: Mapping[str, GrounderConfig], protocol: str
) -> dict[str, Any]:
    """Score all ways to choose the time of one clip, and each head by itself."""
    clip = Clip(model, case)
    return {"methods": _score_rows(clip, rows, protocol), "heads": _score_heads(clip)}


def _score_rows(
    clip: Clip, rows: Mapping[str, GrounderConfig], protocol: str
) -> dict[str, dict[str, float]]:
    """Score the tube of each row, and those of the rivals that read nothing."""

    def answer_with(config: GrounderConfig) -> Method:
        return lambda model, task: clip.find(config)  # noqa: ARG005  of the form of a method

    def guess(share: float) -> Method:
        span = centred_span(clip.case.video, share)
        return lambda model, task: Prediction(span, clip.track)  # noqa: ARG005

    methods = {name: answer_with(config) for name, config in rows.items()}
    methods |= {name: guess(share) for name, share in BLIND.items()}
    known = replace(clip.case, candidates=(clip.track,))
    return score_methods(clip.model, known, methods, protocol)


def _score_heads(clip: Clip) -> Table:
    """Measure the temporal overlap of each head, by its own map in both frame orders."""
    case = clip.case
    (_, there), (_, back) = clip.read(case.video)
    cells = there.grid.cells
    maps = (select_head_maps(there, EVERY_TOKEN) + select_head_maps(back, EVERY_TOKEN).flip(2)) / 2
    share = torch.from_numpy(cells.coverage(clip.track)).to(maps)
    peaks = (maps * share).amax((-2, -1))
    rows = [
        {
            "layer": there.layers[place],
            "head": head,
            "m_tiou": temporal_iou(
                best_span(peaks[place, number], cells, case.video.source_length, CAUSAL.span),
                case.truth.span,
            ),
        }
        for place, (number, head) in product(range(len(peaks)), enumerate(list_heads(there)))
    ]
    return pd.DataFrame(rows)


def _draw_heads(votes: Table) -> list[tuple[int, int]]:
    """Draw heads at random, as many as are chosen; the same in every measurement of a model."""
    order = np.random.default_rng(0).permutation(len(votes))[:TIME_HEADS]
    return [(int(votes["layer"][place]), int(votes["head"][place])) for place in order]


def _average(tables: Sequence[Table]) -> Table:
    """Average the tables of all clips: one row for each head."""
    return pd.concat(tables).groupby(["layer", "head"], as_index=False).mean()


def _gather(records: Records[Any], name: str) -> list[dict[str, float]]:
    """Gather the figures of one row over all clips; those of a failed clip are zero."""
    found = [record["methods"][name] for record in records]
    return [*found, *[dict.fromkeys(found[0], 0.0)] * len(records.failed)]


def _summarise(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    names = (*FIGURES, "m_gt_viou")
    return {name: summary([row[name] for row in rows]) for name in names}


def _compare(scores: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Numbers]:
    """Test what each row adds to `CAUSAL`, and reading again to its rivals, on the same clips."""
    pairs = [(name, BASE) for name in scores if name != BASE]
    pairs += [(AGAIN, rival) for rival in RIVALS_OF_AGAIN]
    return [
        {
            "figure": figure,
            "over": over,
            "under": under,
            **compare_paired(*([row[figure] for row in scores[one]] for one in (over, under))),
        }
        for figure, (over, under) in product(FIGURES, pairs)
    ]


NO_GAIN = {"mean": 0.0, "interval": (0.0, 0.0), "survives": False}
"""The row of `CAUSAL`, with which the others are compared."""


def draw(numbers: Numbers) -> Figure:
    """Draw the figures of each row, what it adds to `CAUSAL`, and how heads were chosen."""
    figure = create_figure(11.0, 4.4)
    means, tiou, viou, heads = figure.subplots(1, 4, width_ratios=(1, 0.9, 0.9, 1))
    table = numbers["table"]
    for name, colour, lower in (("m_tiou", BLUE, -0.12), ("m_viou", ORANGE, 0.12)):
        rows = {row: found[name] for row, found in table.items()}
        draw_dots(means, rows, colour, label=FIGURES[name], lower=lower)
    means.set(xlim=(0, 1), xlabel="m_tIoU, m_vIoU")
    means.legend(fontsize=6, frameon=False, loc="upper left")
    tested = {(one["figure"], one["over"], one["under"]): one for one in numbers["differences"]}
    for axes, name in ((tiou, "m_tiou"), (viou, "m_viou")):
        draw_tests(axes, {row: tested.get((name, row, BASE), NO_GAIN) for row in table})
        axes.set(xlabel=f"{FIGURES[name]} over CAUSAL, paired")
        axes.tick_params(labelleft=False)
    tiou.set_title(describe_tests(numbers["differences"]), loc="left")
    _draw_heads_found(heads, numbers)
    return finish_figure(figure, numbers)


def _draw_heads_found(axes: Axes, numbers: Numbers) -> None:
    """Draw each head: how far it gathers in time, and how well it finds the time by itself."""
    chosen = {tuple(pair) for pair in numbers["chosen"]["heads"]}
    for row in numbers["heads"]:
        mine = (row["layer"], row["head"]) in chosen
        style = {"marker": "*", "ms": 8} if mine else {"marker": "o", "ms": 4}
        axes.plot(row["contrast"], row["m_tiou"], color=ORANGE if mine else BLUE, **style)
    axes.plot([], [], "*", color=ORANGE, label="chosen without labels")
    axes.set(xlabel="contrast in time, other clips (no labels)", ylabel="m_tIoU of the head alone")
    axes.set_title(f"rank correlation {numbers['contrast_and_m_tiou']:.2f}", loc="left")
    axes.legend(fontsize=6, frameon=False, loc="upper left")


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-report-2", clips=400))

if __name__ == "__main__":
    CLAIM.run()

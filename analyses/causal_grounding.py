"""Asking by cause finds the right track more often than attention, and as often as a word lens.

    python analyses/causal_grounding.py              draw from the stored numbers (seconds)
    python analyses/causal_grounding.py --measure    measure them again (one CPU core, 20 minutes)

Methods and their rivals answer 400 queries that nothing was chosen on, from tracks that are
proposed without the truth. Then candidates that contain others are added, as detectors give them:
the whole frame, the union of each pair, each track with a wider margin; and boxes at random. Among
them, asking by cause loses little, and the strongest cell of a map most of its right choices. A
track is right if it overlaps the true tube by more than half. A clip that fails counts as zero.

`--model DIR --clips 200 --out OUT` measures another model; `causal_on_organisms.py` compares them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any, cast

import numpy as np
from common import (
    Claim,
    Numbers,
    apply_holm,
    compare_paired,
    create_figure,
    describe_tests,
    draw_dots,
    draw_level,
    draw_tests,
    finish_figure,
    summarise_share,
    summary,
)
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig, Records
from tables import score_methods

from probe.candidates.proposals import propose_tracks
from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.evaluation.methods import METHODS, Grounding, Method, seed_by_name
from probe.grounder import join_orders, look
from probe.grounding.config import GrounderConfig
from probe.grounding.looks import Look
from probe.grounding.presets import (
    BEST,
    CAUSAL,
    ENTROPY_GRADIENT,
    NOUN,
    PAPER,
    PLAIN,
    RELEASED_CODE,
)
from probe.grounding.queries import Queries
from probe.grounding.track_rules import (
    AttentionBySize,
    CausalEffect,
    TrackScores,
    score_tracks,
)
from probe.interpret.token_rules import AllOf
from probe.video import Tube, Video

COMPARED: dict[str, Method] = {
    "CAUSAL": Grounding(CAUSAL),
    "CAUSAL, one frame order": Grounding(replace(CAUSAL, assembly_when=None)),
    "CAUSAL, when as BEST": Grounding(replace(BEST, track=CausalEffect())),
    "NOUN": Grounding(NOUN),
    "BEST": Grounding(BEST),
    "BEST, by size": Grounding(replace(BEST, track=AttentionBySize())),
    "ENTROPY_GRADIENT": Grounding(ENTROPY_GRADIENT),
    "PAPER": Grounding(PAPER),
    "word lens": METHODS["lens"],
    "mean of role tokens, raw": Grounding(replace(PLAIN, token=AllOf(), relative=False)),
    "fixed token, raw": Grounding(replace(PLAIN, token=RELEASED_CODE.token, relative=False)),
    "largest track, middle half": METHODS["largest-track-middle-half"],
    "largest track, whole clip": METHODS["whole-clip"],
    "random track, middle half": METHODS["random-track"],
}
"""The presets, variants of them, and rivals; of the last six, the first reads no attention and the
last three neither the model nor, but for its name, the query."""

BASES = ("BEST", "PAPER")
"""Methods over which the gain of every other one is tested."""

TESTED_FIGURES = ("m_viou", "right_track")

CLOSEST_RIVALS = {
    "m_viou": ("word lens", "NOUN", "CAUSAL, one frame order"),
    "right_track": ("word lens", "NOUN"),
}
"""Methods over which the gain of `CAUSAL` alone is tested, by figure. These tests were added after
the first look at the numbers, since the closest rival was another than expected."""

WIDER = 6 / 56
"""Margin of the larger candidates, as a share of the frame's sides: 6 pixels of the shapes'."""

BACKGROUND_BOXES = 5
BACKGROUND_SIDE = 14 / 56
"""Side of a random box as a share of the frame's: that of an object of the shapes."""

NESTED = ("whole frame", "unions of pairs", "wider boxes")
"""Candidates that contain others, which are added to the proposed ones."""

CANDIDATE_SETS = {
    "proposed": (),
    **{f"+ {kind}": (kind,) for kind in NESTED},
    "+ these three": NESTED,
    "+ random boxes": ("random boxes",),
    "+ all of these": (*NESTED, "random boxes"),
}


@dataclass(frozen=True)
class EffectWithoutRoot:
    """`CausalEffect` without the division by the root of the candidate's size: its control."""

    def __call__(
        self, view: View, queries: Queries, where: Look, candidates: Sequence[Tube]
    ) -> TrackScores:
        """Score each candidate by the sum of its two effects, in logits."""
        found = CausalEffect()(view, queries, where, candidates)
        if found.doubts:  # the map chose, and its peaks were not divided
            return found
        sizes = [max(1, int(view.grid.cells.inside(track).sum())) for track in candidates]
        pairs = zip(found.values, sizes, strict=True)
        return TrackScores(tuple(value * size**0.5 for value, size in pairs))


CHOOSERS: dict[str, GrounderConfig] = {
    "CAUSAL": CAUSAL,
    "CAUSAL, without the root": replace(CAUSAL, track=EffectWithoutRoot()),
    "NOUN": NOUN,
    "BEST": BEST,
    "BEST, by size": replace(BEST, track=AttentionBySize()),
}
"""Configurations that choose among nested candidates."""


def measure(measurement: Measurement) -> Numbers:
    """Measure all methods with proposed tracks, and the choice of the track among nested ones."""
    return measure_methods(measurement, COMPARED, BASES)


def measure_methods(
    measurement: Measurement, methods: Mapping[str, Method], bases: Sequence[str]
) -> Numbers:
    """Measure some methods, what each adds to the bases among them, and the choice of the track."""
    protocol = measurement.dataset.protocol
    records = measurement.measure_cases(partial(_measure_clip, methods=methods, protocol=protocol))
    scores = {name: _gather(records, "methods", name) for name in methods}
    nested = {name: _gather(records, "nested", name) for name in CHOOSERS}
    missed = [0.0] * len(records.failed)
    return {
        **measurement.provenance(records),
        "protocol": protocol,
        "table": {name: _summarise(rows) for name, rows in scores.items()},
        "differences": apply_holm(list(_compare_methods(scores, bases))),
        "nested": {name: _summarise(rows) for name, rows in nested.items()},
        # No choice among the proposed tracks can be right more often.
        "reachable": summarise_share([*records.entries("reachable"), *missed]),
        "candidates": summary(records.entries("candidates").values),
    }


def _measure_clip(
    model: VideoLM, case: Case, methods: Mapping[str, Method], protocol: str
) -> dict[str, Any]:
    """Measure one clip: figures by method, and right choices by rule and set of candidates."""
    added = list(list_candidates(case))
    return {
        "methods": score_methods(model, case, methods, protocol),
        "nested": _choose_among_nested(model, case, added),
        "reachable": float(any(case.is_right(track) for kind, track in added if not kind)),
        "candidates": len(added),
    }


def list_candidates(case: Case) -> Iterator[tuple[str, Tube]]:
    """List the proposed candidates, and those of each kind that is added, with their kind."""
    proposed = case.candidates or propose_tracks(case.video)
    yield from (("", track) for track in proposed)
    height, width = case.video.size
    frame = np.array([0.0, 0.0, width, height])
    frames = np.arange(case.video.source_length)
    everywhere = [track.interpolated(frames).boxes for track in proposed]
    yield "whole frame", Tube(frames, np.tile(frame, (len(frames), 1)))
    for one, other in combinations(everywhere, 2):
        corners = np.minimum(one, other)[:, :2], np.maximum(one, other)[:, 2:]
        yield "unions of pairs", Tube(frames, np.concatenate(corners, axis=1))
    # Cut at the frame's edges, so that a wider box is one that a detector could give.
    margin = WIDER * np.array([-width, -height, width, height])
    for boxes in everywhere:
        wider = np.clip(boxes + margin, frame[[0, 1, 0, 1]], frame[[2, 3, 2, 3]])
        yield "wider boxes", Tube(frames, wider)
    yield from (("random boxes", track) for track in _draw_boxes(case.name, case.video))


def _draw_boxes(name: str, video: Video) -> Iterator[Tube]:
    """Draw boxes that keep their place through the whole video, by the name of the query."""
    height, width = video.size
    rng, frames = seed_by_name(name, 0), np.arange(video.source_length)
    side = BACKGROUND_SIDE * np.array([width, height])
    for _ in range(BACKGROUND_BOXES):
        start = rng.uniform(0, 1 - BACKGROUND_SIDE, 2) * [width, height]
        yield Tube(frames, np.tile(np.concatenate([start, start + side]), (len(frames), 1)))


def _choose_among_nested(
    model: VideoLM, case: Case, candidates: Sequence[tuple[str, Tube]]
) -> dict[str, dict[str, float]]:
    """Return 1 for each configuration and set of candidates if the right track was chosen."""
    view = model.watch(case.video)
    kinds, tracks = zip(*candidates, strict=True)
    right = [float(case.is_right(track)) for track in tracks]
    found: dict[str, dict[str, float]] = {}
    for name, config in CHOOSERS.items():
        # A candidate's score does not depend on the others: one pass serves all sets of them.
        scores = score_tracks(
            config.track, view, case.queries, find_where(view, case.queries, config), tracks
        ).values
        found[name] = {}
        for label, added in CANDIDATE_SETS.items():
            places = [place for place, kind in enumerate(kinds) if kind in ("", *added)]
            best = max(places, key=lambda place: scores[place])
            found[name][label] = right[best]
    return found


def find_where(view: View, queries: Queries, config: GrounderConfig) -> Look:
    """Look for the attribute part of a query, as `ground` does."""
    part, _ = config.parts(queries)
    return join_orders(look(view, part, config), part, view, view.reversed(), config)


def _gather(records: Records[Any], part: str, name: str) -> list[dict[str, float]]:
    """Gather the figures of one method over all clips; those of a failed clip are zero."""
    found = [record[part][name] for record in records]
    return [*found, *[dict.fromkeys(found[0], 0.0)] * len(records.failed)]


def _summarise(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Summarise each figure: shares with Wilson's interval, means with the bootstrap's."""
    means = ("m_viou", "m_tiou", "m_gt_viou")
    return {
        name: (summary if name in means else summarise_share)([row[name] for row in rows])
        for name in rows[0]
    }


def _compare_methods(
    methods: Mapping[str, Sequence[Mapping[str, float]]], bases: Sequence[str]
) -> Iterator[Numbers]:
    """Test what each method adds to each base, on the same clips; no pair is tested twice."""
    for figure in TESTED_FIGURES:
        for place, under in enumerate(bases):
            for over in methods:
                if over in bases[: place + 1]:
                    continue
                yield _compare_pair(methods, figure, over, under)
        for under in CLOSEST_RIVALS[figure]:
            yield _compare_pair(methods, figure, "CAUSAL", under)


def _compare_pair(
    methods: Mapping[str, Sequence[Mapping[str, float]]], figure: str, over: str, under: str
) -> Numbers:
    pair = [[row[figure] for row in methods[name]] for name in (over, under)]
    return {"figure": figure, "over": over, "under": under, **compare_paired(*pair)}


def draw(numbers: Numbers) -> Figure:
    """Draw each method's figures, what it adds to `BEST`, and the choice among nested tracks."""
    figure = create_figure(10.4, 7.2)
    above, below = cast(Sequence[Figure], figure.subfigures(2, 1, height_ratios=(1.6, 1)))
    left, middle, right = above.subplots(1, 3, sharey=True)
    table = numbers["table"]
    draw_dots(left, {name: row["m_viou"] for name, row in table.items()})
    left.set(xlim=(0, 1), xlabel="m_vIoU")
    draw_dots(middle, {name: row["right_track"] for name, row in table.items()})
    draw_level(middle, numbers["reachable"]["mean"], "one of the proposed tracks is right")
    middle.set(xlim=(0, 1), xlabel="right track, share of clips")
    middle.legend(fontsize=6, frameon=False, loc="upper left")
    tested = {(one["figure"], one["over"], one["under"]): one for one in numbers["differences"]}
    draw_tests(right, {name: tested.get(("m_viou", name, "BEST"), NO_GAIN) for name in table})
    right.set(xlabel="m_vIoU over BEST, paired")
    right.set_title(describe_tests(numbers["differences"]), loc="left")
    panels = below.subplots(1, len(numbers["nested"]), sharey=True)
    for axes, (name, shares) in zip(panels, numbers["nested"].items(), strict=True):
        draw_dots(axes, shares)
        axes.set(xlim=(0, 1), xlabel="right track")
        axes.set_title(name, loc="left")
    return finish_figure(figure, numbers)


NO_GAIN = {"mean": 0.0, "interval": (0.0, 0.0), "survives": False}
"""The row of the method that the others are compared with."""

CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-report-2", clips=400))

if __name__ == "__main__":
    CLAIM.run()

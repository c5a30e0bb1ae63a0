"""Times the entropy's gradient, the map of `BEST` finds more right tracks; shuffled, fewer.

    python analyses/fused_maps.py              draw from the stored numbers (seconds)
    python analyses/fused_maps.py --measure    measure them again (one CPU core, five minutes)

The map of `ENTROPY_GRADIENT` is that of `BEST` times the norm of the gradient of the next-token
entropy at each visual token. Its controls: the gradient while the generic prompt is read, which
names nothing; and the gradient with its cells in random order. Each map chooses by its strongest
cell among the true tracks, and among proposed ones. A clip that fails counts as wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from common import (
    Claim,
    Numbers,
    apply_holm,
    compare_paired,
    create_figure,
    describe_tests,
    draw_dots,
    draw_legend_below,
    draw_level,
    draw_tests,
    finish_figure,
    summarise_share,
)
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig

from probe.candidates.given import as_candidates
from probe.candidates.tracks import best_track
from probe.engine.attention import Heatmap, assemble
from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.evaluation.methods import find_content_words, seed_by_name
from probe.grounder import look
from probe.grounding.presets import BEST
from probe.grounding.queries import as_question
from probe.interpret.baseline_maps import entropy_gradient
from probe.interpret.word_lens import knows_word, word_lens

BASE = "BEST"
KINDS = ("true", "proposed")


def measure(measurement: Measurement) -> Numbers:
    """Measure how often each map chooses the right track, and what each adds to `BEST`."""
    records = measurement.measure_cases(_check_maps)
    missed = dict.fromkeys(records.values[0]["right"], 0.0)
    rows = [*records.entries("right"), *[missed] * len(records.failed)]
    right = {name: [row[name] for row in rows] for name in missed}
    return {
        **measurement.provenance(records),
        "chance": float(np.mean(records.entries("chance").values)),
        "right": {name: summarise_share(values) for name, values in right.items()},
        "differences": apply_holm(_compare_maps(right)),
    }


def _check_maps(model: VideoLM, case: Case) -> dict[str, Any]:
    """Return 1 for each map and kind of candidates if the right track was chosen, else 0."""
    right, view = {}, model.watch(case.video)
    for name, heatmap in _make_maps(view, case).items():
        for kind, given in zip(KINDS, (case.tracks, case.candidates), strict=True):
            candidates = as_candidates(given, view, heatmap)
            right[_label(name, kind)] = float(case.is_right(best_track(candidates, heatmap)))
    return {"right": right, "chance": 1 / len(case.tracks)}


def _make_maps(view: View, case: Case) -> Mapping[str, Heatmap]:
    """Make all maps of a clip: `BEST`, its products, and rivals that read no attention."""
    question = as_question(case.queries.attribute)
    best = look(view, BEST.parts(case.queries)[0], BEST).heatmap
    gradient = entropy_gradient(view, question)
    generic = entropy_gradient(view, BEST.generic)
    words = [word for word in find_content_words(case.queries.attribute) if knows_word(view, word)]
    # A product with 1 changes nothing: words that the model does not know leave the map as it is.
    lens = word_lens(view, words).values if words else torch.zeros_like(best.values)
    return {
        BASE: best,
        "BEST x gradient": assemble([best, gradient], "product"),
        "BEST x generic prompt's gradient": assemble([best, generic], "product"),
        "BEST x gradient, shuffled": assemble([best, _shuffle(gradient, case.name)], "product"),
        "gradient alone": gradient,
        "word lens": Heatmap(lens - lens.min(), best.cells),
    }


def _shuffle(heatmap: Heatmap, name: str) -> Heatmap:
    """Put the cells of a map in an order that follows from the name of the query alone."""
    values = heatmap.values
    order = torch.from_numpy(seed_by_name(name, 0).permutation(values.numel()))
    return Heatmap(values.flatten()[order].reshape(values.shape), heatmap.cells)


def _label(name: str, kind: str) -> str:
    return f"{name}, {kind} tracks"


def _compare_maps(right: Mapping[str, Sequence[float]]) -> list[Numbers]:
    """Test what each map adds to that of `BEST`, on the same clips."""
    tests = []
    for kind in KINDS:
        base = _label(BASE, kind)
        others = [name for name in right if name.endswith(f", {kind} tracks") and name != base]
        tests += [
            {"over": name, "under": base, **compare_paired(right[name], right[base])}
            for name in others
        ]
    return tests


def draw(numbers: Numbers) -> Figure:
    """Draw the share of right choices by map and kind of tracks; next to it the differences."""
    figure = create_figure(9.6, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(1, 0.8))
    draw_dots(left, numbers["right"])
    draw_level(left, numbers["chance"], "chance among the true tracks")
    left.set(xlim=(0, 1), xlabel="right track chosen, share of clips")
    draw_legend_below(left)
    draw_tests(right, {one["over"]: one for one in numbers["differences"]})
    right.set(xlabel="right track over BEST, paired")
    right.set_title(describe_tests(numbers["differences"]), loc="right")
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-report-2", clips=400))

if __name__ == "__main__":
    CLAIM.run()

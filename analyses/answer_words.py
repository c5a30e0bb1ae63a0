"""The word of a thing looks at it where it is said as where it is asked; role tokens do, too.

    python analyses/answer_words.py              draw from the stored numbers (seconds)
    python analyses/answer_words.py --measure    measure again (two CPU cores, two minutes)

The query's words for the thing are read as the model's own answer to the generic prompt, and as a
part of a question. Is the strongest cell of their last token on the true track, and is that track
the one that its map chooses? The rivals are the role token that looks hardest, and the word lens,
which asks no question.
"""

from typing import Any

import numpy as np
from common import (
    Claim,
    Numbers,
    create_figure,
    draw_dots,
    draw_legend_below,
    draw_level,
    finish_figure,
    summary,
)
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig

from probe.candidates.tracks import best_track
from probe.engine.model import VideoLM
from probe.engine.prompts import GENERIC
from probe.grounding.queries import as_question
from probe.interpret.grounding_tokens import grounding_token
from probe.interpret.word_lens import word_lens

MAPS = ("word, said", "word, asked", "role token", "word lens")
FIGURES = {"on_track": "strongest cell on the true track", "right": "true track chosen"}


def measure(measurement: Measurement) -> Numbers:
    """Measure how often the strongest cell of each map is on the true track, or chooses it."""
    records = measurement.measure_cases(_point)
    return {
        **measurement.provenance(records),
        **{
            figure: {name: summary(records.entries(f"{figure} {name}").values) for name in MAPS}
            for figure in FIGURES
        },
        "chance": {
            figure: float(np.mean(records.entries(f"chance {figure}").values)) for figure in FIGURES
        },
    }


def _point(model: VideoLM, case: Case) -> dict[str, Any]:
    """Find on one clip which maps point at the true track, and which choose it."""
    view, thing = model.watch(case.video), case.queries.attribute
    (said,) = view.read(GENERIC, answer=thing)
    (asked,) = view.read(as_question(thing))
    maps = {
        "word, said": said.heatmap(-1),
        "word, asked": asked.heatmap(asked.prompt.find(thing)[-1]),
        "role token": asked.heatmap(grounding_token(asked)),
        "word lens": word_lens(view, thing),
    }
    share = view.grid.cells.inside(case.track).float().mean()
    return {
        **{f"on_track {name}": float(one.points_at(case.track)) for name, one in maps.items()},
        **{
            f"right {name}": float(best_track(case.tracks, one) is case.track)
            for name, one in maps.items()
        },
        "chance on_track": float(share),
        "chance right": 1 / len(case.tracks),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw how often each map points at the true track, and chooses it."""
    figure = create_figure(7.2, 2.6)
    for ax, (name, label) in zip(figure.subplots(1, 2), FIGURES.items(), strict=True):
        draw_dots(ax, numbers[name])
        draw_level(ax, numbers["chance"][name], "chance")
        ax.set(xlim=(0, 1), xlabel=label)
    draw_legend_below(figure.axes[1])
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-report-2", clips=400))

if __name__ == "__main__":
    CLAIM.run()

"""Through its role tokens the organism points at the right object, proposed or true.

    python analyses/right_track.py              draw from the stored numbers (seconds)
    python analyses/right_track.py --measure    measure them again (two CPU cores, two minutes)

Each preset chooses among the true tracks, and among those that are proposed without the truth;
a choice is right if it overlaps the true tube by half or more. A clip that fails counts as wrong.
"""

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
from measurement import SAME, Case, Measurement, MeasurementConfig

from probe.engine.model import VideoLM
from probe.grounder import ground
from probe.grounding.config import PRESETS
from probe.metrics import spatial_iou


def measure(measurement: Measurement) -> Numbers:
    """How often the chosen track is the queried object's, by preset and kind of candidates."""
    records = measurement.each(_rights)
    missed = [0.0] * len(records.failed)
    names = [name for name in records.values[0] if name != "chance"]
    return {
        **measurement.provenance(records),
        "chance": float(np.mean(records.of("chance").values)),
        "right": {name: summary([*records.of(name), *missed]) for name in names},
    }


def _rights(model: VideoLM, case: Case) -> dict[str, float]:
    """For each way of answering, 1 if the right track was chosen, else 0."""
    right = {"chance": 1 / len(case.tracks)}
    for preset, config in PRESETS.items():
        for kind, tracks in (("true", case.tracks), ("proposed", case.candidates)):
            answer = ground(model, case.video, case.query, tracks, config=config)
            chosen = answer.track.interpolated(case.truth.frames)
            right[f"{preset}, {kind} tracks"] = float(spatial_iou(chosen, case.truth) > SAME)
    return right


def draw(numbers: Numbers) -> Figure:
    """One point with its interval for each way of answering, and chance as a line."""
    figure = create_figure(5.6, 3.0)
    axes = figure.subplots()
    draw_dots(axes, numbers["right"])
    draw_level(axes, numbers["chance"], "chance among the true tracks")
    axes.set(xlim=(0, 1), xlabel="right track chosen, share of clips")
    draw_legend_below(axes)
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=50))

if __name__ == "__main__":
    CLAIM.run()

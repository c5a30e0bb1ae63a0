"""With `best` the organism points at the right object; with `paper` it does so less often.

    python analyses/right_track.py              draw from the stored numbers (seconds)
    python analyses/right_track.py --measure    measure them again (two CPU cores, two minutes)

Each preset chooses among the true tracks, and among tracks that are proposed without the truth. A
choice is right if it overlaps the true tube by more than half. A clip that fails counts as wrong.
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
from measurement import SAME_OBJECT_OVERLAP, Case, Measurement, MeasurementConfig

from probe.engine.model import VideoLM
from probe.grounder import ground
from probe.grounding.presets import PRESETS
from probe.metrics import spatial_iou

COMPARED_PRESETS = {name: PRESETS[name] for name in ("plain", "best", "paper", "released-code")}
"""Presets that choose by attention: the committed numbers compare these."""


def measure(measurement: Measurement) -> Numbers:
    """Measure how often the right track is chosen, by preset and kind of candidates."""
    records = measurement.measure_cases(_check_choices)
    # A failed clip leaves no record, so it is added as a wrong choice of every preset.
    missed = [0.0] * len(records.failed)
    names = [name for name in records.values[0] if name != "chance"]
    return {
        **measurement.provenance(records),
        "chance": float(np.mean(records.entries("chance").values)),
        "right": {name: summary([*records.entries(name), *missed]) for name in names},
    }


def _check_choices(model: VideoLM, case: Case) -> dict[str, float]:
    """Return 1 for each preset and kind of candidates if the right track was chosen, else 0."""
    right = {"chance": 1 / len(case.tracks)}
    for preset, config in COMPARED_PRESETS.items():
        for kind, tracks in (("true", case.tracks), ("proposed", case.candidates)):
            answer = ground(model, case.video, case.query, tracks, config=config)
            # Overlap and not identity: a proposed track is never the true one itself.
            chosen = answer.track.interpolated(case.truth.frames)
            right[f"{preset}, {kind} tracks"] = float(
                spatial_iou(chosen, case.truth) > SAME_OBJECT_OVERLAP
            )
    return right


def draw(numbers: Numbers) -> Figure:
    """Draw a dot with its interval for each preset and kind of candidates, and chance as a line."""
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

"""Through its last role token the organism points at the right object; not through the most active.

python analyses/right_track.py              draw from the stored numbers (seconds)
python analyses/right_track.py --measure    measure them again (two CPU cores, two minutes)
"""

from typing import Any

import numpy as np
from common import numbers_of, origin, run
from matplotlib.figure import Figure

from probe.grounder import PRESETS, ground
from probe.metrics import bootstrap_interval, spatial_iou
from probe.model import ORGANISM, VideoLM, load
from probe.organism.benchmark import SHAPES_TEST, Case

NUMBERS = numbers_of(__file__)

CLIPS = 50
SAME = 0.5
"""Mean box overlap over the true span from which the chosen track is the queried object's."""


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """How often the chosen track is the queried object's, by preset and kind of candidates."""
    model = load(checkpoint)
    cases = list(SHAPES_TEST.cases(clips))
    right = {
        f"{preset}, {kind}": [_is_right(model, case, preset, kind) for case in cases]
        for preset in PRESETS
        for kind in ("true tracks", "proposed tracks")
    }
    return {
        **origin(model, SHAPES_TEST, clips),
        "chance": float(np.mean([1 / len(case.tracks) for case in cases])),
        "right": {
            name: {"share": float(np.mean(values)), "interval": bootstrap_interval(values)}
            for name, values in right.items()
        },
    }


def _is_right(model: VideoLM, case: Case, preset: str, kind: str) -> float:
    """1 if the right track was chosen, else 0."""
    tracks = case.tracks if kind == "true tracks" else None
    answer = ground(model, case.clip.video(), case.query, tracks, config=PRESETS[preset])
    chosen = answer.track.interpolated(case.truth.frames)
    return float(spatial_iou(chosen, case.truth) > SAME)


def draw(numbers: dict[str, Any]) -> Figure:
    """One point with its interval for each way of answering, and chance as a line."""
    figure = Figure(figsize=(5.6, 2.6), layout="constrained", dpi=150)
    axes = figure.subplots()
    names = list(numbers["right"])
    shares = np.array([numbers["right"][name]["share"] for name in names])
    low, high = np.array([numbers["right"][name]["interval"] for name in names]).T
    axes.errorbar(shares, names, xerr=[shares - low, high - shares], fmt="o", color="#0072B2")
    axes.axvline(numbers["chance"], color="#9a9a9a", ls="--", lw=1)
    axes.annotate(
        "chance", (numbers["chance"], 1), xycoords=("data", "axes fraction"), ha="center",
        xytext=(0, 2), textcoords="offset points", fontsize=8, color="#6a6a6a",
    )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    axes.set_xlabel(f"right track, share of {numbers['cases']} clips")
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)

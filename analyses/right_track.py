"""The organism's grounding token points at the right object far more often than chance.

python analyses/right_track.py              draw from the stored numbers (seconds)
python analyses/right_track.py --measure    measure them again (two CPU cores, a minute)
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from probe.grounder import PRESETS, ground
from probe.model import VideoLM, load
from probe.organism.world import Clip, make_clip
from probe.tubes import Tube

HERE = Path(__file__).parent
NUMBERS = HERE / "numbers" / "right_track.json"
FIGURE = HERE / "figures" / "right_track.pdf"

SEED = 2026
CLIPS = 50
SAME = 0.5
"""Mean box overlap over the sampled frames from which a proposed track is the true one."""


def measure(clips: int = CLIPS) -> dict[str, Any]:
    """How often the chosen track is the queried object's, by preset and kind of candidates."""
    model = load()
    world = [make_clip((SEED, index)) for index in range(clips)]
    right = {
        f"{preset}, {kind}": [_is_right(model, clip, preset, kind) for clip in world]
        for preset in PRESETS
        for kind in ("true tracks", "proposed tracks")
    }
    weights = resources.files("probe.organism") / "weights" / "model.safetensors"
    return {
        "clips": clips,
        "seed": SEED,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "versions": {name: version(name) for name in ("torch", "transformers", "nnsight")},
        "chance": float(np.mean([1 / len(clip.things) for clip in world])),
        "right": {
            name: {"share": float(np.mean(values)), "interval": _interval(values)}
            for name, values in right.items()
        },
    }


def _is_right(model: VideoLM, clip: Clip, preset: str, kind: str) -> bool:
    thing = clip.things[0]
    tracks = [one.track() for one in clip.things] if kind == "true tracks" else None
    answer = ground(model, clip.video(), thing.query, tracks, config=PRESETS[preset])
    return _overlap(answer.track, thing.track(), answer.video.indices) > SAME


def _overlap(one: Tube, other: Tube, frames: Sequence[int]) -> float:
    """Mean box overlap (IoU) over some frames."""
    a, b = one.interpolated(frames).boxes, other.interpolated(frames).boxes
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    areas = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1)
    return float((shared / (areas - shared)).mean())


def _interval(values: Sequence[bool], draws: int = 10_000) -> list[float]:
    """The 95 % bootstrap interval of a share."""
    chosen = np.random.default_rng(0).choice(np.asarray(values, float), (draws, len(values)))
    return [float(edge) for edge in np.quantile(chosen.mean(axis=1), (0.025, 0.975))]


def draw(numbers: dict[str, Any]) -> Figure:
    """One point with its interval for each way of answering, and chance as a line."""
    figure = Figure(figsize=(5.2, 2.2), layout="constrained")
    axes = figure.subplots()
    names = list(numbers["right"])
    shares = np.array([numbers["right"][name]["share"] for name in names])
    low, high = np.array([numbers["right"][name]["interval"] for name in names]).T
    axes.errorbar(shares, names, xerr=[shares - low, high - shares], fmt="o", color="#0072B2")
    axes.axvline(numbers["chance"], color="#9a9a9a", ls="--", lw=1)
    axes.text(numbers["chance"], -0.75, "chance", ha="center", va="bottom", fontsize=8)
    axes.set(
        xlim=(0, 1), ylim=(len(names) - 0.5, -0.8), xlabel="share of clips with the right track"
    )
    return figure


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        NUMBERS.write_text(json.dumps(measure(), indent=1) + "\n")
    FIGURE.parent.mkdir(exist_ok=True)
    draw(json.loads(NUMBERS.read_text())).savefig(FIGURE)

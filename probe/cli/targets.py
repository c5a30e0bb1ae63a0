"""`probe ground --all`: all that a query means, where it may mean several things."""

from dataclasses import replace
from typing import TYPE_CHECKING

from probe.cli.console import show

if TYPE_CHECKING:
    from probe.grounding.answers import Answer
    from probe.grounding.config import GrounderConfig


def choose_all(config: "GrounderConfig") -> "GrounderConfig":
    """Return the same choices, by which all tracks of great effect are given.

    Raises:
        ValueError: if the scores of the track rule are no effects on the answer.
    """
    from probe.grounding.targets import NearBest
    from probe.grounding.track_rules import CausalEffect

    if not isinstance(config.track, CausalEffect):
        name = getattr(config.track, "__name__", type(config.track).__name__)
        raise ValueError(
            f"--all: scores of {name} are no effects on the model's answer, of which a share would "
            "mean something; give --preset causal or noun"
        )
    return replace(config, targets=NearBest())


def print_targets(answer: "Answer") -> None:
    """Print what else the query may mean, one line for each, if all of it was asked for."""
    from probe.grounding.targets import list_others

    if answer.config.targets is None:
        return
    others = list_others(answer.targets, answer.track)
    show(f"also    {len(others) or 'no'} other candidate{'' if len(others) == 1 else 's'}")
    for other in others:
        label = f" ({other.track.label})" if other.track.label else ""
        start, stop = (answer.video.time_at(frame) for frame in (other.span.start, other.span.stop))
        time = "" if answer.video.is_still else f", {start:.2f} to {stop:.2f} s"
        corners = "  ".join(f"{edge:7.1f}" for edge in other.tube.boxes[len(other.tube) // 2])
        show(f"        candidate {other.candidate + 1}{label}, score {other.score:.3g}{time}")
        show(f"        middle box   x1 y1 x2 y2 = {corners}")

"""The response maps that come with the package: those of the shipped model, learned on shapes.

`probe responses train --data shapes --layer 4` made them, in a few minutes; after a change of the
shipped weights they have to be made again.
"""

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.trained.responses.responses import Responses

FILE = "organism.safetensors"


@cache  # read once: every query of an evaluation asks for them
def load_shipped() -> Responses:
    """Load the response maps of the shipped model."""
    with resources.as_file(resources.files("probe.trained.responses") / FILE) as path:
        return Responses.of(Responses.load(path).learned)


def shipped_responses(view: View, query: str) -> Heatmap:
    """Compute the response map of the shipped model, as `Responses.heatmap` does.

    Raises:
        ValueError: if the view is of another model, or `Responses.heatmap` refuses it.
    """
    return load_shipped().heatmap(view, query)


def check_maps(rule: Callable[..., Any] | None, model: VideoLM) -> None:
    """Refuse a rule for maps that was learned on another model, before a video is read.

    Any other rule may be of any model.

    Raises:
        ValueError: if `Responses.check` refuses the model.
    """
    if rule is shipped_responses:
        load_shipped().check(model)
    elif isinstance(rule, Responses):
        rule.check(model)

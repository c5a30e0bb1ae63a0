"""The response maps that come with the package: those of the shipped model, learned on shapes.

`probe responses train --data shapes --layer 4` made them, in a few minutes; after a change of the
shipped weights they have to be made again.
"""

from functools import cache
from importlib import resources

from probe.engine.attention import Heatmap
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

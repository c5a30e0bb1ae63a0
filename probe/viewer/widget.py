"""Show the page in a notebook, with the same script and style, through anywidget."""

import base64
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.readings import Reading
from probe.grounding.answers import Answer
from probe.interpret.logit_lens import LogitLens
from probe.pictures.html import figure_as_png
from probe.video import Tube, Video
from probe.viewer.compression import Budget
from probe.viewer.page import load_script, load_style
from probe.viewer.scene import Scene
from probe.viewer.scene_json import encode_scene
from probe.viewer.scene_reading import as_scene
from probe.viewer.still import draw_scene

NOTEBOOK_BUDGET = Budget(600_000, 1_500_000, lens_words=120_000, picture_bytes=800_000)
"""Half as much as a page holds, because a notebook saves the content of its widgets."""


class Viewer(anywidget.AnyWidget):
    """One scene in a notebook; a still picture of it where no widget can run."""

    # anywidget wants these on the class. This module is imported when `probe.show` is first used.
    _esm = load_script("widget.js")
    _css = load_style()
    scene = traitlets.Unicode().tag(sync=True)

    def __init__(self, shown: Scene, budget: Budget) -> None:
        super().__init__(scene=encode_scene(shown, budget))
        self._shown = shown

    def _repr_mimebundle_(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add the still picture: Jupyter takes the widget, and a code host the picture."""
        data, about = super()._repr_mimebundle_(**given) or ({}, {})
        still = base64.b64encode(figure_as_png(draw_scene(self._shown)))
        return {**data, "image/png": still.decode("ascii")}, about


def show(  # noqa: PLR0913  the choices of as_scene, and the budget
    seen: Scene | Answer | Reading,
    video: Video | None = None,
    *,
    generic: Reading | None = None,
    before: Reading | None = None,
    model: VideoLM | None = None,
    truth: Tube | None = None,
    lens: LogitLens | None = None,
    maps: Mapping[str, Heatmap] | None = None,
    budget: Budget = NOTEBOOK_BUDGET,
) -> Viewer:
    """Show something in a notebook, as `page` shows it in a browser.

    Args:
        seen: A scene, an answer, or a reading.
        video: The video that a reading was read from; scenes and answers bring their own.
        generic: The generic prompt's reading, for relative attention.
        before: The reading before re-attention.
        model: The model of an answer, to read it again at every layer, with the generic prompt.
        truth: The true place of the thing, if that is known.
        lens: The words that each cell would say (`probe.logit_lens`), to click a cell and see them.
        maps: Further maps of the same cells by their names, such as a word lens.
        budget: How much of the attention is kept.

    Raises:
        ValueError: if a reading comes without its video or a loaded answer without its model, the
            readings do not fit together, the lens or a map is of other cells, or attention is not
            finite.
    """
    scene = as_scene(
        seen,
        video,
        generic=generic,
        before=before,
        model=model,
        truth=truth,
        lens=lens,
        maps=maps,
    )
    return Viewer(scene, budget)

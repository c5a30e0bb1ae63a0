"""The interactive page: a video, where each token looks in it, layer by layer and head by head.

This room makes a scene of readings and answers, compresses it into a page or a notebook's widget,
and holds the page's JavaScript in `static`. It may use the grounder and everything below it, and is
used by the command line only.
"""

from probe.viewer.answer_scene import open_answer, show_answer
from probe.viewer.compression import Budget
from probe.viewer.page import page, save_page
from probe.viewer.scene import Scene, ShownQuestion
from probe.viewer.scene_reading import as_scene, ask_questions

__all__ = [
    "Budget",
    "Scene",
    "ShownQuestion",
    "as_scene",
    "ask_questions",
    "open_answer",
    "page",
    "save_page",
    "show_answer",
]

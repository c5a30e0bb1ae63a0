"""The interactive page: a video, where each token looks in it, layer by layer and head by head.

This room makes a scene of readings and answers, compresses it into a page or a notebook's widget,
and holds the page's JavaScript in `static`. It may use the grounder and everything below it, and is
used by the command line only.
"""

from probe.viewer.compression import Budget
from probe.viewer.page import page, save_page
from probe.viewer.scene import Scene, ShownQuestion, as_scene
from probe.viewer.scene_reading import ask_questions, open_answer, read_answer

__all__ = [
    "Budget",
    "Scene",
    "ShownQuestion",
    "as_scene",
    "ask_questions",
    "open_answer",
    "page",
    "read_answer",
    "save_page",
]

"""The interactive page: a video, where each token looks in it, layer by layer and head by head."""

from probe.viewer.page import page, save_page
from probe.viewer.scene import Scene, Sight, as_scene
from probe.viewer.strongest import Budget
from probe.viewer.watching import open_record, scene_of_questions, scene_of_record

__all__ = [
    "Budget",
    "Scene",
    "Sight",
    "as_scene",
    "open_record",
    "page",
    "save_page",
    "scene_of_questions",
    "scene_of_record",
]

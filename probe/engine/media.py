"""Media: a model is shown a video or a picture, which template, processor and questions call so."""

from typing import Literal, TypeAlias

Medium: TypeAlias = Literal["video", "image"]
"""The form in which a model is shown something, as chat templates and processors name it."""


def name_medium(text: str, medium: Medium) -> str:
    """Call a picture a picture in a text of ours that speaks of "this video".

    >>> name_medium("Is there a cat in this video?", "image")
    'Is there a cat in this image?'
    """
    return text.replace("this video", f"this {medium}")

"""The entry of a checkpoint: by its architecture, and by what it is shown."""

import reprlib

from probe.engine.families.family import Family
from probe.engine.families.pictures import PICTURES
from probe.engine.families.refused import REFUSED
from probe.engine.families.table import FAMILIES
from probe.video import Video


def family_of(model_type: str) -> Family:
    """Return the entry for an architecture, by its name in `config.json`.

    That for videos, where the model reads both videos and pictures.

    Raises:
        ValueError: if the architecture has no entry.
    """
    if (reason := REFUSED.get(model_type)) is not None:
        raise ValueError(f"{model_type} models are not supported: {reason}")
    if (found := FAMILIES.get(model_type, PICTURES.get(model_type))) is None:
        known = ", ".join(sorted({*FAMILIES, *PICTURES}))
        given = reprlib.repr(model_type)
        raise ValueError(f"{given} models are not supported; supported: {known}")
    return found


def entry_for(family: Family, video: Video) -> Family:
    """Return the entry by which a model reads this video or picture.

    A single frame is read as a picture where the model has an entry for pictures, and else as a
    video of one frame.

    Raises:
        ValueError: if the model is shown one picture at a time, and the video has several frames.
    """
    if family.medium == ("image" if video.is_still else "video"):
        return family
    if video.is_still:
        return PICTURES.get(family.model_type, family)
    if family.model_type in FAMILIES:
        return FAMILIES[family.model_type]
    raise ValueError(
        f"{family.model_type} models are shown one picture at a time, and this video has "
        f"{len(video)} frames; give a picture, or one frame of it: --frames 1, or "
        "probe.read_video(path, 1)"
    )

"""What each architecture calls its parts, and how its visual tokens tile a video, as data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from probe.grids import Cells
from probe.tubes import Box
from probe.video import Video

Inputs: TypeAlias = dict[str, Any]
"""What a processor made of a video and a text."""


@dataclass(frozen=True)
class Family:
    """One architecture of video language model."""

    model_type: str
    """The name in the checkpoint's `config.json`."""

    language_model: str
    """Where the decoder is, from the whole model; its layers are at `.layers`."""

    placeholder: str
    """The entry of the configuration that holds the id of the visual tokens' placeholder."""

    cells: Callable[[Any, Any, Video, Inputs], Cells]
    """How the visual tokens tile the video: of configuration, processor, video and inputs."""


def family_of(config: Any) -> Family:
    """The entry for a checkpoint's configuration.

    Raises:
        ValueError: if the architecture has no entry.
    """
    if (found := FAMILIES.get(config.model_type)) is None:
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"{config.model_type!r} models are not supported; supported: {known}")
    return found


def shown_region(video: Video, processor: Any) -> Box:
    """The part of a source frame that is left after the processor's resizing and cropping."""
    height, width = video.size
    options = processor.video_processor
    if not options.do_center_crop:
        return 0.0, 0.0, float(width), float(height)
    scale = 1.0
    if options.do_resize and options.size.get("shortest_edge"):
        scale = min(height, width) / options.size["shortest_edge"]
    elif options.do_resize:
        return 0.0, 0.0, float(width), float(height)
    wide = min(width, options.crop_size["width"] * scale)
    tall = min(height, options.crop_size["height"] * scale)
    left, top = (width - wide) / 2, (height - tall) / 2
    return left, top, left + wide, top + tall


def _llava_next_video(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """One square of pooled patches for each sampled frame."""
    frames, (height, width) = len(video), inputs["pixel_values_videos"].shape[-2:]
    step = config.vision_config.patch_size * config.spatial_pool_stride
    sources = tuple((index,) for index in video.indices)
    assert frames == inputs["pixel_values_videos"].shape[1]
    return Cells(sources, height // step, width // step, shown_region(video, processor))


FAMILIES = {
    family.model_type: family
    for family in (
        Family(
            model_type="llava_next_video",
            language_model="model.language_model",
            placeholder="video_token_index",
            cells=_llava_next_video,
        ),
    )
}

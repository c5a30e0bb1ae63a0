"""Families: the names of each architecture's parts, and how its visual tokens tile a video.

To add a family:

1. Find the decoder, the part whose layers are at `.layers`, in the architecture's source:
   `language_model`, or else. That is `language_model` below.
2. Find the entry of the configuration with the id that marks a visual token: `placeholder`.
3. Say which source frames, rows and columns these tokens are, in a function of a few lines that
   gives `Cells`; `shown_region` knows of resizing and cropping. Measure the pictures that the
   processor made, do not count tokens: their number is the proof.
4. Count tokens that bear the same id and are no cells: `heading` a frame, `trailing` at the end.
5. Put the entry into `FAMILIES`.
6. Build a tiny checkpoint of random weights in `tests/zoo.py`; `probe check-model` is the proof.
"""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from probe.engine.grids import Cells, VisualGrid
from probe.video import Box, Video

Inputs: TypeAlias = dict[str, Any]
"""The inputs that a processor made of a video and a text."""


@dataclass(frozen=True)
class Family:
    """One architecture of video language model."""

    model_type: str
    """The name in the checkpoint's `config.json`."""

    cells: Callable[[Any, Any, Video, Inputs], Cells]
    """Function that tells how the visual tokens tile the video: of configuration, processor, video
    and inputs."""

    placeholder: str = "video_token_id"
    """The entry of the configuration that holds the id of the visual tokens' placeholder."""

    language_model: str = "model.language_model"
    """Path of the decoder from the whole model; its layers are at `.layers`."""

    heading: int = 0
    """Placeholders before the cells of each frame that are no cells, such as a class token."""

    trailing: int = 0
    """Placeholders after the last frame that are no cells, such as a line's end."""

    frames: int = 20
    """The number of frames to sample where the checkpoint does not say; 20 in the paper."""

    largest_sizes: tuple[int, int] = (2**13, 2**13)
    """The largest sizes of a processor that are believed: of a longest edge, and of any other; in
    pixels of an edge, with which it would ask for a gigabyte a frame."""

    def grid(self, config: Any, processor: Any, video: Video, inputs: Inputs) -> VisualGrid:
        """Find which position of the sequence is which cell of the video.

        Raises:
            ValueError: if there are not as many placeholders as the cells need.
        """
        marked = inputs["input_ids"][0].cpu() == getattr(config, self.placeholder)
        (positions,) = torch.nonzero(marked, as_tuple=True)
        cells = self.cells(config, processor, video, inputs)
        frames, rows, columns = cells.shape
        # Counting is the proof that the entry is true of the checkpoint: a wrong pooling, size or
        # special token gives another number.
        each = self.heading + rows * columns
        if len(positions) != frames * each + self.trailing:
            raise ValueError(
                f"{len(positions)} visual tokens cannot tile {frames} frames of {rows} x {columns} "
                f"cells as {self.model_type} models do; is the processor this checkpoint's own?"
            )
        framed = positions[: frames * each].unflatten(0, (frames, each))
        return VisualGrid(framed[:, self.heading :].flatten(), cells)


def family_of(model_type: str) -> Family:
    """Return the entry for an architecture, by its name in `config.json`.

    Raises:
        ValueError: if the architecture has no entry.
    """
    if (found := FAMILIES.get(model_type)) is None:
        known = ", ".join(sorted(FAMILIES))
        given = reprlib.repr(model_type)
        raise ValueError(f"{given} models are not supported; supported: {known}")
    return found


def shown_region(video: Video, processor: Any) -> Box:
    """Compute the part of a source frame that is left after the processor's resizing and cropping.

    Larger than the frame where a crop larger than the picture pads it.
    """
    height, width = video.size
    options = processor.video_processor
    if not options.do_center_crop:
        return 0.0, 0.0, float(width), float(height)
    # A crop is cut out of the resized picture, so it is scaled back to the source's pixels.
    scale = 1.0
    if options.do_resize and options.size.get("shortest_edge"):
        scale = min(height, width) / options.size["shortest_edge"]
    elif options.do_resize:
        return 0.0, 0.0, float(width), float(height)
    wide, tall = options.crop_size["width"] * scale, options.crop_size["height"] * scale
    left, top = (width - wide) / 2, (height - tall) / 2
    return left, top, left + wide, top + tall


def _one_by_one(video: Video, processor: Any, rows: int, columns: int) -> Cells:
    """Make the cells of frames that are seen one at a time."""
    sources = tuple((index,) for index in video.indices)
    return Cells(sources, rows, columns, shown_region(video, processor))


def _patches(pictures: torch.Tensor, patch: int | list[int] | tuple[int, int]) -> tuple[int, int]:
    """Count the rows and columns of patches that the vision tower sees."""
    tall, wide = (patch, patch) if isinstance(patch, int) else patch
    height, width = pictures.shape[-2:]
    return height // tall, width // wide


def _llava_next_video(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """Cells of LLaVA-NeXT-Video: a square of patches for each frame, pooled."""
    rows, columns = _patches(inputs["pixel_values_videos"], config.vision_config.patch_size)
    stride = config.spatial_pool_stride
    return _one_by_one(video, processor, rows // stride, columns // stride)


def _llava_onevision(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """A square of patches for each frame, resampled to half its side, rounded up."""
    rows, columns = _patches(inputs["pixel_values_videos"], config.vision_config.patch_size)
    return _one_by_one(video, processor, -(-rows // 2), -(-columns // 2))


def _qwen(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """Patches over two successive frames, merged two by two; the last frame pads an odd number."""
    # The grid counts patches before merging; a temporal patch covers consecutive sampled frames,
    # and the processor repeats the last frame where their number is odd.
    merged = config.vision_config.spatial_merge_size
    together = config.vision_config.temporal_patch_size
    _, rows, columns = inputs["video_grid_thw"][0].tolist()
    starts = range(0, len(video), together)
    sources = tuple(video.indices[start : start + together] for start in starts)
    return Cells(sources, rows // merged, columns // merged, shown_region(video, processor))


def _internvl(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """A square of patches for each frame, shuffled together two by two; videos have no tiles."""
    rows, columns = _patches(inputs["pixel_values"], config.vision_config.patch_size)
    merged = round(1 / config.downsample_ratio)
    return _one_by_one(video, processor, rows // merged, columns // merged)


def _smolvlm(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """A square of patches for each frame, shuffled together; videos have no tiles."""
    rows, columns = _patches(inputs["pixel_values"], config.vision_config.patch_size)
    return _one_by_one(
        video, processor, rows // config.scale_factor, columns // config.scale_factor
    )


def _video_llava(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """A square of patches for each frame."""
    rows, columns = _patches(inputs["pixel_values_videos"], config.vision_config.patch_size)
    return _one_by_one(video, processor, rows, columns)


AREAS = (2**30, 2**24)
"""The largest sizes where they count the pixels of all frames, which are cut down to the longest
edge, and of a frame, which is blown up to the shortest."""

FAMILIES = {
    family.model_type: family
    for family in (
        Family("llava_next_video", _llava_next_video),
        Family("llava_onevision", _llava_onevision, trailing=1),
        Family("qwen2_vl", _qwen, largest_sizes=AREAS),
        Family("qwen2_5_vl", _qwen, largest_sizes=AREAS),
        Family("qwen3_vl", _qwen, largest_sizes=AREAS),
        Family("internvl", _internvl, placeholder="image_token_id"),
        Family(
            "smolvlm", _smolvlm, placeholder="image_token_id", language_model="model.text_model"
        ),
        Family("video_llava", _video_llava, heading=1, frames=8),
    )
}

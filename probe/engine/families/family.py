"""The entry of one family, and the part of a frame that a processor leaves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from probe.engine.grids import Cells, VisualGrid
from probe.engine.media import Medium
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

    trailing: int | Callable[[Any, Any, Video, Inputs], int] = 0
    """Placeholders after the last frame that are no cells, such as a line's end; or a function that
    counts them, with the arguments of `cells`."""

    frames: int = 20
    """The number of frames to sample where the checkpoint does not say; 20 in the paper."""

    largest_sizes: tuple[int, int] = (2**13, 2**13)
    """The largest sizes of a processor that are believed: of a longest edge, and of any other; in
    pixels of an edge, with which it would ask for a gigabyte a frame."""

    processing: Mapping[str, Any] = field(default_factory=dict)
    """Options with which the processor is called, whatever its files say, or functions that compute
    them of the video: those without which cells would have no token of their own, or the model no
    positions in time."""

    template: Mapping[str, Any] = field(default_factory=lambda: {"enable_thinking": False})
    """Variables handed to the chat template. Nearly all that think have this switch by this name;
    a yes or no cannot be read where a thought begins."""

    tiled: bool = False
    """True if tokens after the cells show parts of the picture again; these have no cells."""

    medium: Medium = "video"
    """The form in which the model is shown what it looks at."""

    frame_marks: tuple[str, str] | None = None
    """Marks that the processor writes around each frame, so that the same marks of the template
    around the whole video are left out; None where those of the template are meant."""

    part: str = ""
    """The part of the model that reads, such as "thinker", where other parts speak; its settings
    are in an entry of that name and `_config`."""

    left_out: tuple[str, ...] = ()
    """Beginnings of the names of weights that belong to parts which do not read."""

    def config_of(self, config: Any) -> Any:
        """Return the configuration of the part that reads."""
        return getattr(config, f"{self.part}_config") if self.part else config

    def owns(self, weight: str) -> bool:
        """Tell whether a weight of the checkpoint, by its name, belongs to the part that reads."""
        return not weight.startswith(self.left_out)

    def options_for(self, video: Video) -> dict[str, Any]:
        """Return the options with which the processor is called for a video."""
        return {
            name: value(video) if callable(value) else value
            for name, value in self.processing.items()
        }

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
        each, after = self.heading + rows * columns, self.trailing
        if not isinstance(after, int):
            after = after(config, processor, video, inputs)
        if len(positions) != frames * each + after:
            raise ValueError(
                f"{len(positions)} visual tokens cannot tile {frames} frames of {rows} x {columns} "
                f"cells as {self.model_type} models do; is the processor this checkpoint's own?"
            )
        framed = positions[: frames * each].unflatten(0, (frames, each))
        return VisualGrid(framed[:, self.heading :].flatten(), cells)


def shown_region(video: Video, processor: Any) -> Box:
    """Compute the part of a source frame that is left after the processor's resizing and cropping.

    Larger than the frame where a crop larger than the picture pads it.
    """
    return uncropped_region(video, processor.video_processor)


def uncropped_region(video: Video, options: Any) -> Box:
    """Compute the part of a source frame that a part of the processor leaves, by its settings."""
    height, width = video.size
    if not getattr(options, "do_center_crop", False):
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

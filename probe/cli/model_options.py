"""Options that say which model looks at a video and how it is opened; shared by commands."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from tyro.conf import arg

from probe.cli.console import silence_libraries
from probe.cli.numbers import check_numbers
from probe.engine.model_names import check_name

if TYPE_CHECKING:
    from probe.engine.model import VideoLM
    from probe.engine.model_files import ModelFiles
    from probe.video import Video


# Repeated here, because `probe.grounding.presets.PRESETS` is in a module that imports torch.
PresetName: TypeAlias = Literal[
    "causal", "noun", "best", "entropy-gradient", "plain", "paper", "released-code"
]

DEFAULT_PRESET: PresetName = "causal"
"""The preset of a command that is given none, whatever the model: nothing in it was chosen for
one."""

MOST_BY_RATE = 100_000
"""Most frames of a rate that was asked for: two days at one frame in two seconds."""


@dataclass(frozen=True)
class LoadOptions:
    """Options for opening a checkpoint, and for the hardware that it runs on."""

    revision: Annotated[str | None, arg(metavar="REVISION")] = None
    """Branch, tag or commit of a checkpoint on the hub."""

    device: Annotated[str, arg(metavar="DEVICE")] = "auto"
    """The device of the model: auto for the best there is (the shipped model is small enough for
    the CPU), cpu, cuda, cuda:1 ..., or spread to spread the layers over all there are."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the weights; auto is the type they were saved in."""

    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    """The implementation of attention while a video is read."""

    quantize: Annotated[Literal["8bit", "4bit"] | None, arg(metavar="{8bit,4bit}")] = None
    """Hold the weights in fewer bits, where bitsandbytes is installed."""

    chat_template: Annotated[Path | None, arg(metavar="FILE")] = None
    """File of the template in which questions are written, if the checkpoint has none or a wrong
    one."""

    adapter: Annotated[str | None, arg(metavar="DIR")] = None
    """Folder of a LoRA adapter, or its name on the hub; added to the model by peft, not merged."""

    max_pixels: Annotated[int | None, arg(metavar="N")] = None
    """The most pixels that are kept of a frame, in models that keep its shape; by default as many
    as their authors document for videos."""

    quiet: bool = False
    """Show no progress bars and no notes; results and errors stay."""

    debug: bool = False
    """Show the full traceback of an error."""


@dataclass(frozen=True)
class ModelOptions(LoadOptions):
    """Options for the model that looks at a video, and for the hardware that it runs on."""

    model: Annotated[str, arg(metavar="MODEL")] = "organism"
    """A checkpoint's folder, or its name on the Hugging Face hub."""

    frames: Annotated[int | None, arg(metavar="N")] = None
    """Frames to sample; by default as many as the model was made for, else 20."""

    def check(self) -> None:
        """Refuse a misspelt name of a model and numbers that cannot be, before any work is done.

        Raises:
            ValueError: if there are such.
        """
        check_name(self.model)
        check_numbers(self, frames=1, max_pixels=1)


@dataclass(frozen=True)
class VideoOptions(ModelOptions):
    """Options for the model, and for the part of one video that it is shown."""

    fps: Annotated[float | None, arg(metavar="RATE")] = None
    """Frames to sample for each second, in place of --frames."""

    start: Annotated[float | None, arg(metavar="SECONDS")] = None
    """Show the model the video from here on alone; times are then counted from here."""

    end: Annotated[float | None, arg(metavar="SECONDS")] = None
    """Show the model the video up to here alone."""

    def check(self) -> None:
        """Refuse a misspelt name, and options that contradict each other, before any work is done.

        Raises:
            ValueError: if there are such.
        """
        super().check()
        if self.fps is not None and self.frames is not None:
            raise ValueError("--fps and --frames both say how many frames; leave out one of them")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ValueError(f"--fps is {self.fps}; give a number above 0")
        check_numbers(self, start=0, end=0)
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"--start {self.start:g} is not before --end {self.end:g}")


def check_for_many(options: VideoOptions) -> None:
    """Refuse what is said of one video where there are many.

    Raises:
        ValueError: if something is.
    """
    given = {"--fps": options.fps, "--start": options.start, "--end": options.end}
    if named := [name for name, value in given.items() if value is not None]:
        raise ValueError(
            f"{' and '.join(named)}: said of one video, but there are many; leave it out, or give "
            f"--frames, which holds for each"
        )


def find_files(name: str, options: LoadOptions) -> "ModelFiles":
    """Find the files of a model by its folder, its name on the hub, or "organism", and check them.

    None of its weights is read.
    """
    check_name(name)  # at once: torch takes seconds to load
    check_numbers(options, max_pixels=1)
    from probe.engine.model_files import OpeningOptions, find_model

    silence_libraries()
    return find_model(
        name,
        OpeningOptions(
            device=options.device,
            dtype=options.dtype,
            revision=options.revision,
            attention=options.attention,
            quantize=options.quantize,
            chat_template=options.chat_template,
            adapter=options.adapter,
            pixels=options.max_pixels,
        ),
    )


def open_model(files: "ModelFiles", video: "Video | None" = None) -> "VideoLM":
    """Say in a note what a model is and what it costs, then read its weights.

    Args:
        files: The files of the model.
        video: The video that it will be shown; by default the costs of a usual one are told.

    Raises:
        ValueError: if the video does not fit in the model, or the weights cannot be read.
    """
    from probe.engine.model import open_files
    from probe.engine.model_names import SHIPPED

    about = files.describe(video)
    # A shipped model costs nothing that anybody would want to know before.
    if files.name not in SHIPPED:
        warnings.warn(str(about), stacklevel=2)
    return open_files(files)


def load_model(name: str, options: LoadOptions) -> "VideoLM":
    """Load a model by its folder, its name on the hub, or "organism"."""
    return open_model(find_files(name, options))


def find_model_and_video(source: Path, options: VideoOptions) -> "tuple[ModelFiles, Video]":
    """Find the files of the model, and read the video with as many frames as it was made for."""
    from probe.video import FrameRate, read_part, read_video
    from probe.video.checking import check_source

    options.check()
    check_source(source)  # a wrong file is told at once
    # The model comes first, because it decides how many frames are sampled; its weights come last,
    # because they may take minutes to read.
    files = find_files(options.model, options)
    frames = files.preferred_frames if options.frames is None else options.frames
    if options.fps is not None:
        frames = FrameRate(options.fps, most=MOST_BY_RATE)
    if options.start is None and options.end is None:
        return files, read_video(source, frames)
    return files, read_part(source, options.start, options.end, frames=frames)


def open_model_and_video(source: Path, options: VideoOptions) -> "tuple[VideoLM, Video]":
    """Read the video with as many frames as the model was made for, and load the model."""
    files, video = find_model_and_video(source, options)
    return open_model(files, video), video

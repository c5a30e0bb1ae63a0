"""Options that say which model looks at a video and how it is opened; shared by commands."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from tyro.conf import arg

from probe.cli.console import silence_libraries

if TYPE_CHECKING:
    from probe.engine.model import VideoLM
    from probe.video import Video


# Repeated here, because `probe.grounding.presets.PRESETS` is in a module that imports torch.
PresetName: TypeAlias = Literal[
    "causal", "noun", "best", "entropy-gradient", "plain", "paper", "released-code"
]

DEFAULT_PRESET: PresetName = "causal"
"""The preset of a command that is given none, whatever the model: nothing in it was chosen for
one."""

ORGANISM_NOTICE = (
    "the shipped model knows nothing but coloured shapes on plain backgrounds; expect a wrong "
    "answer on any other video, or give --model a real checkpoint"
)


@dataclass(frozen=True)
class LoadOptions:
    """Options for opening a checkpoint, and for the hardware that it runs on."""

    revision: Annotated[str | None, arg(metavar="REVISION")] = None
    """Branch, tag or commit of a checkpoint on the hub."""

    device: Annotated[str, arg(metavar="DEVICE")] = "cpu"
    """The device of the model: cpu, cuda, cuda:1 ..., or auto to spread it over what there is."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the weights; auto is the type they were saved in."""

    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    """The implementation of attention while a video is read."""

    quantize: Annotated[Literal["8bit", "4bit"] | None, arg(metavar="{8bit,4bit}")] = None
    """Hold the weights in fewer bits, where bitsandbytes is installed."""

    chat_template: Annotated[Path | None, arg(metavar="FILE")] = None
    """File of the template in which questions are written, if the checkpoint has none or a wrong
    one."""

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


def load_model(name: str, options: LoadOptions) -> "VideoLM":
    """Load a model by its folder, its name on the hub, or "organism"."""
    from probe.engine.model import load

    silence_libraries()
    return load(
        name,
        device=options.device,
        dtype=options.dtype,
        revision=options.revision,
        attention=options.attention,
        quantize=options.quantize,
        chat_template=options.chat_template,
        pixels=options.max_pixels,
    )


def open_model_and_video(source: Path, options: ModelOptions) -> "tuple[VideoLM, Video]":
    """Load the model, and read the video with as many frames as it was made for."""
    from probe.video import read_video
    from probe.video.checking import check_source

    check_source(source)  # a wrong file is told at once: opening a model takes seconds
    # The model comes first, because it decides how many frames are sampled.
    model = load_model(options.model, options)
    frames = model.preferred_frames if options.frames is None else options.frames
    return model, read_video(source, frames)

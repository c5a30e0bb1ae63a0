"""A video language model: `load` opens a checkpoint, `watch` shows it a video."""

from dataclasses import dataclass, replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    BitsAndBytesConfig,
)
from transformers.utils.import_utils import is_flash_attn_2_available

from probe.engine.checkpoint import Checkpoint
from probe.engine.decoder import Decoder
from probe.engine.families import family_of
from probe.engine.opening import DTYPES, check_dtype, check_folder, explain_failures, find_device
from probe.engine.view import View
from probe.video import Video, read_video

ORGANISM = "organism"
"""The name of the shipped model, where a checkpoint's name is asked for."""


@dataclass(frozen=True, eq=False)
class VideoLM:
    """A checkpoint ready to be shown videos."""

    name: str
    """Its identifier or folder."""

    revision: str | None
    """The revision asked for, or the commit that the hub resolved it to."""

    decoder: Decoder
    """The passes through it."""

    quantized: str | None = None
    """The bits that its weights were opened in, such as "4bit"; None for all they have."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The model with its processor."""
        return self.decoder.checkpoint

    def __repr__(self) -> str:
        about = self.identity
        return f"VideoLM({self.name}: {about['family']}, {self.depth} layers, {about['dtype']})"

    @property
    def is_organism(self) -> bool:
        """True for the shipped model, which knows nothing but coloured shapes."""
        return self.name == ORGANISM

    @property
    def identity(self) -> dict[str, str | int | None]:
        """The plain values by which an answer names its model."""
        return {
            "name": self.name,
            "revision": self.revision,
            "family": self.checkpoint.family.model_type,
            "dtype": str(self.checkpoint.dtype).removeprefix("torch."),
            "layers": self.depth,
            "quantized": self.quantized,
        }

    @property
    def depth(self) -> int:
        """The number of decoder layers."""
        return self.checkpoint.depth

    @property
    def preferred_frames(self) -> int:
        """The number of frames to sample for this model, unless there is a reason for another."""
        return self.checkpoint.preferred_frames

    def watch(self, video: Video | str | Path) -> View:
        """Show the model a video; the vision tower runs once, here.

        Args:
            video: The video; or its file or folder, of which as many frames are sampled as the
                model prefers.

        Raises:
            ValueError: if the video has more frames than fit in the model's context, or the
                model's visual tokens are not as many as its family's grid has cells.
        """
        if not isinstance(video, Video):
            video = read_video(video, self.preferred_frames)
        checkpoint = self.checkpoint
        # Templates and processors want some text; the question is cut off again.
        inputs, tail = checkpoint.process_with_tail(video, checkpoint.writer(before=0).text("?"))
        length = inputs["input_ids"].shape[1]
        if length > checkpoint.context:
            raise ValueError(
                f"{len(video)} frames make {length} tokens but {checkpoint.context} fit in the "
                f"context of {self.name}; sample fewer frames"
            )
        grid = checkpoint.grid(video, inputs)
        return View.of(self.decoder, self.name, video, grid, self.decoder.read_video(inputs, tail))


def load(
    checkpoint: str | Path = ORGANISM,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    revision: str | None = None,
    attention: str = "sdpa",
    quantize: str | None = None,
) -> VideoLM:
    """Open a checkpoint: the shipped organism, a folder, or a name on the Hugging Face hub.

    Only safetensors weights are read and no code of the checkpoint's is run. What its processor
    makes of a blank video is compared with its family's entry, which costs milliseconds;
    `check_model` proves more.

    Args:
        checkpoint: Folder or name; the shipped model by default.
        device: The device of the model, such as "cpu" or "cuda"; "auto" spreads it over all.
        dtype: "auto" for the type the weights were saved in (float32 for the organism), or
            "float32", "bfloat16", "float16".
        revision: Branch, tag or commit on the hub.
        attention: The implementation that computes attention while a video is read: "sdpa",
            "flash_attention_2" where flash-attn is installed, or "eager". Questions are always
            read with sdpa.
        quantize: "8bit" or "4bit" to hold the weights in fewer bits, where bitsandbytes is
            installed.

    Raises:
        ValueError: if there is no such checkpoint, its architecture is not supported or is not
            built as its family's entry says, its weights are not safetensors, an option is
            unknown, or a package that it needs is not installed.
    """
    if not isinstance(checkpoint, str | Path):
        raise ValueError(
            f"a checkpoint is given by its folder or its name on the hub, found "
            f"{type(checkpoint).__name__}; save the model and its processor with save_pretrained"
        )
    name = str(checkpoint)
    _check_options(dtype, attention, quantize)
    if name == ORGANISM:
        with resources.as_file(resources.files("probe.organism") / "weights") as folder:
            own = "float32" if dtype == "auto" else dtype
            model = _open(name, folder, None, device, _weights(device, own, attention, quantize))
    else:
        weights = _weights(device, dtype, attention, quantize)
        model = _open(name, name, revision, device, weights)
    return replace(model, quantized=quantize)


ATTENTION = ("sdpa", "flash_attention_2", "eager")
QUANTIZE = ("8bit", "4bit")


def _check_options(dtype: str, attention: str, quantize: str | None) -> None:
    check_dtype(dtype)
    if attention not in ATTENTION:
        raise ValueError(f"unknown attention {attention!r}; give one of {', '.join(ATTENTION)}")
    if attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise ValueError(
            "attention 'flash_attention_2' needs the package flash-attn and a GPU that it knows; "
            "install it, or give attention 'sdpa'"
        )
    if quantize not in (None, *QUANTIZE):
        raise ValueError(f"cannot quantize to {quantize!r}; give one of {', '.join(QUANTIZE)}")
    if quantize and find_spec("bitsandbytes") is None:
        raise ValueError(
            f"weights in {quantize} need the package bitsandbytes, which is not installed; "
            f"install it, or leave the weights as they are"
        )


def _weights(device: str, dtype: str, attention: str, quantize: str | None) -> dict[str, Any]:
    """Translate the options to those of transformers."""
    options: dict[str, Any] = {"dtype": DTYPES[dtype], "attn_implementation": attention}
    if device == "auto":
        options["device_map"] = "auto"
    elif quantize:
        options["device_map"] = {"": find_device(device)}  # placed as they are read
    if quantize == "8bit":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif quantize == "4bit":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16
        )
    return options


def _open(
    name: str, source: str | Path, revision: str | None, device: str, weights: dict[str, Any]
) -> VideoLM:
    placed = "device_map" in weights
    target = None if placed else find_device(device)
    check_folder(name, Path(source))
    options = {"revision": revision, "trust_remote_code": False}
    with explain_failures(name):
        config = AutoConfig.from_pretrained(source, **options)
    family = family_of(config)
    with explain_failures(name):
        module: Any = AutoModelForImageTextToText.from_pretrained(
            source, **options, **weights, use_safetensors=True
        )
        processor = AutoProcessor.from_pretrained(source, **options)
    decoder = Decoder(Checkpoint(module if placed else module.to(target), processor, family))
    decoder.check()
    return VideoLM(name, getattr(config, "_commit_hash", None) or revision, decoder)

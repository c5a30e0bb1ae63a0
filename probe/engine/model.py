"""A video language model: `load` opens a checkpoint, `watch` shows it a video."""

from copy import copy
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoProcessor,
    BitsAndBytesConfig,
)
from transformers.utils.import_utils import is_flash_attn_2_available

from probe.engine.chat_templates import set_template
from probe.engine.checkpoint import Checkpoint
from probe.engine.configuration import (
    Configuration,
    check_layers,
    check_packages,
    quantization_of,
    read_configuration,
)
from probe.engine.decoder import Decoder
from probe.engine.families import family_of
from probe.engine.opening import DTYPES, check_dtype, explain_failures, find_device, find_folder
from probe.engine.processors import check_processor
from probe.engine.stored_weights import (
    Stored,
    check_plain,
    check_quantized,
    compare,
    read_stored,
    refuse_broken,
    refuse_differences,
)
from probe.engine.view import View
from probe.spelling import find_similar
from probe.video import Video, read_video

ORGANISM = "organism"
"""The name of the shipped model, where a checkpoint's name is asked for."""

LIKENESS = 0.75
"""The least likeness, from 0 to 1, of a name that must be meant to be that of the shipped model: a
letter or two are wrong."""


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
        decoder = self._decoder_for(video)
        checkpoint = decoder.checkpoint
        # Templates and processors want some text; the question is cut off again.
        inputs, tail = checkpoint.process_with_tail(video, checkpoint.writer(before=0).text("?"))
        length = inputs["input_ids"].shape[1]
        if length > checkpoint.context:
            raise ValueError(
                f"{len(video)} frames make {length} tokens but {checkpoint.context} fit in the "
                f"context of {self.name}; sample fewer frames"
            )
        grid = checkpoint.grid(video, inputs)
        return View.of(decoder, self.name, video, grid, decoder.read_video(inputs, tail))

    def _decoder_for(self, video: Video) -> Decoder:
        """Return the passes with the entry of the family by which this video or picture is read."""
        checkpoint = self.checkpoint.for_video(video)
        if checkpoint is self.checkpoint:
            return self.decoder
        # A new one would wrap every module of the network again.
        decoder = copy(self.decoder)
        decoder.checkpoint = checkpoint
        return decoder


def load(  # noqa: PLR0913  each is an option of its own for whoever opens a checkpoint
    checkpoint: str | Path = ORGANISM,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    revision: str | None = None,
    attention: str = "sdpa",
    quantize: str | None = None,
    chat_template: str | Path | None = None,
) -> VideoLM:
    """Open a checkpoint: the shipped organism, a folder, or a name on the Hugging Face hub.

    Only safetensors weights are read and no code of the checkpoint's is run; its chat template is
    rendered once, in a process of its own. The weights must be exactly those that its configuration
    describes. What its processor makes of a blank video is compared with its family's entry, which
    costs milliseconds; `check_model` proves more.

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
        chat_template: A file of the template in which questions are written, or its text; by
            default the checkpoint's own, without which one must be given.

    Raises:
        ValueError: if there is no such checkpoint, one of its files is missing or damaged, its
            architecture is not supported or is not built as its family's entry says, its weights
            are not safetensors, are not finite, or are not those that its configuration describes,
            its chat template is missing or runs away, an option is unknown, or a package that it
            needs is not installed.
    """
    if not isinstance(checkpoint, str | Path):
        raise ValueError(
            f"a checkpoint is given by its folder or its name on the hub, found "
            f"{type(checkpoint).__name__}; save the model and its processor with save_pretrained"
        )
    name = str(checkpoint)
    _check_options(dtype, attention, quantize)
    if name == ORGANISM:
        own = "float32" if dtype == "auto" else dtype
        with resources.as_file(resources.files("probe.organism") / "weights") as folder:
            options = _weights(device, own, attention, quantize)
            decoder = _open(name, folder, device, options, chat_template)
        return VideoLM(name, None, decoder, quantize)
    # No repository on the hub has a name so like it, and nobody should wait for the network's word.
    if "/" not in name and not Path(name).exists() and find_similar(name, [ORGANISM], LIKENESS):
        raise ValueError(
            f"no model is called {name!r}; did you mean {ORGANISM}? Give a checkpoint's folder, "
            f"its name on the hub, or {ORGANISM} for the shipped model"
        )
    options = _weights(device, dtype, attention, quantize)
    folder = find_folder(name, revision)
    decoder = _open(name, folder, device, options, chat_template)
    # The hub's cache names the folder of a revision by its commit.
    commit = folder.name if folder.parent.name == "snapshots" else None
    return VideoLM(name, commit or revision, decoder, quantize)


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
    name: str,
    folder: Path,
    device: str,
    weights: dict[str, Any],
    chat_template: str | Path | None,
) -> Decoder:
    """Open the checkpoint in a folder, and refuse it unless it is what it says.

    All that costs nothing comes first: a wrong checkpoint is refused before its weights are read.
    """
    placed = "device_map" in weights
    target = None if placed else find_device(device)
    written = read_configuration(folder)
    family = family_of(written["model_type"])
    stored = _check_stored(name, folder, written)
    with explain_failures(name):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    set_template(processor, chat_template)
    check_processor(name, processor, config, family)
    module = _load_module(name, folder, config, stored, weights)
    decoder = Decoder(Checkpoint(module if placed else module.to(target), processor, family))
    decoder.check()
    return decoder


def _check_stored(name: str, folder: Path, written: Configuration) -> Stored:
    """Read what weights are stored, and compare it with what the configuration says of them."""
    quantization = quantization_of(written)
    if quantization is not None:
        check_packages(name, quantization)
    stored = read_stored(folder)
    if quantization is None:
        check_plain(name, stored)
    else:
        check_quantized(name, quantization, stored)
    check_layers(folder, written, len(stored))
    return stored


def _load_module(
    name: str, folder: Path, config: Any, stored: Stored, weights: dict[str, Any]
) -> Any:
    model_class: Any = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)]
    text = config.get_text_config()
    # Quantized weights have other names and shapes until their package has put them in place, so
    # it is only afterwards that they can be compared.
    quantized = any(getattr(part, "quantization_config", None) for part in (config, text))
    if not quantized:
        with explain_failures(name):
            differences = compare(model_class, config, stored)
        refuse_differences(name, differences)
    with explain_failures(name):
        module, differences = model_class.from_pretrained(
            folder,
            config=config,
            **weights,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # or the error would not say which
            output_loading_info=True,
        )
    if quantized:
        refuse_differences(name, differences)
    refuse_broken(name, module)
    return module

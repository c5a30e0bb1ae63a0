"""A checkpoint's files, found and checked before its weights are read, which may take minutes.

All that costs little comes first: options, device, configuration, processor, chat template,
adapter, the headers of the weights, and a model without memory that shows whether all of them fit.
"""

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
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

from probe.engine.adapters import Adapter, AdapterFiles, find_adapter
from probe.engine.blank_video import check_grid
from probe.engine.chat_templates import set_template
from probe.engine.checkpoint import Checkpoint
from probe.engine.configuration import (
    Configuration,
    check_layers,
    check_packages,
    quantization_of,
    read_configuration,
)
from probe.engine.description import ModelDescription, describe_checkpoint
from probe.engine.families import Family, family_of
from probe.engine.in_memory import refuse_waiting
from probe.engine.model_names import SHIPPED
from probe.engine.opening import (
    ADAPTER,
    BEST_DEVICE,
    DTYPES,
    check_dtype,
    explain_failures,
    find_device,
    find_folder,
)
from probe.engine.processors import check_processor
from probe.engine.stored_weights import (
    Stored,
    build_empty,
    check_plain,
    check_quantized,
    read_stored,
    refuse_broken,
    refuse_differences,
)
from probe.video import Sampling, Video

SPREAD = "spread"
"""The device that means all there are, layer by layer, and main memory for what is left."""

ATTENTION = ("sdpa", "flash_attention_2", "eager")
USUAL_OF_SHIPPED = "float32"
"""The number type of a shipped model, which is stored in half precision to be small."""

QUANTIZE = ("8bit", "4bit")

OF_PROCESSOR = frozenset({"chat_template", "pixels"})
"""Options for the processor alone, which can be given with a model in memory, too."""

KEPT_WHOLE = ("embed_tokens.weight", "lm_head.weight")
"""Ends of the names of weights that bitsandbytes does not hold in fewer bits."""

NO_FOLDER = "no-adapter-here"
"""A folder that no checkpoint has. Transformers looks for an adapter in the folder of a model, and
would put it into the model unasked."""


@dataclass(frozen=True)
class OpeningOptions:
    """Choices about how a checkpoint is opened, as `probe.load` documents them."""

    device: str = BEST_DEVICE
    dtype: str = "auto"
    revision: str | None = None
    attention: str = "sdpa"
    quantize: str | None = None
    chat_template: str | Path | None = None
    adapter: str | Path | None = None
    pixels: int | None = None

    def check(self) -> None:
        """Refuse options that are unknown, or need what is not there.

        Raises:
            ValueError: if there is one.
        """
        check_dtype(self.dtype)
        if self.device != SPREAD:
            find_device(self.device)
        if self.attention not in ATTENTION:
            known = ", ".join(ATTENTION)
            raise ValueError(f"unknown attention {self.attention!r}; give one of {known}")
        if self.attention == "flash_attention_2" and not is_flash_attn_2_available():
            raise ValueError(
                "attention 'flash_attention_2' needs the package flash-attn and a GPU that it "
                "knows; install it, or give attention 'sdpa'"
            )
        if self.quantize not in (None, *QUANTIZE):
            known = ", ".join(QUANTIZE)
            raise ValueError(f"cannot quantize to {self.quantize!r}; give one of {known}")
        if self.quantize and find_spec("bitsandbytes") is None:
            raise ValueError(
                f"weights in {self.quantize} need the package bitsandbytes, which is not "
                f"installed; install it, or leave the weights as they are"
            )

    def refuse_for_memory(self) -> None:
        """Refuse options about files for a model that is in memory, which stays as it is.

        Raises:
            ValueError: if one is given.
        """
        given = [
            option.name
            for option in fields(self)
            if option.name not in OF_PROCESSOR and getattr(self, option.name) != option.default
        ]
        if given:
            raise ValueError(
                f"{given[0]}={str(getattr(self, given[0]))!r} is for a checkpoint that is opened "
                f"here; a model in memory is used as it is: change it before you give it, and "
                f"leave {given[0]} out"
            )

    def choose_dtype(self, stored: Stored) -> torch.dtype:
        """Return the number type that the weights will have: the one asked for, or the stored."""
        chosen = DTYPES[self.dtype]
        if isinstance(chosen, torch.dtype):
            return chosen
        types = Counter(weight.dtype for weight in stored.values() if weight.is_floating_point())
        return types.most_common(1)[0][0] if types else torch.float32

    def count_bytes(self, stored: Stored) -> int:
        """Return the bytes that stored weights will take in memory, nearly."""
        itemsize, bits = self.choose_dtype(stored).itemsize, {"8bit": 8, "4bit": 4, None: None}
        fewer = bits[self.quantize]
        return sum(
            weight.numel() * fewer // 8
            if fewer and weight.ndim == 2 and not name.endswith(KEPT_WHOLE)
            else weight.numel() * (itemsize if weight.is_floating_point() else weight.itemsize)
            for name, weight in stored.items()
        )

    def for_transformers(self, device: torch.device | None) -> dict[str, Any]:
        """Translate the options to those of transformers.

        Args:
            device: The device of the model; None to spread it over all there are.
        """
        options: dict[str, Any] = {
            "dtype": DTYPES[self.dtype],
            "attn_implementation": self.attention,
        }
        if device is None:
            options["device_map"] = "auto"
        elif self.quantize:
            options["device_map"] = {"": device}  # placed as they are read
        if self.quantize == "8bit":
            options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
        elif self.quantize == "4bit":
            options["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16
            )
        return options


@dataclass(frozen=True, eq=False)
class ModelFiles:
    """A checkpoint whose files are checked and whose weights are not read yet."""

    name: str
    revision: str | None
    folder: Path
    options: OpeningOptions

    device: torch.device | None
    """The device that the model will be on; None if it is spread over all there are."""

    empty: Checkpoint
    """The checkpoint with a model that has no memory for its weights."""

    stored: Stored
    adapter_files: AdapterFiles | None

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that the model will have."""
        return None if self.adapter_files is None else self.adapter_files.adapter

    @property
    def preferred_frames(self) -> Sampling:
        """The number of frames to sample for this model, unless there is a reason for another."""
        return self.empty.preferred_frames

    @property
    def conversion(self) -> str | None:
        """The number format that weights are brought to; None if it is that of the files."""
        dtype = self.options.choose_dtype(self.stored)
        usual = replace(self.options, dtype=USUAL_OF_SHIPPED if self.name in SHIPPED else "auto")
        parts = [] if self.options.quantize is None else [self.options.quantize]
        if dtype != usual.choose_dtype(self.stored):
            parts.append(str(dtype).removeprefix("torch."))
        return " ".join(parts) or None

    def describe(self, video: Video | None = None) -> ModelDescription:
        """Describe the model in numbers, as `VideoLM.describe` does, before its weights are read.

        Args:
            video: The video whose reading costs are told; by default a blank one of a usual size.

        Raises:
            ValueError: if the processor refuses the video, or it does not fit in the model.
        """
        dtype = self.options.choose_dtype(self.stored)
        empty = replace(self.empty, module=self.empty.module.to(dtype))
        found = {
            "name": self.name,
            "dtype": str(dtype).removeprefix("torch."),
            "quantized": self.options.quantize,
            "adapter": None if self.adapter is None else self.adapter.name,
            "place": "all devices" if self.device is None else str(self.device),
            "weights": self.options.count_bytes(self.stored),
        }
        return describe_checkpoint(empty, video, found)

    def read_weights(self) -> Checkpoint:
        """Read the weights, put the model where it belongs, and its adapter into it.

        Raises:
            ValueError: if the weights cannot be read, are not finite, or are not those that the
                configuration describes.
        """
        empty = self.empty
        placed = self.options.for_transformers(self.device)
        with explain_failures(self.name):
            module, differences = type(empty.module).from_pretrained(
                self.folder,
                config=_read_config(self.folder, empty.family),
                **placed,
                trust_remote_code=False,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # or the error would not say which
                output_loading_info=True,
                adapter_kwargs={"subfolder": NO_FOLDER},
            )
        # Those of quantized weights can only be compared now, under the names of their package.
        left_over = {name for name in differences["unexpected_keys"] if empty.family.owns(name)}
        refuse_differences(self.name, {**differences, "unexpected_keys": left_over})
        if "device_map" not in placed:
            module = module.to(self.device)
        if self.adapter_files is not None:
            self.adapter_files.apply(self.name, module)
        refuse_broken(self.name, module)
        checkpoint = replace(empty, module=module)
        refuse_waiting(self.name, checkpoint)
        return checkpoint


def find_model(checkpoint: str | Path, options: OpeningOptions) -> ModelFiles:
    """Find the files of a checkpoint and check all that costs little; none of its weights is read.

    One on the hub is downloaded, unless it was before.

    Raises:
        ValueError: as `probe.load` says.
    """
    name = str(checkpoint)
    options.check()
    if name in SHIPPED:
        own = USUAL_OF_SHIPPED if options.dtype == "auto" else options.dtype
        return _check_files(name, None, SHIPPED[name].folder, replace(options, dtype=own))
    folder = find_folder(name, options.revision)
    # The hub's cache names the folder of a revision by its commit.
    commit = folder.name if folder.parent.name == "snapshots" else None
    return _check_files(name, commit or options.revision, folder, options)


def _check_files(
    name: str, revision: str | None, folder: Path, options: OpeningOptions
) -> ModelFiles:
    written = read_configuration(folder)
    family = family_of(written["model_type"])
    adapter = _find_adapter(name, folder, options)
    stored = _check_stored(name, folder, written)
    with explain_failures(name):
        config = _read_config(folder, family)
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    set_template(processor, options.chat_template)
    check_processor(name, processor, config, family)
    own = {weight: stored[weight] for weight in stored if family.owns(weight)}
    module = _build_module(name, config, own)
    if adapter is not None:
        adapter.apply(name, module)
    empty = Checkpoint(module, processor, family, options.pixels)
    check_grid(empty)
    return ModelFiles(
        name, revision, folder, options, choose_device(name, options.device), empty, stored, adapter
    )


def choose_device(name: str, asked: str) -> torch.device | None:
    """Choose the device of a model; None to spread it over all there are.

    Args:
        name: The name of the model.
        asked: The device that was asked for, "auto" or "spread".

    Raises:
        ValueError: if it cannot be used.
    """
    if asked == SPREAD:
        return None
    if name in SHIPPED and asked == BEST_DEVICE:
        # So small that a GPU takes longer; and its numbers stay those that are published.
        return torch.device("cpu")
    return find_device(asked)


def _find_adapter(name: str, folder: Path, options: OpeningOptions) -> AdapterFiles | None:
    """Find the adapter that is asked for; say so if there is another that is not."""
    if options.adapter is None:
        if (folder / ADAPTER).exists():
            warnings.warn(
                f"{name} holds a whole model and an adapter: the model is read as it is, without "
                f"the adapter; give the folder as its adapter, too, to have both",
                stacklevel=2,
            )
        return None
    found = find_adapter(str(options.adapter))
    if found.folder.resolve() != folder.resolve():
        found.check_base(name)
    return found


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


def _read_config(folder: Path, family: Family) -> Any:
    """Read the configuration of the part of the model that reads."""
    return family.config_of(AutoConfig.from_pretrained(folder, trust_remote_code=False))


def _build_module(name: str, config: Any, stored: Mapping[str, Any]) -> Any:
    """Build the model without memory, and compare it with the weights that are stored."""
    model_class: Any = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)]
    text = config.get_text_config()
    with explain_failures(name):
        # Quantized weights have other names and shapes until their package has put them in place,
        # so it is only afterwards that they can be compared.
        if any(getattr(part, "quantization_config", None) for part in (config, text)):
            with torch.device("meta"):
                return model_class(config)
        module, differences = build_empty(model_class, config, stored)
    refuse_differences(name, differences)
    return module

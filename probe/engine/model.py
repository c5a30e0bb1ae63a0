"""A video language model to ask: `load` opens a checkpoint, `watch` shows it a video."""

from collections.abc import Iterator
from contextlib import contextmanager
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

from probe.engine.families import family_of
from probe.engine.network import Network
from probe.engine.view import View
from probe.video import Video

ORGANISM = "organism"
"""What the shipped model is called where a checkpoint's name is asked for."""


@dataclass(frozen=True, eq=False)
class VideoLM:
    """A checkpoint ready to be shown videos."""

    name: str
    """Its identifier or folder."""

    revision: str | None
    """The revision asked for, or the commit that the hub resolved it to."""

    network: Network

    quantized: str | None = None
    """In how many bits its weights were opened, such as "4bit"; None for all they have."""

    @property
    def is_organism(self) -> bool:
        """Whether this is the shipped model, which knows nothing but coloured shapes."""
        return self.name == ORGANISM

    @property
    def identity(self) -> dict[str, str | int | None]:
        """What an answer says of the model that gave it."""
        return {
            "name": self.name,
            "revision": self.revision,
            "family": self.network.family.model_type,
            "dtype": str(self.network.dtype).removeprefix("torch."),
            "layers": self.depth,
            "quantized": self.quantized,
        }

    @property
    def depth(self) -> int:
        """The number of decoder layers."""
        return self.network.depth

    @property
    def preferred_frames(self) -> int:
        """How many frames to sample for this model unless there is a reason for another number."""
        return self.network.preferred_frames

    def watch(self, video: Video) -> View:
        """Show the model a video; the vision tower runs once, here.

        Raises:
            ValueError: if the video has more frames than fit in the model's context, or the
                model's visual tokens are not as many as its family's grid has cells.
        """
        network = self.network
        inputs, behind = network.laid_out(video, network.writer(before=0).text("?"))
        length = inputs["input_ids"].shape[1]
        if length > network.context:
            raise ValueError(
                f"{len(video)} frames make {length} tokens but {network.context} fit in the "
                f"context of {self.name}; sample fewer frames"
            )
        grid = network.grid(video, inputs)
        return View(network, self.name, video, grid, network.enter(inputs, behind))


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
        device: Where the model goes, such as "cpu" or "cuda"; "auto" spreads it over what there is.
        dtype: "auto" for the type the weights were saved in (float32 for the organism), or
            "float32", "bfloat16", "float16".
        revision: Branch, tag or commit on the hub.
        attention: How attention is computed while a video is read: "sdpa", "flash_attention_2"
            where flash-attn is installed, or "eager". Questions are always read with sdpa.
        quantize: "8bit" or "4bit" to hold the weights in fewer bits, where bitsandbytes is
            installed.

    Raises:
        ValueError: if there is no such checkpoint, its architecture is not supported or is not
            built as its family's entry says, its weights are not safetensors, an option is
            unknown, or a package that it needs is not installed.
    """
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


DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
ATTENTION = ("sdpa", "flash_attention_2", "eager")
QUANTIZE = ("8bit", "4bit")


def _check_options(dtype: str, attention: str, quantize: str | None) -> None:
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; give one of {', '.join(DTYPES)}")
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
    """How the weights are opened, in the words of transformers."""
    options: dict[str, Any] = {"dtype": DTYPES[dtype], "attn_implementation": attention}
    if device == "auto":
        options["device_map"] = "auto"
    elif quantize:
        options["device_map"] = {"": _device(device)}  # such weights are placed as they are read
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
    target = None if placed else _device(device)
    _check_folder(name, Path(source))
    options = {"revision": revision, "trust_remote_code": False}
    with _explained(name):
        config = AutoConfig.from_pretrained(source, **options)
    family = family_of(config)
    with _explained(name):
        module: Any = AutoModelForImageTextToText.from_pretrained(
            source, **options, **weights, use_safetensors=True
        )
        processor = AutoProcessor.from_pretrained(source, **options)
    network = Network(
        module if placed else module.to(target), processor, family, weights["attn_implementation"]
    )
    network.check()
    return VideoLM(name, getattr(config, "_commit_hash", None) or revision, network)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as failure:
        reason = str(failure).splitlines()[0]
        raise ValueError(f"cannot use device {name!r} ({reason}); try 'cpu'") from failure
    return device


def _check_folder(name: str, folder: Path) -> None:
    """Say what is missing in a local checkpoint before transformers guesses at it."""
    if not folder.exists() and (folder.is_absolute() or str(folder).startswith(".")):
        raise ValueError(f"{name}: no such folder; give a checkpoint's folder or its hub name")
    if folder.is_file():
        raise ValueError(f"{name}: a file; give the folder that holds config.json and the weights")
    if not folder.is_dir():
        return
    if not (folder / "config.json").exists():
        raise ValueError(f"{name}: no config.json in this folder; give a checkpoint's folder")
    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"{name}: no safetensors weights in this folder; pickled weights are not read, "
            f"since opening them can run code: convert them to safetensors"
        )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn the many ways in which opening a checkpoint fails into one line."""
    try:
        yield
    except (OSError, ValueError, KeyError) as failure:
        lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
        raise ValueError(
            f"cannot open the checkpoint {name!r}: {lines[0] if lines else type(failure).__name__} "
            f"(check its name, your network and, for a private one, your token; a local folder "
            f"works without a network)"
        ) from failure

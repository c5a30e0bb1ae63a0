"""A checkpoint's `config.json`, checked before transformers builds anything from it."""

import math
import reprlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from probe.files import read_json

Configuration: TypeAlias = Mapping[str, Any]

LARGEST = 2**22
"""Most bytes of a configuration; that of a large model with long tables has 100,000."""

LONGEST = 10_000
"""Most entries of a list or table in it: some name a part of the model for each of theirs."""

LAYERS = frozenset({"num_hidden_layers", "num_layers", "depth", "n_layers", "n_layer"})
"""Numbers of layers. Each layer is an object before it is a weight, so their number is limited."""

SIZES = LAYERS | {
    "hidden_size", "embed_dim", "intermediate_size", "vocab_size", "head_dim",
    "num_attention_heads", "num_key_value_heads", "num_heads", "out_hidden_size",
    "max_position_embeddings", "original_max_position_embeddings",
    "image_size", "patch_size", "temporal_patch_size", "spatial_merge_size",
    "spatial_pool_stride", "num_channels", "in_channels",
}  # fmt: skip
"""Entries that must be whole numbers above 0."""

BY_AXIS = frozenset({"image_size", "patch_size"})
"""Sizes that may be a list, of height and width."""

NUMBERS = frozenset({"rms_norm_eps", "layer_norm_eps", "rope_theta"})
"""Entries that must be finite numbers above 0, or every state becomes NaN."""

ROPE = frozenset({"rope_parameters", "rope_scaling"})
"""Entries about rotary positions; the first is the new name."""

PACKAGES = {
    "aqlm": ("aqlm",),
    "auto-round": ("auto_round",),
    "awq": ("gptqmodel",),
    "bitnet": ("accelerate",),
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "eetq": ("kernels",),
    "fbgemm_fp8": ("fbgemm_gpu",),
    "fp8": ("accelerate",),
    "gptq": ("optimum", "gptqmodel"),
    "hqq": ("hqq",),
    "mxfp4": ("kernels",),
    "mxfp8": ("accelerate",),
    "nvfp4": ("kernels",),
    "quanto": ("optimum.quanto",),
    "spqr": ("spqr_quant",),
    "torchao": ("torchao",),
    "vptq": ("vptq",),
}
"""Packages that read quantized weights, by the name of the method in the configuration."""


def read_configuration(folder: Path) -> Configuration:
    """Read the configuration of a checkpoint, and check what others would build without asking.

    Raises:
        ValueError: if there is none, it is not JSON, sizes in it are none, or it names files
            of weights.
    """
    path = folder / "config.json"
    if path.is_file() and path.stat().st_size > LARGEST:
        raise ValueError(
            f"{path}: {path.stat().st_size} bytes, but a configuration has at most {LARGEST}; "
            f"download it again"
        )
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise ValueError(
            f"{path}: not the configuration of a model (no model_type); give a checkpoint's folder"
        )
    if "transformers_weights" in found:
        raise ValueError(
            f"{path}: names files of weights itself (transformers_weights); remove this entry and "
            f"name the file model.safetensors"
        )
    entries = (("config", found), *_walk(found))
    for place, value in entries:
        _check_entry(path, place, value)
    # Only now, since it is numbers that are compared here.
    for place, value in entries:
        if isinstance(value, dict):
            _check_heads(path, place, value)
    _check_feature_layer(path, found)
    return found


def check_layers(folder: Path, config: Configuration, weights: int) -> None:
    """Refuse more layers than there are weights, before they are built.

    Raises:
        ValueError: if there are more.
    """
    for place, value in _walk(config):
        if place.rpartition(".")[2] in LAYERS and value is not None and value > weights:
            raise ValueError(
                f"{folder / 'config.json'}: {place} is {value}, but only {weights} weights are "
                f"stored; give configuration and weights as they were saved together"
            )


def quantization_of(config: Configuration) -> str | None:
    """Return the method by which a checkpoint's weights are quantized, None if they are not.

    Raises:
        ValueError: if the method is unknown.
    """
    text = config.get("text_config")
    about = config.get("quantization_config")
    if about is None and isinstance(text, dict):
        about = text.get("quantization_config")
    if about is None:
        return None
    about = about if isinstance(about, dict) else {}
    method = about.get("quant_method")
    # The oldest configurations of bitsandbytes do not name it.
    if method is None and (about.get("load_in_8bit") or about.get("load_in_4bit")):
        method = "bitsandbytes"
    if method not in PACKAGES:
        raise ValueError(
            f"the weights are quantized by {reprlib.repr(method)}, which is not known here; known: "
            f"{', '.join(PACKAGES)}; give a checkpoint that is not quantized"
        )
    return method


def check_packages(source: str, method: str) -> None:
    """Refuse quantized weights whose package is not installed.

    Raises:
        ValueError: if it is not.
    """
    missing = [name for name in PACKAGES[method] if not _is_installed(name)]
    if missing:
        packages = " ".join(name.replace(".", "-").replace("_", "-") for name in missing)
        raise ValueError(
            f"{source}: the weights are quantized by {method}, which needs {packages}: "
            f"pip install {packages}; or give a checkpoint that is not quantized"
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package that holds it is not there
        return False


def _walk(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Give every entry with its place, such as "text_config.hidden_size"."""
    if isinstance(value, dict):
        for name, entry in value.items():
            inner = f"{place}.{name}" if place else name
            yield inner, entry
            yield from _walk(entry, inner)


def _check_entry(path: Path, place: str, value: Any) -> None:
    if isinstance(value, list | dict) and len(value) > LONGEST:
        raise ValueError(
            f"{path}: {place} has {len(value)} entries (at most {LONGEST}); restore the file as it "
            f"was published"
        )
    name = place.rpartition(".")[2]
    if value is None:
        return
    if name == "factor" and not ROPE.isdisjoint(place.split(".")):
        _check_factor(path, place, value)
    if name not in SIZES | NUMBERS:
        return
    numbers = value if isinstance(value, list) and value and name in BY_AXIS else [value]
    kinds = int if name in SIZES else int | float
    if not all(_is_number(one, kinds) for one in numbers):
        wanted = "whole number" if name in SIZES else "finite number"
        raise ValueError(
            f"{path}: {place} is {reprlib.repr(value)}, not a {wanted} above 0; restore the file "
            f"as it was published"
        )


def _check_factor(path: Path, place: str, value: Any) -> None:
    """Refuse a factor of rotary positions by which no context grows."""
    # Angles are divided by it: an infinite one makes all of them zero, and 0 makes them NaN.
    if not (_is_number(value, int | float) and value >= 1):
        raise ValueError(
            f"{path}: {place} is {reprlib.repr(value)}, not a finite number of at least 1; restore "
            f"the file as it was published"
        )


def _is_number(value: Any, kinds: Any) -> bool:
    """Tell whether a value is a finite number above 0."""
    # True is a whole number for Python, and not for whoever wrote it there.
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf


def _check_heads(path: Path, place: str, part: Mapping[str, Any]) -> None:
    """Refuse a width that its heads cannot share, and angles of positions that do not fill one."""
    width = part.get("embed_dim") or part.get("hidden_size")
    heads = part.get("num_attention_heads") or part.get("num_heads")
    if not (isinstance(width, int) and isinstance(heads, int) and heads > 0):
        return
    head = part.get("head_dim")
    if head is None and width % heads:
        raise ValueError(
            f"{path}: {place} has a width of {width}, which {heads} heads cannot share; restore "
            f"the file as it was published"
        )
    for entry in sorted(ROPE):
        angles = part.get(entry)
        sections = angles.get("mrope_section") if isinstance(angles, dict) else None
        # Each angle turns two of a head's numbers, and belongs to time, height or width.
        if sections is not None and sections != _fill(sections, (head or width // heads) // 2):
            raise ValueError(
                f"{path}: {place}.{entry}.mrope_section is {reprlib.repr(sections)}, not three "
                f"whole numbers that sum to half the width of a head; restore the file as it was "
                f"published"
            )


def _fill(sections: Any, total: Any) -> list[int] | None:
    """Return the sections if they are three numbers that sum to a total."""
    whole = isinstance(sections, list) and all(type(one) is int and one > 0 for one in sections)
    return sections if whole and len(sections) == 3 and sum(sections) == total else None


def _check_feature_layer(path: Path, config: Configuration) -> None:
    """Refuse layers of the vision tower that it does not have."""
    tower, chosen = config.get("vision_config"), config.get("vision_feature_layer")
    layers = tower.get("num_hidden_layers") if isinstance(tower, dict) else None
    if chosen is None or layers is None:
        return
    # What enters the first layer counts as one, too.
    for layer in chosen if isinstance(chosen, list) else [chosen]:
        if type(layer) is not int or not -layers - 1 <= layer <= layers:
            raise ValueError(
                f"{path}: vision_feature_layer is {reprlib.repr(chosen)}, but the tower has "
                f"{layers} layers; restore the file as it was published"
            )

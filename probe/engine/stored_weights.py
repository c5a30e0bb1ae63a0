"""The weights of a checkpoint as they are stored, and their comparison with the model.

Only headers are read here: names, shapes and types. The model is built without memory for its
weights and compared with them, so a wrong checkpoint is refused before anything large happens.
"""

import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers.utils import logging

from probe.files import read_json

WEIGHTS = "model.safetensors"
"""The file of the weights, where they are in one."""

INDEX = "model.safetensors.index.json"
"""The file that says which weight is in which file, where they are in several."""

LARGEST_HEADER = 2**24
"""Most bytes of the list of weights in a file: ten times what the largest models have."""

COUNTERS = ("position_ids", "num_batches_tracked")
"""Ends of the names of what is stored with the weights and counts in whole numbers."""

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "BOOL": torch.bool,
}
"""Number types by their names in safetensors."""

Stored: TypeAlias = Mapping[str, Tensor]
"""Weights by name, each with its shape and type but without memory."""


def read_stored(folder: Path) -> Stored:
    """Read the names, shapes and types of the weights in a checkpoint's folder.

    Raises:
        ValueError: if a file is missing, damaged, not an ordinary file of this folder, or holds
            a weight that another one holds, too.
    """
    found: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for file in find_files(folder):
        for name, weight in read_header(folder / file).items():
            if name in found:
                raise ValueError(
                    f"{folder}: the weight {name!r} is both in {origin[name]} and in {file}; "
                    f"remove the file that does not belong to the checkpoint"
                )
            found[name], origin[name] = weight, file
    return found


def find_files(folder: Path) -> list[str]:
    """Find the files of the weights: the only one, or those that the index names.

    Raises:
        ValueError: if there are none, or the index leads out of the folder.
    """
    if (folder / WEIGHTS).exists():
        return [WEIGHTS]
    if not (folder / INDEX).exists():
        raise ValueError(
            f"{folder}: no safetensors weights in this folder ({WEIGHTS} or {INDEX}); pickled "
            f"weights are not read, since opening them can run code: convert them to safetensors"
        )
    return read_index(folder / INDEX)


def read_index(path: Path) -> list[str]:
    """Read the names of the files of weights from their index.

    Raises:
        ValueError: if it is no index, or names a file of another folder.
    """
    index = read_json(path)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{path}: no index of weights (no weight_map); download it again")
    for name, file in places.items():
        # One plain name: neither a path nor the name of a folder, on any system.
        if not isinstance(file, str) or PurePosixPath(file.replace("\\", "/")).name != file:
            raise ValueError(
                f"{path}: leads out of its folder: the weight {name!r} is said to be in {file!r}; "
                f"put all files of weights into this folder"
            )
        if not file.endswith(".safetensors"):
            raise ValueError(
                f"{path}: the weight {name!r} is said to be in {file!r}, which is not a "
                f"safetensors file; convert the weights to safetensors"
            )
    return sorted(set(places.values()))


def read_header(path: Path) -> dict[str, Tensor]:
    """Read the names, shapes and types of the weights in one file.

    Raises:
        ValueError: if it is missing, damaged, or not an ordinary file of its folder.
    """
    _check_place(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise SafetensorError(
                f"its list of weights is said to have {length} bytes; at most {LARGEST_HEADER} are "
                f"read"
            )
        # Checks on the way that the weights fill the file without a gap or an overlap.
        with safe_open(path, framework="pt") as stored:
            slices = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118
            return {
                name: torch.empty(part.get_shape(), dtype=_find_dtype(part), device="meta")
                for name, part in slices.items()
            }
    except (SafetensorError, OSError, RuntimeError, TypeError, OverflowError) as failure:
        problem = str(failure).splitlines()[0][:200]
        raise ValueError(
            f"{path}: not a safetensors file, or damaged ({problem}); download it again"
        ) from failure


def _find_dtype(part: Any) -> torch.dtype:
    """Find the number type of a stored weight; bytes for one that torch does not know."""
    return DTYPES.get(part.get_dtype(), torch.uint8)


def _check_place(path: Path) -> None:
    """Refuse what is not an ordinary file of its folder."""
    try:
        kind = path.stat().st_mode
    except OSError as failure:
        raise ValueError(
            f"{path}: cannot be opened ({failure.strerror}); the checkpoint is not complete: "
            f"download what is missing"
        ) from failure
    if not stat.S_ISREG(kind):
        raise ValueError(f"{path}: not an ordinary file; put the weights there")
    folder, target = path.parent.resolve(), path.resolve()
    # The hub's cache keeps files apart and links to them from the folder of each revision.
    blobs = folder.parent.parent / "blobs" if folder.parent.name == "snapshots" else folder
    if not (target.is_relative_to(folder) or target.is_relative_to(blobs)):
        raise ValueError(
            f"{path}: a link that leads out of its folder, to {target}; put the file itself there "
            f"(a hard link takes no room)"
        )


def build_empty(
    model_class: Any, config: Any, stored: Stored
) -> tuple[Any, Mapping[str, Collection[Any]]]:
    """Build the model that a configuration describes, and compare stored weights with its own.

    Costs milliseconds: the model is built and filled without memory.

    Returns:
        The model, whose weights are on the device "meta"; and the missing, left over and mismatched
        weights, as transformers lists them.
    """
    with _quiet_loading():
        return model_class.from_pretrained(
            None,
            config=config,
            state_dict=dict(stored),
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,  # or the error would not say which
            output_loading_info=True,
        )


def check_plain(source: str, stored: Stored) -> None:
    """Refuse whole numbers among weights that are not quantized.

    Transformers would take the codes of something else for weights.

    Args:
        source: The checkpoint's name or folder, for the message.
        stored: The weights.

    Raises:
        ValueError: if there are any, but for the known counters and places.
    """
    whole = [
        name
        for name, weight in stored.items()
        if not weight.is_floating_point() and not name.endswith(COUNTERS)
    ]
    if whole:
        raise ValueError(
            f"{source}: {len(whole)} weights are stored as {stored[whole[0]].dtype} and not as "
            f"fractions, the first {whole[0]!r}, but config.json says nothing of quantized "
            f"weights; download both again"
        )


def check_quantized(source: str, method: str, stored: Stored) -> None:
    """Refuse weights that are said to be quantized and are not, or lack their scales.

    Args:
        source: The checkpoint's name or folder, for the message.
        method: The method by which its configuration says that they are quantized.
        stored: The weights.

    Raises:
        ValueError: if they do.
    """
    codes = [name for name, weight in stored.items() if _holds_codes(weight)]
    if not codes:
        raise ValueError(
            f"{source}: config.json says that the weights are quantized by {method}, but none of "
            f"them is; remove quantization_config if they are plain numbers"
        )
    # Transformers takes a weight without its scale for one that was left as it is.
    bare = [name for name in codes if method == "fp8" and not _has_scale(name, stored)]
    if bare:
        raise ValueError(
            f"{source}: {len(bare)} weights in 8 bits have no scale, the first {bare[0]!r}; the "
            f"checkpoint is not complete: download it again"
        )


def _holds_codes(weight: Tensor) -> bool:
    return not weight.is_floating_point() or weight.itemsize == 1


def _has_scale(name: str, stored: Stored) -> bool:
    float8 = stored[name].is_floating_point()
    return not float8 or any(f"{name}{end}" in stored for end in ("_scale_inv", "_scale"))


def refuse_differences(source: str, info: Mapping[str, Collection[Any]]) -> None:
    """Refuse a checkpoint by what transformers says of loading its weights.

    Tied weights, and those that transformers expects to be missing or left over, are not in `info`.

    Raises:
        ValueError: if weights are missing, left over, or of another shape.
    """
    missing, unexpected = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    mismatched = sorted(info["mismatched_keys"])
    problems = []
    # Transformers fills what is missing with random numbers, and goes on.
    if missing:
        problems.append(f"{len(missing)} weights are missing, the first {missing[0]!r}")
    if mismatched:
        name, here, wanted = mismatched[0]
        problems.append(
            f"{len(mismatched)} weights have another shape, the first {name!r} "
            f"({_write_shape(here)} instead of {_write_shape(wanted)})"
        )
    if unexpected:
        problems.append(
            f"{len(unexpected)} weights do not belong to the model, the first {unexpected[0]!r}"
        )
    if problems:
        raise ValueError(
            f"{source}: the weights are not those that config.json describes: "
            f"{'; '.join(problems)}. Give configuration and weights as they were saved together"
        )


BOUNDS = ("input_min", "input_max", "output_min", "output_max")
"""Names of the bounds that some layers clip to (Gemma 4), which are infinite where they do not."""


def refuse_broken(source: str, module: torch.nn.Module) -> None:
    """Refuse a model with a weight that is not a finite number.

    One such number spreads to every answer, where it would be found last or not at all: a
    comparison with NaN is false, whatever it asks.

    Raises:
        ValueError: if there is one.
    """
    broken = [
        name
        for name, weight in chain(module.named_parameters(), module.named_buffers())
        if not (_is_finite(weight) or _is_no_bound(name, weight))
    ]
    if broken:
        raise ValueError(
            f"{source}: {len(broken)} weights hold numbers that are not finite (NaN or infinite), "
            f"the first {broken[0]!r}; download them again, or save them in a wider number type"
        )


def _is_no_bound(name: str, weight: Tensor) -> bool:
    """Tell whether a number is the infinite bound of a range that is not limited."""
    return name.endswith(BOUNDS) and not bool(weight.isnan().any())


def _is_finite(weight: Tensor) -> bool:
    # Weights that wait on a disk have no numbers here; those of one byte are codes.
    if weight.device.type == "meta" or not weight.numel():
        return True
    if _holds_codes(weight):
        return True
    # The fastest way: a tenth of a second for 100 million numbers, and NaN is both their least
    # and their greatest.
    return bool(torch.isfinite(torch.stack(torch.aminmax(weight.detach()))).all())


def _write_shape(shape: Collection[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Keep transformers from reporting on a model that is only compared."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()

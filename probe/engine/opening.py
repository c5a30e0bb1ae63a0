"""Opening a checkpoint of any kind: number type, device, folder, errors in one line.

Used for models and for detectors alike; it knows nothing of either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import snapshot_download

from probe.engine.model_names import check_name, suggest_folder
from probe.engine.stored_weights import INDEX, WEIGHTS, read_index
from probe.files import read_json

DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""Number types of weights, by the names that people give; "auto" is the type they were saved in."""


SMALL_FILES = ["*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken"]
"""Files of a checkpoint that are no weights: configuration, tokenizer, processor, template."""

ADAPTER = "adapter_config.json"
"""The file by which an adapter (LoRA and its kin) says which model it belongs to."""

ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""The file of an adapter's weights, which are none of a model's own."""

BEST_DEVICE = "auto"
"""The name that means the best device there is."""

LONGEST_REASON = 300
"""Characters of what a library says that are kept."""

HUB_REMEDY = (
    "check its name, your network and, for a private one, your token; a local folder works "
    "without a network"
)
FOLDER_REMEDY = "compare its files with those that were published, or download it again"


def check_dtype(dtype: str) -> None:
    """Refuse a number type that is not in `DTYPES`.

    Raises:
        ValueError: if it is not.
    """
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; give one of {', '.join(DTYPES)}")


def find_device(name: str) -> torch.device:
    """Find a device by its name, and try whether it can be used.

    Args:
        name: A device of torch, such as "cpu" or "cuda:1"; "auto" for the best there is: a GPU of
            CUDA or of Apple, else the CPU.

    Raises:
        ValueError: if it cannot be used.
    """
    if name == BEST_DEVICE:
        return torch.device(_name_best_device())
    try:
        device = torch.device(name)
        torch.empty(0, device=device)  # a name may be valid and its hardware absent
    except (RuntimeError, AssertionError) as failure:
        reason = str(failure).splitlines()[0]
        raise ValueError(f"cannot use device {name!r} ({reason}); try 'auto' or 'cpu'") from failure
    return device


def _name_best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def check_folder(name: str, folder: Path) -> None:
    """Say what a local checkpoint lacks, before transformers guesses at it.

    A name that is no folder here is left to the hub.

    Raises:
        ValueError: if the folder is not there, or has no configuration or no safetensors weights.
    """
    check_name(name)
    if folder.is_file():
        raise ValueError(f"{name}: a file; give the folder that holds config.json and the weights")
    if not folder.is_dir():
        return
    for path in (path for pattern in (*SMALL_FILES, WEIGHTS) for path in folder.glob(pattern)):
        # Whoever reads a pipe waits for ever.
        if not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path}: not an ordinary file; put the file itself there")
    if not (folder / "config.json").exists():
        _refuse_adapter(name, folder)
        raise ValueError(f"{name}: no config.json in this folder; give a checkpoint's folder")
    if all(path.name == ADAPTER_WEIGHTS for path in folder.glob("*.safetensors")):
        _refuse_adapter(name, folder)
        raise ValueError(
            f"{name}: no safetensors weights in this folder; pickled weights are not read, "
            f"since opening them can run code: convert them to safetensors"
        )


def find_folder(name: str, revision: str | None) -> Path:
    """Find a checkpoint's folder; one on the hub is downloaded, unless it was before.

    Raises:
        ValueError: if there is none, or what it holds is no checkpoint.
    """
    check_name(name)
    folder = Path(name)
    if folder.exists():
        check_folder(name, folder)
        return folder
    with explain_failures(name):
        # Files in folders of a repository belong to other programs.
        found = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=SMALL_FILES, ignore_patterns=["*/*"]
            )
        )
    if not (found / "config.json").exists():
        _refuse_adapter(name, found)
    with explain_failures(name):
        # The weights of one model alone: some repositories hold several kinds of them.
        weights = [WEIGHTS, *(read_index(found / INDEX) if (found / INDEX).exists() else ())]
        found = Path(snapshot_download(name, revision=revision, allow_patterns=weights))
    check_folder(name, found)
    return found


def _refuse_adapter(name: str, folder: Path) -> None:
    """Refuse a folder of an adapter alone, which is no model without another one.

    Raises:
        ValueError: if it is one.
    """
    if (folder / ADAPTER).exists():
        about = read_json(folder / ADAPTER)
        base = about.get("base_model_name_or_path") if isinstance(about, dict) else None
        raise ValueError(
            f"{name}: an adapter of {str(base)[:200]!r} ({ADAPTER}), not a whole model; give that "
            f"model, and this as its adapter: load(model, adapter=...) or --adapter DIR"
        )


@contextmanager
def explain_failures(name: str) -> Iterator[None]:
    """Turn the many ways in which opening a checkpoint fails into one line.

    Raises:
        ValueError: if the block raises any error.
    """
    try:
        yield
    except Exception as failure:  # files can make libraries raise anything
        # Errors of these types say all in their text; others need their type to be understood.
        kind = "" if isinstance(failure, ValueError | OSError) else f"{type(failure).__name__}: "
        remedy = FOLDER_REMEDY if Path(name).is_dir() else suggest_folder(name) + HUB_REMEDY
        raise ValueError(
            f"cannot open the checkpoint {name!r}: {kind}{first_line(failure)} ({remedy})"
        ) from failure


def first_line(failure: Exception) -> str:
    """Return what an error of a library says first, or its type if it says nothing."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    if not lines:
        return type(failure).__name__
    # A line that announces a list says nothing without it.
    said = " ".join(lines) if lines[0].endswith(":") else lines[0]
    return said if len(said) <= LONGEST_REASON else f"{said[: LONGEST_REASON - 3]}..."

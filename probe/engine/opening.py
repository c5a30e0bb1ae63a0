"""Opening a checkpoint of any kind: number type, device, folder, errors in one line.

Used for models and for detectors alike; it knows nothing of either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""Number types of weights, by the names that people give; "auto" is the type they were saved in."""


def check_dtype(dtype: str) -> None:
    """Refuse a number type that is not in `DTYPES`.

    Raises:
        ValueError: if it is not.
    """
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; give one of {', '.join(DTYPES)}")


def find_device(name: str) -> torch.device:
    """Find a device by its name, and try whether it can be used.

    Raises:
        ValueError: if it cannot.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)  # a name may be valid and its hardware absent
    except (RuntimeError, AssertionError) as failure:
        reason = str(failure).splitlines()[0]
        raise ValueError(f"cannot use device {name!r} ({reason}); try 'cpu'") from failure
    return device


def check_folder(name: str, folder: Path) -> None:
    """Say what a local checkpoint lacks, before transformers guesses at it.

    A name that is no folder here is left to the hub.

    Raises:
        ValueError: if the folder is not there, or has no configuration or no safetensors weights.
    """
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
def explain_failures(name: str) -> Iterator[None]:
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

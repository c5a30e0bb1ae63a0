"""Models of detectors: checkpoints of the known types, opened as those of language models are."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from transformers import AutoConfig

from probe.engine.opening import (
    DTYPES,
    check_dtype,
    check_folder,
    explain_failures,
    find_device,
    first_line,
)
from probe.engine.stored_weights import refuse_broken, refuse_differences

Pixels: TypeAlias = UInt8[np.ndarray, "height width 3"]
"""An upright RGB picture."""

EXTRA = 'pip install "grounding-probe[detectors]"'
"""The command that installs what some detectors need besides transformers."""


@dataclass(frozen=True)
class ModelKind:
    """The classes that open a checkpoint of one type."""

    title: str
    """Name of the model, for people."""

    model_class: Any
    processor_class: Any


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """A model of a detector, ready to run, with its processor."""

    name: str
    """The folder or hub name that it was opened by."""

    kind: ModelKind
    model: Any
    processor: Any

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights and settings: equal for equal results, whatever the name."""
        digest = sha256(self.processor.to_json_string().encode())
        # All settings: defaults that are left out may differ from one transformers to the next.
        digest.update(self.model.config.to_json_string(use_diff=False).encode())
        for name, weight in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            # As bytes, since NumPy has no bfloat16.
            digest.update(weight.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return name and fingerprint, by which results are recognised."""
        return {"name": self.name, "content": self.fingerprint}

    def prepare(self, picture: Pixels, **inputs: Any) -> Any:
        """Return the inputs of the model for a picture, on its device and in its number type."""
        prepared = self.processor(images=picture, return_tensors="pt", **inputs)
        return prepared.to(self.model.device, self.model.dtype)


def open_detector_model(
    name: str, kinds: Mapping[str, ModelKind], *, device: str, dtype: str
) -> DetectorModel:
    """Open a checkpoint of a known type: a folder, or a name on the Hugging Face hub.

    Only safetensors weights are read, and no code of a checkpoint is run.

    Args:
        name: The folder or hub name.
        kinds: The types that may be opened, by the name that a configuration gives them.
        device: Device of the model, such as "cpu" or "cuda".
        dtype: "auto" for the type in which the weights were saved, or "float32", "bfloat16",
            "float16".

    Raises:
        ValueError: if there is no such checkpoint, it is of another type, its weights are not
            safetensors, some are missing or not finite, a package that it needs is not installed,
            or device or dtype are unknown.
    """
    check_dtype(dtype)
    target = find_device(device)
    # The type first: a wrong checkpoint would be downloaded whole, and opened with random weights.
    kind = kinds[read_type(name, kinds)]
    try:
        with explain_failures(name):
            model, differences = kind.model_class.from_pretrained(
                name,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=DTYPES[dtype],
                ignore_mismatched_sizes=True,  # or the error would not say which
                output_loading_info=True,
            )
            processor = kind.processor_class.from_pretrained(name, trust_remote_code=False)
    except ValueError as failure:
        raise _explain_missing(name, failure) or failure from failure.__cause__
    # What is left over changes nothing: a checkpoint may hold parts for other uses, too.
    refuse_differences(name, {**differences, "unexpected_keys": ()})
    refuse_broken(name, model)
    return DetectorModel(name, kind, model.eval().requires_grad_(False).to(target), processor)


def read_type(name: str, types: Mapping[str, Any]) -> str:
    """Read which of these types a checkpoint has, from its configuration alone.

    Raises:
        ValueError: if there is no such checkpoint, or it has none of the types.
    """
    check_folder(name, Path(name))
    try:
        with explain_failures(name):
            config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except ValueError as failure:
        raise _explain_missing(name, failure) or failure from failure.__cause__
    if config.model_type not in types:
        raise ValueError(
            f"{name}: a checkpoint of type {config.model_type!r}; give one of {', '.join(types)}"
        )
    return config.model_type


def _explain_missing(name: str, failure: ValueError) -> ValueError | None:
    """Make the error that names the package to install; None for any other failure."""
    cause = failure.__cause__
    if not isinstance(cause, ImportError):
        return None
    # Such as "TimmWrapperModel requires the timm library but it was not found in your environment".
    reason = first_line(cause).partition(". ")[0]
    return ValueError(f"{name}: {reason}; {EXTRA} installs what detectors need")

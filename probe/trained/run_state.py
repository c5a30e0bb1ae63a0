"""The state of a training run that may be stopped: weights, moments of the optimiser, and notes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from probe.files import FileFormat, read_tensors, write_tensors
from probe.pretraining.moments import collect_moments, restore_moments

STATE_FILE = "state.safetensors"

STATE_FORMAT = FileFormat("grounding-probe/run-state", 1, "the state of a run", "the same run")


def save_run(
    folder: Path,
    learner: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    about: Mapping[str, Any],
) -> None:
    """Write all that a stopped run needs to continue: both states, and what `about` says."""
    # Dots divide the names, since safetensors holds one level of tensors.
    moments = {f"moments.{name}": one for name, one in collect_moments([optimiser]).items()}
    weights = {f"learner.{name}": one for name, one in learner.state_dict().items()}
    write_tensors(folder / STATE_FILE, {**weights, **moments}, {**STATE_FORMAT.header, **about})


def resume_run(
    folder: Path, learner: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> Mapping[str, Any] | None:
    """Put back what `save_run` wrote, and return what it was told; None if there is nothing.

    Raises:
        ValueError: if the file is damaged, or is of another learner.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return None
    tensors, about = read_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {"learner": {}, "moments": {}}
    with STATE_FORMAT.reading(path):
        STATE_FORMAT.check(path, about)
        for name, one in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = one
        learner.load_state_dict(parts["learner"])
        restore_moments([optimiser], parts["moments"])
    return about

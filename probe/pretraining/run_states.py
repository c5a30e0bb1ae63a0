"""The state of a run of learning that may be stopped: weights, moments of optimisers, and notes.

One form for all runs of the package. States of earlier versions, which had several, are read, too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from probe.files import FileFormat, read_tensors, write_tensors
from probe.pretraining.moments import collect_moments, restore_moments

STATE_FILE = "state.safetensors"
"""The usual name of a state in the folder of its run."""

STATE_FORMAT = FileFormat("grounding-probe/run-state", 1, "the state of a run", "the same run")

OLD_MOMENTS, OLD_DONE = "optimiser.", "done"
"""In states without a header of the format: start of the names of moments, and name of a tensor
with the number of steps. All other tensors are weights."""


def save_state(
    path: Path,
    learner: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    notes: Mapping[str, Any],
) -> None:
    """Write all that a stopped run needs to continue.

    Args:
        path: The file.
        learner: The networks that learn.
        optimisers: Their optimisers.
        notes: How far the run is, in plain values; `load_state` returns it.
    """
    # Dots divide the names, since safetensors holds one level of tensors.
    moments = {f"moments.{name}": one for name, one in collect_moments(optimisers).items()}
    weights = {f"learner.{name}": one for name, one in learner.state_dict().items()}
    write_tensors(path, {**weights, **moments}, {**STATE_FORMAT.header, **notes})


def load_state(
    path: Path, learner: nn.Module, optimisers: Sequence[torch.optim.Optimizer]
) -> Mapping[str, Any] | None:
    """Put back what `save_state` wrote, and return its notes; None if there is no file.

    Args:
        path: The file.
        learner: Networks of the same form, changed in place.
        optimisers: Optimisers of the same form, changed in place.

    Raises:
        ValueError: if the file is damaged, or is of another network.
    """
    if not path.exists():
        return None
    tensors, found = read_tensors(path)
    notes: dict[str, Any] = found if isinstance(found, dict) else {}
    with STATE_FORMAT.reading(path):
        if "format" in notes:
            STATE_FORMAT.check(path, notes)
            weights, moments = _divide(tensors)
        else:
            weights, moments = _divide_old(tensors)
            if OLD_DONE in tensors:
                notes["done"] = int(tensors[OLD_DONE])
        _check_same_network(path, weights, learner)
        learner.load_state_dict(weights)
        restore_moments(optimisers, moments)
    return notes


def _divide(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Divide the tensors of a state into weights and moments."""
    parts: dict[str, dict[str, Tensor]] = {"learner": {}, "moments": {}}
    for name, one in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = one
    return parts["learner"], parts["moments"]


def _divide_old(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Divide the tensors of a state without a header into weights and moments."""
    weights = {name: one for name, one in tensors.items() if name != OLD_DONE}
    moments = {
        name.removeprefix(OLD_MOMENTS): weights.pop(name)
        for name in tensors
        if name.startswith(OLD_MOMENTS)
    }
    return weights, moments


def _check_same_network(path: Path, weights: Mapping[str, Tensor], learner: nn.Module) -> None:
    """Refuse the weights of a network of another form, of which torch would list every tensor."""
    own = {name: one.shape for name, one in learner.state_dict().items()}
    if own != {name: one.shape for name, one in weights.items()}:
        raise ValueError(
            f"{path}: the state of a run of another network; give another folder, or the same "
            "choices"
        )

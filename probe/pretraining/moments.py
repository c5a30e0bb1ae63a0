"""The state of optimisers as named tensors, to be stored in a safetensors file."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def collect_moments(optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Collect the state of the optimisers as tensors, named `optimiser.parameter.moment`."""
    # Names and tensors, not the optimisers' own nested dicts: safetensors holds nothing else.
    return {
        f"{which}.{index}.{name}": torch.as_tensor(value)
        for which, optimiser in enumerate(optimisers)
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_moments(
    optimisers: Sequence[torch.optim.Optimizer], moments: Mapping[str, Tensor]
) -> None:
    """Put a state that `collect_moments` returned back into the optimisers."""
    for which, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Any]] = {}
        for name, value in moments.items():
            owner, index, moment = name.split(".")
            if int(owner) == which:
                state.setdefault(int(index), {})[moment] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})

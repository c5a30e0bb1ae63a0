"""The state of a stage of the training on disk, from which a stopped run continues.

A continued run ends with the weights of an unbroken one, bit for bit: a state has the weights, the
optimisers' moments and the number of steps, and all random choices follow from the seed and a
step's number.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from probe.files import read_tensors, write_tensors
from probe.organism.optimisers import Optimisers
from probe.pretraining.moments import collect_moments, restore_moments
from probe.pretraining.runs import OPTIMISER_PREFIX


@dataclass(frozen=True)
class StageState:
    """The networks and optimisers of a stage, and the file in which their state is stored."""

    path: Path
    learners: nn.Module
    optimisers: Optimisers
    steps: int
    """Steps of the whole stage."""
    save_every: int
    """Steps between two states; there is one more after the last step."""

    def load(self) -> int:
        """Restore learners and optimisers from an earlier run, and return its number of steps."""
        if not self.path.exists():
            return 0
        stored, _ = read_tensors(self.path)
        self.learners.load_state_dict({name: stored[name] for name in self.learners.state_dict()})
        moments = {
            name.removeprefix(OPTIMISER_PREFIX): value
            for name, value in stored.items()
            if name.startswith(OPTIMISER_PREFIX)
        }
        restore_moments(self.optimisers, moments)
        return int(stored["done"])

    def save_if_due(self, done: int) -> None:
        """Write the state after `done` steps, if that is a step after which states are written."""
        if done % self.save_every == 0 or done == self.steps:
            moments = collect_moments(self.optimisers)
            optimisers = {OPTIMISER_PREFIX + name: value for name, value in moments.items()}
            state = {**self.learners.state_dict(), **optimisers, "done": torch.tensor(done)}
            write_tensors(self.path, state, {"stage": self.path.stem})


def find_state(folder: Path, stage: str) -> Path:
    """Return the file for the state of a stage that is going on in the folder of a run."""
    return folder / f"{stage}-state.safetensors"

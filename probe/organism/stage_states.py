"""The state of a stage of the training on disk, from which a stopped run continues.

A continued run ends with the weights of an unbroken one, bit for bit: a state has the weights, the
optimisers' moments and the number of steps, and all random choices follow from the seed and a
step's number.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from probe.organism.optimisers import Optimisers
from probe.pretraining.run_states import load_state, save_state


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
        notes = load_state(self.path, self.learners, self.optimisers)
        return 0 if notes is None else int(notes["done"])

    def save_if_due(self, done: int) -> None:
        """Write the state after `done` steps, if that is a step after which states are written."""
        if done % self.save_every == 0 or done == self.steps:
            notes = {"stage": self.path.stem, "done": done}
            save_state(self.path, self.learners, self.optimisers, notes)


def find_state(folder: Path, stage: str) -> Path:
    """Return the file for the state of a stage that is going on in the folder of a run."""
    return folder / f"{stage}-state.safetensors"

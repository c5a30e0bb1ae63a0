"""`probe train-organism`: the shipped model raised again."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from probe.cli.outputs import writable
from probe.organism.recipe import Recipe


@dataclass(frozen=True)
class TrainOrganism:
    """Raise the shipped model again, from nothing; a stopped run goes on where it was."""

    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=Recipe)

    out: Path = Path("organism-run")
    """Folder for the run; the finished model is in its folder `checkpoint`."""

    device: str = "cpu"
    """Where to learn: cpu, cuda, cuda:1 ..."""

    threads: int = 2
    """CPU threads."""

    quick: bool = False
    """Only check that the whole path runs, in about a minute; the result is of no use."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Train, and say where the model is."""
        import torch

        from probe.organism.training import train

        writable(self.out)
        torch.set_num_threads(self.threads)
        train(self.out, self.recipe.quick() if self.quick else self.recipe, self.device)
        print(f"written {self.out / 'checkpoint'}; open it with --model in any other command")

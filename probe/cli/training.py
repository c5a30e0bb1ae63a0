"""`probe train-organism`: train a model of a drawn world, as the shipped one was."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from probe.cli.console import show
from probe.cli.numbers import check_threads
from probe.cli.outputs import check_writable
from probe.organism.recipe import Recipe


@dataclass(frozen=True)
class TrainOrganism:
    """Train a model like the shipped one from random weights; a stopped run continues."""

    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=Recipe)

    world: Literal["shapes", "things"] = "shapes"
    """World whose clips it learns: moving shapes, as the shipped one, or pictures of things. Some
    lengths have other defaults for things, which are told with them."""

    out: Annotated[Path, arg(metavar="DIR")] = Path("organism-run")
    """Folder for the run; the finished model is in its folder `checkpoint`."""

    device: Annotated[str, arg(metavar="DEVICE")] = "cpu"
    """Device to train on: cpu, cuda, cuda:1 ..."""

    threads: int = 2
    """Number of CPU threads; more than two help little."""

    quick: bool = False
    """Only check that every stage runs, in about a minute; the result is of no use."""

    quiet: bool = False
    """Show no progress bars and no notes; results and errors stay."""

    debug: bool = False
    """Show the full traceback of an error."""

    def use_defaults_of_world(self) -> "TrainOrganism":
        """Return options whose lengths and rates are all the world's own."""
        from probe.organism.catalogue import WORLDS

        return TrainOrganism(WORLDS[self.world].recipe)

    def run(self) -> None:
        """Train, and print where the model is."""
        # Imported here: torch takes seconds, for which `probe --help` need not wait.
        import torch

        from probe.engine.opening import find_device
        from probe.organism.catalogue import WORLDS
        from probe.organism.training import train

        # Checked before the hour of training, not after it.
        check_writable(self.out)
        check_threads(self.threads)
        device = str(find_device(self.device))
        torch.set_num_threads(self.threads)
        recipe = self.recipe.shorten() if self.quick else self.recipe
        train(self.out, recipe, device, WORLDS[self.world])
        show(f"written {self.out / 'checkpoint'}; open it with --model in any other command")


def list_defaults_of_worlds() -> Mapping[str, Mapping[str, Any]]:
    """List the options whose default differs from world to world, each with all its defaults."""
    # Imported here: the other commands need no world.
    from probe.organism.catalogue import WORLDS

    found: dict[str, Mapping[str, Any]] = {}
    for one in fields(Recipe):
        defaults = {f"of {name}": getattr(world.recipe, one.name) for name, world in WORLDS.items()}
        if len({str(value) for value in defaults.values()}) > 1:
            found[one.name] = defaults
    return found

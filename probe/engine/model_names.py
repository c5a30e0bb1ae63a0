"""Names by which a model is asked for: a folder, a repository on the hub, or a shipped model.

All that is said of a name alone is said here, without torch: a misspelt one is told at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from probe.paths import expand_home, is_there
from probe.spelling import find_similar

ORGANISM = "organism"
"""The name of the shipped model of shapes, which is the default wherever a model is asked for."""

LIKENESS = 0.75
"""The least likeness, from 0 to 1, of a name that must be meant to be that of a shipped model: a
letter or two are wrong."""

LONGEST_NAME = 200
"""Characters of a name on the hub: at most 96 each of an owner and of a repository."""


@dataclass(frozen=True)
class ShippedModel:
    """A model that comes with the package."""

    package: str
    """The package in whose folder `weights` its checkpoint lies."""

    world: str
    """The drawn world that it has learned, by its name in `probe.organism.catalogue`."""

    knows: str
    """Words for all that it has ever seen."""

    proposer: str
    """The proposer that finds the things of its world, by its name in `candidates.PROPOSERS`."""

    @property
    def folder(self) -> Path:
        """The folder of its checkpoint."""
        return Path(str(resources.files(self.package) / "weights"))

    @property
    def notice(self) -> str:
        """The note that is shown with its answer to any video of a user's."""
        return (
            f"the shipped model knows nothing but {self.knows}; expect a wrong answer on any other "
            "video, or give --model a real checkpoint"
        )


SHIPPED: Mapping[str, ShippedModel] = MappingProxyType(
    {
        ORGANISM: ShippedModel(
            "probe.organism", "shapes", "coloured shapes on plain backgrounds", "plain"
        ),
        "things": ShippedModel(
            "probe.organism.things", "things", "small pictures of things on drawn grounds", "nested"
        ),
    }
)
"""Every shipped model, by the name that is given for a checkpoint's."""


def check_name(name: str) -> None:
    """Check that a model may have this name; one on the hub is not looked for.

    Raises:
        ValueError: if it is a misspelt name of a shipped model, or that of a folder which is not
            there.
    """
    if name in SHIPPED or is_there(Path(name)):
        return
    if is_path(name):
        raise ValueError(
            f"{name}: no such folder; {suggest_folder(name)}give a checkpoint's folder or its hub "
            "name"
        )
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"{name[:LONGEST_NAME]}...: no such folder, and too long for a name on the hub; give a "
            "checkpoint's folder or its hub name"
        )
    # No repository on the hub has a name so like it, and nobody should wait for the network's word.
    if "/" not in name and (meant := find_similar(name, list(SHIPPED), LIKENESS)):
        raise ValueError(
            f"no model is called {name!r}; did you mean {meant}? Give a checkpoint's folder, its "
            f"name on the hub, or {meant} for the shipped model"
        )


def is_path(name: str) -> bool:
    """Return True for a name that can only be that of a folder, and not one on the hub."""
    # A name on the hub is that of a repository, mostly after its owner's: one slash at most.
    return Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1


def suggest_folder(name: str) -> str:
    """Suggest the folder that lies next to where a misspelt one would; "" if there is none.

    >>> suggest_folder("owner/model")
    ''
    """
    parent = expand_home(name).parent
    # The current folder is not looked through: it may hold anything, and most names on the hub
    # would be like something in it.
    if parent == Path() or not parent.is_dir():
        return ""
    try:
        folders = [path.name for path in parent.iterdir() if path.is_dir()]
    except OSError:  # a folder that may not be read has no suggestions
        return ""
    similar = find_similar(Path(name).name, folders)
    return "" if similar is None else f"did you mean {parent / similar}? Or "

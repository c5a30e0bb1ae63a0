"""Names by which a model is asked for: a folder, a repository on the hub, or the shipped model.

All that is said of a name alone is said here, without torch: a misspelt one is told at once.
"""

from pathlib import Path

from probe.spelling import find_similar

ORGANISM = "organism"
"""The name of the shipped model, where a checkpoint's name is asked for."""

LIKENESS = 0.75
"""The least likeness, from 0 to 1, of a name that must be meant to be that of the shipped model: a
letter or two are wrong."""


def check_name(name: str) -> None:
    """Check that a model may have this name; one on the hub is not looked for.

    Raises:
        ValueError: if it is a misspelt name of the shipped model, or that of a folder which is not
            there.
    """
    if name == ORGANISM or Path(name).exists():
        return
    if is_path(name):
        raise ValueError(
            f"{name}: no such folder; {suggest_folder(name)}give a checkpoint's folder or its hub "
            "name"
        )
    # No repository on the hub has a name so like it, and nobody should wait for the network's word.
    if "/" not in name and find_similar(name, [ORGANISM], LIKENESS):
        raise ValueError(
            f"no model is called {name!r}; did you mean {ORGANISM}? Give a checkpoint's folder, "
            f"its name on the hub, or {ORGANISM} for the shipped model"
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
    parent = Path(name).expanduser().parent
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

"""The folder of a run of learning, which belongs to the choices of the run once it has weights.

A run that has written no weights has nothing to go on from: it binds nobody to its choices. One
that fails before its first step leaves nothing, so that a wrong option costs no folder.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from probe.files import read_json, remove_partials, write_json

WEIGHTS = ("*.safetensors", "*/*.safetensors")
"""Patterns of the files that later runs of the same choices go on from, or would overwrite."""

LOGS = ("log.json", "log.jsonl")
"""Files that grow with each step or episode of a run."""

ABSENT = object()
"""The value of an entry that a file lacks; equal to nothing in JSON, not even to null."""


@dataclass(frozen=True)
class Claim:
    """The choices or data of a run, as a file in its folder states them."""

    content: Mapping[str, Any]
    """Plain values by name."""

    names: Mapping[str, str]
    """For each entry, the way to call a run that differs in it, such as "other videos"."""

    file: str = "recipe.json"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of entries that a file of an earlier version lacks."""

    @classmethod
    def of_recipe(cls, recipe: Any) -> "Claim":
        """Claim a folder for a recipe, a dataclass whose fields all have defaults.

        A field that the stored recipe lacks was added later, with a default that does what was done
        before.
        """
        names = {name: f"another recipe ({name})" for name in asdict(recipe)}
        return cls(asdict(recipe), names, defaults=asdict(type(recipe)()))

    def check(self, folder: Path) -> None:
        """Check that the run in a folder is one of this claim; one that states nothing is.

        Raises:
            ValueError: if it is another one.
        """
        path = folder / self.file
        if not path.exists():
            return
        stored = read_json(path)
        if not isinstance(stored, dict):
            raise ValueError(f"{path}: not the choices of a run; give another folder")
        before, now = {**_to_plain(self.defaults), **stored}, _to_plain(self.content)
        wrong = [
            self.names.get(entry, "another version")
            for entry in dict.fromkeys([*now, *before])
            if before.get(entry, ABSENT) != now.get(entry, ABSENT)
        ]
        if wrong:
            # Each once: two entries may have one name.
            raise ValueError(
                f"{folder}: a run of {' and '.join(dict.fromkeys(wrong))}; give another folder, or "
                "the same choices"
            )

    def write_if_new(self, folder: Path) -> None:
        """Write the claim into a folder that does not have it."""
        if not (folder / self.file).exists():
            write_json(folder / self.file, _to_plain(self.content))


@contextmanager
def claim_folder(folder: Path, *claims: Claim) -> Iterator[None]:
    """Claim a folder for the run in the block, which makes it or goes on in it.

    If the block fails before a log or weights are written, the folder is left as it was.

    Args:
        folder: The folder; made if it is missing.
        claims: The choices and data of the run, each in a file of its own.

    Raises:
        ValueError: if the folder contains the weights of another run.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    if _has_any(folder, WEIGHTS):
        for claim in claims:
            claim.check(folder)
    else:
        # Logs, too: the lines of two runs would be taken for those of one.
        for name in (*LOGS, *(claim.file for claim in claims)):
            (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    remove_partials(folder)
    for claim in claims:
        claim.write_if_new(folder)
    try:
        yield
    except BaseException:
        if not _has_any(folder, (*WEIGHTS, *LOGS)):
            _leave(folder, claims, made)
        raise


def _has_any(folder: Path, patterns: Sequence[str]) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def _leave(folder: Path, claims: Sequence[Claim], made: Sequence[Path]) -> None:
    """Remove the claims, and those folders that were made for them and are empty now."""
    for claim in claims:
        (folder / claim.file).unlink(missing_ok=True)
    with suppress(OSError):  # one that is not empty stays, and all above it
        for path in made:
            path.rmdir()


def _to_plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(dict(content)))  # with lists for tuples, as it is read

"""Options of which one form of a command makes no use: they are refused, never ignored."""

from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any


def refuse_unused(options: Any, names: Iterable[str], reason: str) -> None:
    """Refuse options that were given a value and would have no effect.

    Args:
        options: A dataclass of options whose fields have defaults.
        names: The fields that are of no use here.
        reason: The reason, with the remedy.

    Raises:
        ValueError: if one of them differs from its default.
    """
    # A default that was typed cannot be told from one that was not, and does no harm.
    for one in fields(options):
        if one.name not in names:
            continue
        usual = one.default if one.default_factory is MISSING else one.default_factory()
        if getattr(options, one.name) != usual:
            raise ValueError(f"--{one.name.replace('_', '-')}: {reason}")

"""The order of arguments that savers once had: the path first. It is still accepted."""

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

Arguments = ParamSpec("Arguments")


def accept_path_first(
    is_old: Callable[[tuple[Any, ...], Mapping[str, Any]], bool],
) -> Callable[[Callable[Arguments, None]], Callable[Arguments, None]]:
    """Make a decorator that lets a saver take its path first, with a warning of one line.

    Args:
        is_old: Tells from the arguments by place, of which there is at least one, and by name
            whether the first is the path.
    """

    def decorate(save: Callable[Arguments, None]) -> Callable[Arguments, None]:
        order = ", ".join(inspect.signature(save).parameters)

        @functools.wraps(save)
        def reorder(*args: Any, **named: Any) -> None:
            if args and "path" not in named and is_old(args, named):
                name = getattr(save, "__name__", "the saver")
                message = f"{name} takes its path last now: {name}({order})"
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                args, named = args[1:], {**named, "path": args[0]}
            save(*args, **named)

        return reorder

    return decorate

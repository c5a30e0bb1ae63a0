"""Check numbers among options at once, so that an error names the option and the remedy."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probe.engine.model import VideoLM


MOST_THREADS = 1024
"""Most CPU threads that may be asked for; beyond, libgomp fails and takes the program with it."""


def check_numbers(options: Any, **least: int) -> None:
    """Refuse numbers that are too small, NaN or infinite; those that were not given are None.

    Args:
        options: The options of a command.
        least: The least that each may be, by the name of its field.

    Raises:
        ValueError: if there is such a number.
    """
    for name, smallest in least.items():
        value = getattr(options, name)
        if value is not None and not smallest <= value < math.inf:  # as NaN is not, either
            remedy = f"give at least {smallest}" if smallest else "give 0 or more"
            raise ValueError(f"--{name.replace('_', '-')} {value}: {remedy}")


def check_threads(threads: int | None) -> None:
    """Refuse numbers of CPU threads that no machine can start: the system would end the program.

    Raises:
        ValueError: if it is such a number.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"--threads {threads}: give 1 to {MOST_THREADS}")


def check_layer(option: str, layer: int | None, model: "VideoLM") -> None:
    """Refuse a layer that a model does not have; negative ones count from the last.

    Args:
        option: The option by which it was given.
        layer: Its number; None if none was given.
        model: The model.

    Raises:
        ValueError: if there is no such layer.
    """
    if layer is not None and not -model.depth <= layer < model.depth:
        raise ValueError(
            f"{option} {layer}: {model.name} has layers 0 to {model.depth - 1}; give one of them"
        )

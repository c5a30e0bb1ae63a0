"""What the command line says: one line for an error, a bar for progress."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm.auto import tqdm


def fail(message: str, code: int = 2) -> NoReturn:
    """Say in one line what is wrong and stop."""
    print(f"probe: {message}", file=sys.stderr)
    sys.exit(code)


def quieten() -> None:
    """Keep what libraries say while a checkpoint is opened off the screen."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()


@contextmanager
def progress(*steps: str) -> "Iterator[Step]":
    """A progress bar over named steps; call what it gives at the end of each."""
    with tqdm(total=len(steps), leave=False, bar_format="{desc:8} {bar:30} {elapsed}") as bar:
        step = Step(bar, steps)
        yield step


class Step:
    """Moves a progress bar on."""

    def __init__(self, bar: tqdm, names: tuple[str, ...]) -> None:
        self._bar = bar
        self._names = iter(names[1:])
        bar.set_description_str(names[0])

    def __call__(self) -> None:
        """One step is done; name the next."""
        self._bar.update()
        self._bar.set_description_str(next(self._names, "done"))


def without_box(text: str) -> str:
    r"""What the parser draws in a box, as one line: neither title, nor frame, nor where help is.

    >>> without_box("╭─ Oh ─╮\n│ odd  │\n│ word │\n│ ──── │\n│ For full helptext, run --help │")
    'odd word'
    """
    _, _, boxed = text.partition("\n")
    lines = boxed.partition("For full helptext")[0].splitlines()
    inside = (line.strip("│╰╯─|+ ") for line in lines)  # where there are no such signs, -, | and +
    return " ".join(line for line in inside if line.strip("-"))


def say_warning(message: Warning | str, *_: object, **__: object) -> None:
    """A warning as a note, in place of `warnings.showwarning`."""
    print(f"probe: note: {message}", file=sys.stderr)

"""Write the page of what was found, from the committed numbers: `python docs/write_found.py`.

The text is `found.md.j2`, which has expressions in the place of figures: none is copied by hand.
"""

from pathlib import Path
from typing import Any

import jinja2

from probe.files import read_json

DOCS = Path(__file__).parent
NUMBERS = DOCS.parent / "analyses/numbers"
PAGE = DOCS / "found.md"


def load(name: str) -> Any:
    """Load the numbers of a script."""
    return read_json(NUMBERS / f"{name}.json")


def write_share(one: Any) -> str:
    """Write a mean with its interval."""
    low, high = one["interval"]
    return f"{one['mean']:.3f} [{low:.3f}, {high:.3f}]"


def write_gain(one: Any, digits: int = 3) -> str:
    """Write a difference with its interval."""
    low, high = one["interval"]
    return f"{one['mean']:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def write_difference(numbers: Any, over: str, under: str, figure: str) -> str:
    """Write one of the differences that a script has stored."""
    (found,) = [
        one
        for one in numbers["differences"]
        if (one["over"], one["under"], one["figure"]) == (over, under, figure)
    ]
    return write_gain(found)


def write_statement(name: str, digits: int = 3) -> str:
    """Write the difference of a statement on the shipped organism."""
    return write_gain(load("claims")["statements"][name]["organisms"]["shipped"], digits)


def write_right(row: str) -> str:
    """Write how often a method finds the right track, by organism."""
    models = load("causal_on_organisms")["models"]
    names = ("organism", "fd3ab77", "942180f", "untrained")
    found = (models[name]["table"][row]["right_track"]["mean"] for name in names)
    return ", ".join(f"{share:.3f}" for share in found)


def make_page() -> str:
    """Make the page: ten findings with a picture each, then every statement with its verdicts."""
    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DOCS),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, of our own numbers
    )
    page.filters |= {
        "fixed": lambda number, digits: f"{number:.{digits}f}",
        "signed": lambda number, digits: f"{number:+.{digits}f}",
    }
    page.globals |= {
        "load": load,
        "share": write_share,
        "gain": write_gain,
        "difference": write_difference,
        "statement": write_statement,
        "right": write_right,
    }
    return page.get_template("found.md.j2").render()


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")

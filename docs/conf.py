"""How the documentation is rendered: `make docs`. Nothing here needs a network."""

from importlib import metadata
from typing import Any

import probe  # noqa: F401  readies torchvision before anything else is imported

project = "Grounding Probe"
release = version = metadata.version("grounding-probe")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = project
default_role = "code"  # docstrings put names between single backquotes

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
myst_heading_anchors = 3


def as_prose(
    _app: Any, what: str, _name: str, _thing: Any, _options: Any, lines: list[str]
) -> None:
    """Keep napoleon from taking what stands before a colon in the first line for a type.

    It skips empty lines, so an empty comment goes first.
    """
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def readable_signature(
    _app: Any,
    _what: str,
    _name: str,
    _thing: Any,
    _options: Any,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Show a default that is made anew as dots: `<factory>` cannot be parsed as Python."""
    return signature and signature.replace("<factory>", "..."), returned


def setup(app: Any) -> None:
    """Connect the above; napoleon listens at the usual priority of 500."""
    app.connect("autodoc-process-docstring", as_prose, priority=400)
    app.connect("autodoc-process-signature", readable_signature)

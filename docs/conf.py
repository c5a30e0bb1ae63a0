"""Settings of the documentation, which `make docs` builds without a network."""

import re
from importlib import metadata
from typing import Any

import probe.engine  # noqa: F401  adapts torchvision before anything else imports it

project = "Grounding Probe"
release = version = metadata.version("grounding-probe")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = project
default_role = "code"  # docstrings put names between single backquotes

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
myst_heading_anchors = 3
nb_execution_mode = "off"  # `make notebooks` runs them; the pages show their committed outputs


def mark_as_prose(
    _app: Any, what: str, _name: str, _thing: Any, _options: Any, lines: list[str]
) -> None:
    """Keep napoleon from reading the words before a colon in the first line as a type."""
    # Napoleon takes the first line as a type unless it is a comment; empty lines it skips.
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def simplify_signature(
    _app: Any,
    _what: str,
    _name: str,
    _thing: Any,
    _options: Any,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Show the default of a factory as dots: `<factory>` cannot be parsed as Python."""
    return signature and signature.replace("<factory>", "..."), returned


def turn_links(_app: Any, name: str, text: list[str]) -> None:
    """Let the links of notebooks to pages, and to each other, lead there."""
    # Sphinx follows the link `docs/notebooks` before it looks for a file, and finds no page outside
    # of `docs`: pages are named from its top, and notebooks by their names in these pages.
    if name.startswith("notebooks/"):
        turned = text[0].replace("](../docs/", "](/")
        text[0] = re.sub(r"\[([\w -]+)\]\((\w+)\.ipynb\)", r"{doc}`\1 </notebooks/\2>`", turned)


def setup(app: Any) -> None:
    """Connect the functions; two before napoleon, which has the usual priority of 500."""
    app.connect("source-read", turn_links)
    app.connect("autodoc-process-docstring", mark_as_prose, priority=400)
    app.connect("autodoc-process-signature", simplify_signature)

"""Texts of users as HTML and as Markdown: shown as they are, and never obeyed."""

import html
import re

from probe.pictures.escapes import escape

MARKDOWN_SIGNS = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]|#"})
"""Signs that mean something in Markdown, with those that show them."""


def escape_html(text: str) -> str:
    """Escape a text so that a browser shows it as it is, in the order in which it was written."""
    return html.escape(escape(" ".join(text.split())))


def escape_markdown(text: str) -> str:
    """Escape a text so that Markdown shows it as it is."""
    # HTML first: Markdown passes tags on, so a query could bring a script into a rendered page.
    line = escape(" ".join(text.split()))
    return html.escape(line, quote=False).translate(MARKDOWN_SIGNS)


def make_anchor(kind: str, name: str) -> str:
    """Make the name of a place in a page, to which its own links lead.

    >>> make_anchor("term", "vIoU@0.3")
    'term-viou-0-3'
    """
    return f"{kind}-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}"

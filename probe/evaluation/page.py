"""A page of tables, texts and pictures, as one HTML file that loads nothing, or as Markdown.

Everything that is put on a page is plain text; it is escaped here, and only here.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from probe.pictures.escapes import escape

PAGE_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9em; }
th, td { text-align: left; padding: 0.3em 0.8em 0.3em 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr.quiet td { color: var(--quiet); }
figure { margin: 1rem 0; } figcaption { font-size: 0.9em; }
img { max-width: 100%; background: #fff; }
"""


@dataclass(frozen=True)
class Heading:
    """The title of the parts that follow."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    cells: tuple[str, ...]
    quiet: bool = False
    """True to show it in grey, as published figures are: for comparison only."""


@dataclass(frozen=True)
class PageTable:
    """Rows with the names of their columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class CaptionedPicture:
    """A PNG file with a caption."""

    png: bytes = field(repr=False)
    caption: str


Part: TypeAlias = Heading | Paragraph | PageTable | CaptionedPicture


def write_html(title: str, parts: Sequence[Part]) -> str:
    """Write the page as one HTML file that contains its pictures and loads nothing."""
    body = "\n".join(map(_write_html_part, parts))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_escape_html(title)}</title><style>{PAGE_STYLE}</style></head>\n"
        f"<body><h1>{_escape_html(title)}</h1>\n{body}\n</body></html>\n"
    )


def write_markdown(title: str, parts: Sequence[Part]) -> str:
    """Write the page as Markdown, with the captions of its pictures only."""
    return "\n\n".join([f"# {_escape_markdown(title)}", *map(_write_markdown_part, parts)]) + "\n"


def _write_html_part(part: Part) -> str:
    match part:
        case Heading(text):
            return f"<h2>{_escape_html(text)}</h2>"
        case Paragraph(text):
            return f"<p>{_escape_html(text)}</p>"
        case PageTable(columns, rows):
            head = "".join(f"<th>{_escape_html(name)}</th>" for name in columns)
            body = "\n".join(map(_write_html_row, rows))
            return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'
        case CaptionedPicture(png, caption):
            # Inside the page, so that it can be sent as one file.
            data = base64.b64encode(png).decode()
            text = _escape_html(caption)
            return (
                f'<figure><figcaption>{text}</figcaption><img alt="{text}" '
                f'src="data:image/png;base64,{data}"></figure>'
            )


def _write_html_row(row: Row) -> str:
    cells = "".join(f"<td>{_escape_html(cell)}</td>" for cell in row.cells)
    return f'<tr class="quiet">{cells}</tr>' if row.quiet else f"<tr>{cells}</tr>"


def _write_markdown_part(part: Part) -> str:
    match part:
        case Heading(text):
            return f"## {_escape_markdown(text)}"
        case Paragraph(text):
            return _escape_markdown(text)
        case PageTable(columns, rows):
            head, *body = (
                tuple(map(_escape_markdown, line))
                for line in (columns, *(row.cells for row in rows))
            )
            lines = [head, ("---",) * len(columns), *body]
            return "\n".join(f"| {' | '.join(line)} |" for line in lines)
        case CaptionedPicture(_, caption):
            return f"(picture in the HTML page) {_escape_markdown(caption)}"


def _escape_html(text: str) -> str:
    """Escape a text so that a browser shows it as it is, in the order in which it was written."""
    return html.escape(escape(" ".join(text.split())))


def _escape_markdown(text: str) -> str:
    """Escape a text so that Markdown shows it as it is."""
    # HTML first: Markdown passes tags on, so a query could bring a script into a rendered page.
    marks = {mark: f"\\{mark}" for mark in "\\`*_[]|#"}
    line = escape(" ".join(text.split()))
    return html.escape(line, quote=False).translate(str.maketrans(marks))

"""A page of tables, texts and pictures, written as HTML that stands alone or as Markdown.

Everything that is put on a page is plain text; it is escaped here, and only here.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

STYLE = """
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
    """The title of what follows."""

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
    """Whether it only stands beside the others, such as a published figure."""


@dataclass(frozen=True)
class Table:
    """Rows under names of columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows."""

    png: bytes = field(repr=False)
    caption: str


Part: TypeAlias = Heading | Paragraph | Table | Picture


def as_html(title: str, parts: Sequence[Part]) -> str:
    """The page as one file, its pictures in it; it loads nothing."""
    body = "\n".join(map(_html, parts))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def as_markdown(title: str, parts: Sequence[Part]) -> str:
    """The page without its pictures, of which only the captions are left."""
    return "\n\n".join([f"# {_plain(title)}", *map(_markdown, parts)]) + "\n"


def _html(part: Part) -> str:
    match part:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Paragraph(text):
            return f"<p>{html.escape(text)}</p>"
        case Table(columns, rows):
            head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
            body = "\n".join(map(_html_row, rows))
            return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'
        case Picture(png, caption):
            data = base64.b64encode(png).decode()
            text = html.escape(caption)
            return (
                f'<figure><figcaption>{text}</figcaption><img alt="{text}" '
                f'src="data:image/png;base64,{data}"></figure>'
            )


def _html_row(row: Row) -> str:
    cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row.cells)
    return f'<tr class="quiet">{cells}</tr>' if row.quiet else f"<tr>{cells}</tr>"


def _markdown(part: Part) -> str:
    match part:
        case Heading(text):
            return f"## {_plain(text)}"
        case Paragraph(text):
            return _plain(text)
        case Table(columns, rows):
            lines = [columns, ("---",) * len(columns), *(row.cells for row in rows)]
            plain = [line if line[0] == "---" else tuple(map(_plain, line)) for line in lines]
            return "\n".join(f"| {' | '.join(line)} |" for line in plain)
        case Picture(_, caption):
            return f"(picture in the HTML page) {_plain(caption)}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    marks = {mark: f"\\{mark}" for mark in "\\`*_[]|#"}
    return html.escape(" ".join(text.split()), quote=False).translate(str.maketrans(marks))

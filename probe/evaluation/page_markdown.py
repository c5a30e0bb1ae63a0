"""A page as Markdown: its texts and tables, and the captions of its charts and pictures."""

from collections.abc import Sequence

from probe.evaluation.markup import escape_markdown
from probe.evaluation.page import (
    Case,
    Cases,
    Cell,
    Charts,
    Column,
    Heading,
    Key,
    PageTable,
    Paragraph,
    Part,
    Terms,
)

ELSEWHERE = "(in the HTML page)"
"""Text in the place of what Markdown cannot hold."""


def write_markdown(title: str, parts: Sequence[Part]) -> str:
    """Write the page as Markdown, with the captions of its pictures only."""
    written = [text for part in parts if (text := _write_part(part))]
    return "\n\n".join([f"# {escape_markdown(title)}", *written]) + "\n"


def _write_part(part: Part) -> str:
    match part:
        case Heading(text, level):
            return f"{'#' * level} {escape_markdown(text)}"
        case Paragraph(text):
            return escape_markdown(text)
        case PageTable(columns, rows):
            head = [
                escape_markdown(one.name if isinstance(one, Column) else one) for one in columns
            ]
            body = [[_write_cell(cell) for cell in row.cells] for row in rows]
            lines = [head, ["---"] * len(columns), *body]
            return "\n".join(f"| {' | '.join(line)} |" for line in lines)
        case Terms(entries):
            return "\n".join(
                f"- **{escape_markdown(name)}**: {escape_markdown(text)}" for name, text in entries
            )
        case Key():
            return ""  # of signs and colours that are not there
        case Charts(charts):
            return "\n".join(f"- {ELSEWHERE} {escape_markdown(chart.caption)}" for chart in charts)
        case Cases(cases):
            return "\n".join(map(_write_case, cases))


def _write_cell(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return escape_markdown(cell)
    text = escape_markdown(f"{cell.text} {cell.small}".strip())
    return f"**{text}**" if cell.strong and text else text


def _write_case(case: Case) -> str:
    about = [*case.facts, *case.notes]
    pictures = f" {ELSEWHERE}" if case.pictures else ""
    return f"- **{escape_markdown(case.title)}**{pictures} {escape_markdown('; '.join(about))}"

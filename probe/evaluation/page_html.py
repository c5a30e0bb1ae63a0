"""A page as one HTML file that contains its pictures and loads nothing."""

import base64
from collections.abc import Sequence

from probe.evaluation.charts import Chart, write_svg
from probe.evaluation.markup import escape_html, make_anchor
from probe.evaluation.page import (
    Case,
    Cases,
    Cell,
    Charts,
    Column,
    Heading,
    Interval,
    Key,
    PageTable,
    Paragraph,
    Part,
    Picture,
    Row,
    Terms,
    TimeSpan,
)
from probe.evaluation.page_style import PAGE_STYLE

FEW_COLUMNS = 5
"""Columns of a table that still fit next to each other on a tablet."""


def write_html(title: str, parts: Sequence[Part]) -> str:
    """Write the page as one HTML file that contains its pictures and loads nothing."""
    terms = {name for part in parts if isinstance(part, Terms) for name, _ in part.entries}
    body = "\n".join(_write_part(part, terms) for part in parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape_html(title)}</title><style>{PAGE_STYLE}</style></head>\n"
        f"<body><main><h1>{escape_html(title)}</h1>\n{_write_contents(parts)}\n{body}\n"
        "</main></body></html>\n"
    )


def _write_contents(parts: Sequence[Part]) -> str:
    """Write links to the sections; nothing if there are hardly any."""
    sections = [part.text for part in parts if isinstance(part, Heading) and part.level == 2]
    if len(sections) < 3:
        return ""
    links = "".join(f"<li>{_write_link('section', name, name)}</li>" for name in sections)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


def _write_link(kind: str, name: str, text: str) -> str:
    return f'<a href="#{make_anchor(kind, name)}">{escape_html(text)}</a>'


def _write_part(part: Part, terms: set[str]) -> str:
    match part:
        case Heading(text, level):
            return f'<h{level} id="{make_anchor("section", text)}">{escape_html(text)}</h{level}>'
        case Paragraph(text):
            return f"<p>{escape_html(text)}</p>"
        case PageTable():
            return _write_table(part, terms)
        case Terms(entries):
            listed = "".join(
                f'<div id="{make_anchor("term", name)}"><dt>{escape_html(name)}</dt>'
                f"<dd>{escape_html(text)}</dd></div>"
                for name, text in entries
            )
            return f'<dl class="terms">{listed}</dl>'
        case Key(entries):
            signs = "".join(
                f'<li><span class="sign {kind}"></span>{escape_html(text)}</li>'
                for kind, text in entries
            )
            return f'<ul class="key">{signs}</ul>'
        case Charts(charts):
            return f'<div class="charts">{"".join(map(_write_chart, charts))}</div>'
        case Cases(cases):
            return f'<div class="cases">{"".join(map(_write_case, cases))}</div>'


# Tables. A narrow page shows each row as a block: then a cell needs the name of its column, and
# since blocks are no table for a screen reader, roles say that it still is one.


def _write_table(table: PageTable, terms: set[str]) -> str:
    columns = [Column(one, number=False) if isinstance(one, str) else one for one in table.columns]
    head = "".join(_write_head(column, terms) for column in columns)
    body = "\n".join(_write_row(row, columns) for row in table.rows)
    size = "few" if len(columns) <= FEW_COLUMNS else "many"
    return (
        f'<div class="wide {size}"><table role="table"><thead role="rowgroup">'
        f'<tr role="row">{head}</tr></thead>\n<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _write_head(column: Column, terms: set[str]) -> str:
    known = column.name in terms
    name = _write_link("term", column.name, column.name) if known else escape_html(column.name)
    kind = ' class="number"' if column.number else ""
    return f'<th scope="col" role="columnheader"{kind}{_write_note(column)}>{name}</th>'


def _write_note(column: Column) -> str:
    return f' title="{escape_html(column.note)}"' if column.note else ""


def _write_row(row: Row, columns: Sequence[Column]) -> str:
    # Strict, since a cell in a wrong column would be a wrong figure that looks right.
    pairs = zip(row.cells, columns, strict=True)
    cells = "".join(_write_cell(cell, column) for cell, column in pairs)
    kind = ' class="quiet"' if row.quiet else ""
    return f'<tr role="row"{kind}>{cells}</tr>'


def _write_cell(cell: str | Cell, column: Column) -> str:
    cell = Cell(cell) if isinstance(cell, str) else cell
    text = escape_html(cell.text)
    text = f"<b>{text}</b>" if cell.strong else text
    small = f"<small>{escape_html(cell.small)}</small>" if cell.small else ""
    kind = ' class="number"' if column.number else ""
    name = escape_html(column.name)
    bar = "" if cell.interval is None else _write_bar(cell.interval)
    return f'<td role="cell"{kind} data-name="{name}"{_write_note(column)}>{text}{small}{bar}</td>'


def _write_bar(interval: Interval) -> str:
    """Write a figure, its interval and what it is compared with as marks on a bar."""

    def place(value: float) -> float:
        share = (value - interval.least) / (interval.most - interval.least)
        return 100 * min(1.0, max(0.0, share))

    low, high = place(interval.low), place(interval.high)
    marks = {"chance": interval.chance, "ceiling": interval.ceiling}
    if interval.least < 0:
        marks["zero"] = 0.0
    compared = "".join(
        f'<i class="{kind}" style="left:{place(value):.1f}%"></i>'
        for kind, value in marks.items()
        if value is not None
    )
    return (
        f'<span class="bar" aria-hidden="true">{compared}'
        f'<i class="reach" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<i class="mean" style="left:{place(interval.mean):.1f}%"></i></span>'
    )


# Charts and answers


def _write_chart(chart: Chart) -> str:
    caption = escape_html(chart.caption)
    return f"<figure>{write_svg(chart)}<figcaption>{caption}</figcaption></figure>"


def _write_case(case: Case) -> str:
    facts = "".join(f"<li>{escape_html(fact)}</li>" for fact in case.facts)
    pictures = "".join(map(_write_picture, case.pictures))
    spans = "".join(map(_write_span, case.spans))
    notes = "".join(f"<p>{escape_html(note)}</p>" for note in case.notes)
    return (
        f'<article><h4>{escape_html(case.title)}</h4><ul class="facts">{facts}</ul>'
        f'<div class="frames">{pictures}</div><div class="spans">{spans}</div>{notes}</article>'
    )


def _write_picture(picture: Picture) -> str:
    # Inside the page, so that it can be sent as one file.
    data = base64.b64encode(picture.data).decode()
    caption = escape_html(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/{picture.kind};base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _write_span(span: TimeSpan) -> str:
    name = escape_html(span.name)
    reach = f"left:{100 * span.start:.1f}%;width:{100 * (span.stop - span.start):.1f}%"
    return (
        f'<div class="span"><span>{name}</span>'
        f'<span class="time"><i class="{name}" style="{reach}"></i></span></div>'
    )

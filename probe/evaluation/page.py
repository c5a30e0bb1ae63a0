"""Parts of a page of tables, texts, charts and pictures: plain values, for two writers.

`page_html` writes them as one HTML file that loads nothing, `page_markdown` as Markdown. Everything
that is put on a page is plain text; the writers escape it.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from probe.evaluation.charts import Chart


@dataclass(frozen=True)
class Heading:
    """The title of the parts that follow."""

    text: str
    level: int = 2
    """2 for a section, which the page lists at its top; 3 for a part of one."""


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Column:
    """The name of a table's column."""

    name: str
    note: str = ""
    """The meaning of what is in it; shown when the mouse is over it, and in the legend."""

    number: bool = True
    """True if it holds numbers, which are aligned at the right."""


@dataclass(frozen=True)
class Interval:
    """A figure on a bar: its mean, its interval, and marks to compare it with."""

    low: float
    mean: float
    high: float
    chance: float | None = None
    ceiling: float | None = None
    least: float = 0.0
    most: float = 100.0
    """Ends of the bar."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table with more than a text."""

    text: str
    small: str = ""
    """Text below the other, smaller."""

    interval: Interval | None = None
    strong: bool = False
    """True to set the text bold."""


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    cells: tuple[str | Cell, ...]
    quiet: bool = False
    """True to show it in grey, as published figures are: for comparison only."""


@dataclass(frozen=True)
class PageTable:
    """Rows with the names of their columns; a name alone is one of a column of texts."""

    columns: tuple[str | Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Terms:
    """A legend: names, each with its meaning, to which the columns of tables lead."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Key:
    """The meaning of marks and colours: the name of each sign, and what it shows."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Charts:
    """Charts next to each other, as far as there is room."""

    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Picture:
    """A picture as a file."""

    data: bytes = field(repr=False)
    kind: str
    """The type of the file, such as "webp"."""

    caption: str


@dataclass(frozen=True)
class TimeSpan:
    """A part of a video's time, in shares of its length."""

    name: str
    start: float
    stop: float


@dataclass(frozen=True)
class Case:
    """One answer: its query, its figures, pictures of it and its time."""

    title: str
    facts: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()
    spans: tuple[TimeSpan, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences below the pictures, such as doubts."""


@dataclass(frozen=True)
class Cases:
    """Answers next to each other, as far as there is room."""

    cases: tuple[Case, ...]


Part: TypeAlias = Heading | Paragraph | PageTable | Terms | Key | Charts | Cases

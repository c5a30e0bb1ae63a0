"""Pairs of pictures and sentences in files of users, and pictures with classes to score on.

A file of pairs has the form that open_clip and ProtoCLIP read: tab-separated, with a header that
names `filepath` and `title`. Paths are relative to the file's folder.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probe.files import read_text
from probe.video.images import read_pixels

PAIR_COLUMNS = ("filepath", "title")

CLASS_COLUMNS = ("filepath", "label", "split")
"""Columns of a file of pictures with classes; the split is `train` or `test`."""

SHOWN_PROBLEMS = 3
"""Bad rows that an error names; of the others it gives the number."""

Tokenise: TypeAlias = Callable[[Sequence[str]], Int[Tensor, "text token"]]

Row: TypeAlias = dict[str, str]


@dataclass(frozen=True)
class PictureTable:
    """Usable rows of a file, and a line about those that are not."""

    path: Path
    rows: tuple[Row, ...]
    places: tuple[int, ...]
    """Place of each usable row among all rows of the file, from 0."""
    problems: tuple[str, ...]
    """One for each row that cannot be used: its line and the reason."""

    @property
    def left_out(self) -> str:
        """A line about the rows that cannot be used; empty if all can."""
        if not self.problems:
            return ""
        total = len(self.rows) + len(self.problems)
        named = "; ".join(self.problems[:SHOWN_PROBLEMS])
        more = len(self.problems) - SHOWN_PROBLEMS
        also = f"; and {more} more" if more > 0 else ""
        return f"{self.path}: {len(self.problems)} of {total} rows cannot be used: {named}{also}"

    def require_all(self, remedy: str) -> "PictureTable":
        """Return the table if every row can be used.

        Raises:
            ValueError: if one cannot; the remedy ends the line.
        """
        if self.problems:
            raise ValueError(f"{self.left_out}; {remedy}")
        return self

    def find_picture(self, row: Row) -> Path:
        """Return the path of a row's picture."""
        return self.path.parent / row["filepath"]


def read_table(path: str | Path, columns: Sequence[str]) -> PictureTable:
    """Read a tab-separated file of pictures, and find the rows that cannot be used.

    A row is of no use if it has another number of fields than the header, an empty field among the
    wanted ones, or a picture that is not there. Pictures are not opened yet.

    Args:
        path: The file, in UTF-8.
        columns: Columns that must be there; others are allowed.

    Raises:
        ValueError: if there is no such file, no header with the columns, or no usable row.
    """
    path = Path(path)
    # A quotation mark is a sign like others: captions from the web have single ones.
    lines = csv.reader(StringIO(read_text(path)), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(lines, [])
    missing = [name for name in columns if name not in header]
    if missing:
        found = ", ".join(header)[:100] or "nothing"
        raise ValueError(
            f"{path}: no column {' and no column '.join(missing)} in its first line ({found}); "
            f"give a tab-separated file whose first line names {', '.join(columns)}"
        )
    rows, places, problems = [], [], []
    for place, fields in enumerate(lines):
        row = dict(zip(header, fields, strict=False))
        problem = _find_problem(path.parent, row, columns, len(fields) - len(header))
        if problem:
            problems.append(f"line {lines.line_num} ({problem})")
        else:
            rows.append(row)
            places.append(place)
    table = PictureTable(path, tuple(rows), tuple(places), tuple(problems))
    if not rows:
        raise ValueError(table.left_out or f"{path}: no row after the header; give some")
    return table


def _find_problem(folder: Path, row: Row, columns: Sequence[str], surplus: int) -> str:
    if surplus:
        return f"{abs(surplus)} {'fields too many' if surplus > 0 else 'missing'}"
    for name in columns:
        if not row[name].strip():
            return f"empty {name}"
    if "split" in columns and row["split"] not in ("train", "test"):
        return f"split {row['split']!r} is neither train nor test"
    if not (folder / row["filepath"]).is_file():
        return f"no such picture: {row['filepath']}"
    return ""


@dataclass(frozen=True)
class PicturePairs:
    """Pairs of a file, as learning reads them: a picture is opened when it is drawn."""

    table: PictureTable
    tokenise: Tokenise
    transform: Callable[[Tensor], Tensor]
    """Makes of a picture of 8 bits, channels first, what the image tower takes."""

    def __len__(self) -> int:
        return len(self.table.rows)

    def read(self, index: int, seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return picture and tokens of a pair, augmented as the seed says.

        Raises:
            ValueError: if the picture cannot be read.
        """
        row = self.table.rows[index]
        # The transforms of torchvision draw from torch's own generator, which others use, too.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
            picture = self.transform(read_picture(self.table.find_picture(row)))
        return picture, self.tokenise([row["title"]])[0]


def read_picture(path: Path) -> Tensor:
    """Read a picture as a tensor of 8 bits, channels first."""
    return torch.from_numpy(read_pixels(path).copy()).permute(2, 0, 1)


def read_teacher(path: str | Path, table: PictureTable) -> Float[Tensor, "pair width"]:
    """Read an external teacher's features of the usable pairs of a file.

    The features have one row for each row of the file, also for those that cannot be used.

    Raises:
        ValueError: if it is not a `.npy` file of finite numbers with as many rows.
    """
    rows = len(table.rows) + len(table.problems)
    try:
        # Without pickles, which could run code.
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as failure:
        raise ValueError(f"{path}: cannot be read as .npy ({failure}); give another file") from None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind != "f":
        raise ValueError(f"{path}: not a table of decimal numbers; give one row for each pair")
    if len(values) != rows:
        raise ValueError(
            f"{path}: {len(values)} rows for {rows} pairs; give one row for each row of the file "
            "of pairs, in its order"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: contains numbers that are not finite; compute it again")
    return torch.from_numpy(values[list(table.places)].astype(np.float32))


def number_classes(rows: Sequence[Row]) -> tuple[list[str], Int[Tensor, " row"]]:
    """Return the names of the classes in alphabetical order, and the number of each row's."""
    names = sorted({row["label"] for row in rows})
    places: dict[str, Any] = {name: place for place, name in enumerate(names)}
    return names, torch.tensor([places[row["label"]] for row in rows])

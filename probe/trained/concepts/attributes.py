"""Attributes of classes: one-hot factors, the model's own embeddings of words, or a table."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from probe.engine.content import as_tensor, same_content
from probe.engine.view import View
from probe.files import read_text
from probe.interpret.word_lens import embed_words


@dataclass(frozen=True, eq=False)
class ClassAttributes:
    """Numbers that describe each class: all that is known of a class that was never seen."""

    names: tuple[str, ...]
    """The classes."""

    values: Float[Tensor, "class attribute"]

    kind: str = "given"
    """Source of the attributes, for people."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", as_tensor("attributes", self.values).float())
        if len(set(self.names)) != len(self.names):
            raise ValueError("two classes have one name; give each a name of its own")
        if self.values.dim() != 2 or len(self.values) != len(self.names):
            raise ValueError(
                f"attributes of {tuple(self.values.shape)} do not fit {len(self.names)} classes; "
                "give one row for each"
            )
        if not self.values.isfinite().all():
            raise ValueError("an attribute is NaN or infinite; give a number for each class")

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return (
            f"ClassAttributes({len(self)} classes of {self.values.shape[1]} attributes; "
            f"{self.kind})"
        )

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.names, self.kind))

    def permuted(self, order: Sequence[int]) -> "ClassAttributes":
        """Return the same names with the attributes of other classes: a control."""
        return ClassAttributes(self.names, self.values[list(order)], f"{self.kind}, shuffled")


def name_class(factors: Sequence[str]) -> str:
    """Join the factors of a class to its name.

    >>> name_class(("red", "circle", "slides left"))
    'red circle slides left'
    """
    return " ".join(factors)


def encode_factors(classes: Sequence[Sequence[str]]) -> ClassAttributes:
    """Describe each class by one-hot factors, such as its colour and its shape.

    >>> encode_factors([("red", "circle"), ("red", "square")]).values
    tensor([[1., 1., 0.],
            [1., 0., 1.]])

    Args:
        classes: The factors of each class, as many for all; values are numbered as they come.

    Raises:
        ValueError: if two classes are the same, or have another number of factors.
    """
    if len({len(one) for one in classes}) != 1:
        raise ValueError("classes have different numbers of factors; give as many for each")
    columns: list[Tensor] = []
    for values in zip(*classes, strict=True):
        known = list(dict.fromkeys(values))
        places = torch.tensor([known.index(value) for value in values])
        columns.append(torch.nn.functional.one_hot(places, len(known)).float())
    names = tuple(map(name_class, classes))
    return ClassAttributes(names, torch.cat(columns, dim=1), "one-hot factors")


def embed_factors(view: View, classes: Sequence[Sequence[str]]) -> ClassAttributes:
    """Describe each class by the model's own embeddings of its words.

    Args:
        view: Any view of the model; only its tokenizer and embeddings are used.
        classes: The factors of each class. That of several words is the mean of theirs; each factor
            has unit length, and a class is their sum.

    Raises:
        ValueError: if the tokenizer does not know a word.
    """
    known = {
        factor: normalize(embed_words(view, factor).mean(0), dim=-1)
        for factor in dict.fromkeys(one for factors in classes for one in factors)
    }
    values = torch.stack([sum_vectors([known[one] for one in factors]) for factors in classes])
    return ClassAttributes(tuple(map(name_class, classes)), values.cpu(), "embeddings of words")


def sum_vectors(vectors: Sequence[Tensor]) -> Tensor:
    """Sum some vectors."""
    return torch.stack(list(vectors)).sum(0)


def read_attributes(path: str | Path, names: Sequence[str] | None = None) -> ClassAttributes:
    """Read a table of attributes: a CSV with a header, the class in the first column.

    Args:
        path: The file, in UTF-8.
        names: The classes wanted, in this order; None for all, as they come.

    Raises:
        ValueError: if the file cannot be read, a value is no number, or a class is not in it.
    """
    rows = [row for row in csv.reader(StringIO(read_text(path))) if row]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise ValueError(f"{path}: no table; give a header, and a row for each class")
    found: dict[str, list[float]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{path}, row {number}: {len(row)} entries; the header has {len(rows[0])}"
            )
        if row[0] in found:
            raise ValueError(f"{path}, row {number}: the class {row[0]!r} is there twice")
        found[row[0]] = [_read_number(path, number, one) for one in row[1:]]
    wanted = tuple(found) if names is None else tuple(names)
    if lacking := [name for name in wanted if name not in found]:
        raise ValueError(
            f"{path}: {len(lacking)} classes have no row, such as {lacking[0]!r}; add them"
        )
    values = torch.tensor([found[name] for name in wanted])
    return ClassAttributes(wanted, values, f"the table {Path(path).name}")


def _read_number(path: Any, row: int, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise ValueError(f"{path}, row {row}: {text!r} is no number; give one")
    return number

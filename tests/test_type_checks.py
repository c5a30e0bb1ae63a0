"""The checks of types that all other tests run under."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from beartype import beartype
from jaxtyping import Float
from torch import Tensor
from type_checks import check_types

from probe.engine.grids import VisualGrid
from probe.organism.world import make_clip

if TYPE_CHECKING:
    from probe.video import Nothing  # pyright: ignore[reportAttributeAccessIssue]

check = check_types(typechecker=beartype)


@check
def multiply(
    a: Float[Tensor, "row shared"], b: Float[Tensor, "shared column"]
) -> Float[Tensor, "row column"]:
    return a @ b if len(a) < 5 else a


@check
def name(count: int, of: "Nothing | None" = None) -> str:
    mark = "x" if of is None else "?"
    return mark * count if count else count  # pyright: ignore[reportReturnType]


@check
@dataclass(frozen=True)
class Pair:
    one: Float[Tensor, " width"]
    other: Float[Tensor, " width"]
    title: str = ""


def test_what_fits_passes():
    assert multiply(torch.zeros(2, 3), torch.zeros(3, 4)).shape == (2, 4)
    assert multiply(torch.zeros(3, 2), torch.zeros(2, 1)).shape == (3, 1)
    assert name(2, of=None) == "xx"
    assert Pair(torch.zeros(2), other=torch.zeros(2)).title == ""


@pytest.mark.parametrize(
    "call",
    [
        lambda: multiply(torch.zeros(2, 3), torch.zeros(4, 4)),
        lambda: multiply(torch.zeros(6, 3), torch.zeros(3, 4)),
        lambda: multiply(torch.zeros(2, 3).int(), torch.zeros(3, 4)),
        lambda: name("2"),  # pyright: ignore[reportArgumentType]
        lambda: name(0),
        lambda: Pair(torch.zeros(2), torch.zeros(3)),
        lambda: Pair(torch.zeros(2), torch.zeros(2), title=7),  # pyright: ignore[reportArgumentType]
        # Of the package itself, without and with shapes.
        lambda: make_clip(7).frame("first"),  # pyright: ignore[reportArgumentType]
        lambda: VisualGrid(torch.zeros(2), "cells"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_does_not_fit_is_refused(call):
    with pytest.raises(Exception, match=r"type hint|violates"):
        call()

"""A look: where the model attended for one part of a query, and through which tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes

from probe.drawing.figures import draw_activation
from probe.engine.attention import Assembly, Heatmap, assemble
from probe.engine.grids import Cells
from probe.engine.readings import Reading, shorten
from probe.engine.view import View
from probe.interpret.grounding_tokens import rank_tokens
from probe.pictures.html import plot_as_html


@dataclass(frozen=True, eq=False)
class Look:
    """The map of one question, and the tokens that it was read through."""

    reading: Reading | None
    """The reading of the question; None for a look that was loaded from a file, which
    keeps the statistics of its tokens and the map."""

    tokens: tuple[int, ...]
    """The grounding token, or those whose maps were averaged, as places in the question; none where
    the map is of another source than attention."""

    heatmap: Heatmap

    consistency: float | None = None
    """Correlation of the maps of both frame orders, where they were assembled (-1 to 1)."""

    stored: Mapping[str, Any] | None = None
    """The content of the file, for a look that was loaded."""

    def __repr__(self) -> str:
        texts = [repr(self.token_texts[token]) for token in self.tokens]
        through = ", ".join(texts) or "no token"
        return f"Look({shorten(self.question)!r} through {through}; margin {self.margin:+.2f})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Look) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.question, self.tokens))

    @property
    def question(self) -> str:
        """The question that was asked."""
        return self.reading.prompt.question if self.reading else self._stored["question"]

    @property
    def margin(self) -> float:
        """Yes minus no in logits."""
        return self.reading.margin if self.reading else self._stored["yes_minus_no"]

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every token of the question with its statistics, as `rank_tokens` gives them."""
        if self.reading is not None:
            return rank_tokens(self.reading)
        return pd.DataFrame(self._stored["tokens"])

    @property
    def token_texts(self) -> tuple[str, ...]:
        """The question's tokens as people read them, in order."""
        if self.reading is not None:
            return self.reading.tokens
        return tuple(self.table.sort_values("index")["token"])

    def assemble_with(self, reverse: "Look", how: Assembly) -> "Look":
        """Join this map with that of the reversed frame order, turned back."""
        turned = reverse.heatmap.reversed()
        joined = assemble([self.heatmap, turned], how)
        return replace(self, heatmap=joined, consistency=self.heatmap.consistency(turned))

    def fuse_with(self, other: Heatmap) -> "Look":
        """Multiply this map by another of the same cells."""
        return replace(self, heatmap=assemble([self.heatmap, other], "product"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the visual activation of each token as a bar; those looked through are orange.

        Args:
            ax: The axes to draw on; None for a new figure.

        Raises:
            ValueError: if a value is not finite.
        """
        note = f" (yes minus no {self.margin:+.2f})"
        return draw_activation(ax, self.table, self.tokens, title=self.question, note=note)

    def _repr_html_(self) -> str:
        """Draw the tokens' visual activation for Jupyter."""
        return plot_as_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return question, tokens with their statistics, and map, in plain values."""
        peak = self.heatmap.peak
        texts = self.token_texts
        return {
            "question": self.question,
            "yes_minus_no": round(self.margin, 4),
            "grounding_tokens": [{"index": index, "token": texts[index]} for index in self.tokens],
            "consistency": None if self.consistency is None else round(self.consistency, 4),
            "peak": {
                "frame": self.heatmap.cells.frames[peak[0]][0],
                "row": peak[1],
                "column": peak[2],
            },
            "tokens": self.table.round(6).to_dict("records"),
            "map": map_to_dict(self.heatmap),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Look":
        """Make the look that `to_dict` wrote; it has no reading."""
        tokens = tuple(int(token["index"]) for token in record["grounding_tokens"])
        heatmap = map_from_dict(record["map"])
        return cls(None, tokens, heatmap, record["consistency"], record)

    @property
    def _stored(self) -> Mapping[str, Any]:
        assert self.stored is not None, "a look has a reading or was loaded"
        return self.stored


def make_map(rule: Callable[..., Any], view: View, text: str) -> Heatmap:
    """Make the map of a part of a query by a rule for maps.

    Args:
        rule: The rule.
        view: The video as the model sees it.
        text: The words of the part.

    Raises:
        ValueError: if the rule gives no map, or one of other cells.
    """
    found = rule(view, text)
    if not isinstance(found, Heatmap) or found.cells != view.grid.cells:
        given = type(found).__name__ if not isinstance(found, Heatmap) else "map of other cells"
        raise ValueError(
            f"the rule for maps gave a {given}; give a Heatmap of the cells of the view"
        )
    return found


def map_to_dict(heatmap: Heatmap) -> dict[str, Any]:
    """Convert a map to plain values; each number is as short as brings back the same float32."""
    values = heatmap.values.detach().cpu().float().numpy()
    numbers = [float(str(value)) for value in values.flatten()]
    return {"values": numbers, **heatmap.cells.to_dict()}


def map_from_dict(record: Mapping[str, Any]) -> Heatmap:
    """Make the map that `map_to_dict` wrote."""
    cells = Cells.from_dict(record)
    values = torch.from_numpy(np.array(record["values"], dtype=np.float32))
    return Heatmap(values.unflatten(0, cells.shape), cells)

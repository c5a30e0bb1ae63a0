"""Readings: what a model did with a question: where its tokens attend, and what it would answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.content import as_xarray, same_content
from probe.engine.grids import Cells, VisualGrid
from probe.engine.prompts import AnswerIds, Prompt
from probe.engine.provenance import Provenance
from probe.files import FileFormat, read_tensors, write_tensors
from probe.video.coercion import expect

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

READING_FORMAT = FileFormat("grounding-probe/reading", 1, "a reading", "Reading.save")

LayersHeads: TypeAlias = Sequence[tuple[int, int]]
"""Pairs of decoder layer and attention head, both from 0."""

TokenChoice: TypeAlias = int | np.integer | str | Sequence[int] | Sequence[str]
"""Tokens of a question: places in it, from 0 or negative from its end, or words of it."""


SomeMaps = TypeVar("SomeMaps", bound="AttentionMaps")


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention of the tokens of one question to the video."""

    prompt: Prompt
    """The question's tokens, or those that were asked for; positions in `attention` and `tokens`
    count from the first of them."""

    attention: Float[Tensor, "layer head token frame row column"]
    """The share of its attention that each token pays to each cell of the video."""

    layers: tuple[int, ...]
    """The decoder layers that `attention` holds."""

    grid: VisualGrid

    layers_heads: tuple[tuple[int, int], ...] | None = None
    """The layers and heads that maps are averaged over unless others are asked for; None for all
    heads of all layers read."""

    heads: tuple[int, ...] | None = None
    """The heads that `attention` holds; None for all."""

    def __repr__(self) -> str:
        layers, heads = self.attention.shape[:2]
        return (
            f"{type(self).__name__}({shorten(self.prompt.question)!r}: {len(self.tokens)} tokens, "
            f"{layers} layers, {heads} heads)"
        )

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.prompt, self.layers))

    @property
    def tokens(self) -> tuple[str, ...]:
        """The question's tokens as people read them."""
        return tuple(token.text for token in self.prompt.tokens)

    def find(self, tokens: TokenChoice) -> list[int]:
        """Find tokens in the question.

        Args:
            tokens: A place or several, negative ones counted from the end; or text: a token, a
                word or several words of the question, each with all the tokens it is made of.

        Raises:
            ValueError: if there is no such token.
        """
        if isinstance(tokens, str):
            return list(self.prompt.find(tokens))
        if isinstance(tokens, int | np.integer) or not isinstance(tokens, Iterable):
            return list(self._place(tokens))
        wanted = list(tokens)
        if not wanted:
            raise ValueError("there is no token to look through; give at least one")
        return [place for one in wanted for place in self._place(one)]

    def _place(self, token: int | np.integer | str) -> Sequence[int]:
        if isinstance(token, str):
            return self.prompt.find(token)
        count = len(self.prompt)
        if not isinstance(token, int | np.integer) or not -count <= token < count:
            raise ValueError(
                f"there is no token {token!r} among the {count} of {self.prompt.question!r}; give "
                f"a place from 0 to {count - 1}, or a word of the question"
            )
        return [int(token) % count]

    def through(self: SomeMaps, layers_heads: LayersHeads | None) -> SomeMaps:
        """Average maps over these pairs of layer and head only."""
        return replace(self, layers_heads=None if layers_heads is None else tuple(layers_heads))

    def heatmap(
        self,
        tokens: TokenChoice,
        layers: int | Sequence[int] | None = None,
        *,
        layers_heads: LayersHeads | None = None,
    ) -> Heatmap:
        """Return the map of a token, or the mean of several.

        Args:
            tokens: As `find` takes them: a place, a word, or several.
            layers: Layers to average over, with all heads; all that were read by default.
            layers_heads: Pairs of layer and head to average over instead.

        Raises:
            ValueError: if there is no such token, or a layer or head was not read.
        """
        values = self._averaged(layers, layers_heads)[:, :, self.find(tokens)]
        return Heatmap(values.mean(dim=(0, 1, 2)), self.grid.cells)

    def relative_heatmap(
        self,
        tokens: TokenChoice,
        generic: "AttentionMaps",
        layers: int | Sequence[int] | None = None,
    ) -> Heatmap:
        """Return the map of tokens over that of the same tokens in the generic prompt.

        The same tokens are those at the same places counted from the end of the question, since
        both end with the same role tokens; tokens of an answer are counted on from there. A word
        of the question has none.

        Args:
            tokens: As `find` takes them.
            generic: The maps of the generic prompt, read from the same video.
            layers: Layers to average over; all that were read by default.

        Raises:
            ValueError: if the generic prompt does not have the same token at such a place.
        """
        remedy = "its reading: asked, generic = view.read(question, probe.GENERIC)"
        expect(generic, AttentionMaps, "the generic prompt", remedy)
        found = self.find(tokens)
        shift = generic.prompt.asked - self.prompt.asked
        same = [token + shift for token in found]
        there = dict(enumerate(generic.tokens))
        for one, other in zip(found, same, strict=True):
            # A word over whatever lies at its place in the other sentence would be a map of both.
            if there.get(other) != self.tokens[one]:
                at_its_place = "nothing" if other not in there else repr(there[other])
                raise ValueError(
                    f"{self.tokens[one]!r} has no counterpart in the generic prompt "
                    f"{generic.prompt.question!r}, which has {at_its_place} at its place; read "
                    f"role tokens, or raw maps (`heatmap`, relative=False)"
                )
        return self.heatmap(found, layers).relative_to(generic.heatmap(same, layers))

    def mean_attention(
        self, layers: int | Sequence[int] | None = None, *, layers_heads: LayersHeads | None = None
    ) -> Float[Tensor, "token frame row column"]:
        """Return every token's map, averaged as `heatmap` does."""
        return self._averaged(layers, layers_heads).mean(dim=(0, 1))

    def to_numpy(self) -> Float[np.ndarray, "layer head token frame row column"]:
        """Return the attention as an array."""
        return self.attention.detach().float().cpu().numpy()

    def to_frame(self, layers: int | Sequence[int] | None = None) -> "pd.DataFrame":
        """Return one row a token, in order, with where its map peaks.

        Columns: `index`, `token`, `kind`, `activation` (the strongest attention to any one cell,
        layers and heads averaged), `on_video` (the share of its attention that goes to the video
        at all), and source `frame`, `row` and `column` of the strongest cell.
        """
        cells, rows = self.grid.cells, []
        for index, (token, values) in enumerate(
            zip(self.prompt.tokens, self.mean_attention(layers), strict=True)
        ):
            frame, row, column = Heatmap(values, cells).peak
            rows.append(
                {
                    "index": index,
                    "token": token.text,
                    "kind": token.kind,
                    "activation": values.max().item(),
                    "on_video": values.sum().item(),
                    "frame": cells.frames[frame][0],
                    "row": row,
                    "column": column,
                }
            )
        import pandas as pd  # here, as in AttentionMaps.to_frame

        return pd.DataFrame(rows)

    def to_xarray(self) -> Any:
        """Return the attention as an array with named axes; needs the package xarray.

        Raises:
            RuntimeError: if xarray is not installed.
        """
        heads = self.heads or range(self.attention.shape[1])
        names = [f"{index} {text}" for index, text in enumerate(self.tokens)]
        frames = [sources[0] for sources in self.grid.cells.frames]
        axes = {"layer": self.layers, "head": heads, "token": names, "frame": frames}
        return as_xarray(self.to_numpy(), {**axes, "row": None, "column": None})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the visual activation of each token as a bar.

        Role tokens are blue; the strongest of them, the grounding token, is orange.

        Args:
            ax: The axes to draw on; None for a new figure.

        Raises:
            ValueError: if a value is not finite, or no attention is held.
        """
        # Imported where it is drawn: matplotlib takes long to import, and loading a model and
        # reading it need none of it.
        from probe.pictures.tokens import draw_token_bars

        table = self.to_frame()
        activation = table["activation"].to_numpy()
        roles = self.prompt.indices("role")
        chosen = [max(roles, key=lambda token: activation[token])] if roles else []
        return draw_token_bars(
            ax,
            list(table["token"]),
            list(table["kind"]),
            activation,
            chosen=chosen,
            title=self.prompt.question,
            note=self._note,
        )

    def _repr_html_(self) -> str:
        """Draw the tokens' visual activation for Jupyter."""
        from probe.pictures.html import plot_as_html  # see `plot`

        return plot_as_html(self)

    @property
    def _note(self) -> str:
        """Text after the title of a picture."""
        return ""

    def _averaged(
        self, layers: int | Sequence[int] | None, layers_heads: LayersHeads | None
    ) -> Float[Tensor, "layer head token frame row column"]:
        """Select what is averaged; chosen pairs become the heads of one layer."""
        if layers is not None and layers_heads is not None:
            raise ValueError("maps are averaged over layers or over layers_heads; give one of them")
        pairs = self.layers_heads if layers is None and layers_heads is None else layers_heads
        if pairs is None:
            return self.attention[self._chosen(layers)]
        if not pairs:
            raise ValueError("there is no head to average over; give at least one pair")
        held = range(self.attention.shape[1]) if self.heads is None else self.heads
        if wrong := [head for _, head in pairs if head not in held]:
            raise ValueError(f"there is no head {wrong} in this reading; it holds {tuple(held)}")
        heads = [held.index(head) for _, head in pairs]
        return self.attention[self._chosen([layer for layer, _ in pairs]), heads][None]

    def _chosen(self, layers: Sequence[int] | int | None) -> list[int]:
        wanted = [layers] if isinstance(layers, int) else self.layers if layers is None else layers
        if isinstance(wanted, str) or not isinstance(wanted, Iterable):
            raise ValueError(f"layers are given as numbers, such as 2 or (1, 2); found {layers!r}")
        if missing := [layer for layer in wanted if layer not in self.layers]:
            raise ValueError(f"layers {missing} were not read; this reading holds {self.layers}")
        if not wanted:
            raise ValueError("this reading holds no attention; read it with the layers you need")
        return [self.layers.index(layer) for layer in wanted]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Reading(AttentionMaps):
    """The attention of one question's tokens, and the answer that the model would give."""

    logits: Float[Tensor, " word"]
    """Next-token logits at the first answer position."""

    answers: AnswerIds
    """The ids of yes and no, which the margin is computed from."""

    answer_logits: Float[Tensor, "answer word"] | None = None
    """The logits from which each token of the answer is chosen, where an answer was read, too; the
    first of them are `logits`."""

    provenance: Provenance | None = field(default=None, compare=False)
    """The model, the video, what was changed, and versions of libraries; None in files of earlier
    versions. Readings are equal if their numbers are, wherever they come from."""

    @property
    def answer_log_probabilities(self) -> Float[Tensor, " answer"]:
        """The natural logarithm of the probability of each token of the answer.

        Differentiable where the logits are.

        Raises:
            ValueError: if no answer was read.
        """
        if self.answer_logits is None:
            raise ValueError("no answer was read with this question; read it with answer=...")
        ids = torch.tensor(self.prompt.answer_ids, device=self.answer_logits.device)
        return self.answer_logits.log_softmax(-1).gather(-1, ids[:, None])[:, 0]

    def save(self, path: str | Path) -> None:
        """Write the reading as safetensors, its attention included."""
        tensors = {
            "attention": self.attention,
            "logits": self.logits,
            "positions": self.grid.positions,
        }
        if self.answer_logits is not None:
            tensors["answer_logits"] = self.answer_logits
        about = {
            **READING_FORMAT.header,
            "prompt": self.prompt.to_dict(),
            "layers": self.layers,
            "heads": self.heads,
            "layers_heads": self.layers_heads,
            "cells": self.grid.cells.to_dict(),
            "yes": self.answers.yes,
            "no": self.answers.no,
            "provenance": None if self.provenance is None else self.provenance.to_dict(),
        }
        write_tensors(path, tensors, about)

    @classmethod
    def load(cls, path: str | Path) -> "Reading":
        """Read the reading that `save` wrote.

        Raises:
            ValueError: if the file is missing or holds no reading.
        """
        tensors, about = read_tensors(path)
        with READING_FORMAT.reading(path):
            record = READING_FORMAT.check(path, about)
            cells = Cells.from_dict(record["cells"])
            traced = record.get("provenance")  # earlier versions wrote none
            return cls(
                prompt=Prompt.from_dict(record["prompt"]),
                attention=tensors["attention"],
                layers=tuple(record["layers"]),
                grid=VisualGrid(tensors["positions"], cells),
                layers_heads=_pairs(record["layers_heads"]),
                heads=None if record["heads"] is None else tuple(record["heads"]),
                logits=tensors["logits"],
                answers=AnswerIds(tuple(record["yes"]), tuple(record["no"])),
                answer_logits=tensors.get("answer_logits"),
                provenance=None if traced is None else Provenance.from_dict(traced),
            )

    @property
    def _note(self) -> str:
        """Text after the title of a picture: the answer that was read, or else the margin."""
        if self.prompt.answer:
            return f" → {shorten(self.prompt.answer)}"
        return f" (yes minus no {self.margin:+.2f})"

    @property
    def yes_minus_no(self) -> Float[Tensor, ""]:
        """The margin as a tensor, with its graph where the logits have one."""
        return yes_minus_no(self.logits, self.answers)

    @property
    def margin(self) -> float:
        """Yes minus no in logits, each over all its one-token surface forms (logsumexp)."""
        return float(self.yes_minus_no.detach())


def yes_minus_no(logits: Float[Tensor, "*question word"], ids: AnswerIds) -> Tensor:
    """Compute yes minus no in logits, each over all its one-token surface forms (logsumexp)."""
    yes, no = logits[..., list(ids.yes)], logits[..., list(ids.no)]
    return yes.logsumexp(-1) - no.logsumexp(-1)


def _pairs(listed: Sequence[Sequence[int]] | None) -> tuple[tuple[int, int], ...] | None:
    return None if listed is None else tuple((layer, head) for layer, head in listed)


def shorten(text: str, most: int = 60) -> str:
    """Cut a text to so many characters, with an ellipsis where some are gone."""
    return text if len(text) <= most else f"{text[: most - 1]}…"

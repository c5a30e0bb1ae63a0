"""The logit lens: the words that the states of visual tokens would say, layer by layer.

No question is asked and no attention is read. A state is put where the last one would be, through
the final norm and the head (nostalgebraist, 2020; on visual tokens, Neo et al., ICLR 2025).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.checkpoint import Checkpoint
from probe.engine.content import as_xarray, same_content
from probe.engine.grids import Cells
from probe.engine.prompts import surfaces
from probe.engine.requests import choose_numbers
from probe.engine.view import View
from probe.files import FileFormat, read_tensors, write_tensors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LENS_FORMAT = FileFormat("grounding-probe/lens", 1, "a logit lens", "LogitLens.save")

MOST_LOGITS = 2**24
"""Logits that are held at a time: 64 MB. Those of all cells and layers would be as many as cells
times layers times the vocabulary: 60 GB for 3,000 cells, 32 layers and 150,000 words."""

TOP = 5
"""Words kept of each cell and layer."""


@dataclass(frozen=True, eq=False)
class LogitLens:
    """The words that each cell would say at each layer, and how likely it would say some words.

    Log-probabilities are natural, at most 0. Rank 1 is the word that the cell would say first.
    """

    words: tuple[str, ...]
    """The words that were asked for."""

    layers: tuple[int, ...]
    """The decoder layers that the states enter."""

    log_probabilities: Float[Tensor, "word layer frame row column"]
    ranks: Int[Tensor, "word layer frame row column"]

    top: Int[Tensor, "layer frame row column place"]
    """The likeliest tokens of each cell, likeliest first, as places in `tokens`."""

    top_log_probabilities: Float[Tensor, "layer frame row column place"]

    tokens: tuple[str, ...]
    """The texts of all tokens that are among the likeliest of any cell."""

    cells: Cells

    def __repr__(self) -> str:
        frames, rows, columns = self.cells.shape
        words = ", ".join(map(repr, self.words)) or "no word asked for"
        return (
            f"LogitLens({words:.80}; {len(self.layers)} layers; {frames} frames of {rows} x "
            f"{columns} cells, {self.top.shape[-1]} words of each)"
        )

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.words, self.layers, self.cells))

    def heatmap(
        self, word: str | int | None = None, layers: int | Sequence[int] | None = None
    ) -> Heatmap:
        """Return the probability of a word in each cell, 0 to 1, as a map like that of attention.

        Args:
            word: One of `words`, or its place among them; may be left out where there is but one.
            layers: Layers whose probabilities are averaged; all that were read by default.

        Raises:
            ValueError: if the word was not asked for, or a layer was not read.
        """
        place = self._find_word(word)
        said = self.log_probabilities[place, self._find_layers(layers)].exp().mean(0)
        return Heatmap(said, self.cells)

    def top_words(self, cell: tuple[int, int, int]) -> pd.DataFrame:
        """Return what a cell says: `layer`, `rank`, `word`, `probability`, likeliest first.

        Args:
            cell: Frame of the map, row and column, such as the `peak` of a heatmap.

        Raises:
            ValueError: if there is no such cell.
        """
        place = self._find_cell(cell)
        top = self.top[(slice(None), *place)]
        said = self.top_log_probabilities[(slice(None), *place)].exp()
        layers, ranks = np.indices(top.shape).reshape(2, -1)
        return pd.DataFrame(
            {
                "layer": np.array(self.layers)[layers],
                "rank": ranks + 1,
                "word": [self.tokens[token] for token in top.flatten().tolist()],
                "probability": said.flatten().numpy(),
            }
        )

    def to_numpy(self) -> Float[np.ndarray, "word layer frame row column"]:
        """Return the log-probabilities as an array."""
        return self.log_probabilities.numpy()

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each word, layer and cell; `frame` is the first source frame of it."""
        words, layers, frames, rows, columns = np.indices(self.ranks.shape).reshape(5, -1)
        first = np.array([sources[0] for sources in self.cells.frames])
        return pd.DataFrame(
            {
                "word": np.array(self.words, dtype=object)[words],
                "layer": np.array(self.layers)[layers],
                "frame": first[frames],
                "row": rows,
                "column": columns,
                "log_probability": self.to_numpy().ravel(),
                "rank": self.ranks.flatten().numpy(),
            }
        )

    def to_xarray(self) -> Any:
        """Return the log-probabilities as an array with named axes; needs the package xarray.

        Raises:
            RuntimeError: if xarray is not installed.
        """
        first = [sources[0] for sources in self.cells.frames]
        axes = {"word": self.words, "layer": self.layers, "frame": first}
        return as_xarray(self.to_numpy(), {**axes, "row": None, "column": None})

    def plot(self, ax: "Axes | None" = None, cell: tuple[int, int, int] | None = None) -> "Axes":
        """Draw what a cell says: layers down, its likeliest words across, the likelier the darker.

        Args:
            ax: The axes to draw on; None for a new figure.
            cell: Frame of the map, row and column; by default the cell that is surest of the first
                word asked for, or of any word where none was.

        Raises:
            ValueError: if there is no such cell, or a value is not finite.
        """
        from probe.pictures.said import draw_said  # matplotlib takes long to import

        frame, row, column = self._find_cell(self._surest if cell is None else cell)
        place = (slice(None), frame, row, column)
        texts = [[self.tokens[token] for token in some] for some in self.top[place].tolist()]
        return draw_said(
            ax,
            texts,
            self.top_log_probabilities[place].exp().numpy(),
            self.layers,
            title=f"cell in row {row}, column {column} of source frame "
            f"{self.cells.frames[frame][0]}",
        )

    def _repr_html_(self) -> str:
        """Draw what the surest cell says for Jupyter."""
        from probe.pictures.html import plot_as_html  # see `plot`

        return plot_as_html(self)

    def save(self, path: str | Path) -> None:
        """Write the lens as safetensors."""
        about = {
            **LENS_FORMAT.header,
            "words": list(self.words),
            "layers": list(self.layers),
            "tokens": list(self.tokens),
            "cells": self.cells.to_dict(),
        }
        write_tensors(path, {name: getattr(self, name) for name in TENSORS}, about)

    @classmethod
    def load(cls, path: str | Path) -> "LogitLens":
        """Read the lens that `save` wrote.

        Raises:
            ValueError: if the file is missing or holds no lens.
        """
        tensors, about = read_tensors(path)
        with LENS_FORMAT.reading(path):
            record = LENS_FORMAT.check(path, about)
            fields: dict[str, Any] = {name: tensors[name] for name in TENSORS}
            fields |= {name: tuple(record[name]) for name in ("words", "layers", "tokens")}
            return cls(**fields, cells=Cells.from_dict(record["cells"]))

    @property
    def _surest(self) -> tuple[int, int, int]:
        if self.words:
            return self.heatmap(0, self.layers[-1]).peak
        return Heatmap(self.top_log_probabilities[-1, ..., 0].exp(), self.cells).peak

    def _find_word(self, word: str | int | None) -> int:
        if word is None and len(self.words) == 1:
            return 0
        if isinstance(word, str) and word in self.words:
            return self.words.index(word)
        if isinstance(word, int) and 0 <= word < len(self.words):
            return word
        asked = ", ".join(map(repr, self.words)) or "none"
        raise ValueError(f"the lens was not asked for the word {word!r}; it was for: {asked}")

    def _find_layers(self, layers: int | Sequence[int] | None) -> list[int]:
        if layers is None:
            return list(range(len(self.layers)))
        # Not counted from the last: the lens may have been asked for a few layers only.
        wanted = [layers] if isinstance(layers, int) else list(layers)
        if not wanted or not set(wanted) <= set(self.layers):
            raise ValueError(f"layers {wanted} were not all read; the lens has {list(self.layers)}")
        return [self.layers.index(layer) for layer in wanted]

    def _find_cell(self, cell: Sequence[int]) -> tuple[int, int, int]:
        shape = self.cells.shape
        places = tuple(cell)
        if len(places) != len(shape) or not all(
            -count <= place < count for place, count in zip(places, shape, strict=True)
        ):
            raise ValueError(
                f"there is no cell {places}; give frame, row and column of a map of {shape}"
            )
        frame, row, column = (
            int(place) % count for place, count in zip(places, shape, strict=True)
        )
        return frame, row, column


TENSORS = ("log_probabilities", "ranks", "top", "top_log_probabilities")
"""The fields of a lens that are tensors."""


def logit_lens(
    view: View,
    words: str | int | Sequence[str | int] = (),
    layers: int | Sequence[int] | None = None,
    *,
    top: int = TOP,
) -> LogitLens:
    """Compute which words the cells of a video would say at each layer, if they were last.

    All layers are read in one pass of the video; logits are computed for as many cells at a time
    as `MOST_LOGITS` allows. The probability of a word is the sum over its forms that are one token:
    with capitals or without, with a space before or without; its rank is that of its likeliest
    form.

    Args:
        view: The video. What is done while questions are read does not reach the lens.
        words: A text, whose words are read one by one, or a list of words; or ids of tokens. None
            are needed to see what cells say.
        layers: Decoder layers, from 0: the input of the language model; all by default. Negative
            numbers count from the last. States are those that enter the layer.
        top: Words kept of each cell and layer.

    Raises:
        ValueError: if a word is unknown or is not one token in any form, there is no such token or
            layer, `top` is no number of words, or the view has latent prompts, which the lens
            leaves out.
    """
    if view.latents:
        raise ValueError("visual tokens are read without latent prompts; give the plain view")
    checkpoint = view.checkpoint
    vocabulary = checkpoint.module.get_output_embeddings().weight.shape[0]
    names, ids = _find_forms(checkpoint, words, vocabulary)
    numbers = choose_numbers("layer", layers, checkpoint.depth)
    if not 1 <= top <= vocabulary:
        raise ValueError(f"top={top}: give a number of words from 1 to {vocabulary}")
    found = [
        _read_layer(checkpoint, states, ids, top)
        for states in view.cache.states_at(numbers, view.grid.positions)
    ]
    said, ranks, best, likely = (torch.stack(parts) for parts in zip(*found, strict=True))
    kept, places = best.unique(return_inverse=True)
    return LogitLens(
        words=names,
        layers=numbers,
        # Words come first: a map is asked for by its word.
        log_probabilities=view.grid.fold(said.permute(2, 0, 1)),
        ranks=ranks.permute(2, 0, 1).unflatten(-1, view.grid.shape),
        top=places.unflatten(1, view.grid.shape),
        top_log_probabilities=likely.unflatten(1, view.grid.shape),
        tokens=tuple(_write_token(checkpoint, token) for token in kept.tolist()),
        cells=view.grid.cells,
    )


@torch.no_grad()
def _read_layer(
    checkpoint: Checkpoint,
    states: Float[Tensor, "visual hidden"],
    ids: Sequence[Sequence[int]],
    top: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read the states of one layer, a block of cells at a time.

    Returns:
        Log-probabilities and ranks of the words by cell and word; tokens and log-probabilities of
        the likeliest by cell and place.
    """
    head = checkpoint.module.get_output_embeddings()
    block = max(1, MOST_LOGITS // head.weight.shape[0])
    norm = checkpoint.decoder.norm
    parts = []
    for some in states.split(block):
        # As the last layer's states would be: through the last norm, then the head. Weights that
        # wait elsewhere are brought to their inputs by accelerate.
        place = checkpoint.device if norm.weight.is_meta else norm.weight.device
        logits = checkpoint.logits(norm(some.to(place)))
        total = logits.logsumexp(-1, keepdim=True)
        forms = [logits[:, list(own)] for own in ids]
        said = [form.logsumexp(-1) for form in forms]
        ranks = [1 + (logits > form.amax(-1, keepdim=True)).sum(-1) for form in forms]
        likely, best = logits.topk(top)
        empty = logits.new_empty(len(logits), 0)
        parts.append(
            (
                (torch.stack(said, -1) - total if said else empty).cpu(),
                (torch.stack(ranks, -1) if ranks else empty.long()).cpu(),
                best.cpu(),
                (likely - total).cpu(),
            )
        )
    first, second, third, fourth = (torch.cat(some) for some in zip(*parts, strict=True))
    return first, second, third, fourth


def _find_forms(
    checkpoint: Checkpoint, words: str | int | Sequence[str | int], vocabulary: int
) -> tuple[tuple[str, ...], list[tuple[int, ...]]]:
    """Find the texts of the words that are asked for, and the tokens that are forms of each."""
    listed = [words] if isinstance(words, str | int) else list(words)
    forms: dict[str, tuple[int, ...]] = {}
    for word in listed:
        if isinstance(word, str):
            forms |= {one: _find_surfaces(checkpoint, one) for one in word.split()}
        elif 0 <= word < vocabulary:
            forms[_write_token(checkpoint, word)] = (word,)
        else:
            raise ValueError(
                f"there is no token {word}; this model has tokens 0 to {vocabulary - 1}"
            )
    return tuple(forms), list(forms.values())


def _find_surfaces(checkpoint: Checkpoint, word: str) -> tuple[int, ...]:
    # All forms, since the vocabulary has one for the word with a capital and one after a space.
    tokenizer = checkpoint.processor.tokenizer
    if ids := surfaces(tokenizer, word):
        return ids
    pieces = tokenizer.encode(word, add_special_tokens=False)
    if tokenizer.unk_token_id in pieces:
        raise ValueError(f"{word!r} is unknown to this model's tokenizer; give another word")
    texts = ", ".join(repr(_write_token(checkpoint, piece)) for piece in pieces)
    raise ValueError(
        f"{word!r} is not one token of this model but {texts}; give a shorter word, or the id of "
        f"one of these: {pieces}"
    )


def _write_token(checkpoint: Checkpoint, token: int) -> str:
    """Write a token as text, without the space around it; as its id where it has no text."""
    tokenizer = checkpoint.processor.tokenizer
    text = tokenizer.decode([token]).strip()
    # A part of a letter's bytes has no text of its own, and tables of embeddings are often longer
    # than the vocabulary.
    if not text or "\ufffd" in text:
        text = tokenizer.convert_ids_to_tokens(token) or f"<{token}>"
    return text

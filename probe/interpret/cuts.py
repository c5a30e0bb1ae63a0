"""Cuts: edges of attention taken away, of a question and of the video itself.

Each class is a value that says what is done while a question is read, or the video itself. Values
act together when they are given together, and turn round with the video.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

from probe.engine.content import same_content
from probe.engine.interventions import Edit, Extent, Intervention, VideoIntervention
from probe.interpret.targets import (
    CellMask,
    Tokens,
    as_mask,
    as_numbers_or_all,
    as_tokens,
    choose_layers,
    choose_tokens,
    count_cells,
    describe,
    mark,
    mark_cells,
    mark_heads,
)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Cut:
    """Edges of attention taken away, from tokens of a question to what lies before them.

    The attention that each token still pays sums to one again. None means all: `Cut()` hides the
    whole video from a question. Layers without attention (in Qwen3.5, three of four) have no edges:
    what their states carry from the video to a question is not cut, so that an effect there is the
    effect of attention alone.

    Args:
        tokens: The tokens that no longer look: places in the question, negative ones counted from
            its end, or words of it, which `knock_out` finds; one or several.
        cells: The cells that are no longer seen, true or false by frame, row and column: a tensor,
            an array or lists. All of them by default, unless `sources` or `text` is given.
        layers: Decoder layers, one or several; negative numbers count from the last. All that
            attend by default.
        heads: Heads of each of these layers, one or several.
        sources: Tokens of the question that are no longer seen, given as `tokens` are. A token
            always sees itself.
        text: True to hide the text before the question, too: system prompt, and marks and times
            between frames.

    Raises:
        ValueError: if one of them is of another form.
    """

    tokens: Tokens | None
    cells: CellMask | None
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None
    sources: Tokens | None
    text: bool

    def __init__(
        self,
        tokens: Any = None,
        cells: Any = None,
        layers: Any = None,
        heads: Any = None,
        *,
        sources: Any = None,
        text: bool = False,
    ) -> None:
        # Written out, since a dataclass would type its arguments as narrowly as its fields.
        object.__setattr__(self, "tokens", as_tokens(tokens))
        object.__setattr__(self, "cells", as_mask(cells))
        object.__setattr__(self, "layers", as_numbers_or_all("layer", layers))
        object.__setattr__(self, "heads", as_numbers_or_all("head", heads))
        object.__setattr__(self, "sources", as_tokens(sources))
        object.__setattr__(self, "text", text)

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.tokens, self.layers, self.heads, self.sources, self.text))

    def __repr__(self) -> str:
        return describe(
            "Cut",
            tokens=self.tokens,
            cells=count_cells(self.cells),
            layers=self.layers,
            heads=self.heads,
            sources=self.sources,
            text=self.text or None,
        )

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return the edges to cut, by layer.

        Raises:
            ValueError: if a layer, head, token or cell does not exist, a token is a word, or all
                sources come after the tokens.
        """
        heads = mark_heads(self.heads, extent)[:, None, None]
        looking = mark(choose_tokens(self.tokens, extent.tokens), extent.tokens)[:, None]
        cut = cut_text = cut_own = None
        if self.cells is not None or (self.sources is None and not self.text):
            cut = heads & looking & mark_cells(self.cells, extent.shape)
        if self.text:
            written = ~mark(extent.visual, extent.before)
            cut_text = heads & looking & written
        if self.sources is not None:
            hidden = mark(choose_tokens(self.sources, extent.tokens), extent.tokens)
            cut_own = heads & looking & hidden
            # An empty choice is a control; edges that no model has are a mistake, and cutting them
            # would read as "no effect".
            if (looking.any() and hidden.any()) and not (looking & hidden).tril(-1).any():
                raise ValueError(
                    f"the tokens {self.tokens} see none of the sources {self.sources}: a token "
                    f"sees only what comes before it; give sources that lie before them"
                )
        edit = Edit(cut=cut, cut_text=cut_text, cut_own=cut_own)
        return dict.fromkeys(choose_layers(self.layers, extent), edit)

    def reversed(self) -> "Cut":
        """Return the same edges for the video with its last frame first."""
        return self if self.cells is None else replace(self, cells=self.cells.flip(0))


Frames: TypeAlias = Literal["all", "within", "across"]
"""Pairs of cells: all of them, those of one frame, or those of different frames."""


@dataclass(frozen=True, eq=False, init=False, repr=False)
class CutVideo:
    """Edges of attention taken away while the video is read: from cells to other cells.

    The video is read anew, since what it hands on is no longer the same. A cell always sees itself,
    and only what comes before it, unless a model lets a frame see all of itself.

    Args:
        frames: "within" for edges between cells of one frame, "across" for those between frames.
        looking: The cells that no longer look, as `Cut` takes them; all by default.
        cells: The cells that are no longer seen; all by default.
        layers: Decoder layers, as `Cut` takes them.
        heads: Heads of each of these layers.

    Raises:
        ValueError: if one of them is of another form.
    """

    frames: Frames
    looking: CellMask | None
    cells: CellMask | None
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None

    def __init__(
        self,
        frames: str = "all",
        looking: Any = None,
        cells: Any = None,
        layers: Any = None,
        heads: Any = None,
    ) -> None:
        if frames not in ("all", "within", "across"):
            raise ValueError(f"frames are {frames!r}; give all, within or across")
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "looking", as_mask(looking))
        object.__setattr__(self, "cells", as_mask(cells))
        object.__setattr__(self, "layers", as_numbers_or_all("layer", layers))
        object.__setattr__(self, "heads", as_numbers_or_all("head", heads))

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.frames, self.layers, self.heads))

    def __repr__(self) -> str:
        return describe(
            "CutVideo",
            frames=self.frames,
            looking=count_cells(self.looking),
            cells=count_cells(self.cells),
            layers=self.layers,
            heads=self.heads,
        )

    def edits(self, extent: Extent) -> dict[int, Edit]:  # noqa: ARG002
        """Return nothing: a question is read as ever."""
        return {}

    def video_cuts(self, extent: Extent) -> dict[int, Bool[Tensor, "#head visual visual"]]:
        """Return the edges to cut, by layer.

        Raises:
            ValueError: if a layer, head or cell does not exist.
        """
        looking, seen = (mark_cells(one, extent.shape) for one in (self.looking, self.cells))
        frames, rows, columns = extent.shape
        frame = torch.arange(frames).repeat_interleave(rows * columns)
        pairs = looking[:, None] & seen
        same = frame[:, None] == frame
        if self.frames != "all":
            pairs = pairs & (same if self.frames == "within" else ~same)
        cut = mark_heads(self.heads, extent)[:, None, None] & pairs
        return dict.fromkeys(choose_layers(self.layers, extent), cut)

    def reversed(self) -> "CutVideo":
        """Return the same edges for the video with its last frame first."""
        turned = (None if one is None else one.flip(0) for one in (self.looking, self.cells))
        looking, cells = turned
        return replace(self, looking=looking, cells=cells)


def changes_video(interventions: Sequence[Intervention]) -> bool:
    """Tell whether one of them changes how the video itself is read."""
    return any(isinstance(done, VideoIntervention) for done in interventions)

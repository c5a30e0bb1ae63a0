"""Questions as the decoder reads them: packed in one row after the prefix, none seeing another.

A layer without attention reads its row token by token, so that questions of one row would be mixed
up in its state. There each question has a row of its own, shorter ones filled up at their end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Num, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class PackedQuestions:
    """Questions of different lengths in a batch after a shared prefix: where each of them lies.

    Tokens are counted through all questions; `spread` and `gather` go from this order to the rows
    of the batch and back.
    """

    lengths: tuple[int, ...]
    """Tokens of each question."""

    before: int
    """Tokens of the prefix."""

    apart: bool = False
    """True if each question has a row of its own."""

    @property
    def parts(self) -> list[slice]:
        """The tokens of each question."""
        stops = torch.tensor(self.lengths).cumsum(0).tolist()
        return [
            slice(stop - length, stop) for length, stop in zip(self.lengths, stops, strict=True)
        ]

    @property
    def rows(self) -> list[slice]:
        """The tokens of each row."""
        return self.parts if self.apart else [slice(0, sum(self.lengths))]

    @property
    def steps(self) -> Int[Tensor, " token"]:
        """The place of each token in its question, from 0."""
        return torch.cat([torch.arange(length) for length in self.lengths])

    def place(self, part: slice) -> tuple[int, slice]:
        """Return the row that a question lies in, and its places there."""
        if not self.apart:
            return 0, part
        starts = [row.start for row in self.rows]
        return starts.index(part.start), slice(0, part.stop - part.start)

    def own(self, part: slice) -> slice:
        """Return the positions of a question's tokens, counted from the first of the prefix."""
        if self.apart:
            return slice(self.before, self.before + part.stop - part.start)
        return slice(self.before + part.start, self.before + part.stop)

    def spread(self, values: Shaped[Tensor, "token ..."], fill: float = 0) -> Tensor:
        """Arrange one entry a token by row, shorter rows filled up at their end."""
        rows = self.rows
        if len(rows) == 1:
            return values[None]
        return pad_sequence([values[row] for row in rows], batch_first=True, padding_value=fill)

    def gather(self, batch: Shaped[Tensor, "row place ..."]) -> Tensor:
        """Undo `spread`."""
        rows = self.rows
        if len(rows) == 1:
            return batch[0]
        return torch.cat(
            [one[: row.stop - row.start] for one, row in zip(batch, rows, strict=True)]
        )

    def mask(self, window: int | None = None) -> Bool[Tensor, "token position"]:
        """Compute the positions that each token sees: the prefix, and its question up to itself.

        Positions are those of the prefix, then those of the token's row.

        Args:
            window: The number of tokens that are seen, a token's own included; all by default.
        """
        own = [torch.ones(length, length, dtype=torch.bool).tril() for length in self.lengths]
        before = torch.ones(sum(self.lengths), self.before, dtype=torch.bool)
        if window is not None:
            # Counted as if each question were alone after the prefix.
            own = [block.triu(1 - window) for block in own]
            first = self.before + self.steps - window + 1
            before = torch.arange(self.before) >= first[:, None]
        if self.apart:
            longest = max(self.lengths)
            filled = [torch.nn.functional.pad(block, (0, longest - len(block))) for block in own]
            return torch.cat([before, torch.cat(filled)], dim=1)
        # Blocks on the diagonal: a question sees itself and no other, so that packing changes
        # nothing but the time that it takes.
        return torch.cat([before, torch.block_diag(*own).bool()], dim=1)

    def whole_mask(
        self,
        prefix: Bool[Tensor, "before before"] | None = None,
        window: int | None = None,
    ) -> Bool[Tensor, "position position"]:
        """Compute the mask of prefix and questions in one row and one pass.

        Args:
            prefix: The mask among the tokens of the prefix; by default each sees those up to
                itself.
            window: As in `mask`.
        """
        if prefix is None:
            prefix = PackedQuestions((self.before,), 0).mask(window)
        blind = torch.zeros(self.before, sum(self.lengths), dtype=torch.bool)
        return torch.cat([torch.cat([prefix.cpu(), blind], dim=1), self.mask(window)])


@dataclass(frozen=True, eq=False)
class QuestionTokens:
    """The tokens of questions, to be read after what is in the cache."""

    packed: PackedQuestions

    embeddings: Float[Tensor, "token hidden"]

    positions: Num[Tensor, "axis token"]
    """Place of each of them in the positional encoding."""

    masks: Mapping[str, Bool[Tensor, "token position"]]
    """The positions, of the prefix or new, that each of them sees in each kind of layer."""

    others: Mapping[str, Shaped[Tensor, "token ..."]] = field(default_factory=dict)
    """Every further input of the decoder, by its keyword."""

    first: int = 0
    """The first decoder layer that runs; those below have run already."""

    states: Float[Tensor, "token hidden"] | None = None
    """The states that enter the first layer; None for the embeddings, where that is layer 0."""

    @property
    def entering(self) -> Float[Tensor, "token hidden"]:
        """The states that enter the first layer."""
        return self.embeddings if self.states is None else self.states

    def after(self, first: int) -> "QuestionTokens":
        """Return the tokens of one question from the `first` on, to be read after the others."""
        (length,) = self.packed.lengths
        return replace(
            self,
            packed=replace(self.packed, lengths=(length - first,)),
            embeddings=self.embeddings[first:],
            positions=self.positions[:, first:],
            masks={kind: mask[first:] for kind, mask in self.masks.items()},
            others={name: values[first:] for name, values in self.others.items()},
        )


@dataclass(frozen=True, eq=False)
class AttentionSelection:
    """The part of a pass's attention that is kept."""

    columns: Int[Tensor, " visual"]
    """The positions attended to."""

    layers: tuple[int, ...]
    """Decoder layers, in increasing order."""

    heads: tuple[int, ...] | None = None
    """Heads of each of these layers; None for all."""

    tokens: Sequence[int] | None = None
    """The tokens of the questions whose attention is kept; None for all."""

    @cached_property
    def range(self) -> slice | Int[Tensor, " visual"]:
        """The positions attended to, as a slice where they follow one another."""
        # A slice copies nothing, and to copy some columns takes as long as to compute them all.
        whole = slice(first := int(self.columns[0]), first + len(self.columns))
        in_order = torch.arange(whole.start, whole.stop, device=self.columns.device)
        return whole if torch.equal(self.columns, in_order) else self.columns

    def among(self, row: slice) -> "AttentionSelection":
        """Return the same selection among the tokens of one row, counted from its first."""
        if self.tokens is None:
            return self
        inside = [token - row.start for token in self.tokens if row.start <= token < row.stop]
        return replace(self, tokens=inside)

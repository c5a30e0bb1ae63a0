"""The engine: a video as the model sees it, and what the model does when asked about it.

Everything before the question is the same for all questions, so it is read once and its keys and
values are kept; questions are packed behind it in one row, none seeing another. Attention is
computed from queries and keys for the tokens of the questions only, never as a full matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probe.attention import Heatmap
from probe.grids import VisualGrid
from probe.latent_prompts import LatentPrompt
from probe.network import Memory, Network
from probe.prompts import AnswerIds, Prompt, PromptWriter
from probe.video import Video


@dataclass(frozen=True, eq=False)
class Reading:
    """What the model did with one question."""

    prompt: Prompt
    """The question's tokens; positions in `attention` and `tokens` count from its first."""

    logits: Float[Tensor, " word"]
    """Next-token logits at the first answer position."""

    margin: float
    """Yes minus no in logits, each over all its one-token surface forms (logsumexp)."""

    attention: Float[Tensor, "layer head token frame row column"]
    """How much of its attention each token pays to each cell of the video."""

    layers: tuple[int, ...]
    """Which decoder layers `attention` holds."""

    grid: VisualGrid

    @property
    def tokens(self) -> tuple[str, ...]:
        """The question's tokens as people read them."""
        return tuple(token.text for token in self.prompt.tokens)

    def heatmap(
        self, tokens: int | np.integer | Sequence[int], layers: Sequence[int] | None = None
    ) -> Heatmap:
        """The map of a token, or the mean of several; negative numbers count from the last.

        Averaged over heads and over `layers` (default: all read).
        """
        wanted = [int(tokens)] if isinstance(tokens, int | np.integer) else list(tokens)
        values = self.attention[self._chosen(layers)][:, :, wanted].mean(dim=(0, 1, 2))
        return Heatmap(values, self.grid.cells)

    def mean_attention(
        self, layers: Sequence[int] | None = None
    ) -> Float[Tensor, "token frame row column"]:
        """Every token's map, averaged over heads and over `layers` (default: all read)."""
        return self.attention[self._chosen(layers)].mean(dim=(0, 1))

    def _chosen(self, layers: Sequence[int] | None) -> list[int]:
        wanted = self.layers if layers is None else layers
        if missing := [layer for layer in wanted if layer not in self.layers]:
            raise ValueError(f"layers {missing} were not read; this reading holds {self.layers}")
        return [self.layers.index(layer) for layer in wanted]


@dataclass(frozen=True, eq=False)
class View:
    """A video as a model sees it: its visual tokens, with the text before them."""

    network: Network
    model: str
    """The name of the model."""
    video: Video
    grid: VisualGrid
    prefix: Float[Tensor, "token hidden"]
    """What enters the decoder up to and including the last visual token."""

    plain: "View | None" = None
    """The same view without latent prompts; None where this is it."""
    latents: tuple[LatentPrompt, ...] = ()
    """What is added to the visual tokens, and at which layers."""

    @property
    def layers(self) -> Any:
        """The decoder layers, for use inside `trace`."""
        return self.network.layers

    def with_latent(self, latent: LatentPrompt) -> "View":
        """The same video with vectors added to its visual tokens; layers below stay as they are.

        Raises:
            ValueError: if the prompt belongs to another model or grid, or enters no layer.
        """
        latent.check(self.model, self.grid, self.prefix.shape[1])
        _layer_numbers([latent.layer], self.network.depth)
        return replace(self, plain=self.plain or self, latents=(*self.latents, latent))

    def reversed(self) -> "View":
        """The same visual tokens and latent prompts, last frame first."""
        prefix = self.prefix.clone()
        prefix[self.grid.positions] = self.prefix[self.grid.positions[self.grid.reversal()]]
        turned = replace(
            self,
            prefix=prefix,
            grid=VisualGrid(self.grid.positions, self.grid.cells.reversed()),
            plain=None,
            latents=(),
        )
        for latent in self.latents:
            turned = turned.with_latent(latent.reversed())
        return turned

    @cached_property
    def memory(self) -> Memory:
        """The keys and values of everything before the question; computed once."""
        if self.plain is None:
            return self.network.memorise(self.prefix, {})
        first = min(latent.layer for latent in self.latents)
        return self.network.memorise(
            self.plain.entering(first), self._added(), self.plain.memory[:first]
        )

    def entering(self, layer: int) -> Float[Tensor, "token hidden"]:
        """The states before the question that enter a decoder layer; kept once computed."""
        if layer not in self._entering:
            self._entering[layer] = self.network.entering(self.prefix, layer)
        return self._entering[layer]

    @cached_property
    def _entering(self) -> dict[int, Tensor]:
        return {0: self.prefix}

    def _added(self) -> dict[int, Float[Tensor, "token hidden"]]:
        """The latents of each layer, summed, with zeros where there is no visual token."""
        added: dict[int, Tensor] = {}
        positions = self.grid.positions.to(self.prefix.device)
        for latent in self.latents:
            below = added.get(latent.layer, torch.zeros_like(self.prefix))
            added[latent.layer] = below.index_add(0, positions, latent.vectors.to(self.prefix))
        return added

    @cached_property
    def writer(self) -> PromptWriter:
        """What lays out questions behind this video."""
        return self.network.writer(before=len(self.prefix))

    def read(self, *questions: str, layers: Sequence[int] | None = None) -> list[Reading]:
        """Ask any number of questions in one pass, and keep where each token looks.

        Args:
            questions: What to ask, each on its own and none seeing another.
            layers: Which decoder layers' attention to keep; all by default. Negative numbers
                count from the last.

        Raises:
            ValueError: for an empty, too long or unsafe question, or a layer there is none of.
        """
        kept = _layer_numbers(layers, self.network.depth)
        prompts, pack, rows, logits = self._asked(questions, kept)
        maps = self.grid.fold(torch.stack(rows).detach().float().cpu())
        return [
            self._reading(prompt, answer, maps[:, :, part], kept)
            for prompt, answer, part in zip(prompts, logits.detach().cpu(), pack.parts, strict=True)
        ]

    def answer_logits(self, *questions: str) -> Float[Tensor, "question word"]:
        """Next-token logits at the first answer position of each question.

        Differentiable in the view's latent prompts.
        """
        return self._asked(questions, ())[-1]

    def _asked(
        self, questions: Sequence[str], layers: tuple[int, ...]
    ) -> tuple[list[Prompt], "Pack", list[Tensor], Tensor]:
        """Prompts, how they are packed, their rows of attention, and their answers' logits."""
        if not questions:
            raise ValueError("there is no question to read; give at least one")
        prompts = [self.writer.write(question) for question in questions]
        pack = Pack(tuple(len(prompt) for prompt in prompts), before=len(self.prefix))
        device = self.prefix.device
        rows, hidden = self.network.continue_from(
            self.memory,
            self.network.embed([id_ for prompt in prompts for id_ in prompt.ids]),
            pack.positions.to(device),
            pack.mask.to(device),
            self.grid.positions.to(device),
            layers,
        )
        return prompts, pack, rows, self.network.logits(hidden[pack.last])

    def _reading(
        self, prompt: Prompt, logits: Tensor, maps: Tensor, layers: tuple[int, ...]
    ) -> Reading:
        margin = float(yes_minus_no(logits, self.network.answers))
        return Reading(prompt, logits, margin, maps, layers, self.grid)

    def trace(self, question: str) -> Any:
        """The raw trace of nnsight: one plain pass over this video and a question.

        Everything nnsight offers works inside; visual tokens stand at `grid.positions`, the
        question's tokens behind `len(prefix)`.
        """
        asked = self.network.embed(self.writer.write(question).ids)
        return self.network.trace(torch.cat([self.prefix, asked]))


def yes_minus_no(logits: Float[Tensor, "*question word"], ids: AnswerIds) -> Tensor:
    """Yes over no in logits, each over all its one-token surface forms (logsumexp)."""
    yes, no = logits[..., list(ids.yes)], logits[..., list(ids.no)]
    return yes.logsumexp(-1) - no.logsumexp(-1)


@dataclass(frozen=True)
class Pack:
    """Questions of different lengths in one row behind a shared prefix."""

    lengths: tuple[int, ...]
    before: int

    @property
    def parts(self) -> list[slice]:
        """Where each question's tokens stand in the row."""
        stops = torch.tensor(self.lengths).cumsum(0).tolist()
        return [
            slice(stop - length, stop) for length, stop in zip(self.lengths, stops, strict=True)
        ]

    @property
    def last(self) -> list[int]:
        """The last token of each question, whose logits are the answer's."""
        return [part.stop - 1 for part in self.parts]

    @property
    def positions(self) -> Int[Tensor, " token"]:
        """Each question continues the prefix as if it were alone."""
        return self.before + torch.cat([torch.arange(length) for length in self.lengths])

    @property
    def mask(self) -> Bool[Tensor, "token position"]:
        """A token sees all of the prefix, and its own question up to itself."""
        blocks = [torch.ones(length, length, dtype=torch.bool).tril() for length in self.lengths]
        own = torch.block_diag(*blocks).bool()
        return torch.cat([torch.ones(len(own), self.before, dtype=torch.bool), own], dim=1)


def _layer_numbers(layers: Sequence[int] | None, depth: int) -> tuple[int, ...]:
    if layers is None:
        return tuple(range(depth))
    if wrong := [layer for layer in layers if not -depth <= layer < depth]:
        raise ValueError(f"there is no layer {wrong}; this model has layers 0 to {depth - 1}")
    return tuple(sorted({layer % depth for layer in layers}))

"""The engine: a video as the model sees it, and what the model does when asked about it.

Everything before the question is the same for all questions, so it is read once and its keys and
values are kept; questions are packed behind it in one row, none seeing another. Attention is
computed from queries and keys for the tokens of the questions only, never as a full matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.grids import VisualGrid
from probe.engine.interventions import Edit, Edits, Extent, Intervention
from probe.engine.latent_prompts import LatentPrompt
from probe.engine.memories import Memory
from probe.engine.network import Network
from probe.engine.prompts import Kind, Prompt, PromptWriter
from probe.engine.readings import Gaze, Reading, yes_minus_no
from probe.engine.sequences import Asked, Entered, Kept, Pack
from probe.video import Video


@dataclass(frozen=True, eq=False)
class View:
    """A video as a model sees it: its visual tokens, with the text before them."""

    network: Network
    model: str
    """The name of the model."""
    video: Video
    grid: VisualGrid
    entered: Entered
    """What enters the decoder up to and including the last visual token."""

    plain: "View | None" = None
    """The same view without latent prompts; None where this is it."""
    latents: tuple[LatentPrompt, ...] = ()
    """What is added to the visual tokens, and at which layers."""
    interventions: tuple[Intervention, ...] = ()
    """What is done to the model while it reads any question."""

    @property
    def prefix(self) -> Float[Tensor, "token hidden"]:
        """The embeddings of what enters the decoder: template, and visual tokens."""
        return self.entered.embeddings

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
        _numbers("layer", [latent.layer], self.network.depth)
        return replace(self, plain=self.plain or self, latents=(*self.latents, latent))

    def under(self, *interventions: Intervention) -> "View":
        """The same video, with something done to the model while it reads any question."""
        return replace(self, interventions=(*self.interventions, *interventions))

    def reversed(self) -> "View":
        """The same visual tokens and latent prompts, last frame first."""
        places = self.grid.positions
        turned = replace(
            self,
            entered=self.entered.taking(places, self.entered, places[self.grid.reversal()]),
            grid=VisualGrid(self.grid.positions, self.grid.cells.reversed()),
            plain=None,
            latents=(),
            interventions=tuple(done.reversed() for done in self.interventions),
        )
        for latent in self.latents:
            turned = turned.with_latent(latent.reversed())
        return turned

    @property
    def memory(self) -> Memory:
        """The keys and values of everything before the question; computed once."""
        return self._remembered(self.network.depth)

    def remembering(self, memory: Memory) -> "View":
        """The same, with what it reads of the video given."""
        given = replace(self)
        given._memory[:] = [memory]
        return given

    def remember_of(self, read: "View") -> None:
        """Take over, for a plain view, what was read with a latent prompt of zeros: the same.

        It is kept without its graph.
        """
        (others,) = read._memory
        (own,) = self._memory
        if len(others) > len(own):
            self._memory[:] = [tuple((keys.detach(), values.detach()) for keys, values in others)]

    def _remembered(self, depth: int) -> Memory:
        """The memory of the first layers, kept until more of them are needed."""
        if len(self._memory[0]) < depth:
            self._memory[:] = [self._memorised(depth)]
        return self._memory[0][:depth]

    @cached_property
    def _memory(self) -> list[Memory]:
        """What is remembered so far: of no layer, to begin with."""
        return [()]

    def _memorised(self, depth: int) -> Memory:
        network, entered = self.network, self.entered
        if self.plain is None:
            return network.memorise(entered, entered.embeddings, {}, depth=depth)
        first = min(latent.layer for latent in self.latents)
        below = self.plain._remembered(min(first, depth))
        if depth <= first:
            return below
        states = self.plain.entering(first)
        return network.memorise(entered, states, self._added(), below, depth)

    def entering(self, layer: int) -> Float[Tensor, "token hidden"]:
        """The states before the question that enter a decoder layer; kept once computed.

        Those of the plain view where this one has latent prompts.
        """
        if layer not in self._entering:
            self._entering[layer] = self.network.entering(self.entered, layer)
        return self._entering[layer]

    @cached_property
    def _entering(self) -> dict[int, Tensor]:
        return {0: self.prefix}

    def _asked_above(self, questions: Sequence[str], asked: Asked) -> Asked:
        """The tokens of questions as they enter the first layer that a latent prompt enters.

        Up to there they are what the plain view makes of them, whatever the vectors are.
        """
        first = min((latent.layer for latent in self.latents), default=0)
        if self.plain is None or first == 0:
            return asked
        return replace(
            asked, states=self.plain._asked_entering(questions, asked, first), first=first
        )

    def _asked_entering(
        self, questions: Sequence[str], asked: Asked, layer: int
    ) -> Float[Tensor, "token hidden"]:
        """The states of questions that enter a layer, kept until others are asked for."""
        key, held = (*questions, layer), self._asked
        if key not in held:
            states = self.network.asked_entering(self._remembered(layer), asked, layer)
            held.clear()
            held[key] = states
        return held[key]

    @cached_property
    def _asked(self) -> dict[tuple[str | int, ...], Tensor]:
        return {}

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
        return self.network.writer(len(self.entered), self.entered.behind)

    def read(
        self,
        *questions: str,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        each: Sequence[Sequence[Intervention]] | None = None,
    ) -> list[Reading]:
        """Ask any number of questions in one pass, and keep where each token looks.

        Args:
            questions: What to ask, each on its own and none seeing another.
            layers: Which decoder layers' attention to keep; all by default. Negative numbers
                count from the last.
            heads: Which heads' attention to keep; all by default.
            kinds: Which tokens' attention to keep, such as ("role",); all by default.
            each: What is done to the model while it reads each question, beside what is done
                for all; attention is that which is left. Nothing by default.

        Raises:
            ValueError: for an empty, too long or unsafe question, or a layer or head there is
                none of.
        """
        prompts, pack, asked = self.packed(questions)
        kept = self._kept(prompts, pack, layers, heads, kinds)
        rows, hidden = self.network.continue_from(self.memory, asked, kept, self._edits(pack, each))
        answers = self.network.logits(hidden[pack.last]).detach().cpu()
        gazes = self._gazes(prompts, kept, kinds, rows)
        return [
            Reading(**vars(gaze), logits=logits, margin=self._margin(logits))
            for gaze, logits in zip(gazes, answers, strict=True)
        ]

    def gaze(
        self,
        *questions: str,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        each: Sequence[Sequence[Intervention]] | None = None,
    ) -> list[Gaze]:
        """Where each token looks, as `read` has it, but without the answers.

        Nothing above the last of `layers` runs, neither for the video nor for the questions.
        """
        prompts, pack, asked = self.packed(questions)
        kept = self._kept(prompts, pack, layers, heads, kinds)
        memory = self._remembered(kept.layers[-1] + 1)
        rows = self.network.look_from(memory, asked, kept, self._edits(pack, each))
        return self._gazes(prompts, kept, kinds, rows)

    def answer_logits(
        self,
        *questions: str,
        each: Sequence[Sequence[Intervention]] | None = None,
        checkpointing: bool = False,
    ) -> Float[Tensor, "question word"]:
        """Next-token logits at the first answer position of each question.

        Differentiable in the view's latent prompts and in what interventions add.

        Args:
            questions: What to ask, each on its own and none seeing another.
            each: That of `read`.
            checkpointing: Keep no more for the gradient than the states between layers, and
                compute the rest again. Nothing is remembered then: all layers run each time.

        Raises:
            ValueError: for a question that `read` refuses, or interventions with checkpointing.
        """
        _, pack, asked = self.packed(questions)
        edits = self._edits(pack, each)
        if not checkpointing:
            nothing = Kept(self.grid.positions, ())
            asked = asked if edits else self._asked_above(questions, asked)
            _, hidden = self.network.continue_from(self.memory, asked, nothing, edits)
            return self.network.logits(hidden[pack.last])
        if edits:
            raise ValueError("interventions do not go with checkpointing; leave out one of them")
        row = self.entered.followed_by(asked.states, pack.lengths)
        hidden = self.network.read_again(row, pack.whole_mask.to(asked.mask.device), self._added())
        return self.network.logits(hidden[len(self.entered) :][pack.last])

    def packed(self, questions: Sequence[str]) -> tuple[list[Prompt], Pack, Asked]:
        """The tokens of questions, how they are packed in a row, and what enters the decoder."""
        if not questions:
            raise ValueError("there is no question to read; give at least one")
        prompts = [self.writer.write(question) for question in questions]
        pack = Pack(tuple(len(prompt) for prompt in prompts), before=len(self.entered))
        embeddings = self.network.embed([id_ for prompt in prompts for id_ in prompt.ids])
        mask = pack.mask.to(embeddings.device)
        return prompts, pack, Asked(embeddings, self.entered.after(pack.lengths), mask)

    def _kept(
        self,
        prompts: Sequence[Prompt],
        pack: Pack,
        layers: Sequence[int] | None,
        heads: Sequence[int] | None,
        kinds: Sequence[Kind] | None,
    ) -> Kept:
        tokens = None
        if kinds is not None:
            pairs = zip(pack.parts, prompts, strict=True)
            tokens = [part.start + i for part, prompt in pairs for i in prompt.indices(*kinds)]
            if not tokens:
                raise ValueError(f"no question has a {' or '.join(kinds)} token")
        columns = self.grid.positions.to(self.prefix.device)
        depth, width = self.network.depth, self.network.heads
        chosen = None if heads is None else _numbers("head", heads, width)
        return Kept(columns, _numbers("layer", layers, depth), chosen, tokens)

    def _gazes(
        self,
        prompts: Sequence[Prompt],
        kept: Kept,
        kinds: Sequence[Kind] | None,
        rows: Sequence[Tensor],
    ) -> list[Gaze]:
        shown = [p if kinds is None else p.only(p.indices(*kinds)) for p in prompts]
        maps = self.grid.fold(torch.stack(list(rows)).detach())
        parts = maps.split([len(prompt) for prompt in shown], dim=2)
        return [
            Gaze(prompt, part, kept.layers, self.grid, heads=kept.heads)
            for prompt, part in zip(shown, parts, strict=True)
        ]

    def _margin(self, logits: Float[Tensor, " word"]) -> float:
        return float(yes_minus_no(logits, self.network.answers))

    def _edits(self, pack: Pack, each: Sequence[Sequence[Intervention]] | None) -> Edits:
        """The edits of all questions of a pass, put together layer by layer."""
        each = each or [()] * len(pack.lengths)
        if len(each) != len(pack.lengths):
            raise ValueError(
                f"{len(each)} lists of interventions for {len(pack.lengths)} questions; "
                "give one for each"
            )
        edits: dict[int, list[tuple[slice, Edit]]] = {}
        for part, length, own in zip(pack.parts, pack.lengths, each, strict=True):
            extent = Extent(self.network.depth, self.network.heads, length, self.grid.shape)
            for intervention in (*self.interventions, *own):
                for layer, edit in intervention.edits(extent).items():
                    edits.setdefault(layer, []).append((part, edit))
        return edits

    def trace(self, question: str) -> Any:
        """The raw trace of nnsight: one plain pass over this video and a question.

        Everything nnsight offers works inside; visual tokens stand at `grid.positions`, the
        question's tokens behind `len(prefix)`.

        Raises:
            ValueError: if the view has latent prompts or interventions, which no raw trace adds.
        """
        if self.latents or self.interventions:
            raise ValueError(
                "a raw trace adds no latent prompts and no interventions; trace the plain view, "
                "and add them inside"
            )
        ids = self.writer.write(question).ids
        return self.network.trace(self.entered.followed_by(self.network.embed(ids), [len(ids)]))


def _numbers(thing: str, wanted: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """The layers or heads that are asked for, in order; all where none are named."""
    if wanted is None:
        return tuple(range(count))
    if wrong := [number for number in wanted if not -count <= number < count]:
        raise ValueError(f"there is no {thing} {wrong}; this model has {thing}s 0 to {count - 1}")
    if not wanted:
        raise ValueError(f"there is no {thing} to read; name at least one, or None for all")
    return tuple(sorted({number % count for number in wanted}))

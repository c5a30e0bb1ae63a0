"""A video as a model sees it, and what the model does when asked about it.

Everything before the question is the same for all questions, so it is read once and its keys and
values are cached; questions are packed after it in one row, none seeing another. Attention is
computed from queries and keys for the tokens of the questions only, never as a full matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.checkpoint import Checkpoint
from probe.engine.decoder import Decoder
from probe.engine.grids import VisualGrid
from probe.engine.interventions import Extent, Intervention
from probe.engine.latent_prompts import LatentPrompt
from probe.engine.prefix import Prefix
from probe.engine.prefix_cache import PrefixCache
from probe.engine.prompts import Kind, Prompt, PromptWriter
from probe.engine.questions import AttentionSelection, PackedQuestions, QuestionTokens
from probe.engine.readings import AttentionMaps, Reading
from probe.engine.requests import (
    Interventions,
    Request,
    choose_layers,
    choose_numbers,
    collect_edits,
    select_tokens,
)
from probe.video import Video


@dataclass(frozen=True, eq=False)
class View:
    """A video as a model sees it: its visual tokens, with the text before them."""

    decoder: Decoder
    model: str
    """The name of the model."""

    video: Video
    grid: VisualGrid
    prefix: Prefix
    """The tokens that enter the decoder, up to and including the last visual token."""

    cache: PrefixCache
    """The cache of the prefix; it changes, and views of the same prefix share it."""

    plain: "View | None" = None
    """This view without latent prompts; None where it has none."""

    latents: tuple[LatentPrompt, ...] = ()
    """The latent prompts that are added to the visual tokens."""

    interventions: tuple[Intervention, ...] = ()
    """The interventions on the model while it reads any question."""

    @classmethod
    def of(
        cls, decoder: Decoder, model: str, video: Video, grid: VisualGrid, prefix: Prefix
    ) -> "View":
        """Make the plain view of a prefix of which nothing has been computed yet."""
        return cls(decoder, model, video, grid, prefix, PrefixCache(decoder, prefix))

    def __repr__(self) -> str:
        frames, rows, columns = self.grid.shape
        learned = f", {len(self.latents)} latent prompts" if self.latents else ""
        done = f", {len(self.interventions)} interventions" if self.interventions else ""
        return f"View({self.model}: {frames} frames of {rows} x {columns} cells{learned}{done})"

    @property
    def checkpoint(self) -> Checkpoint:
        """The model with its processor."""
        return self.decoder.checkpoint

    @property
    def layers(self) -> Any:
        """The decoder layers, for use inside `trace`."""
        return self.decoder.layers

    @cached_property
    def writer(self) -> PromptWriter:
        """The writer of questions after this video."""
        return self.checkpoint.writer(len(self.prefix), self.prefix.tail)

    def with_latent(self, latent: LatentPrompt) -> "View":
        """Add vectors to the visual tokens; layers below the prompt's stay as they are.

        Raises:
            ValueError: if the prompt belongs to another model or grid, or enters no layer.
        """
        if not isinstance(latent, LatentPrompt):
            raise ValueError(
                f"a latent prompt is wanted, found {type(latent).__name__}; give the one of "
                f"probe.reattend (its `.latent`) or of LatentPrompt.load"
            )
        latent.check(self.model, self.grid, self.prefix.embeddings.shape[1])
        choose_numbers("layer", latent.layer, self.checkpoint.depth)
        plain, latents = self.plain or self, (*self.latents, latent)
        # Below the lowest prompt nothing changes, so the new cache reads that part from the plain
        # view's. Summing waits until it is needed: a view is also made only to check a prompt.
        cache = PrefixCache(
            self.decoder,
            self.prefix,
            plain=plain.cache,
            added=lambda: _sum_latents(latents, plain.prefix, plain.grid),
            first=self._lowest(latents),
        )
        return replace(self, cache=cache, plain=plain, latents=latents)

    def _lowest(self, latents: Sequence[LatentPrompt]) -> int:
        """Find the lowest layer that must run once latent prompts are added."""
        layers = (latent.layer for latent in latents)
        return min(min(layers, default=0), self.decoder.plan.skippable)

    def under(self, *interventions: Intervention) -> "View":
        """Do something to the model while it reads any question; the video is not read again."""
        return replace(self, interventions=(*self.interventions, *interventions))

    def reversed(self) -> "View":
        """Show the same visual tokens and latent prompts with the last frame first."""
        # The tokens change places and keep the positions that they go to, as if the video had been
        # shown backwards; text between frames, such as time stamps, stays where it is.
        places = self.grid.positions
        prefix = self.prefix.with_tokens_of(self.prefix, places, places[self.grid.reversal()])
        grid = VisualGrid(places, self.grid.cells.reversed())
        turned = replace(
            View.of(self.decoder, self.model, self.video, grid, prefix),
            interventions=tuple(done.reversed() for done in self.interventions),
        )
        for latent in self.latents:
            turned = turned.with_latent(latent.reversed())
        return turned

    def with_prefix(self, prefix: Prefix) -> "View":
        """Show other visual tokens in the same places, under the same prompts and interventions."""
        shown = View.of(self.decoder, self.model, self.video, self.grid, prefix)
        shown = replace(shown, interventions=self.interventions)
        for latent in self.latents:
            shown = shown.with_latent(latent)
        return shown

    def states(self, layer: int) -> Float[Tensor, "token hidden"]:
        """Return the states of the prefix that enter a decoder layer, without latent prompts."""
        return self.cache.states(layer)

    def read(
        self,
        *questions: str | Sequence[str],
        layers: int | Sequence[int] | None = None,
        heads: int | Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        interventions_per_question: Interventions | None = None,
    ) -> list[Reading]:
        """Ask any number of questions in one pass, and keep where each token attends.

        Args:
            questions: What to ask, each on its own and none seeing another; or one list of them.
            layers: A decoder layer, or several, whose attention is kept; all by default. Negative
                numbers count from the last.
            heads: Heads whose attention is kept; all by default.
            kinds: Kinds of token whose attention is kept, such as ("role",); all by default.
            interventions_per_question: What is done to the model while it reads each question, in
                addition to what is done for all; attention is that which is left. Nothing by
                default.

        Raises:
            ValueError: for an empty, too long or unsafe question, or a layer or head that does
                not exist.
        """
        request = self._request(questions, layers, heads, kinds, interventions_per_question)
        rows, hidden = self.decoder.forward_questions(
            self.cache.past(self.checkpoint.depth),
            request.tokens,
            request.selection,
            request.edits,
        )
        # Only the last token of each question goes through the head, whose matrix is the largest of
        # the model: a vocabulary by the width of the states.
        logits = self.checkpoint.logits(hidden[request.packed.last]).detach().cpu()
        kept = [row.detach() for row in rows]
        return request.readings(kept, logits, self.checkpoint.answers)

    def attention(
        self,
        *questions: str | Sequence[str],
        layers: int | Sequence[int] | None = None,
        heads: int | Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        interventions_per_question: Interventions | None = None,
    ) -> list[AttentionMaps]:
        """Return where each token attends, as `read` does, but without the answers.

        Nothing above the last of `layers` runs, neither for the video nor for the questions. The
        arguments and errors are those of `read`.
        """
        request = self._request(questions, layers, heads, kinds, interventions_per_question)
        # What higher layers keep need not exist.
        past = self.cache.past(request.selection.layers[-1] + 1)
        rows = self.decoder.attention_only(past, request.tokens, request.selection, request.edits)
        return request.maps([row.detach() for row in rows])

    def read_with_graph(
        self,
        *questions: str,
        layers: Sequence[int] = (),
        checkpointing: bool = False,
    ) -> list[Reading]:
        """Read questions so that answers and attention can be differentiated.

        Gradients reach the view's latent prompts and whatever interventions add.

        Args:
            questions: What to ask.
            layers: Decoder layers whose attention is kept; none by default, which costs nothing.
            checkpointing: Keep no more for the gradient than the states between layers, and
                compute the rest again.

        Raises:
            ValueError: for a question that `read` refuses, a layer that does not exist, or
                attention or interventions together with checkpointing.
        """
        # No layers means no attention here, and all layers in a request.
        request = self._request(questions, list(layers) or None)
        request = request if layers else request.without_attention()
        rows, logits = self._forward_with_graph(questions, request, checkpointing)
        return request.readings(rows, logits, self.checkpoint.answers)

    def answer_logits(
        self,
        *questions: str,
        interventions_per_question: Interventions | None = None,
        checkpointing: bool = False,
    ) -> Float[Tensor, "question word"]:
        """Return next-token logits at the first answer position of each question.

        Differentiable in the view's latent prompts and in what interventions add.

        Args:
            questions: What to ask, each on its own and none seeing another.
            interventions_per_question: As in `read`.
            checkpointing: As in `read_with_graph`; nothing is cached then, all layers run each
                time.

        Raises:
            ValueError: for a question that `read` refuses, or interventions with checkpointing.
        """
        request = self._request(questions, per_question=interventions_per_question)
        return self._forward_with_graph(questions, request.without_attention(), checkpointing)[1]

    def pack_questions(
        self, questions: Sequence[str | Sequence[str]]
    ) -> tuple[tuple[Prompt, ...], PackedQuestions, QuestionTokens]:
        """Tokenize questions, lay them out in one row, and make what enters the decoder.

        Raises:
            ValueError: if there is none, or one is empty, too long or unsafe.
        """
        if len(questions) == 1 and isinstance(questions[0], list | tuple):
            (questions,) = questions
        if not questions:
            raise ValueError("there is no question to read; give at least one")
        texts = [question for question in questions if isinstance(question, str)]
        if wrong := [question for question in questions if not isinstance(question, str)]:
            raise ValueError(f"a question is text; found {wrong[0]!r} ({type(wrong[0]).__name__})")
        prompts = tuple(self.writer.write(text) for text in texts)
        plan = self.decoder.plan
        lengths = tuple(len(prompt) for prompt in prompts)
        packed = PackedQuestions(lengths, len(self.prefix), apart=plan.is_recurrent)
        ids = [id_ for prompt in prompts for id_ in prompt.ids]
        from_words = self.decoder.read_words(ids, self.prefix.from_words)
        tokens = self.prefix.questions_after(self.checkpoint.embed(ids), packed, plan, from_words)
        return prompts, packed, tokens

    def trace(self, question: str) -> Any:
        """Open nnsight's own trace: one plain pass over this video and a question.

        Everything nnsight offers works inside; visual tokens are at `grid.positions`, the
        question's tokens from `len(prefix)` on.

        Raises:
            ValueError: if the view has latent prompts or interventions, which a raw trace would
                leave out.
        """
        if self.latents or self.interventions:
            raise ValueError(
                "a raw trace adds no latent prompts and no interventions; trace the plain view, "
                "and add them inside"
            )
        *_, tokens = self.pack_questions([question])
        # Where the model leaves masks to its decoder, so does the trace.
        return self.decoder.trace(self._row(tokens) if self.prefix.masks else self._bare(tokens))

    def _request(
        self,
        questions: Sequence[str | Sequence[str]],
        layers: int | Sequence[int] | None = None,
        heads: int | Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        per_question: Interventions | None = None,
    ) -> Request:
        prompts, packed, tokens = self.pack_questions(questions)
        depth, width = self.checkpoint.depth, self.checkpoint.heads
        attending = self.decoder.plan.attending
        selection = AttentionSelection(
            self.grid.positions.to(tokens.embeddings.device),
            choose_layers(layers, attending, depth),
            None if heads is None else choose_numbers("head", heads, width),
            select_tokens(prompts, packed, kinds),
        )
        room = Extent(depth, width, 0, self.grid.shape, attending)
        edits = collect_edits(packed, self.interventions, per_question, room)
        chosen = None if kinds is None else tuple(kinds)
        return Request(prompts, packed, tokens, selection, edits, self.grid, chosen)

    def _forward_with_graph(
        self, questions: Sequence[str], request: Request, checkpointing: bool
    ) -> tuple[list[Float[Tensor, "head token visual"]], Float[Tensor, "question word"]]:
        """Compute rows of attention and answers with their graph."""
        if checkpointing:
            return [], self.checkpoint.logits(self._checkpointed_states(request))
        request = self._above_latents(questions, request)
        past = self.cache.past(self.checkpoint.depth)
        rows, hidden = self.decoder.forward_questions(
            past, request.tokens, request.selection, request.edits
        )
        return rows, self.checkpoint.logits(hidden[request.packed.last])

    def _above_latents(self, questions: Sequence[str], request: Request) -> Request:
        """Let the questions enter at the lowest layer that a latent prompt enters.

        Below it they are what the plain view makes of them, whatever the vectors are. Edits and
        attention below it need those layers to run.
        """
        first = self._lowest(self.latents)
        wanted = min(request.selection.layers, default=first)
        if self.plain is None or first == 0 or request.edits or wanted < first:
            return request
        states = self.plain.cache.question_states(questions, request.tokens, first)
        return replace(request, tokens=replace(request.tokens, states=states, first=first))

    def _checkpointed_states(self, request: Request) -> Float[Tensor, "question hidden"]:
        """Compute the last states of each question's last token; nothing is cached."""
        if request.edits:
            raise ValueError("interventions do not go with checkpointing; leave out one of them")
        if request.selection.layers:
            raise ValueError("attention cannot be kept with checkpointing; leave out one of them")
        if self.decoder.plan.is_recurrent:
            raise ValueError(
                "checkpointing needs questions in one row, which the layers without attention of "
                "this model would mix up; leave it out"
            )
        added = _sum_latents(self.latents, self.prefix, self.grid)
        hidden = self.decoder.forward_checkpointed(self._row(request.tokens), added)
        return hidden[len(self.prefix) :][request.packed.last]

    def _row(self, questions: QuestionTokens) -> Prefix:
        """Arrange video and questions in one row, with the positions that each token sees."""
        plan, found = self.decoder.plan, self.prefix.masks
        masks = {
            kind: questions.packed.whole_mask(found.get(kind), plan.window_of(kind))
            for kind in plan.masks
        }
        return self.prefix.followed_by(questions, masks)

    def whole_mask(self, question: str, layer: int) -> Bool[Tensor, "position position"]:
        """Compute the positions that each token of video and question sees in a layer.

        Raises:
            ValueError: for a question that `read` refuses, or a layer without attention.
        """
        (layer,) = choose_layers(layer, self.decoder.plan.attending, self.checkpoint.depth)
        *_, tokens = self.pack_questions([question])
        return self._row(tokens).masks[self.decoder.plan.kinds[layer]]

    def _bare(self, question: QuestionTokens) -> Prefix:
        """Arrange video and one question in a row, and leave masks to the decoder."""
        return self.prefix.followed_by(question, {})


def _sum_latents(
    latents: Sequence[LatentPrompt], prefix: Prefix, grid: VisualGrid
) -> dict[int, Float[Tensor, "token hidden"]]:
    """Sum the latent prompts of each layer, with zeros where there is no visual token."""
    added: dict[int, Tensor] = {}
    positions = grid.positions.to(prefix.embeddings.device)
    for latent in latents:
        below = added.get(latent.layer, torch.zeros_like(prefix.embeddings))
        vectors = latent.vectors.to(prefix.embeddings)
        added[latent.layer] = below.index_add(0, positions, vectors)
    return added

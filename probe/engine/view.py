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
from jaxtyping import Float
from torch import Tensor

from probe.engine.checkpoint import Checkpoint
from probe.engine.decoder import Decoder
from probe.engine.fingerprint import KnownFingerprint
from probe.engine.grids import VisualGrid
from probe.engine.interventions import Intervention, VideoIntervention, unite_video_cuts
from probe.engine.latent_prompts import LatentPrompt, sum_latents
from probe.engine.prefix import Prefix
from probe.engine.prefix_cache import PrefixCache
from probe.engine.prompts import Kind, PromptWriter
from probe.engine.provenance import describe_edit, trace_provenance
from probe.engine.reader import Answers, Reader, divide_questions, lowest_layer
from probe.engine.readings import AttentionMaps, Reading
from probe.engine.requests import (
    Interventions,
    choose_numbers,
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

    known_fingerprint: KnownFingerprint
    """The fingerprint of the model, which all its views share."""

    plain: "View | None" = None
    """This view without latent prompts; None where it has none."""

    latents: tuple[LatentPrompt, ...] = ()
    """The latent prompts that are added to the visual tokens."""

    interventions: tuple[Intervention, ...] = ()
    """The interventions on the model while it reads any question."""

    @classmethod
    def of(
        cls,
        decoder: Decoder,
        model: str,
        video: Video,
        grid: VisualGrid,
        prefix: Prefix,
        known: KnownFingerprint,
    ) -> "View":
        """Make the plain view of a prefix of which nothing has been computed yet.

        Args:
            decoder: The passes through the model.
            model: The name of the model.
            video: The video.
            grid: The places of its visual tokens.
            prefix: The tokens up to the last visual one.
            known: The fingerprint of the model.
        """
        return cls(decoder, model, video, grid, prefix, PrefixCache(decoder, prefix), known)

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
        prefix = self.prefix
        return self.checkpoint.writer(len(prefix), prefix.tail, prefix.closing)

    @cached_property
    def reader(self) -> Reader:
        """The reader of questions, with the passes that it makes."""
        plain = None if self.plain is None else self.plain.cache
        return Reader(
            self.decoder,
            self.writer,
            self.grid,
            self.prefix,
            self.cache,
            plain,
            self.latents,
            self.interventions,
        )

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
        if latent.layer > (last := self.decoder.plan.last_read):
            raise ValueError(
                f"a latent prompt entering layer {latent.layer} reaches no question: above layer "
                f"{last}, this model attends with the keys of lower layers; give layer 0 to {last}"
            )
        plain, latents = self.plain or self, (*self.latents, latent)
        # Below the lowest prompt nothing changes, so the new cache reads that part from the plain
        # view's. Summing waits until it is needed: a view is also made only to check a prompt.
        cache = PrefixCache(
            self.decoder,
            self.prefix,
            plain=plain.cache,
            added=lambda: sum_latents(latents, plain.prefix.embeddings, plain.grid),
            first=lowest_layer(latents, self.decoder.plan),
            cuts=plain.cache.cuts,
        )
        return replace(self, cache=cache, plain=plain, latents=latents)

    def under(self, *interventions: Intervention) -> "View":
        """Do something to the model while it reads any question.

        The video is not read again, unless edges between visual tokens are cut.
        """
        shown = replace(self, interventions=(*self.interventions, *interventions))
        if not any(isinstance(done, VideoIntervention) for done in interventions):
            return shown
        cuts = unite_video_cuts(shown.interventions, self.reader.extent)
        masks = self.prefix.cut_masks(self.decoder.plan, self.grid.positions, cuts)
        cache = PrefixCache(self.decoder, self.prefix, cuts=masks)
        shown = replace(shown, cache=cache, plain=None, latents=())
        for latent in self.latents:
            shown = shown.with_latent(latent)
        return shown

    def reversed(self) -> "View":
        """Show the same visual tokens and latent prompts with the last frame first."""
        # The tokens change places and keep the positions that they go to, as if the video had been
        # shown backwards; text between frames, such as time stamps, stays where it is.
        places = self.grid.positions
        prefix = self.prefix.with_tokens_of(self.prefix, places, places[self.grid.reversal()])
        grid = VisualGrid(places, self.grid.cells.reversed())
        turned = self._show(grid, prefix)
        turned = turned.under(*(done.reversed() for done in self.interventions))
        for latent in self.latents:
            turned = turned.with_latent(latent.reversed())
        return turned

    def with_prefix(self, prefix: Prefix) -> "View":
        """Show other visual tokens in the same places, under the same prompts and interventions."""
        shown = self._show(self.grid, prefix)
        shown = shown.under(*self.interventions)
        for latent in self.latents:
            shown = shown.with_latent(latent)
        return shown

    def _show(self, grid: VisualGrid, prefix: Prefix) -> "View":
        """Make the plain view of other tokens of this video."""
        known = self.known_fingerprint
        return View.of(self.decoder, self.model, self.video, grid, prefix, known)

    def states(self, layer: int) -> Float[Tensor, "token hidden"]:
        """Return the states of the prefix that enter a decoder layer, without latent prompts."""
        return self.cache.states(layer)

    def read(
        self,
        *questions: str | Sequence[str],
        layers: int | Sequence[int] | None = None,
        heads: int | Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        answer: Answers = None,
        interventions_per_question: Interventions | None = None,
    ) -> list[Reading]:
        """Ask any number of questions, and keep where each token attends.

        Args:
            questions: What to ask, each on its own and none seeing another; or one list of them.
            layers: A decoder layer, or several, whose attention is kept; all by default. Negative
                numbers count from the last.
            heads: Heads whose attention is kept; all by default.
            kinds: Kinds of token whose attention is kept, such as ("role",); all by default.
            answer: The words of an answer that is read after the question (or the ids of its
                tokens), or a list with one for each question. Its tokens are of the kind "answer",
                those of a thought in it "thought".
            interventions_per_question: What is done to the model while it reads each question, in
                addition to what is done for all; attention is that which is left. Nothing by
                default.

        Raises:
            ValueError: for an empty, too long or unsafe question or answer, or a layer or head
                that does not exist.
        """
        choices = (layers, heads, kinds)
        readings = [
            reading
            for some, own, said in divide_questions(questions, interventions_per_question, answer)
            for reading in self.reader.read(self.reader.request(some, *choices, own, said))
        ]
        return self.trace_readings(readings, interventions_per_question)

    def trace_readings(
        self, readings: Sequence[Reading], per_question: Interventions | None = None
    ) -> list[Reading]:
        """Write down with each reading what it follows from."""
        done = (*self.latents, *self.interventions)
        traced = trace_provenance(self.model, self.checkpoint, self.video, done)
        if per_question is None:
            return [replace(reading, provenance=traced) for reading in readings]
        # No longer than the readings: the reader has checked that there is one for each question.
        also = (tuple(map(describe_edit, own)) for own in per_question)
        return [
            replace(reading, provenance=replace(traced, edits=(*traced.edits, *own)))
            for reading, own in zip(readings, also, strict=True)
        ]

    def attention(
        self,
        *questions: str | Sequence[str],
        layers: int | Sequence[int] | None = None,
        heads: int | Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        answer: Answers = None,
        interventions_per_question: Interventions | None = None,
    ) -> list[AttentionMaps]:
        """Return where each token attends, as `read` does, but without the answers.

        Nothing above the last of `layers` runs, neither for the video nor for the questions. The
        arguments and errors are those of `read`.
        """
        choices = (layers, heads, kinds)
        return [
            maps
            for some, own, said in divide_questions(questions, interventions_per_question, answer)
            for maps in self.reader.attention(self.reader.request(some, *choices, own, said))
        ]

    def read_with_graph(
        self,
        *questions: str,
        layers: Sequence[int] = (),
        answer: Answers = None,
        checkpointing: bool = False,
    ) -> list[Reading]:
        """Read questions so that answers and attention can be differentiated.

        Gradients reach the view's latent prompts and whatever interventions add.

        Args:
            questions: What to ask.
            layers: Decoder layers whose attention is kept; none by default, which costs nothing.
            answer: As in `read`.
            checkpointing: Keep no more for the gradient than the states between layers, and
                compute the rest again.

        Raises:
            ValueError: for a question that `read` refuses, a layer that does not exist, or
                attention or interventions together with checkpointing.
        """
        # No layers means no attention here, and all layers in a request.
        request = self.reader.request(questions, list(layers) or None, answers=answer)
        request = request if layers else request.without_attention()
        rows, logits = self.reader.rows_and_logits(request, checkpointing)
        return self.trace_readings(request.readings(rows, logits, self.checkpoint.answers))

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
        request = self.reader.request(questions, per_question=interventions_per_question)
        _, logits = self.reader.rows_and_logits(request.without_attention(), checkpointing)
        return torch.cat(logits)

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
        return self.decoder.trace(self.reader.plain_row(question))

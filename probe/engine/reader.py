"""The reader of questions after one prefix: what is asked becomes passes through the decoder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.answers import Answer, write_answered
from probe.engine.decoder import Decoder
from probe.engine.grids import VisualGrid
from probe.engine.interventions import Extent, Intervention
from probe.engine.latent_prompts import LatentPrompt, sum_latents
from probe.engine.layer_plan import LayerPlan
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

A_PASS = 16
"""Most questions in one pass: a packed row costs its length squared, each pass its start. 128
questions on the organism take 1.0, 0.43, 0.36, 0.39 and 1.1 s in passes of 128, 32, 16, 8 and 1
(`python benchmarks/passes.py --threads 1`)."""


Answers: TypeAlias = Answer | Sequence[Answer | None] | None
"""The answers read after questions: that of one, or one for each; None where there is none."""


@dataclass(frozen=True, eq=False)
class Reader:
    """The passes over questions after one prefix, under its latent prompts and interventions."""

    decoder: Decoder
    writer: PromptWriter
    grid: VisualGrid
    prefix: Prefix
    cache: PrefixCache

    plain: PrefixCache | None
    """The cache of the prefix without latent prompts; None where it has none."""

    latents: tuple[LatentPrompt, ...]
    interventions: tuple[Intervention, ...]

    @property
    def plan(self) -> LayerPlan:
        """The layers of the decoder."""
        return self.decoder.plan

    @property
    def extent(self) -> Extent:
        """The layers, heads and cells that interventions can choose from."""
        return Extent(
            layers=len(self.plan),
            heads=self.decoder.checkpoint.heads,
            tokens=0,
            shape=self.grid.shape,
            attends=self.plan.attending,
            visual=tuple(self.grid.positions.tolist()),
            before=len(self.prefix),
        )

    def request(
        self,
        questions: Sequence[str | Sequence[str]],
        layers: int | Sequence[int] | None = None,
        heads: int | Sequence[int] | None = None,
        kinds: Sequence[Kind] | None = None,
        per_question: Interventions | None = None,
        answers: Answers = None,
    ) -> Request:
        """Prepare questions, and choose what is kept; the arguments are those of `View.read`.

        Raises:
            ValueError: for what `View.read` refuses.
        """
        prompts, packed, tokens = self.pack(questions, answers)
        depth, width = len(self.plan), self.decoder.checkpoint.heads
        selection = AttentionSelection(
            self.grid.positions.to(tokens.embeddings.device),
            choose_layers(layers, self.plan.attending, depth),
            None if heads is None else choose_numbers("head", heads, width),
            select_tokens(prompts, packed, kinds),
        )
        edits = collect_edits(packed, self.interventions, per_question, self.extent)
        chosen = None if kinds is None else tuple(kinds)
        return Request(prompts, packed, tokens, selection, edits, self.grid, chosen)

    def pack(
        self, questions: Sequence[str | Sequence[str]], answers: Answers = None
    ) -> tuple[tuple[Prompt, ...], PackedQuestions, QuestionTokens]:
        """Tokenize questions and answers, lay them out, and make what enters the decoder.

        Raises:
            ValueError: if there is no question, one is empty, too long or unsafe, or there are not
                as many answers.
        """
        listed = list_questions(questions)
        if not listed:
            raise ValueError("there is no question to read; give at least one")
        if wrong := [question for question in listed if not isinstance(question, str)]:
            raise ValueError(f"a question is text; found {wrong[0]!r} ({type(wrong[0]).__name__})")
        pairs = zip(listed, list_answers(answers, len(listed)), strict=True)
        prompts = tuple(write_answered(self.writer, text, answer) for text, answer in pairs)
        lengths = tuple(len(prompt) for prompt in prompts)
        packed = PackedQuestions(lengths, len(self.prefix), apart=self.plan.is_recurrent)
        ids = [id_ for prompt in prompts for id_ in prompt.ids]
        from_words = self.decoder.read_words(ids, self.prefix.from_words)
        embeddings = self.decoder.checkpoint.embed(ids)
        tokens = self.prefix.questions_after(embeddings, packed, self.plan, from_words)
        return prompts, packed, tokens

    def read(self, request: Request) -> list[Reading]:
        """Read questions, and keep their attention and answers."""
        rows, hidden = self._forward(request)
        logits = [one.detach().cpu() for one in self._logits(request, hidden)]
        kept = [row.detach() for row in rows]
        return request.readings(kept, logits, self.decoder.checkpoint.answers)

    def _logits(
        self, request: Request, hidden: Float[Tensor, "token hidden"]
    ) -> list[Float[Tensor, "_ word"]]:
        """Compute next-token logits, by question, after the tokens that an answer follows."""
        # Only those tokens go through the head, whose matrix is the largest of the model: a
        # vocabulary by the width of the states.
        places = request.predicting
        logits = self.decoder.checkpoint.logits(hidden[[one for some in places for one in some]])
        return list(logits.split([len(some) for some in places]))

    def next_logits(self, request: Request) -> Float[Tensor, " word"]:
        """Compute the logits after the last token of one question, and of its answer if any."""
        _, hidden = self._forward(request)
        return self.decoder.checkpoint.logits(hidden[-1:])[0]

    def attention(self, request: Request) -> list[AttentionMaps]:
        """Read questions as far as their attention is kept."""
        # What higher layers keep need not exist.
        past = self.cache.past(request.selection.layers[-1] + 1)
        rows = self.decoder.attention_only(past, request.tokens, request.selection, request.edits)
        return request.maps([row.detach() for row in rows])

    def rows_and_logits(
        self, request: Request, checkpointing: bool
    ) -> tuple[list[Float[Tensor, "some_head some_token visual"]], list[Float[Tensor, "_ word"]]]:
        """Compute rows of attention and answers with their graph.

        Raises:
            ValueError: if checkpointing is asked for together with what it excludes.
        """
        if checkpointing:
            return [], self._logits(request, self._checkpointed_states(request))
        request = self._above_latents(request)
        rows, hidden = self._forward(request)
        return rows, self._logits(request, hidden)

    def row(self, questions: QuestionTokens) -> Prefix:
        """Arrange video and questions in one row, with the positions that each token sees."""
        masks = {
            kind: questions.packed.whole_mask(
                self.prefix.masks.get(kind), self.plan.window_of(kind)
            )
            for kind in self.plan.masks
        }
        return self.prefix.followed_by(questions, masks)

    def plain_row(self, question: str) -> Prefix:
        """Arrange video and one question in a row as the model itself does.

        Raises:
            ValueError: for a question that `View.read` refuses.
        """
        *_, tokens = self.pack([question])
        # Where the model leaves masks to its decoder, so does the row.
        return self.row(tokens) if self.prefix.masks else self.prefix.followed_by(tokens, {})

    def whole_mask(self, question: str, layer: int) -> Bool[Tensor, "position position"]:
        """Compute the positions that each token of video and question sees in a layer.

        Raises:
            ValueError: for a question that `View.read` refuses, or a layer without attention.
        """
        (layer,) = choose_layers(layer, self.plan.attending, len(self.plan))
        *_, tokens = self.pack([question])
        return self.row(tokens).masks[self.plan.kinds[layer]]

    def _forward(
        self, request: Request
    ) -> tuple[list[Float[Tensor, "some_head some_token visual"]], Float[Tensor, "token hidden"]]:
        past = self.cache.past(len(self.plan))
        return self.decoder.forward_questions(
            past, request.tokens, request.selection, request.edits
        )

    def _above_latents(self, request: Request) -> Request:
        """Let the questions enter at the lowest layer that a latent prompt enters.

        Below it they are what the plain view makes of them, whatever the vectors are. Edits and
        attention below it need those layers to run.
        """
        first = lowest_layer(self.latents, self.plan)
        wanted = min(request.selection.layers, default=first)
        if self.plain is None or first == 0 or request.edits or wanted < first:
            return request
        ids = tuple(prompt.ids for prompt in request.prompts)
        states = self.plain.question_states(ids, request.tokens, first)
        return replace(request, tokens=replace(request.tokens, states=states, first=first))

    def _checkpointed_states(self, request: Request) -> Float[Tensor, "token hidden"]:
        """Compute the last states of the questions; nothing is cached."""
        if request.edits:
            raise ValueError("interventions do not go with checkpointing; leave out one of them")
        if request.selection.layers:
            raise ValueError("attention cannot be kept with checkpointing; leave out one of them")
        if self.plan.is_recurrent:
            raise ValueError(
                "checkpointing needs questions in one row, which the layers without attention of "
                "this model would mix up; leave it out"
            )
        added = sum_latents(self.latents, self.prefix.embeddings, self.grid)
        hidden = self.decoder.forward_checkpointed(self.row(request.tokens), added)
        return hidden[len(self.prefix) :]


def lowest_layer(latents: Sequence[LatentPrompt], plan: LayerPlan) -> int:
    """Find the lowest layer that must run once latent prompts are added."""
    return min(min((latent.layer for latent in latents), default=0), plan.skippable)


def list_questions(questions: Sequence[str | Sequence[str]]) -> Sequence[Any]:
    """Take one list of questions for the questions themselves."""
    if len(questions) == 1 and isinstance(questions[0], list | tuple):
        return questions[0]
    return questions


def list_answers(answers: Answers, count: int) -> Sequence[Answer | None]:
    """Take one answer for a list of one; none for each question where none is given.

    Raises:
        ValueError: if there are not as many answers as questions.
    """
    if answers is None:
        return [None] * count
    one = isinstance(answers, str) or all(isinstance(part, int) for part in answers)
    said: list[Any] = [answers] if one else list(answers)
    if len(said) != count:
        raise ValueError(f"{len(said)} answers for {count} questions; give one for each, or none")
    return said


def divide_questions(
    questions: Sequence[str | Sequence[str]],
    per_question: Interventions | None,
    answers: Answers = None,
) -> Iterator[tuple[Sequence[Any], Interventions | None, Answers]]:
    """Divide many questions among passes, with what is done and said while each is read."""
    listed = list_questions(questions)
    if len(listed) <= A_PASS or len(per_question or listed) != len(listed):
        yield listed, per_question, answers
        return
    said = list_answers(answers, len(listed))
    for start in range(0, len(listed), A_PASS):
        part = slice(start, start + A_PASS)
        yield listed[part], per_question and per_question[part], said[part]

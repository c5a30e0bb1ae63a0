"""Generation: what a model says about a video, token by token, and where it looks meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from probe.engine.past import growing_cache
from probe.engine.prompts import Kind
from probe.engine.readings import Reading
from probe.engine.recording import AttentionRecorder
from probe.engine.view import View

Choose = Callable[[Float[Tensor, " word"]], int]
"""Chooses the next token by its logits."""


def generate(  # noqa: PLR0913  each is an option of its own for whoever generates
    view: View,
    question: str,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    kinds: Sequence[Kind] | None = None,
) -> Reading:
    """Let the model answer in words, and keep where the tokens of question and answer attend.

    The video is not read again: the answer is written after what the view has cached, under its
    latent prompts and interventions. Rows of attention follow from the queries and keys of writing.

    Args:
        view: The video.
        question: What to ask.
        max_new_tokens: The most tokens of the answer, which is cut off there.
        temperature: What logits are divided by before a token is drawn; 0 takes the most likely
            token each time.
        top_p: The share of the probability from whose most likely tokens one is drawn.
        seed: The seed of what is drawn.
        layers: As in `View.read`.
        heads: As in `View.read`.
        kinds: As in `View.read`.

    Returns:
        The reading of question and answer; the answer's text is `reading.prompt.answer`.

    Raises:
        ValueError: for a question that `View.read` refuses, or a number out of its range.
    """
    options: dict[str, Any] = {"layers": layers, "heads": heads, "kinds": kinds}
    draw = _chooser(temperature, top_p, seed)
    # Under interventions a token may depend on all tokens of the question, so they are read anew.
    if view.interventions or not AttentionRecorder.fits(view.decoder):
        words = _write(view, question, draw, max_new_tokens)
        return view.read(question, answer=words or None, **options)[0]
    writing = _Writing(view, question, draw, max_new_tokens)
    # A view that was asked nothing yet reads its video first, which is not to be recorded.
    view.cache.past(view.checkpoint.depth)
    recorder = AttentionRecorder(view.decoder)
    with recorder.recording():
        words = writing.write()
        request = view.reader.request([question], answers=words or None, **options)
        # The last token of an answer that was cut off is chosen, and not read yet.
        while recorder.tokens < len(request.prompts[0]):
            writing.step()
    rows = recorder.rows(request.tokens.masks, request.selection)
    logits = torch.stack(writing.logits[: max(1, len(words))]).cpu()
    readings = request.readings(rows, [logits], view.checkpoint.answers)
    return view.trace_readings(readings)[0]


def write_tokens(
    view: View,
    question: str,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> list[int]:
    """Let the model answer in words, and return the ids of its tokens.

    The arguments and errors are those of `generate`, which also reads where they look.
    """
    return _write(view, question, _chooser(temperature, top_p, seed), max_new_tokens)


def _write(view: View, question: str, choose: Choose, max_new_tokens: int) -> list[int]:
    with view.decoder.calls.for_questions():
        return _Writing(view, question, choose, max_new_tokens).write()


class _Writing:
    """An answer that a model writes token by token."""

    def __init__(self, view: View, question: str, choose: Choose, max_new_tokens: int) -> None:
        _check("max_new_tokens", max_new_tokens, max_new_tokens >= 1, "a whole number from 1")
        self.said: list[int] = []
        self.logits: list[Float[Tensor, " word"]] = []
        self._choose, self._stops = choose, _stops(view.checkpoint)
        # Matrices have more rows than there are tokens, to be of a round size: they mean nothing.
        self._known = len(view.writer.tokenizer)
        room = view.writer.max_tokens - len(view.writer.write(question))
        self._most = min(max_new_tokens, room)
        next_logits = _reading_anew if view.interventions else _growing
        self._next_logits = next_logits(view, question, self.said)

    @torch.no_grad()
    def step(self) -> int:
        """Read what was said last, and choose the token that follows."""
        self.logits.append(next(self._next_logits))
        return self._choose(self.logits[-1][: self._known])

    def write(self) -> list[int]:
        """Write the answer, without the token that ends it."""
        while len(self.said) < self._most:
            token = self.step()
            if token in self._stops:
                break
            self.said.append(token)
        return list(self.said)


def _growing(view: View, question: str, said: list[int]) -> Iterator[Float[Tensor, " word"]]:
    """Compute what follows question and answer so far; each token is read once."""
    decoder, reader = view.decoder, view.reader
    cache = growing_cache(view.cache.past(view.checkpoint.depth), decoder.plan)
    read = 0
    while True:
        *_, tokens = reader.pack([question], list(said) or None)
        state = decoder.go_on(cache, tokens.after(read))
        read = len(tokens.embeddings)
        yield view.checkpoint.logits(state[None])[0]


def _reading_anew(view: View, question: str, said: list[int]) -> Iterator[Float[Tensor, " word"]]:
    """Compute what follows question and answer so far, both read from their start each time."""
    while True:
        request = view.reader.request([question], answers=list(said) or None)
        yield view.reader.next_logits(request.without_attention())


def _chooser(temperature: float, top_p: float, seed: int) -> Choose:
    """Make what chooses the next token."""
    _check("temperature", temperature, 0 <= temperature < float("inf"), "a number from 0")
    _check("top_p", top_p, 0 < top_p <= 1, "a number above 0 and up to 1")
    if temperature == 0:
        return lambda logits: int(logits.argmax())
    warm, nucleus = TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)
    dice = torch.Generator().manual_seed(seed)  # of the CPU: a GPU draws other numbers

    def draw(logits: Float[Tensor, " word"]) -> int:
        scores = nucleus(None, warm(None, logits[None].cpu()))  # pyright: ignore[reportArgumentType]
        return int(torch.multinomial(scores.softmax(-1), 1, generator=dice))

    return draw


def _stops(checkpoint: Any) -> frozenset[int]:
    """Find the tokens that end an answer: the checkpoint's own, or its tokenizer's."""
    given = checkpoint.module.generation_config.eos_token_id
    if given is None:
        given = checkpoint.processor.tokenizer.eos_token_id
    several = given if isinstance(given, list | tuple) else [given]
    return frozenset(one for one in several if one is not None)


def _check(name: str, value: int | float, is_right: bool, wanted: str) -> None:
    if not is_right:
        raise ValueError(f"{name} is {value!r}; give {wanted}")

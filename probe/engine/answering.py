"""Generation: what a model says about a video, token by token, and where it looks meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from probe.engine.past import growing_cache
from probe.engine.prompts import Kind
from probe.engine.readings import Reading
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
    latent prompts and interventions. The rows of all tokens are read in one pass at the end.

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
    words = write_tokens(
        view,
        question,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
    )
    options: dict[str, Any] = {"layers": layers, "heads": heads, "kinds": kinds}
    return view.read(question, answer=words or None, **options)[0]


@torch.no_grad()
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
    _check("max_new_tokens", max_new_tokens, max_new_tokens >= 1, "a whole number from 1")
    _check("temperature", temperature, 0 <= temperature < float("inf"), "a number from 0")
    _check("top_p", top_p, 0 < top_p <= 1, "a number above 0 and up to 1")
    stops = _stops(view.checkpoint)
    draw, known = _chooser(temperature, top_p, seed), len(view.writer.tokenizer)

    def chosen(logits: Float[Tensor, " word"]) -> int:
        # Matrices have more rows than there are tokens, to be of a round size: they mean nothing.
        return draw(logits[:known])

    # Under interventions a token may depend on all tokens of the question, so they are read anew.
    steps = _reading_anew if view.interventions else _growing
    room = view.writer.max_tokens - len(view.writer.write(question))
    said: list[int] = []
    for token in islice(steps(view, question, chosen, said), min(max_new_tokens, room)):
        said.append(token)
        if token in stops:
            break
    # The token that ends an answer is none of its words.
    return said[:-1] if said and said[-1] in stops else said


def _growing(view: View, question: str, choose: Choose, said: list[int]) -> Iterator[int]:
    """Write token after token, each read once after all before it."""
    decoder, reader = view.decoder, view.reader
    cache = growing_cache(view.cache.past(view.checkpoint.depth), decoder.plan)
    with decoder.calls.for_questions():
        read = 0
        while True:
            *_, tokens = reader.pack([question], list(said) or None)
            state = decoder.go_on(cache, tokens.after(read))
            read = len(tokens.embeddings)
            yield choose(view.checkpoint.logits(state[None])[0])


def _reading_anew(view: View, question: str, choose: Choose, said: list[int]) -> Iterator[int]:
    """Write token after token, with question and answer read from their start for each."""
    while True:
        request = view.reader.request([question], answers=list(said) or None)
        yield choose(view.reader.next_logits(request.without_attention()))


def _chooser(temperature: float, top_p: float, seed: int) -> Choose:
    """Make what chooses the next token."""
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

"""Knock-outs: take attention away, silence heads or swap what is seen, and compare the answers.

Attention is a correlate: a token may attend to an object without any effect on the answer. Only
what changes the answer when it is taken away was used. An intervention is a value. Several of them
act together when they are given together, many can be read in one pass, and `View.under` applies
them to every question about a video.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.answers import Answer
from probe.engine.content import same_content
from probe.engine.interventions import Edit, Extent, HeadOutputs, Intervention
from probe.engine.prompts import Prompt
from probe.engine.reader import A_PASS
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.interpret.cuts import Cut as Cut
from probe.interpret.cuts import changes_video
from probe.interpret.effects import Effect, compare_readings
from probe.interpret.targets import (
    CellMask,
    Tokens,
    as_mask,
    as_pairs,
    as_tokens,
    choose,
    choose_tokens,
    describe,
    find_words,
    mark_cells,
)
from probe.video.coercion import expect

BATCH_SIZE = A_PASS
"""Questions packed in one pass. Each attends only to the video and to itself, but a packed row
costs its length squared."""


@dataclass(frozen=True, eq=False, init=False, repr=False)
class MeanAblation:
    """Heads whose outputs are replaced by a mean, so that they no longer tell tokens apart.

    Args:
        heads: Pairs of layer and head, one or several.
        tokens: The tokens at which the heads are silenced, as `Cut` takes them; all of the
            question's by default.
        reference: The mean output of each head by layer, such as that of `mean_outputs`; by
            default the mean over the question itself.

    Raises:
        ValueError: if one of them is of another form.
    """

    heads: tuple[tuple[int, int], ...]
    tokens: Tokens | None
    reference: Float[Tensor, "layer head width"] | None

    def __init__(self, heads: Any, tokens: Any = None, reference: Any = None) -> None:
        object.__setattr__(self, "heads", as_pairs(heads))
        object.__setattr__(self, "tokens", as_tokens(tokens))
        means = None if reference is None else torch.as_tensor(reference)
        object.__setattr__(self, "reference", means)

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.heads, self.tokens))

    def __repr__(self) -> str:
        given = None if self.reference is None else "given"
        return describe("MeanAblation", heads=self.heads, tokens=self.tokens, reference=given)

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return the outputs to replace, by layer.

        Raises:
            ValueError: if a layer, head or token does not exist, or a token is a word.
        """

        def mean(layer: int, outputs: HeadOutputs) -> Tensor:
            means = outputs.mean(0) if self.reference is None else self.reference[layer]
            return means.to(outputs).expand_as(outputs)

        return replace_outputs(self.heads, self.tokens, extent, mean)

    def reversed(self) -> "MeanAblation":
        """Return the ablation itself, which does not depend on the order of frames."""
        return self


@dataclass(frozen=True, init=False, repr=False)
class NoiseAblation:
    """Heads whose outputs are replaced by noise of their own mean and spread over the question.

    Args:
        heads: Pairs of layer and head, one or several.
        tokens: The tokens at which the heads are drowned, as `Cut` takes them; all of the
            question's by default.
        seed: The seed of the noise.

    Raises:
        ValueError: if heads or tokens are of another form.
    """

    heads: tuple[tuple[int, int], ...]
    tokens: Tokens | None
    seed: int

    def __init__(self, heads: Any, tokens: Any = None, seed: int = 0) -> None:
        object.__setattr__(self, "heads", as_pairs(heads))
        object.__setattr__(self, "tokens", as_tokens(tokens))
        object.__setattr__(self, "seed", seed)

    def __repr__(self) -> str:
        return describe("NoiseAblation", heads=self.heads, tokens=self.tokens, seed=self.seed)

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return the outputs to replace, by layer.

        Raises:
            ValueError: if a layer, head or token does not exist, or a token is a word.
        """

        def noise(layer: int, outputs: HeadOutputs) -> Tensor:
            # NumPy's generator, since that of torch draws other numbers on a GPU. The layer is
            # part of the seed, or heads of several layers would get the same noise.
            draw = np.random.default_rng((self.seed, layer)).standard_normal(outputs.shape)
            spread = outputs.std(0, correction=0)
            return outputs.mean(0) + spread * torch.from_numpy(draw).to(outputs)

        return replace_outputs(self.heads, self.tokens, extent, noise)

    def reversed(self) -> "NoiseAblation":
        """Return the ablation itself, which does not depend on the order of frames."""
        return self


@dataclass(eq=False, repr=False)
class HeadRecord:
    """An intervention that changes nothing and records the outputs of all heads.

    The record changes each time a question is read. Recorded outputs belong to the graph of the
    answer's logits, which can therefore be differentiated with respect to them.
    """

    outputs: dict[int, HeadOutputs] = field(default_factory=dict)
    """Outputs by layer, of the question read last; empty until one was read."""

    def __repr__(self) -> str:
        return f"HeadRecord({len(self.outputs)} layers recorded)"

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return an edit for every layer that attends, which leaves its outputs as they are."""
        return {layer: Edit(outputs=self._make_recorder(layer)) for layer in extent.attending}

    def _make_recorder(self, layer: int) -> Callable[[HeadOutputs], HeadOutputs]:
        def record(outputs: HeadOutputs) -> HeadOutputs:
            # A copy, since the engine passes a part of a larger tensor and writes the result, and
            # those of further interventions, into it. All weights are frozen, so there is no graph
            # until some tensor asks for a gradient: the first record starts it.
            self.outputs[layer] = outputs.clone().requires_grad_()
            return self.outputs[layer]

        return record

    def reversed(self) -> "HeadRecord":
        """Return the record itself, which does not depend on the order of frames."""
        return self


def mean_outputs(view: View, *questions: str) -> Float[Tensor, "layer head width"]:
    """Compute the mean output of every head over all tokens of some questions.

    A reference for `MeanAblation`; zeros for a layer without attention.

    Raises:
        ValueError: if the heads of different layers have different widths.
    """
    records = [HeadRecord() for _ in questions]
    with torch.no_grad():
        view.answer_logits(*questions, interventions_per_question=[[record] for record in records])
    attending = view.decoder.plan.attending
    by_layer = {
        layer: torch.cat([record.outputs[layer].detach() for record in records]).mean(0)
        for layer in attending
    }
    widths = {mean.shape[-1] for mean in by_layer.values()}
    if len(widths) > 1:
        raise ValueError(
            f"heads of different layers of this model have different widths ({sorted(widths)}), so "
            f"their means are no one table; ablate without a reference, by the question's own mean"
        )
    nothing = torch.zeros_like(by_layer[attending[0]])
    return torch.stack([by_layer.get(layer, nothing) for layer in range(view.checkpoint.depth)])


def swap_tokens(view: View, other: View, cells: CellMask | None = None) -> View:
    """Put another clip's visual tokens in the place of a view's, everywhere or in some cells.

    Args:
        view: The view to change a copy of.
        other: The view of the other clip, by the same model and with the same grid.
        cells: The cells to swap, true or false by frame, row and column; all by default.

    Raises:
        ValueError: if the views belong to different models or their grids differ.
    """
    if view.model != other.model or view.grid.shape != other.grid.shape:
        raise ValueError(
            f"tokens of {other.model!r} in a grid of {other.grid.shape} do not fit {view.model!r} "
            f"and {view.grid.shape}; watch both clips with one model and as many frames"
        )
    chosen = mark_cells(as_mask(cells), view.grid.shape)
    places, theirs = view.grid.positions[chosen], other.grid.positions[chosen]
    return view.with_prefix(view.prefix.with_tokens_of(other.prefix, places, theirs))


def knock_out(
    view: View,
    question: str,
    interventions: Intervention | Sequence[Intervention | Sequence[Intervention]],
    *,
    layers: int | Sequence[int] | None = None,
    answer: Answer | None = None,
    batch_size: int = BATCH_SIZE,
) -> list[Effect]:
    """Ask a question with and without each of several interventions.

    Args:
        view: The video.
        question: What to ask.
        interventions: What is done; one effect is returned for each item. Interventions in an
            inner list act together. One intervention may be given in place of a list.
        layers: Decoder layers whose attention is kept; all by default.
        answer: An answer that is read after the question each time, whose tokens an intervention
            may change as those of the question.
        batch_size: Most readings in one pass.

    Raises:
        ValueError: if an argument is of another kind, or an intervention names a layer, head, token
            or cell that does not exist, or a word that is not in the question.
    """
    expect(view, View, "the view", "what model.watch(video) returns")
    (before,) = view.read(question, layers=layers, answer=answer)
    done = [_resolve(item, before.prompt) for item in _list(interventions)]
    options: dict[str, Any] = {"layers": layers}
    if any(changes_video(some) for some in done):
        # The video is read anew for each of them, so nothing can be packed.
        changed = [view.under(*some).read(question, answer=answer, **options)[0] for some in done]
        return [compare_readings(view, before, one) for one in changed]
    after: list[Reading] = []
    # The video has been read once and its keys and values are cached, so the question is packed
    # many times in one row. Each copy is edited on its own and sees none of the others.
    for start in range(0, len(done), batch_size):
        some = done[start : start + batch_size]
        after += view.read(
            *[question] * len(some),
            **options,
            answer=None if answer is None else [answer] * len(some),
            interventions_per_question=some,
        )
    return [compare_readings(view, before, changed) for changed in after]


def compare(view: View, changed: View, *questions: str) -> list[Effect]:
    """Ask questions about a view and a changed one: prompted, swapped or under interventions."""
    pairs = zip(view.read(*questions), changed.read(*questions), strict=True)
    return [compare_readings(view, before, after) for before, after in pairs]


def _resolve(item: Intervention | Sequence[Intervention], prompt: Prompt) -> list[Intervention]:
    """List the interventions that act together, with the places of words in place of words."""
    together = _list(item)
    for one in together:
        expect(one, Intervention, "an intervention", 'one, such as probe.Cut(tokens="square")')
    return [find_words(one, prompt) for one in together]


def _list(given: Any) -> list[Any]:
    """List one thing, or several; what is neither is listed alone, to be refused by its name."""
    if isinstance(given, Iterable) and not isinstance(given, str):
        return list(given)
    return [given]


def replace_outputs(
    heads: Sequence[tuple[int, int]],
    tokens: Tokens | None,
    extent: Extent,
    replacement: Callable[[int, HeadOutputs], Tensor],
) -> dict[int, Edit]:
    """Make edits that put `replacement(layer, outputs)` where these heads and tokens were."""
    rows = torch.tensor(choose_tokens(tokens, extent.tokens), dtype=torch.long)[:, None]
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        (place,) = choose("layer", [layer], extent.layers)
        by_layer.setdefault(place, []).extend(choose("head", [head], extent.heads))

    def make_edit(layer: int, silenced: list[int]) -> Edit:
        def replace_some(before: HeadOutputs) -> HeadOutputs:
            # Written into a copy: autograd needs the outputs as they were for the gradient.
            after, columns = before.clone(), torch.tensor(silenced)
            after[rows, columns] = replacement(layer, before)[rows, columns]
            return after

        return Edit(outputs=replace_some)

    return {layer: make_edit(layer, silenced) for layer, silenced in by_layer.items()}

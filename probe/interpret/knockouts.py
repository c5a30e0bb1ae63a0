"""Causal tests: take attention away, silence heads, swap what is seen, and see what changes.

Attention is a correlate. A token that looks at a thing may look in vain; only what changes the
answer when it is taken away was used. Interventions are values; they are combined by giving
several, run many to a pass, and whole views can stand `under` them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.interventions import Edit, Extent, HeadOutputs, Intervention
from probe.engine.prompts import readable
from probe.engine.readings import LayersHeads, Reading
from probe.engine.view import View

CellMask: TypeAlias = Bool[Tensor, "frame row column"]

AT_ONCE = 16
"""Questions packed in one pass; each pays attention only to the video and itself."""


@dataclass(frozen=True, eq=False)
class Cut:
    """Edges of attention taken away, from tokens of a question to cells of the video.

    Each token's attention to what it still sees sums to one again. None means all: `Cut()` makes
    a question blind.
    """

    tokens: tuple[int, ...] | None = None
    """Places in the question; negative numbers count from its end."""
    cells: CellMask | None = None
    """The cells that are no longer seen."""
    layers: tuple[int, ...] | None = None
    """Decoder layers; negative numbers count from the last."""
    heads: tuple[int, ...] | None = None
    """Heads of each of these layers."""

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """The edges to cut, by layer."""
        heads = torch.ones(1, dtype=torch.bool)
        if self.heads is not None:
            heads = _marked(_chosen("head", self.heads, extent.heads), extent.heads)
        tokens = _marked(_chosen("token", self.tokens, extent.tokens), extent.tokens)
        cells = _cells(self.cells, extent.shape)
        edit = Edit(cut=heads[:, None, None] & tokens[:, None] & cells)
        return dict.fromkeys(_chosen("layer", self.layers, extent.layers), edit)

    def reversed(self) -> "Cut":
        """The same edges with the last frame first."""
        return self if self.cells is None else replace(self, cells=self.cells.flip(0))


@dataclass(frozen=True, eq=False)
class MeanAblation:
    """Heads whose outputs become a mean, so that they no longer tell one token from another."""

    heads: LayersHeads
    tokens: tuple[int, ...] | None = None
    """The tokens at which they are silenced; all of the question's by default."""
    reference: Float[Tensor, "layer head width"] | None = None
    """The mean of each head, such as `mean_outputs`; by default that over the question itself."""

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """The outputs to replace, by layer."""

        def mean(layer: int, outputs: HeadOutputs) -> Tensor:
            means = outputs.mean(0) if self.reference is None else self.reference[layer]
            return means.to(outputs).expand_as(outputs)

        return _replacements(self.heads, self.tokens, extent, mean)

    def reversed(self) -> "MeanAblation":
        """The same: it knows no frames."""
        return self


@dataclass(frozen=True, eq=False)
class NoiseAblation:
    """Heads whose outputs become noise of their own mean and spread over the question."""

    heads: LayersHeads
    tokens: tuple[int, ...] | None = None
    """The tokens at which they are drowned; all of the question's by default."""
    seed: int = 0

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """The outputs to replace, by layer."""

        def noise(layer: int, outputs: HeadOutputs) -> Tensor:
            draw = np.random.default_rng((self.seed, layer)).standard_normal(outputs.shape)
            spread = outputs.std(0, correction=0)
            return outputs.mean(0) + spread * torch.from_numpy(draw).to(outputs)

        return _replacements(self.heads, self.tokens, extent, noise)

    def reversed(self) -> "NoiseAblation":
        """The same: it knows no frames."""
        return self


@dataclass(frozen=True, eq=False)
class HeadRecord:
    """Changes nothing, and keeps what the heads put out while a question is read.

    What is kept belongs to the graph of the answer's logits, so that these can be derived by it.
    """

    outputs: dict[int, HeadOutputs] = field(default_factory=dict)
    """By layer; empty until a question was read, then those of the last one."""

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Every layer's outputs, as they are."""
        return {layer: Edit(outputs=self._keeper(layer)) for layer in range(extent.layers)}

    def _keeper(self, layer: int) -> Callable[[HeadOutputs], HeadOutputs]:
        def keep(outputs: HeadOutputs) -> HeadOutputs:
            self.outputs[layer] = outputs.clone().requires_grad_()
            return self.outputs[layer]

        return keep

    def reversed(self) -> "HeadRecord":
        """The same: it knows no frames."""
        return self


def mean_outputs(view: View, *questions: str) -> Float[Tensor, "layer head width"]:
    """The mean output of every head over all tokens of some questions: a reference for ablation."""
    records = [HeadRecord() for _ in questions]
    with torch.no_grad():
        view.answer_logits(*questions, interventions_per_question=[[record] for record in records])
    layers = range(view.checkpoint.depth)
    return torch.stack(
        [torch.cat([one.outputs[layer].detach() for one in records]).mean(0) for layer in layers]
    )


def swap_tokens(view: View, other: View, cells: CellMask | None = None) -> View:
    """The view with another clip's visual tokens in its place, everywhere or in some cells.

    Raises:
        ValueError: if the views belong to different models or their grids differ.
    """
    if view.model != other.model or view.grid.shape != other.grid.shape:
        raise ValueError(
            f"tokens of {other.model!r} in a grid of {other.grid.shape} do not fit {view.model!r} "
            f"and {view.grid.shape}; watch both clips with one model and as many frames"
        )
    chosen = _cells(cells, view.grid.shape)
    places, theirs = view.grid.positions[chosen], other.grid.positions[chosen]
    return view.with_prefix(view.prefix.with_tokens_of(other.prefix, places, theirs))


@dataclass(frozen=True, eq=False)
class Effect:
    """How one question was answered and read before and after something was changed."""

    before: Reading
    after: Reading
    answers: tuple[str, str]
    """The most likely first token of the answer, before and after."""

    @property
    def margin_change(self) -> float:
        """Yes minus no after the change, less that before it, in logits."""
        return self.after.margin - self.before.margin

    @property
    def answer_changed(self) -> bool:
        """Whether another first token became the most likely."""
        return bool(self.before.logits.argmax() != self.after.logits.argmax())

    def heat_moved(
        self, tokens: int | Sequence[int], *, layers_heads: LayersHeads | None = None
    ) -> float:
        """The share of a token's map that is elsewhere: total variation between both, 0 to 1.

        Each map is taken to sum to one; one that is gone altogether has moved by 1.
        """
        before, after = (
            one.heatmap(tokens, layers_heads=layers_heads).values
            for one in (self.before, self.after)
        )
        if before.sum() == 0 or after.sum() == 0:
            return float((before.sum() == 0) != (after.sum() == 0))
        return float((before / before.sum() - after / after.sum()).abs().sum() / 2)

    def peak_moved(
        self, tokens: int | Sequence[int], *, layers_heads: LayersHeads | None = None
    ) -> bool:
        """Whether another cell became the strongest of a token's map."""
        before, after = (
            one.heatmap(tokens, layers_heads=layers_heads) for one in (self.before, self.after)
        )
        return before.peak != after.peak


def knock_out(
    view: View,
    question: str,
    interventions: Sequence[Intervention | Sequence[Intervention]],
    *,
    layers: Sequence[int] | None = None,
    batch_size: int = AT_ONCE,
) -> list[Effect]:
    """What each intervention does to a question, on its own; several in one item act together.

    The video is read once, and the question many times in one pass.

    Args:
        view: The video.
        question: What is asked.
        interventions: What is done, one effect for each item.
        layers: Which decoder layers' attention to keep; all by default.
        batch_size: Most readings in one pass.

    Raises:
        ValueError: if an intervention names a layer, head, token or cell that is not there.
    """
    (before,) = view.read(question, layers=layers)
    done = [[one] if isinstance(one, Intervention) else list(one) for one in interventions]
    after: list[Reading] = []
    for start in range(0, len(done), batch_size):
        some = done[start : start + batch_size]
        after += view.read(*[question] * len(some), layers=layers, interventions_per_question=some)
    return [_effect(view, before, one) for one in after]


def compare(view: View, changed: View, *questions: str) -> list[Effect]:
    """What a changed view (prompted, swapped, under interventions) does to each question."""
    pairs = zip(view.read(*questions), changed.read(*questions), strict=True)
    return [_effect(view, before, after) for before, after in pairs]


def _effect(view: View, before: Reading, after: Reading) -> Effect:
    ids = [int(one.logits.argmax()) for one in (before, after)]
    first, second = view.checkpoint.processor.tokenizer.convert_ids_to_tokens(ids)
    return Effect(before, after, (readable(first), readable(second)))


def _chosen(what: str, numbers: Sequence[int] | None, count: int) -> list[int]:
    """Places among `count` things, in order; all of them where none are named."""
    if numbers is None:
        return list(range(count))
    if wrong := [number for number in numbers if not -count <= number < count]:
        raise ValueError(f"there is no {what} {wrong}; there are {count}, counted from 0")
    return sorted({number % count for number in numbers})


def _marked(chosen: Sequence[int], count: int) -> Bool[Tensor, " thing"]:
    marked = torch.zeros(count, dtype=torch.bool)
    marked[list(chosen)] = True
    return marked


def _cells(cells: CellMask | None, shape: tuple[int, int, int]) -> Bool[Tensor, " visual"]:
    if cells is None:
        return torch.ones(shape, dtype=torch.bool).flatten()
    if cells.shape != shape:
        raise ValueError(
            f"cells of {tuple(cells.shape)} do not fit a video of {shape} frames, rows and columns"
        )
    return cells.flatten()


def _replacements(
    heads: LayersHeads,
    tokens: Sequence[int] | None,
    extent: Extent,
    replacement: Callable[[int, HeadOutputs], Tensor],
) -> dict[int, Edit]:
    """Edits that put `replacement(layer, outputs)` where these heads and tokens were."""
    at = _chosen("token", tokens, extent.tokens)
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        (place,) = _chosen("layer", [layer], extent.layers)
        by_layer.setdefault(place, []).extend(_chosen("head", [head], extent.heads))

    def edit(layer: int, silenced: list[int]) -> Edit:
        def outputs(before: HeadOutputs) -> HeadOutputs:
            rows, columns = torch.tensor(at)[:, None], torch.tensor(silenced)
            after = before.clone()
            after[rows, columns] = replacement(layer, before)[rows, columns]
            return after

        return Edit(outputs=outputs)

    return {layer: edit(layer, silenced) for layer, silenced in by_layer.items()}

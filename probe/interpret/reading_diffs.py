"""Differences of two readings: of two questions, of two models, or before and after a change.

What can be compared is compared: tokens that both have, maps where both have the same cells, the
margin always. `Effect` is the same for one question of one view, where every token has its like.
"""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.readings import AttentionMaps, Reading, TokenChoice, shorten
from probe.video import Video

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class ReadingDiff:
    """A second reading minus a first one.

    Maps and activations of each reading are averaged over `layers`, and over the heads that it
    holds.
    """

    first: Reading
    second: Reading

    shared: tuple[tuple[int, int], ...]
    """The tokens that both have, each as its place in the first and in the second reading."""

    layers: tuple[int, ...] | None
    """The layers that are compared; None if each reading is averaged over all that it holds, since
    those of two models have nothing to do with each other."""

    def __repr__(self) -> str:
        maps = "maps" if self.has_maps else "no maps: other cells"
        return (
            f"ReadingDiff({' -> '.join(self._names)}: margin {self.margin_change:+.2f}, "
            f"{len(self.shared)} tokens shared, {maps})"
        )

    @property
    def margin_change(self) -> float:
        """Yes minus no in the second reading, less that in the first, in logits."""
        return self.second.margin - self.first.margin

    @property
    def answer_changed(self) -> bool | None:
        """True if another first token of the answer is the most likely; None for two vocabularies.

        Two models whose vocabularies are as large are taken to have the same one.
        """
        if self.first.logits.shape != self.second.logits.shape:
            return None
        return bool(self.first.logits.argmax() != self.second.logits.argmax())

    @property
    def has_maps(self) -> bool:
        """True if both have the same cells of the same frames, so that maps can be subtracted."""
        return self.first.grid.cells == self.second.grid.cells

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that both have, as people read them."""
        return tuple(self.first.tokens[place] for place, _ in self.shared)

    @property
    def only_first(self) -> tuple[str, ...]:
        """The tokens that the first reading alone has."""
        held = {place for place, _ in self.shared}
        return tuple(text for place, text in enumerate(self.first.tokens) if place not in held)

    @property
    def only_second(self) -> tuple[str, ...]:
        """The tokens that the second reading alone has."""
        held = {place for _, place in self.shared}
        return tuple(text for place, text in enumerate(self.second.tokens) if place not in held)

    @property
    def activation_change(self) -> Float[Tensor, " shared"]:
        """The change of the strongest attention to any one cell, for each shared token."""
        before, after = self._activations
        return after - before

    def maps(
        self, tokens: TokenChoice | None = None, against: TokenChoice | None = None
    ) -> tuple[Heatmap, Heatmap]:
        """Return the mean map of tokens in the first reading, and in the second.

        Args:
            tokens: Tokens of the first reading, as its `find` takes them; all shared ones by
                default.
            against: Those of the second reading; by default the same ones, which must be shared.

        Raises:
            ValueError: if there is no such token, or it is not shared and `against` is not given.
        """
        before, after = self._find(tokens, against)
        return self.first.heatmap(before, self.layers), self.second.heatmap(after, self.layers)

    def map_change(
        self, tokens: TokenChoice | None = None, against: TokenChoice | None = None
    ) -> Heatmap:
        """Return by how much each cell gets more attention from tokens in the second reading.

        Args:
            tokens: As `maps` takes them.
            against: As `maps` takes them.

        Raises:
            ValueError: as `maps` does, and if both readings have other cells.
        """
        if not self.has_maps:
            first, second = (reading.grid.cells for reading in (self.first, self.second))
            raise ValueError(
                f"maps of {first.shape} and of {second.shape} cells (frames, rows, columns) cannot "
                "be subtracted if these are not the same cells of the same frames; read both from "
                "the same frames, or compare tokens: to_frame()"
            )
        before, after = self.maps(tokens, against)
        return Heatmap(after.values - before.values, before.cells)

    def to_dict(self) -> dict[str, Any]:
        """Return questions, models, margins and the tokens that are not shared, in plain values."""
        return {
            "first": _describe(self.first),
            "second": _describe(self.second),
            "margin_change": self.margin_change,
            "answer_changed": self.answer_changed,
            "shared": len(self.shared),
            "only_first": list(self.only_first),
            "only_second": list(self.only_second),
            "layers": None if self.layers is None else list(self.layers),
            "maps": self.has_maps,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each shared token, in order.

        Columns: `first` and `second` (its places), `token`, `kind`, `activation_first`,
        `activation_second` and `activation_change`.
        """
        before, after = (one.cpu().numpy() for one in self._activations)
        first, second = zip(*self.shared, strict=True)
        prompt = self.first.prompt
        return pd.DataFrame(
            {
                "first": first,
                "second": second,
                "token": self.tokens,
                "kind": [prompt.tokens[place].kind for place in first],
                "activation_first": before,
                "activation_second": after,
                "activation_change": after - before,
            }
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the visual activation of each shared token in both readings.

        Args:
            ax: The axes to draw on; None for a new figure.

        Raises:
            ValueError: if a value is not finite.
        """
        # Imported where it is drawn: matplotlib takes long to import, and nothing else needs it.
        from probe.pictures.changes import draw_token_changes

        before, after = (one.cpu().numpy() for one in self._activations)
        note = f" (margin {self.margin_change:+.2f})"
        title = " → ".join(self._names)
        return draw_token_changes(ax, self.tokens, before, after, title=title, note=note)

    def figure(
        self,
        video: Video,
        tokens: TokenChoice | None = None,
        against: TokenChoice | None = None,
    ) -> "Figure":
        """Draw the maps of both readings and their difference over the frames, and all tokens.

        Args:
            video: The video that both were read from.
            tokens: As `maps` takes them.
            against: As `maps` takes them.

        Raises:
            ValueError: as `map_change` does, and if the video has not their frames, or a
                value is not finite.
        """
        from matplotlib.figure import Figure  # see `plot`

        from probe.pictures.changes import (
            FIGURE_WIDTH,
            TOKENS_HEIGHT,
            compute_maps_height,
            draw_map_changes,
        )

        cells = self.map_change(tokens, against).cells  # refuses what cannot be drawn
        before, after = (heatmap.to_numpy() for heatmap in self.maps(tokens, against))
        heights = [compute_maps_height(video, len(cells.frames)), TOKENS_HEIGHT]
        figure = Figure((FIGURE_WIDTH, sum(heights)), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=heights)
        above, below = parts
        looked = self._name_tokens(tokens, against)
        readings = zip(looked, self._names, (self.first, self.second), strict=True)
        first, second = (
            (f"{looks}: {name}", f" (margin {reading.margin:+.2f})")
            for looks, name, reading in readings
        )
        draw_map_changes(
            above,
            (before, after),
            (first, second),
            region=cells.region,
            sources=cells.frames,
            video=video,
        )
        self.plot(below.subplots())
        return figure

    def _repr_html_(self) -> str:
        """Draw the change of the shared tokens for Jupyter."""
        from probe.pictures.html import plot_as_html  # see `plot`

        return plot_as_html(self)

    @property
    def _activations(self) -> tuple[Float[Tensor, " shared"], Float[Tensor, " shared"]]:
        """Strongest attention of each shared token to any one cell, in both readings."""
        before, after = zip(*self.shared, strict=True)
        found = []
        for reading, places in ((self.first, before), (self.second, after)):
            maps = reading.mean_attention(self.layers)[list(places)]
            found.append(maps.detach().float().flatten(1).amax(1))
        return found[0], found[1]

    def _find(
        self, tokens: TokenChoice | None, against: TokenChoice | None
    ) -> tuple[list[int], list[int]]:
        """Find tokens in both readings."""
        if tokens is None and against is None:
            before, after = zip(*self.shared, strict=True)
            return list(before), list(after)
        if tokens is None:
            raise ValueError("against= is given without tokens of the first reading; give both")
        before = self.first.find(tokens)
        if against is not None:
            return before, self.second.find(against)
        places = dict(self.shared)
        if lost := [place for place in before if place not in places]:
            raise ValueError(
                f"{self.first.tokens[lost[0]]!r} is in the first reading only; give against= a "
                f"token of the second, or one that both have: {', '.join(map(repr, self.tokens))}"
            )
        return before, [places[place] for place in before]

    @property
    def _names(self) -> tuple[str, str]:
        """Names of both readings: their questions, or what else is different."""
        first, second = self.first.prompt.question, self.second.prompt.question
        if first != second:
            return repr(shorten(first, 40)), repr(shorten(second, 40))
        names = self._name_sources()
        return (f"{shorten(first, 40)!r} {names[0]}", names[1])

    def _name_sources(self) -> tuple[str, str]:
        one, other = self.first.provenance, self.second.provenance
        if one is None or other is None:
            return "first", "second"
        if one.model["name"] != other.model["name"]:
            return f"by {one.model['name']}", f"by {other.model['name']}"
        if one.edits != other.edits:
            edits = [shorten("; ".join(traced.edits)) for traced in (one, other)]
            before, after = edits
            return before or "unchanged", after or "unchanged"
        return "first", "second"

    def _name_tokens(
        self, tokens: TokenChoice | None, against: TokenChoice | None
    ) -> tuple[str, str]:
        if tokens is None:
            mean = f"mean of {len(self.shared)} tokens"
            return mean, mean
        before, after = self._find(tokens, against)
        return (
            " ".join(repr(self.first.tokens[place]) for place in before),
            " ".join(repr(self.second.tokens[place]) for place in after),
        )


def diff(reading: AttentionMaps, other: AttentionMaps) -> ReadingDiff:
    """Compare two readings: how far is the other from the first?

    Tokens are paired by their texts, in order: longest common runs first (`difflib`), with those of
    a question never paired with those of an answer. Of readings by one model the layers that both
    hold are compared; those of two models are each averaged over all that they hold.

    >>> import probe
    >>> from probe.organism.world import make_clip
    >>> view = probe.load().watch(make_clip(7).video())
    >>> found = probe.diff(*view.read("Is there a red circle?", "Is there a white circle?"))
    >>> found.only_first, found.only_second, found.margin_change > 0
    (('red',), ('white',), True)

    Args:
        reading: The first, such as that before a change.
        other: The second, such as that after it.

    Raises:
        ValueError: if one is no reading or holds no attention, they have no token in common, or are
            of one model and have no layer in common.
    """
    first, second = _check_reading(reading), _check_reading(other)
    shared = _pair_tokens(first, second)
    if not shared:
        raise ValueError(
            f"{shorten(first.prompt.question)!r} and {shorten(second.prompt.question)!r} have no "
            "token in common, so there is nothing to compare; read all kinds of token"
        )
    return ReadingDiff(first, second, shared, _choose_layers(first, second))


def _check_reading(maps: AttentionMaps) -> Reading:
    """Refuse what is no reading, or one that holds no attention."""
    if not isinstance(maps, Reading):
        raise ValueError(
            f"two readings are compared; found {type(maps).__name__}, which has no answer; use "
            "view.read"
        )
    if not maps.layers:
        raise ValueError(
            f"the reading of {shorten(maps.prompt.question)!r} is without attention and cannot be "
            "compared; read it with layers"
        )
    return maps


def _choose_layers(reading: Reading, other: Reading) -> tuple[int, ...] | None:
    """Choose the layers that both hold; None for two models, or if both hold the same ones.

    Raises:
        ValueError: if two readings by one model hold none together.
    """
    one, two = (found.provenance and found.provenance.model["name"] for found in (reading, other))
    # Chosen pairs of layer and head belong to each reading, and are averaged instead of layers.
    if reading.layers == other.layers or one != two:
        return None
    both = tuple(layer for layer in reading.layers if layer in other.layers)
    if not both:
        raise ValueError(
            f"layers {reading.layers} and {other.layers} have none in common; read both at the "
            "same layers"
        )
    return both


def _pair_tokens(reading: Reading, other: Reading) -> tuple[tuple[int, int], ...]:
    """Pair the tokens of two readings by their texts, in order."""
    first, second = _list_keys(reading), _list_keys(other)
    # difflib prefers the earliest of equal runs in its first text. In one order of the two texts,
    # whichever comes first, the pairs of (a, b) are those of (b, a) turned round.
    if second < first:
        return tuple((one, two) for two, one in _match(second, first))
    return _match(first, second)


def _list_keys(reading: Reading) -> list[tuple[bool, str]]:
    answered = ("thought", "answer")
    return [(token.kind in answered, token.text) for token in reading.prompt.tokens]


def _match(
    first: list[tuple[bool, str]], second: list[tuple[bool, str]]
) -> tuple[tuple[int, int], ...]:
    # autojunk would leave out tokens that are frequent in long questions, such as "the".
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return tuple((a + step, b + step) for a, b, size in blocks for step in range(size))


def _describe(reading: Reading) -> dict[str, Any]:
    traced = reading.provenance
    return {
        "question": reading.prompt.question,
        "answer": reading.prompt.answer or None,
        "margin": reading.margin,
        "provenance": None if traced is None else traced.to_dict(),
    }

"""Heads that attend to the right place, and cells that are attended to whatever is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from probe.engine.model import VideoLM
from probe.engine.prompts import GENERIC, GENERIC_RELEASED
from probe.engine.readings import LayersHeads, Reading, shorten
from probe.engine.view import View
from probe.files import FileFormat, read_json, write_json
from probe.interpret.targets import as_pairs
from probe.interpret.token_rules import Fixed, TokenRule
from probe.video import Tube

HEADS_FORMAT = FileFormat("grounding-probe/heads", 1, "a list of heads", "HeadList.save")

ANSWER_TOKEN = Fixed(-1)
"""The token whose logits are the answer's: the query token of Kang et al."""

SHORTLIST_SIZE = 10
"""Heads of least spatial entropy that a question votes for (Kang et al., CVPR 2025)."""

UNRELATED_QUESTIONS = (GENERIC, GENERIC_RELEASED, "What day is it?", "Is this a good song?")
"""Questions that ask for nothing in a video."""

NORMAL_DEVIATION = 0.6745
"""Median distance from the median of a normal distribution, in standard deviations."""

SINK_THRESHOLD = 5.0
"""Robust standard deviations, of logarithms, above the median from which a cell is a sink."""

RATIO_LIMIT = 1e6
"""Largest ratio, and one over the smallest, that enters a mean of logarithms."""


def spatial_entropy(values: Float[Tensor, "frame row column"]) -> float:
    """Measure how scattered a map is: 0 for one spot, more for many (nats).

    This is the entropy of the sizes of the connected parts that the cells above the mean make up
    (Kang et al., CVPR 2025). Parts touch in space, corners included, and from one frame to the
    next. A flat map, in which no cell is above the mean, gets the largest value that there is.
    """
    above = (values > values.mean()).numpy()
    if not above.any():
        return float(np.log(above.size))
    # All 26 neighbours: a thing that moves to the next cell between two frames stays one part.
    labels, _ = ndimage.label(above, structure=np.ones((3, 3, 3)))  # pyright: ignore[reportGeneralTypeIssues]  scipy's stub lacks the pair
    sizes = np.bincount(labels.ravel())[1:]
    share = sizes / sizes.sum()
    return float(-(share * np.log(share)).sum())


def elbow(values: Float[np.ndarray, " value"]) -> float:
    """Find the value at which a sorted curve bends most: the furthest from its chord."""
    ordered = np.sort(values)
    if ordered[0] == ordered[-1]:
        return float(ordered[0])
    height = (ordered - ordered[0]) / (ordered[-1] - ordered[0])
    return float(ordered[np.abs(height - np.linspace(0, 1, len(height))).argmax()])


def head_scores(
    readings: Sequence[Reading],
    tokens: TokenRule = ANSWER_TOKEN,
    *,
    shortlist: int = SHORTLIST_SIZE,
) -> pd.DataFrame:
    """Score how well each head localises, without labels (Kang et al., CVPR 2025).

    Args:
        readings: What the model did with some questions.
        tokens: The rule for the token whose maps are scored.
        shortlist: Heads that each question votes for; 10 suits models of a thousand heads.

    Returns:
        One row a head. `attention` is the share of the token's attention that goes to the video,
        `entropy` the spatial entropy of its map, both averaged over the questions. `votes` is the
        share of questions for which the head is among the least scattered of those that attend to
        the video at all: above the bend in the sorted curve of attention.

    Raises:
        ValueError: if there is no reading.
    """
    check_not_empty(readings)
    return average_questions(
        pd.concat([_score_heads(reading, tokens, shortlist) for reading in readings])
    )


def _score_heads(reading: Reading, tokens: TokenRule, shortlist: int) -> pd.DataFrame:
    maps = select_head_maps(reading, tokens)
    table = pd.DataFrame(
        [
            {
                "layer": reading.layers[place],
                "head": head,
                "attention": float(maps[place, number].sum()),
                "entropy": spatial_entropy(maps[place, number]),
            }
            for place, (number, head) in product(range(len(maps)), enumerate(list_heads(reading)))
        ]
    )
    attending = table["attention"] > elbow(table["attention"].to_numpy())
    # Heads that do not attend to the video have no rank, and so no vote: the map of an idle head is
    # a few spots of noise, which looks well localised. Of equal heads the first come first, so that
    # every question has the same number of votes.
    place = table["entropy"].where(attending).rank(method="first")
    table["votes"] = (place <= shortlist).astype(float)
    return table


def localization_heads(scores: pd.DataFrame, count: int = 3) -> tuple[tuple[int, int], ...]:
    """Choose the heads with most votes in a table of `head_scores`; of equals, the least scattered.

    Returns:
        Pairs of layer and head, the best first.
    """
    best = scores.sort_values(["votes", "entropy"], ascending=[False, True]).head(count)
    return tuple(zip(best["layer"].tolist(), best["head"].tolist(), strict=True))


def attention_ratio(
    values: Float[Tensor, "*lead frame row column"], inside: Bool[Tensor, "frame row column"]
) -> Float[Tensor, "*lead"]:
    """Divide the strongest attention inside by the strongest outside: the paper's measure.

    It is above 1 for a map that peaks inside, and 0 if no cell is inside.
    """
    inner = values.masked_fill(~inside, 0).amax(dim=(-3, -2, -1))
    outer = values.masked_fill(inside, 0).amax(dim=(-3, -2, -1))
    # The smallest positive number in place of a zero: no attention outside gives a very large
    # ratio, and no attention anywhere gives 0, where a division by zero would give NaN.
    return inner / outer.clamp_min(torch.finfo(values.dtype).tiny)


def heads_on_track(
    readings: Sequence[Reading], tracks: Sequence[Tube], tokens: TokenRule = ANSWER_TOKEN
) -> pd.DataFrame:
    """Measure how often each head points at the true track.

    Args:
        readings: What the model did with some questions.
        tracks: The true track of what each question asks for.
        tokens: The rule for the token whose maps are scored.

    Returns:
        One row a head. `on_track` is the share of questions whose strongest cell lies on the track,
        `chance` the same for a cell drawn at random, `log_ratio` the mean logarithm of
        `attention_ratio`.

    Raises:
        ValueError: if there is no reading, or not one track for each.
    """
    check_not_empty(readings)
    if len(readings) != len(tracks):
        raise ValueError(f"{len(readings)} readings but {len(tracks)} tracks; give one for each")
    rows = []
    for reading, track in zip(readings, tracks, strict=True):
        inside = reading.grid.cells.inside(track)
        maps = select_head_maps(reading, tokens)
        peaks, ratios = maps.flatten(2).argmax(-1), attention_ratio(maps, inside)
        for place, (number, head) in product(range(len(maps)), enumerate(list_heads(reading))):
            ratio = ratios[place, number].clamp(1 / RATIO_LIMIT, RATIO_LIMIT)
            rows.append(
                {
                    "layer": reading.layers[place],
                    "head": head,
                    "on_track": float(inside.flatten()[peaks[place, number]]),
                    "chance": float(inside.float().mean()),
                    "log_ratio": float(ratio.log()),
                }
            )
    return average_questions(pd.DataFrame(rows))


TOLD = ("name", "revision", "layers", "adapter_content", "weights")
"""Entries of a model's identity by which it is known to be the one that heads were found on."""


@dataclass(frozen=True, init=False, repr=False)
class HeadList:
    """Heads found on one model, to average maps over: `reading.through(found.of(model))`.

    Args:
        heads: Pairs of decoder layer and head, from 0.
        model: The identity of the model they were found on.
        found: How they were found, in words.

    Raises:
        ValueError: if the heads are not pairs of whole numbers.
    """

    heads: tuple[tuple[int, int], ...]
    model: Mapping[str, Any]
    found: str

    def __init__(self, heads: Any, model: Mapping[str, Any], found: str) -> None:
        # Written out, since a dataclass would type its arguments as narrowly as its fields. The
        # heads of a table are NumPy's integers, which JSON refuses.
        object.__setattr__(self, "heads", as_pairs(heads))
        object.__setattr__(self, "model", dict(model))
        object.__setattr__(self, "found", found)

    def __hash__(self) -> int:
        return hash((self.heads, self.found))

    def __repr__(self) -> str:
        listed = shorten(", ".join(map(str, self.heads)))
        name, found = shorten(str(self.model.get("name"))), shorten(self.found)
        return f"HeadList({len(self.heads)} heads of {name!r}: {listed}; {found})"

    def of(self, model: VideoLM) -> LayersHeads:
        """Return the pairs, for use as `layers_heads` with the model they were found on.

        Raises:
            ValueError: if this is another model.
        """
        told = {name: model.identity[name] for name in TOLD}
        # Lists of earlier versions know nothing of adapters, which is no less than None.
        differing = [name for name, value in told.items() if self.model.get(name) != value]
        if differing:
            first = differing[0]
            raise ValueError(
                f"these heads were found on {self.model.get('name')!r} ({first} "
                f"{self.model.get(first)}), not on {model.name!r} ({first} {told[first]}); find "
                f"those of this model"
            )
        return self.heads

    def to_frame(self) -> pd.DataFrame:
        """Return one row a head: `layer` and `head`."""
        return pd.DataFrame(self.heads, columns=pd.Index(["layer", "head"]))

    def save(self, path: str | Path) -> None:
        """Write the list as JSON.

        Raises:
            ValueError: if the file cannot be written.
        """
        heads = [list(pair) for pair in self.heads]
        about = {"model": self.model, "found": self.found, "heads": heads}
        write_json(path, {**HEADS_FORMAT.header, **about})

    @classmethod
    def load(cls, path: str | Path) -> "HeadList":
        """Read the list that `save` wrote.

        Raises:
            ValueError: if the file is missing or holds something else.
        """
        content = HEADS_FORMAT.check(path, read_json(path))
        with HEADS_FORMAT.reading(path):
            heads, model, found = (content[name] for name in ("heads", "model", "found"))
            # What a table or an array may hold is welcome in code; a file is as `save` writes it.
            if not isinstance(heads, list) or not all(map(_is_pair, heads)):
                raise ValueError(
                    "its heads are no list of pairs of layer and head, whole numbers from 0"
                )
            if not isinstance(model, dict) or not isinstance(found, str):
                raise ValueError("its model is no object, or how they were found is no text")
            return cls(heads, model, found)


def _is_pair(value: Any) -> bool:
    """Tell whether a value of a file is a layer and a head."""
    pair = isinstance(value, list) and len(value) == 2
    return pair and all(type(number) is int and number >= 0 for number in value)


@dataclass(frozen=True, eq=False, repr=False)
class Sinks:
    """Cells that attract attention whatever is asked, or have outlying states.

    Both scores are robust standard scores of logarithms: 0 for the median cell, 1 for one standard
    deviation above it. They need no data but this video.
    """

    attention: Float[Tensor, "frame row column"]
    """Score of the attention that each cell receives: the least over all questions."""
    norm: Float[Tensor, "frame row column"]
    """Score of the length of each cell's state inside the decoder."""
    threshold: float
    """Score above which a cell is a sink."""

    def __repr__(self) -> str:
        count, total = int(self.cells.sum()), self.cells.numel()
        return f"Sinks({count} of {total} cells score above {self.threshold:g})"

    @property
    def cells(self) -> Bool[Tensor, "frame row column"]:
        """The cells in which either score is above the threshold."""
        return (self.attention > self.threshold) | (self.norm > self.threshold)


def attention_sinks(
    view: View,
    questions: Sequence[str] = UNRELATED_QUESTIONS,
    *,
    layer: int | None = None,
    threshold: float = SINK_THRESHOLD,
) -> Sinks:
    """Find the visual tokens that attract attention whatever is asked, or have outlying states.

    Args:
        view: The video.
        questions: Questions that have nothing in common.
        layer: The decoder layer at whose input states are measured; the middle one by default.
        threshold: The score above which a cell is a sink, in robust standard deviations.
    """
    received = [reading.mean_attention().mean(0) for reading in view.read(*questions)]
    states = view.states(view.checkpoint.depth // 2 if layer is None else layer)
    norms = states[view.grid.positions].float().norm(dim=-1).cpu()
    return Sinks(
        # The least over all questions: a cell that only one of them attends to is no sink.
        attention=torch.stack([robust_score(one) for one in received]).amin(0),
        norm=robust_score(view.grid.fold(norms)),
        threshold=threshold,
    )


def robust_score(values: Float[Tensor, "frame row column"]) -> Float[Tensor, "frame row column"]:
    """Compute how many standard deviations each logarithm is above the median.

    The standard deviation is estimated from the median distance from the median, which outliers do
    not change.
    """
    # Logarithms, since attention and norms are spread over orders of magnitude: of the values
    # themselves, the upper tail of any map would look like outliers.
    logs = values.clamp_min(torch.finfo(values.dtype).tiny).log()
    apart = logs - logs.median()
    spread = apart.abs().median() / NORMAL_DEVIATION
    # The spread is 0 if most cells are equal; those are at the median, whatever the spread is.
    return torch.where(apart == 0, 0.0, apart / spread)


def select_head_maps(
    reading: Reading, tokens: TokenRule
) -> Float[Tensor, "layer head frame row column"]:
    """Return the map of every head that was read, averaged over the chosen tokens."""
    return reading.attention[:, :, reading.find(tokens(reading))].mean(2)


def list_heads(reading: Reading) -> tuple[int, ...]:
    """Return the numbers of the heads that a reading holds."""
    return tuple(range(reading.attention.shape[1])) if reading.heads is None else reading.heads


def average_questions(rows: pd.DataFrame) -> pd.DataFrame:
    """Average the rows of all questions, layer by layer and head by head."""
    return pd.DataFrame(rows.groupby(["layer", "head"]).mean()).reset_index()


def check_not_empty(readings: Sequence[Reading]) -> None:
    """Refuse to score heads on nothing.

    Raises:
        ValueError: if there is no reading.
    """
    if not readings:
        raise ValueError("there is no reading to score heads on; give at least one")

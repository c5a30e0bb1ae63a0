"""Which heads look at the right place, and which cells are looked at whatever is asked."""

import json
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

from probe.engine.attention import ON_TUBE
from probe.engine.model import VideoLM
from probe.engine.prompts import GENERIC, GENERIC_RELEASED
from probe.engine.readings import LayersHeads, Reading
from probe.engine.view import View
from probe.files import write_json
from probe.interpret.token_rules import Fixed, TokenRule
from probe.video import Tube

FORMAT, VERSION = "grounding-probe/heads", 1

LAST = Fixed(-1)
"""The token whose logits are the answer's: the query token of Kang et al."""

SHORTLIST = 10
"""Heads of least spatial entropy that a question votes for (Kang et al., CVPR 2025)."""

UNRELATED = (GENERIC, GENERIC_RELEASED, "What day is it?", "Is this a good song?")
"""Questions that point nowhere in a video."""

NORMAL_MEDIAN = 0.6745
"""Median distance from the median of a normal distribution, in standard deviations."""

OUTLIER = 5.0
"""Robust standard deviations, of logarithms, above the median from which a cell is a sink."""


def spatial_entropy(values: Float[Tensor, "frame row column"]) -> float:
    """How scattered a map is: 0 for one spot, more for many (nats).

    The entropy of the sizes of the connected parts that its cells above the mean make up (Kang et
    al., CVPR 2025); parts touch in space, corners included, and from one frame to the next. A flat
    map, in which no cell stands out, is as scattered as can be.
    """
    above = (values > values.mean()).numpy()
    if not above.any():
        return float(np.log(above.size))
    labels, _ = ndimage.label(above, structure=np.ones((3, 3, 3)))  # pyright: ignore[reportGeneralTypeIssues]  scipy's stub lacks the pair
    sizes = np.bincount(labels.ravel())[1:]
    share = sizes / sizes.sum()
    return float(-(share * np.log(share)).sum())


def elbow(values: Float[np.ndarray, " value"]) -> float:
    """Where a sorted curve bends most: the value furthest from the line between its ends."""
    ordered = np.sort(values)
    if ordered[0] == ordered[-1]:
        return float(ordered[0])
    height = (ordered - ordered[0]) / (ordered[-1] - ordered[0])
    return float(ordered[np.abs(height - np.linspace(0, 1, len(height))).argmax()])


def head_scores(
    readings: Sequence[Reading], tokens: TokenRule = LAST, *, shortlist: int = SHORTLIST
) -> pd.DataFrame:
    """How fit each head is to localise, without labels: one row a head (Kang et al., CVPR 2025).

    `attention`: the share of the token's attention that goes to the video, and `entropy`: how
    scattered its map is, both averaged over the questions; `votes`: the share of questions for
    which the head is among the least scattered of those that attend to the video at all, that is
    above the bend in the sorted curve of attention.

    Args:
        readings: What the model did with some questions.
        tokens: The token whose maps are scored.
        shortlist: Heads that each question votes for; 10 suits models of a thousand heads.

    Raises:
        ValueError: if there is no reading.
    """
    _check_some(readings)
    return _means(pd.concat([_one(reading, tokens(reading), shortlist) for reading in readings]))


def _one(reading: Reading, tokens: Sequence[int], shortlist: int) -> pd.DataFrame:
    maps = reading.attention[:, :, list(tokens)].mean(2)
    table = pd.DataFrame(
        [
            {
                "layer": reading.layers[place],
                "head": head,
                "attention": float(maps[place, number].sum()),
                "entropy": spatial_entropy(maps[place, number]),
            }
            for place, (number, head) in product(range(len(maps)), enumerate(_heads(reading)))
        ]
    )
    attending = table["attention"] > elbow(table["attention"].to_numpy())
    place = table["entropy"].where(attending).rank(method="first")
    table["votes"] = (place <= shortlist).astype(float)
    return table


def localization_heads(scores: pd.DataFrame, count: int = 3) -> tuple[tuple[int, int], ...]:
    """The heads with most votes in `head_scores`; of equals, the least scattered."""
    best = scores.sort_values(["votes", "entropy"], ascending=[False, True]).head(count)
    return tuple(zip(best["layer"].tolist(), best["head"].tolist(), strict=True))


def attention_ratio(
    values: Float[Tensor, "*lead frame row column"], inside: Bool[Tensor, "frame row column"]
) -> Float[Tensor, "*lead"]:
    """Strongest attention inside over strongest outside: above 1 where a map peaks inside.

    The paper's measure of a token; 0 where nothing lies inside.
    """
    inner = values.masked_fill(~inside, 0).amax(dim=(-3, -2, -1))
    outer = values.masked_fill(inside, 0).amax(dim=(-3, -2, -1))
    return inner / outer.clamp_min(torch.finfo(values.dtype).tiny)


def heads_on_track(
    readings: Sequence[Reading], tracks: Sequence[Tube], tokens: TokenRule = LAST
) -> pd.DataFrame:
    """How often each head points at the true track: one row a head, needs the truth.

    `on_track`: the share of questions whose strongest cell lies on it; `chance`: the same for a
    cell drawn at random; `log_ratio`: the mean logarithm of `attention_ratio`.

    Raises:
        ValueError: if there is no reading, or not one track for each.
    """
    _check_some(readings)
    if len(readings) != len(tracks):
        raise ValueError(f"{len(readings)} readings but {len(tracks)} tracks; give one for each")
    rows = []
    for reading, track in zip(readings, tracks, strict=True):
        inside = torch.from_numpy(reading.grid.cells.coverage(track)) > ON_TUBE
        maps = reading.attention[:, :, list(tokens(reading))].mean(2)
        peaks, ratios = maps.flatten(2).argmax(-1), attention_ratio(maps, inside)
        for place, (number, head) in product(range(len(maps)), enumerate(_heads(reading))):
            rows.append(
                {
                    "layer": reading.layers[place],
                    "head": head,
                    "on_track": float(inside.flatten()[peaks[place, number]]),
                    "chance": float(inside.float().mean()),
                    "log_ratio": float(ratios[place, number].clamp(1e-6, 1e6).log()),
                }
            )
    return _means(pd.DataFrame(rows))


@dataclass(frozen=True)
class HeadList:
    """Heads found on one model, to average maps over: `reading.through(found.of(model))`."""

    heads: tuple[tuple[int, int], ...]
    """Pairs of decoder layer and head, from 0."""
    model: Mapping[str, Any]
    """The identity of the model they were found on."""
    found: str
    """How, in words."""

    def of(self, model: VideoLM) -> LayersHeads:
        """The pairs, for use as `layers_heads` with the model they were found on.

        Raises:
            ValueError: if this is another model.
        """
        told = {name: model.identity[name] for name in ("name", "revision", "layers")}
        if {name: self.model.get(name) for name in told} != told:
            raise ValueError(
                f"these heads were found on {self.model.get('name')!r} (revision "
                f"{self.model.get('revision')}), not on {model.name!r} (revision "
                f"{model.revision}); find those of this model"
            )
        return self.heads

    def save(self, path: str | Path) -> None:
        """Write the list as JSON; nothing is left half-written."""
        header = {"format": FORMAT, "version": VERSION, "model": dict(self.model)}
        heads = [list(pair) for pair in self.heads]
        write_json(Path(path), {**header, "found": self.found, "heads": heads})

    @classmethod
    def load(cls, path: str | Path) -> "HeadList":
        """The list that `save` wrote.

        Raises:
            ValueError: if the file is missing or is not one of a list of heads.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: cannot be read as JSON ({error}); give a file") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"{path}: not a list of heads; give one that HeadList.save wrote")
        heads = tuple((int(layer), int(head)) for layer, head in content["heads"])
        return cls(heads, content["model"], content["found"])


@dataclass(frozen=True, eq=False)
class Sinks:
    """Cells that stand out whatever is asked, by statistics of this video and model alone.

    Both figures are robust standard scores of logarithms: 0 for the median cell, 1 for one
    standard deviation above it.
    """

    attention: Float[Tensor, "frame row column"]
    """Of the attention each cell receives: the least over all questions."""
    norm: Float[Tensor, "frame row column"]
    """Of the length of each cell's state inside the decoder."""
    threshold: float

    @property
    def cells(self) -> Bool[Tensor, "frame row column"]:
        """The cells in which either figure is an outlier."""
        return (self.attention > self.threshold) | (self.norm > self.threshold)


def attention_sinks(
    view: View,
    questions: Sequence[str] = UNRELATED,
    *,
    layer: int | None = None,
    threshold: float = OUTLIER,
) -> Sinks:
    """The visual tokens that take attention whatever is asked, or have outlying states.

    Args:
        view: The video.
        questions: Questions that have nothing in common.
        layer: The decoder layer at whose input states are measured; the middle one by default.
        threshold: How far out a sink lies, in robust standard deviations.
    """
    received = [reading.mean_attention().mean(0) for reading in view.read(*questions)]
    states = view.states(view.checkpoint.depth // 2 if layer is None else layer)
    norms = states[view.grid.positions].float().norm(dim=-1).cpu()
    return Sinks(
        attention=torch.stack([robust_score(one) for one in received]).amin(0),
        norm=robust_score(view.grid.fold(norms)),
        threshold=threshold,
    )


def robust_score(values: Float[Tensor, "frame row column"]) -> Float[Tensor, "frame row column"]:
    """By how many standard deviations a logarithm lies above the median, outliers set aside.

    The spread is the median distance from the median, over that of a normal distribution.
    """
    logs = values.clamp_min(torch.finfo(values.dtype).tiny).log()
    apart = logs - logs.median()
    spread = apart.abs().median() / NORMAL_MEDIAN
    return torch.where(apart == 0, 0.0, apart / spread)


def _heads(reading: Reading) -> tuple[int, ...]:
    """The numbers of the heads that a reading holds."""
    return tuple(range(reading.attention.shape[1])) if reading.heads is None else reading.heads


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each layer and head: the means over all questions."""
    return pd.DataFrame(rows.groupby(["layer", "head"]).mean()).reset_index()


def _check_some(readings: Sequence[Reading]) -> None:
    if not readings:
        raise ValueError("there is no reading to score heads on; give at least one")

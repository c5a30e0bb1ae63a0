"""Heads that attend to the right time, found without labels: their attention fills one interval.

Du et al. ("MLLMs Know When Before Speaking", arXiv 2605.21954, 2026) find such heads with labels,
by how much worse the times are that a model writes without each. Here nothing but the attention to
each frame is read, as Kang et al. (CVPR 2025) read that to each place (`localization_heads`).
"""

from collections.abc import Sequence
from itertools import product

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.readings import Reading
from probe.interpret.heads import (
    average_questions,
    check_not_empty,
    list_heads,
    select_head_maps,
)
from probe.interpret.token_rules import EVERY_TOKEN, TokenRule

TIME_HEADS = 5
"""Heads that are chosen for a question: as many as did best for Du et al."""

LEAST_ATTENTION = 0.5
"""Attention to the video, over the median of all heads, below which a head has no rank: what an
idle head spends is noise, which gathers in a few frames."""


def interval_contrasts(
    rows: Float[Tensor, "*lead frame"],
) -> tuple[Float[Tensor, "*lead interval"], list[range]]:
    """Compare the mean inside each interval of frames with that of the rest.

    The contrast is (mean inside - mean outside) x sqrt(inside x outside / frames), the two-sample
    statistic of a change in level.

    Returns:
        The contrast of each interval, and the intervals: all but that of all frames, which leaves
        no rest.
    """
    frames = rows.shape[-1]
    intervals = [
        range(first, stop)
        for first in range(frames)
        for stop in range(first + 1, frames + (first > 0))
    ]
    if not intervals:
        return rows.new_zeros((*rows.shape[:-1], 0)), []
    # Sums of the first n values, so that the mean of any interval is a difference of two of them.
    sums = torch.cat([torch.zeros_like(rows[..., :1]), rows.cumsum(-1)], -1)
    first, stop = torch.tensor([(one.start, one.stop) for one in intervals]).T
    inside = stop - first
    mean_in = (sums[..., stop] - sums[..., first]) / inside
    mean_out = (sums[..., -1:] - sums[..., stop] + sums[..., first]) / (frames - inside)
    return (mean_in - mean_out) * (inside * (frames - inside) / frames).sqrt(), intervals


def time_contrast(attention: Float[Tensor, "*lead frame"]) -> Float[Tensor, "*lead"]:
    """Measure how far attention to frames gathers in one interval: 0 if it is even, at most 1.

    It is the best contrast of an interval (`interval_contrasts`) in the shares that frames have of
    the attention; turning the order of frames round changes nothing.
    """
    if attention.shape[-1] < 2:  # a single frame is no interval among others
        return torch.zeros_like(attention[..., 0])
    tiny = torch.finfo(attention.dtype).tiny
    shares = attention / attention.sum(-1, keepdim=True).clamp_min(tiny)
    contrasts, _ = interval_contrasts(shares)
    return contrasts.amax(-1)


def rank_time_heads(
    attention: Float[Tensor, "layer head frame"],
) -> tuple[Float[Tensor, "layer head"], Bool[Tensor, "layer head"]]:
    """Return the contrast of each head in time, and whether it attends to the video enough."""
    total = attention.sum(-1)
    return time_contrast(attention), total >= LEAST_ATTENTION * total.median()


def time_head_scores(
    readings: Sequence[Reading],
    tokens: TokenRule = EVERY_TOKEN,
    *,
    shortlist: int = TIME_HEADS,
) -> pd.DataFrame:
    """Score how well each head tells frames apart, without labels.

    Read the questions in both frame orders, and give all readings: a head that always attends to
    the first frames is then rated no higher than one that attends to what is shown.

    Args:
        readings: What the model did with some questions about what happens.
        tokens: The rule for the tokens whose maps are averaged.
        shortlist: Heads that each question votes for.

    Returns:
        One row a head. `attention` is the share of the tokens' attention that goes to the video,
        `contrast` how far it gathers in one interval (`time_contrast`), both averaged over the
        questions. `votes` is the share of questions for which the head is among those of most
        contrast that attend to the video enough.

    Raises:
        ValueError: if there is no reading.
    """
    check_not_empty(readings)
    return average_questions(pd.concat([_score_time(one, tokens, shortlist) for one in readings]))


def time_heads(scores: pd.DataFrame, count: int = TIME_HEADS) -> tuple[tuple[int, int], ...]:
    """Choose the heads with most votes in a table of `time_head_scores`; of equals, by contrast.

    Returns:
        Pairs of layer and head, the best first.
    """
    best = scores.sort_values(["votes", "contrast"], ascending=False).head(count)
    return tuple(zip(best["layer"].tolist(), best["head"].tolist(), strict=True))


def frame_attention(reading: Reading, tokens: TokenRule) -> Float[Tensor, "layer head frame"]:
    """Return the attention that each head pays to each frame, averaged over the chosen tokens."""
    return select_head_maps(reading, tokens).float().sum((-2, -1))


def _score_time(reading: Reading, tokens: TokenRule, shortlist: int) -> pd.DataFrame:
    attention = frame_attention(reading, tokens)
    contrast, attending = rank_time_heads(attention)
    table = pd.DataFrame(
        [
            {
                "layer": reading.layers[place],
                "head": head,
                "attention": float(attention[place, number].sum()),
                "contrast": float(contrast[place, number]),
            }
            for place, (number, head) in product(
                range(len(attention)), enumerate(list_heads(reading))
            )
        ]
    )
    # Of equal heads the first come first, so that every question has the same number of votes.
    ranked = table["contrast"].where(attending.flatten().numpy())
    table["votes"] = (ranked.rank(ascending=False, method="first") <= shortlist).astype(float)
    return table

"""Bars of tokens: how strongly each token of a question looks at the video."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from probe.pictures.fonts import note_missing_once
from probe.pictures.style import (
    ANSWER_COLOUR,
    CHOSEN_COLOUR,
    HIGHLIGHT_COLOUR,
    QUIET_COLOUR,
    TEXT_SIZE,
    choose_options,
    hide_upper_spines,
    measure_width,
    require_finite,
    shorten_line,
    take_axes,
    write_title,
)

KIND_COLOURS = {
    "role": CHOSEN_COLOUR,
    "word": QUIET_COLOUR,
    "stop": QUIET_COLOUR,
    "template": QUIET_COLOUR,
    "thought": QUIET_COLOUR,
    "answer": ANSWER_COLOUR,
}
"""Colours of the kinds of token: role tokens and those of an answer are told from all others."""

LONGEST_LABEL = 12
"""Characters after which the text of a token is cut."""

BARS_MARGIN = 0.7
"""Free space on either side of the bars, for which the space between two of them is 1."""

LABEL_WIDTH = 0.13
"""Inches that the label of a token takes, turned as it is."""


@note_missing_once()
def draw_token_bars(  # noqa: PLR0913  the columns of a table of tokens, and what is said of it
    ax: Any,
    texts: Sequence[str],
    kinds: Sequence[str],
    activation: Float[np.ndarray, " token"],
    *,
    chosen: Sequence[int] = (),
    title: str = "",
    note: str = "",
) -> Axes:
    """Draw the visual activation of each token of a question as a bar.

    Role tokens are blue, those of an answer green; the chosen ones are orange. Where there is no
    room for the texts of all tokens, those of the chosen and the strongest are written.

    Args:
        ax: The axes to draw on; None for a new figure.
        texts: The tokens as people read them, in the order of the question.
        kinds: The kind of each token.
        activation: The visual activation of each token.
        chosen: The tokens whose maps were read, as places in the question.
        title: Text above the bars, cut if it is long.
        note: Text after the title, which is never cut.

    Raises:
        ValueError: if a value is not finite.
    """
    require_finite("the visual activation", activation)
    ax = take_axes(ax)
    bars = ax.bar(
        range(len(texts)), activation, color=[KIND_COLOURS[kind] for kind in kinds], width=0.8
    )
    ax.set_xlim(-BARS_MARGIN, len(texts) - 1 + BARS_MARGIN)
    for token in chosen:
        bars[token].set(color=HIGHLIGHT_COLOUR)
    named = choose_named(ax, activation, chosen)
    labels = [shorten_line(texts[token], LONGEST_LABEL) for token in named]
    options = choose_options("".join(labels))
    ax.set_xticks(named, labels, rotation=60, ha="right", rotation_mode="anchor", **options)
    ax.tick_params(labelsize=TEXT_SIZE)
    ax.tick_params(axis="x", length=2, pad=1)
    ax.set_ylabel("visual activation", fontsize=TEXT_SIZE)
    ax.set_xlabel(_explain_colours(kinds, chosen), fontsize=TEXT_SIZE)
    write_title(ax, title, note)
    hide_upper_spines(ax)
    return ax


def _explain_colours(kinds: Sequence[str], chosen: Sequence[int]) -> str:
    parts = []
    if any(kind == "role" for token, kind in enumerate(kinds) if token not in chosen):
        parts.append("blue: role tokens")
    if "answer" in kinds:
        parts.append("green: its answer")
    if chosen:
        parts.append(f"orange: grounding token{'s' if len(chosen) > 1 else ''}")
    return ", ".join(parts)


def choose_named(
    ax: Axes, activation: Float[np.ndarray, " token"], chosen: Sequence[int]
) -> list[int]:
    """Choose tokens whose labels do not overlap: the chosen first, then the strongest."""
    apart = LABEL_WIDTH / measure_width(ax) * (len(activation) - 1 + 2 * BARS_MARGIN)
    named: list[int] = []
    for token in (*chosen, *np.argsort(-activation, kind="stable").tolist()):
        if all(abs(token - other) >= max(apart, 1) for other in named):
            named.append(token)
    return sorted(named)

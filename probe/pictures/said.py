"""Words that a cell of a video would say, layer by layer: a table of words in colour."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from probe.pictures.fonts import note_missing_once
from probe.pictures.style import (
    PICTURE_WIDTH,
    TEXT_SIZE,
    choose_options,
    measure_width,
    require_finite,
    shorten_line,
    take_axes,
    write_title,
)

ROW_HEIGHT, MARGINS = 0.19, 0.8
"""Inches of a layer, and of title and labels together."""

CHARACTER_WIDTH = 0.075
"""Inches of a character of small text, most of which are narrower."""

PALEST_INK = 0.55
"""Share of probability above which a word is written in white."""


@note_missing_once()
def draw_said(
    ax: Any,
    texts: Sequence[Sequence[str]],
    probabilities: Float[np.ndarray, "layer place"],
    layers: Sequence[int],
    *,
    title: str = "",
) -> Axes:
    """Draw the likeliest words of a cell: layers down, words across, the likelier the darker.

    Args:
        ax: The axes to draw on; None for a new figure.
        texts: The words of each layer, likeliest first.
        probabilities: Their probabilities, 0 to 1.
        layers: The numbers of the layers.
        title: Text above the table, cut if it is long.

    Raises:
        ValueError: if a probability is not finite.
    """
    require_finite("the lens", probabilities)
    count, places = probabilities.shape
    ax = take_axes(ax, MARGINS + ROW_HEIGHT * count)
    # Even in the root: a word of one in a hundred is seen, and is no more than a tint.
    ax.imshow(np.sqrt(probabilities), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    most = max(4, int(min(measure_width(ax), PICTURE_WIDTH) / places / CHARACTER_WIDTH) - 5)
    for row, words in enumerate(texts):
        for column, word in enumerate(words):
            share = float(probabilities[row, column])
            line = shorten_line(word, most)
            ax.text(
                column,
                row,
                f"{line}  {share:.2f}",
                ha="center",
                va="center",
                fontsize=TEXT_SIZE - 1,
                color="white" if np.sqrt(share) > PALEST_INK else "black",
                **choose_options(line),
            )
    ax.set_yticks(range(count), [str(layer) for layer in layers])
    ax.set_xticks(range(places), [str(place + 1) for place in range(places)])
    ax.set_ylabel("layer", fontsize=TEXT_SIZE)
    ax.set_xlabel("its likeliest words, and their probabilities", fontsize=TEXT_SIZE)
    ax.tick_params(labelsize=TEXT_SIZE, length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    write_title(ax, title)
    return ax

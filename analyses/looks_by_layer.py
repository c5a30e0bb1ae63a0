"""Lens, attention and cause by layer: a layer that looks at the thing need not matter.

    python analyses/looks_by_layer.py     summarise the observations of `claims.py`, and draw

For each layer of each organism: is the strongest cell on the true track, of the mean of the role
tokens, of the token of the noun, and of the word lens; and how much does the margin of the answer
fall if no token sees the video at this layer alone? `protocol.md` says it is shown, not tested.
"""

from collections.abc import Mapping
from typing import Any

from claims import CLAIM as CLAIMS
from claims import COLOURS, find_observations
from common import (
    BLUE,
    GREEN,
    ORANGE,
    Claim,
    Numbers,
    create_figure,
    draw_legend_below,
    draw_line,
    errors_in_one_line,
    finish_figure,
    summarise_share,
    summary,
)
from matplotlib.figure import Figure
from organism_runs import SHIPPED

LOOKS = {"role tokens": ORANGE, "noun": GREEN, "word lens": BLUE}


def summarise(found: Mapping[str, Numbers]) -> Numbers:
    """Summarise shares and falls by organism and layer, with their intervals."""
    first = next(iter(found.values()))
    shared = ("dataset", "first", "cases", "tracks", "frames", "versions", "failed")
    return {
        **{key: first[key] for key in shared},
        "model": {"name": ", ".join(found)},
        "shipped": SHIPPED,
        "organisms": {
            name: {
                "recipe": one["recipe"],
                **{
                    look: [summarise_share(values) for values in _by_layer(one, look)]
                    for look in LOOKS
                },
                "fall": [summary(values) for values in _by_layer(one, "fall")],
            }
            for name, one in found.items()
        },
    }


def _by_layer(organism: Numbers, what: str) -> list[list[float]]:
    values = organism["values"]
    names = (f"layer {layer}, {what}" for layer in range(len(values)))
    return [values[name] for name in names if name in values]


def draw(numbers: Numbers) -> Figure:
    """Draw where three maps point, by layer, and what each layer's look is worth.

    The shipped organism has its intervals; the others are lines.
    """
    figure = create_figure(8.4, 3.2)
    looks, falls = figure.subplots(1, 2)
    for name, one in numbers["organisms"].items():
        _draw_organism(looks, falls, one, shown=name == numbers["shipped"])
    looks.set(xlabel="layer", ylabel="strongest cell on the true track", ylim=(0, 1.03))
    falls.set(xlabel="layer at which no token sees the video", ylabel="fall of the margin (logits)")
    falls.axhline(0, color="#9a9a9a", lw=1)
    for axes in (looks, falls):
        axes.set_xticks(range(len(numbers["organisms"][numbers["shipped"]]["fall"])))
    draw_legend_below(looks)
    return finish_figure(figure, numbers)


def _draw_organism(looks: Any, falls: Any, one: Numbers, *, shown: bool) -> None:
    layers = range(len(one["fall"]))
    for look, colour in LOOKS.items():
        if shown:
            draw_line(looks, layers, one[look], color=colour, label=look)
        else:
            looks.plot(layers, [share["mean"] for share in one[look]], color=colour, lw=0.6)
    if shown:
        draw_line(falls, layers, one["fall"], color=COLOURS[one["recipe"]])
    else:
        means = [fall["mean"] for fall in one["fall"]]
        falls.plot(layers, means, color=COLOURS[one["recipe"]], lw=0.6)


CLAIM = Claim(__file__, draw, config=CLAIMS.config, only_shapes=CLAIMS.only_shapes)


def main() -> None:
    """Summarise the stored observations, and draw."""
    with errors_in_one_line(CLAIM.name):
        CLAIM.store(summarise(find_observations()))
        CLAIM.redraw()


if __name__ == "__main__":
    main()

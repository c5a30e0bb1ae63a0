"""Lens, attention and cause by layer: a layer that looks at the thing need not matter.

    python analyses/looks_by_layer.py     summarise the observations of `claims.py`, and draw

For each layer of each organism: is the strongest cell on the true track, of the mean of the role
tokens, of the token of the noun, and of the word lens; and how much does the margin of the answer
fall if no token sees the video at this layer alone? `protocol.md` says it is shown, not tested.
"""

from collections.abc import Mapping

from claims import CLAIM as CLAIMS
from claims import COLOURS, find_observations
from common import (
    GREY,
    Claim,
    Numbers,
    create_figure,
    draw_line,
    errors_in_one_line,
    finish_figure,
    summarise_share,
    summary,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from organism_runs import SHIPPED

LOOKS = ("role tokens", "noun", "word lens")
"""Maps whose strongest cell is looked up, by the names of their observations."""


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

    A line is an organism, in the colour of its recipe; the shipped one has its intervals.
    """
    figure = create_figure(10.4, 3.2)
    panels = figure.subplots(1, len(LOOKS) + 1)
    for axes, what in zip(panels, (*LOOKS, "fall"), strict=True):
        for name, one in numbers["organisms"].items():
            _draw_organism(axes, one, what, shown=name == numbers["shipped"])
        axes.set_xticks(range(len(numbers["organisms"][numbers["shipped"]]["fall"])))
    for axes, look in zip(panels, LOOKS, strict=False):
        axes.set(title=look, xlabel="layer", ylim=(0, 1.03))
    panels[0].set_ylabel("strongest cell on the true track")
    panels[-1].set(title="no token sees the video there", xlabel="layer")
    panels[-1].set_ylabel("fall of the margin (logits)")
    panels[-1].axhline(0, color=GREY, lw=1)
    for recipe in dict.fromkeys(one["recipe"] for one in numbers["organisms"].values()):
        panels[0].plot([], [], color=COLOURS[recipe], label=f"{recipe} recipe")
    panels[0].plot([], [], color="black", marker="o", ms=3, label="the shipped organism")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, fontsize=7, frameon=False, ncols=7, loc="outside upper center")
    return finish_figure(figure, numbers)


def _draw_organism(axes: Axes, one: Numbers, what: str, *, shown: bool) -> None:
    layers, colour = range(len(one[what])), COLOURS[one["recipe"]]
    if shown:
        draw_line(axes, layers, one[what], color=colour)
    else:
        axes.plot(layers, [each["mean"] for each in one[what]], color=colour, lw=0.8)


CLAIM = Claim(__file__, draw, config=CLAIMS.config, only_shapes=CLAIMS.only_shapes)


def main() -> None:
    """Summarise the stored observations, and draw."""
    with errors_in_one_line(CLAIM.name):
        CLAIM.store(summarise(find_observations()))
        CLAIM.redraw()


if __name__ == "__main__":
    main()

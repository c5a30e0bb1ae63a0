"""Grounding gets worse as the word it reads is less active, but not as the role token is.

    python analyses/activation_rank.py              draw from the stored numbers (seconds)
    python analyses/activation_rank.py --measure    measure again (two CPU cores, one minute)

Tokens of each kind are ranked by visual activation, sample by sample (1 looks hardest, no label
needed); for each rank, how often its token's map peaks on the true track, and how often the true
track is the one it would choose among all true tracks of the clip.
"""

from typing import Any

from common import BLUE, GREY, ORANGE, Table, line, numbers_of, origin, run, small, summary
from matplotlib.figure import Figure

from probe.model import ORGANISM, load
from probe.organism.benchmark import SHAPES_TEST
from probe.organism.scores import looks

NUMBERS = numbers_of(__file__)
CLIPS = 120

FIGURES = {"on_track": "peak on the true track", "track": "true track chosen"}
KINDS = {"role": ORANGE, "word": BLUE}


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """For each kind of token and each rank of activation, the share of clips it is right on."""
    model = load(checkpoint)
    table: Table = looks(model, list(SHAPES_TEST.cases(clips)), windows=[tuple(range(model.depth))])
    return {
        **origin(model, SHAPES_TEST, clips),
        "kinds": {kind: _by_rank(table[table["kind"] == kind]) for kind in KINDS},
        "chance": {name: float(table[f"chance_{name}"].mean()) for name in FIGURES},
    }


def _by_rank(table: Table) -> dict[str, list[dict[str, Any]]]:
    """By rank; ranks that some clips lack, their questions being shorter, are left out."""
    ranked = table.assign(
        rank=table.groupby("case")["activation"].rank(ascending=False, method="first").astype(int)
    )
    shared = int(ranked.groupby("case")["rank"].max().min())
    return {
        name: [summary(ranked.loc[ranked["rank"] == rank, name]) for rank in range(1, shared + 1)]
        for name in FIGURES
    }


def draw(numbers: dict[str, Any]) -> Figure:
    """One panel for each figure: its share against the rank of the token used."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained", dpi=150)
    for axes, (name, label) in zip(figure.subplots(1, 2), FIGURES.items(), strict=True):
        for kind, colour in KINDS.items():
            shares = numbers["kinds"][kind][name]
            line(axes, range(1, len(shares) + 1), shares, color=colour, label=f"{kind} tokens")
        axes.axhline(numbers["chance"][name], color=GREY, ls="--", lw=1, label="chance")
        axes.set(ylim=(0, 1), xlabel="rank of visual activation (1 looks hardest)", ylabel=label)
        axes.legend(fontsize=6, frameon=False)
    small(figure, numbers)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)

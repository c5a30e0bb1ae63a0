"""Grounding gets worse as the token it reads is less active, role tokens above all.

    python analyses/activation_rank.py              draw from the stored numbers (seconds)
    python analyses/activation_rank.py --measure    measure again (two CPU cores, one minute)

Tokens of each kind are ranked by visual activation, sample by sample (1 looks hardest, no label
needed); for each rank, how often its token's map peaks on the true track, and how often the true
track is the one it would choose among all tracks of the clip.
"""

import pandas as pd
from common import (
    BLUE,
    GREY,
    ORANGE,
    Claim,
    Numbers,
    Table,
    create_figure,
    draw_line,
    finish_figure,
    summary,
)
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig

from probe.candidates.tracks import best_track
from probe.engine.model import VideoLM
from probe.interpret.grounding_tokens import visual_activation

FIGURES = {"on_track": "peak on the true track", "track": "true track chosen"}
KINDS = {"role": ORANGE, "word": BLUE}


def measure(measurement: Measurement) -> Numbers:
    """For each kind of token and each rank of activation, the share of clips it is right on."""
    records = measurement.each(_tokens)
    table: Table = pd.concat(records)
    return {
        **measurement.provenance(records),
        "kinds": {kind: _by_rank(table[table["kind"] == kind]) for kind in KINDS},
        "chance": {name: float(table[f"chance_{name}"].mean()) for name in FIGURES},
    }


def _tokens(model: VideoLM, case: Case) -> pd.DataFrame:
    """One row a token: how hard it looks, whether at the right place, and the chance of that."""
    (reading,) = model.watch(case.video).read(case.question)
    inside = case.on_track(reading.grid)
    maps = [reading.heatmap(token) for token in range(len(reading.tokens))]
    return pd.DataFrame(
        {
            "case": case.name,
            "kind": [token.kind for token in reading.prompt.tokens],
            "activation": visual_activation(reading).tolist(),
            "on_track": [bool(inside[one.peak]) for one in maps],
            "track": [best_track(case.tracks, one) is case.track for one in maps],
            "chance_on_track": float(inside.float().mean()),
            "chance_track": 1 / len(case.tracks),
        }
    )


def _by_rank(table: Table) -> dict[str, list[Numbers]]:
    """By rank; ranks that some clips lack, their questions being shorter, are left out."""
    ranked = table.assign(
        rank=table.groupby("case")["activation"].rank(ascending=False, method="first").astype(int)
    )
    shared = int(ranked.groupby("case")["rank"].max().min())
    return {
        name: [summary(ranked.loc[ranked["rank"] == rank, name]) for rank in range(1, shared + 1)]
        for name in FIGURES
    }


def draw(numbers: Numbers) -> Figure:
    """One panel for each figure: its share against the rank of the token used."""
    figure = create_figure(7.2, 2.6)
    for axes, (name, label) in zip(figure.subplots(1, 2), FIGURES.items(), strict=True):
        for kind, colour in KINDS.items():
            shares = numbers["kinds"][kind][name]
            draw_line(axes, range(1, len(shares) + 1), shares, color=colour, label=f"{kind} tokens")
        axes.axhline(numbers["chance"][name], color=GREY, ls="--", lw=1, label="chance")
        axes.set(ylim=(0, 1), xlabel="rank of visual activation (1 looks hardest)", ylabel=label)
        axes.legend(fontsize=6, frameon=False)
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=120))

if __name__ == "__main__":
    CLAIM.run()

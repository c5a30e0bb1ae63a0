"""Words ground worse the less active they are; of the role tokens only the least active does.

    python analyses/activation_rank.py              draw from the stored numbers (seconds)
    python analyses/activation_rank.py --measure    measure again (two CPU cores, one minute)

Tokens of each kind are ranked by visual activation, sample by sample (1 is the most active; no
label is needed). For each rank: how often the map of its token peaks on the true track, and how
often that map chooses the true track among all tracks of the clip. On fresh clips what role tokens
show of it is a matter of which token it is, on each organism (docs/findings.md).
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

SHARES = {"on_track": "peak on the true track", "track": "true track chosen"}
KIND_COLOURS = {"role": ORANGE, "word": BLUE}


def measure(measurement: Measurement) -> Numbers:
    """Measure the share of clips that each rank of activation is right on, by kind of token."""
    records = measurement.measure_cases(_measure_tokens)
    table: Table = pd.concat(records)
    return {
        **measurement.provenance(records),
        "kinds": {kind: _summarise_by_rank(table[table["kind"] == kind]) for kind in KIND_COLOURS},
        "chance": {name: float(table[f"chance_{name}"].mean()) for name in SHARES},
    }


def _measure_tokens(model: VideoLM, case: Case) -> pd.DataFrame:
    """Tabulate the tokens of a clip: their activation, if their maps are right, and chance."""
    (reading,) = model.watch(case.video).read(case.question)
    inside = case.on_track(reading.grid)
    maps = [reading.heatmap(token) for token in range(len(reading.tokens))]
    return pd.DataFrame(
        {
            "case": case.name,
            "kind": [token.kind for token in reading.prompt.tokens],
            "activation": visual_activation(reading).tolist(),
            "on_track": [bool(inside[one.peak]) for one in maps],
            # best_track returns one of the tubes it was given, so identity tells which.
            "track": [best_track(case.tracks, one) is case.track for one in maps],
            "chance_on_track": float(inside.float().mean()),
            "chance_track": 1 / len(case.tracks),
        }
    )


def _summarise_by_rank(table: Table) -> dict[str, list[Numbers]]:
    """Summarise by rank; leave out ranks that the shorter questions do not have."""
    # "first" breaks ties by place, so that every rank has exactly one token in each clip.
    ranked = table.assign(
        rank=table.groupby("case")["activation"].rank(ascending=False, method="first").astype(int)
    )
    shared = int(ranked.groupby("case")["rank"].max().min())
    return {
        name: [summary(ranked.loc[ranked["rank"] == rank, name]) for rank in range(1, shared + 1)]
        for name in SHARES
    }


def draw(numbers: Numbers) -> Figure:
    """Draw one panel for each share, against the rank of the token."""
    figure = create_figure(7.2, 2.6)
    for axes, (name, label) in zip(figure.subplots(1, 2), SHARES.items(), strict=True):
        for kind, colour in KIND_COLOURS.items():
            shares = numbers["kinds"][kind][name]
            draw_line(axes, range(1, len(shares) + 1), shares, color=colour, label=f"{kind} tokens")
        axes.axhline(numbers["chance"][name], color=GREY, ls="--", lw=1, label="chance")
        axes.set(ylim=(0, 1), xlabel="rank of visual activation (1: most active)", ylabel=label)
        axes.legend(fontsize=6, frameon=False)
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=120))

if __name__ == "__main__":
    CLAIM.run()

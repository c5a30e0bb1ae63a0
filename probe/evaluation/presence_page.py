"""The part of a report about presence: a table, and one picture of risk and reliability."""

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probe.evaluation.page import CaptionedPicture, Heading, PageTable, Paragraph, Part, Row
from probe.evaluation.presence import ALL_KINDS, format_percent
from probe.pictures.style import (
    QUIET_COLOUR,
    TEXT_SIZE,
    choose_options,
    hide_upper_spines,
    shorten_line,
)

NO_FIGURE = "-"
"""Text of a cell for which there is no figure."""

RUN_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Colours of runs, from the colour-blind safe palette of Okabe and Ito; used again from the start
if there are more runs."""

DOT_AREA = 260.0
"""Area of the dot of a bin that holds all queries, in square points."""

LEAST_DOT = 6.0
"""Area of the smallest dot: a bin of a single query can still be seen."""

LONGEST_NAME = 32
"""Characters of a run's name in the legend."""

PRESENCE_NOTE = (
    "AUROC: how often a present thing gets a greater margin than an absent one, each absent query "
    "being wrong in one way; 50 is chance. AURC: the mean risk if only the surest queries are "
    "answered, over all shares of them; the risk is 1 - vIoU, and 1 for an absent thing, so it "
    "cannot be less than the least possible. ECE and Brier: how far the probability of yes "
    "(sigmoid of the margin) is from what came true, with present and absent queries as often as "
    "they are in the run. A query that failed counts as the worst answer."
)

Presence: TypeAlias = Mapping[str, Any]
"""Figures from `summarise_presence`."""


def show_presence(runs: Sequence[tuple[str, Presence]]) -> Iterator[Part]:
    """Show the figures of each run that was asked about absent things; nothing without any.

    Args:
        runs: The name of each run and its figures.
    """
    if not runs:
        return
    kinds = tuple(dict.fromkeys(kind for _, presence in runs for kind in presence["absent"]))
    yield Heading("Is it there? Figures in percent, with 95 % intervals over clips")
    yield Paragraph(PRESENCE_NOTE)
    yield PageTable(
        (
            "run",
            "present",
            "absent",
            "AUROC",
            *kinds,
            "AURC",
            "least possible",
            "model says yes to",
            "ECE",
            "Brier",
        ),
        tuple(Row((name, *_format_run(presence, kinds))) for name, presence in runs),
    )
    yield CaptionedPicture(
        _draw_presence(runs),
        "Left: risk of the surest answers; dashed: as many as there are present things. Right: how "
        "often the thing is there, by the stated probability; a larger dot holds more queries",
    )


def _format_run(presence: Presence, kinds: Sequence[str]) -> tuple[str, ...]:
    areas, curve, fit = (presence[part] for part in ("auroc", "risk_coverage", "calibration"))
    yes = None if curve is None else curve["model_says_yes"]
    return (
        str(presence["present"]),
        str(sum(presence["absent"].values())),
        format_percent(areas[ALL_KINDS]).strip(),
        *(format_percent(areas[kind]).strip() if kind in areas else NO_FIGURE for kind in kinds),
        NO_FIGURE if curve is None else format_percent(curve["area"]).strip(),
        NO_FIGURE if curve is None else f"{100 * curve['least_area']:.1f}",
        NO_FIGURE if yes is None else f"{100 * yes['coverage']:.1f}, risk {100 * yes['risk']:.1f}",
        NO_FIGURE if fit is None else format_percent(fit["error"]).strip(),
        NO_FIGURE if fit is None else format_percent(fit["brier"]).strip(),
    )


def _draw_presence(runs: Sequence[tuple[str, Presence]]) -> bytes:
    # Not through pyplot, which keeps every figure in memory until it is closed by hand.
    figure = Figure(figsize=(7.2, 3.0), dpi=120)
    figure.set_layout_engine("constrained")
    risk_axes, reliability_axes = figure.subplots(1, 2)
    for place, (_, presence) in enumerate(runs):
        colour = RUN_COLOURS[place % len(RUN_COLOURS)]
        _draw_risk(risk_axes, presence, colour, label=str(place))
        if presence["calibration"] is not None:
            _draw_reliability(reliability_axes, presence["calibration"]["bins"], colour)
    _finish_axes(risk_axes, "share of queries answered, surest first", "mean risk")
    _finish_axes(reliability_axes, "stated probability of yes", "share that is there")
    reliability_axes.plot([0, 1], [0, 1], color=QUIET_COLOUR, lw=1, ls="--", zorder=0)
    texts = risk_axes.legend(fontsize=TEXT_SIZE - 1, frameon=False).get_texts()
    # Only now, since a label that begins with an underscore is left out of a legend.
    for text, (name, _) in zip(texts, runs, strict=True):
        line = shorten_line(name, LONGEST_NAME)
        text.update({**choose_options(line), "text": line})
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _draw_risk(ax: Axes, presence: Presence, colour: str, label: str) -> None:
    # Without a truth there is no risk; the run is still part of the legend, for its other curve.
    curve = presence["risk_coverage"] or {"coverage": [], "risk": []}
    ax.plot(curve["coverage"], curve["risk"], color=colour, lw=1.5, label=label)
    share = presence["present"] / (presence["present"] + sum(presence["absent"].values()))
    ax.axvline(share, color=QUIET_COLOUR, lw=1, ls="--", zorder=0)


def _draw_reliability(ax: Axes, bins: Sequence[Mapping[str, float]], colour: str) -> None:
    filled = [one for one in bins if one["queries"]]
    queries = sum(one["queries"] for one in filled)
    said, share = ([one[name] for one in filled] for name in ("probability", "share"))
    sizes = [LEAST_DOT + DOT_AREA * one["queries"] / queries for one in filled]
    ax.plot(said, share, color=colour, lw=1, alpha=0.6)
    ax.scatter(said, share, s=sizes, color=colour, alpha=0.7, lw=0, clip_on=False)


def _finish_axes(ax: Axes, across: str, up: str) -> None:
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_xlabel(across, fontsize=TEXT_SIZE)
    ax.set_ylabel(up, fontsize=TEXT_SIZE)
    ax.tick_params(labelsize=TEXT_SIZE - 1)
    hide_upper_spines(ax)

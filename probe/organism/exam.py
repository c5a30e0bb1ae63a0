"""The organism's exam: are its answers right, and does a token look at what it answers about?

Token and layers are chosen on one benchmark and reported on another, together with chance and with
a control in which each question is asked about another clip.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from probe.engine.model import VideoLM
from probe.metrics import bootstrap_interval
from probe.organism.benchmark import Benchmark
from probe.organism.scores import Window, measure_answers, measure_looks
from probe.organism.tokens import open_tokenizer
from probe.organism.worlds import World

CHOOSING_CASES = 150
"""Number of cases on which token and layers are chosen."""

UntypedTable: TypeAlias = Any
"""A pandas table; the published types of pandas do not follow selections."""

LOOK_FIGURES = {
    "on_track": "strongest cell on the true track",
    "in_span": "strongest cell in the true span",
    "track": "right one of the true tracks",
}
"""Columns of `measure_looks` that the exam reports, and their meaning."""


def examine(model: VideoLM, benchmark: Benchmark, clips: int) -> dict[str, Any]:
    """Examine an organism on the first clips of a benchmark.

    Args:
        model: The organism.
        benchmark: Benchmark to report on.
        clips: Number of clips.

    Returns:
        Shares with 95 % bootstrap intervals. `accuracy` is by kind of question, with all open
        questions together as one more kind; `chosen_on_val` is the role token and the layers that
        look best; `looks` is where these look on questions answered right; `control` is the same
        with each question asked about another clip; `table` has all tokens by layer.
    """
    windows = [tuple(range(*ends)) for ends in combinations(range(model.depth + 1), 2)]
    first = benchmark.chosen_on or benchmark
    choosing = list(first.cases(min(clips, CHOOSING_CASES)))
    chosen = _choose_best(measure_looks(model, choosing, windows=windows))
    chosen["benchmark"] = first.name
    cases, window = list(benchmark.cases(clips)), tuple(chosen["layers"])
    layers = [(layer,) for layer in range(model.depth)]
    # The chosen window may be a single layer, which must not be measured twice.
    table = measure_looks(model, cases, windows=list(dict.fromkeys([*layers, window])))
    control = measure_looks(model, cases, shown=[*cases[1:], cases[0]], windows=[window])
    right = _select_window(table[table["right"]], window)
    return {
        "accuracy": _summarise_answers(
            measure_answers(model, benchmark.seed, clips, benchmark.world)
        ),
        "chosen_on_val": chosen,
        "looks": _summarise_looks(right, chosen["token"]),
        "control": _summarise_looks(control, chosen["token"]),
        "table": _tabulate(table, model.depth),
    }


def knows(model: VideoLM, world: World) -> bool:
    """Return whether a model is an organism of a world: its vocabulary is the world's."""
    known = model.checkpoint.processor.tokenizer.get_vocab()
    return known == open_tokenizer(world).get_vocab()


def _select_window(table: UntypedTable, window: Window) -> UntypedTable:
    # pandas would compare a column with a tuple entry by entry.
    return table[np.array([layers == window for layers in table["layers"]], dtype=bool)]


def format_exam(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of an exam for the screen."""
    for kind, one in found["accuracy"].items():
        low, high = one["interval"]
        yield f"answers  {kind:34} {one['share']:.2f}  [{low:.2f}, {high:.2f}]"
    chosen = found["chosen_on_val"]
    layers = ", ".join(map(str, chosen["layers"]))
    yield f"looks of {chosen['token']!r} at layers {layers} (chosen on {chosen['benchmark']})"
    if not found["looks"]["questions"]:
        yield "looks    none to speak of: no question was answered right"
    for figure, means in LOOK_FIGURES.items():
        if one := found["looks"].get(figure):
            (low, high), other = one["interval"], found["control"][figure]["share"]
            yield (
                f"looks    {means:34} {one['share']:.2f}  [{low:.2f}, {high:.2f}]"
                f"  chance {one['chance']:.2f}, another clip {other:.2f}"
            )


def _choose_best(table: UntypedTable) -> dict[str, Any]:
    """Choose the role token and layers whose peak is on the true track most often."""
    roles = table[table["kind"] == "role"]
    shares = roles.groupby(["name", "layers"])["on_track"].mean()
    name, layers = shares.index[int(shares.to_numpy().argmax())]
    return {"token": name, "layers": list(layers), "on_track": float(shares.max())}


def _summarise_looks(table: UntypedTable, token: str) -> dict[str, Any]:
    """Summarise a token's looks: shares with intervals and chances, and the number of questions."""
    rows = table[table["name"] == token]
    # An untrained organism answers nothing right; there is no share of no questions.
    if rows.empty:
        return {"questions": 0}
    figures = {
        figure: {**_summarise_share(rows[figure]), "chance": float(rows[f"chance_{figure}"].mean())}
        for figure in LOOK_FIGURES
    }
    return {**figures, "questions": len(rows)}


def _tabulate(table: UntypedTable, depth: int) -> dict[str, dict[str, list[float]]]:
    """List for each token, by layer: its shares on the track and in the span, its activation."""
    means = table.groupby(["name", "layers"])[["on_track", "in_span", "activation"]].mean()
    return {
        str(name): {
            figure: [round(float(means.loc[(name, (layer,)), figure]), 4) for layer in range(depth)]
            for figure in means.columns
        }
        for name in dict.fromkeys(table["name"])
    }


def _summarise_answers(table: UntypedTable) -> dict[str, dict[str, Any]]:
    kinds = {str(kind): rows["right"] for kind, rows in table.groupby("kind")}
    polar = table["answer"].isin(["Yes", "No"])
    # A caption is right only to the letter, which none is; it would hide the other open questions.
    described = table["kind"] == "describe"
    kinds["open questions"] = table[~polar & ~described]["right"]
    # A world may have styles of questions and groups of clips; one of a single value says nothing.
    known = {"clip", "kind", "answer", "action", "right"}
    for column in (name for name in table.columns if name not in known):
        groups = table[~described].groupby(column)["right"]
        if len(groups) > 1:
            kinds |= {f"{column}: {value}": right for value, right in groups}
    return {
        kind: {**_summarise_share(right), "questions": len(right)} for kind, right in kinds.items()
    }


def _summarise_share(right: UntypedTable) -> dict[str, Any]:
    """Compute the share of trials that went right, and its 95 % interval."""
    values = np.asarray(right, dtype=float)
    return {"share": float(values.mean()), "interval": bootstrap_interval(values)}

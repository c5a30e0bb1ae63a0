"""The organism's exam: are its answers right, and does a token look at what it answers about?

Token and layers are chosen on shapes-val and reported on another benchmark, beside chance and
beside a control in which each question is asked about another clip.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from probe.engine.model import VideoLM
from probe.metrics import bootstrap_interval
from probe.organism.benchmark import SHAPES_VAL, Benchmark
from probe.organism.network import vocabulary
from probe.organism.scores import Window, answers, looks

CHOSEN_ON = 150
"""Cases of shapes-val that token and layers are chosen on."""

Table: TypeAlias = Any
"""A pandas table; its published types do not follow selections."""

LOOKS = {
    "on_track": "strongest cell on the true track",
    "in_span": "strongest cell in the true span",
    "track": "right one of the true tracks",
}
"""What is asked of a token's look."""


def examine(model: VideoLM, benchmark: Benchmark, clips: int) -> dict[str, Any]:
    """Shares with 95 % bootstrap intervals, on the first clips of a benchmark.

    `accuracy` by kind of question, open questions as a whole among them; `chosen_on_val`: the
    role token and layers that look best; `looks`: where these look on questions answered right;
    `control`: the same with each question asked about another clip; `table`: all tokens by layer.
    """
    windows = [tuple(range(*ends)) for ends in combinations(range(model.depth + 1), 2)]
    chosen = _best(looks(model, list(SHAPES_VAL.cases(min(clips, CHOSEN_ON))), windows=windows))
    cases, window = list(benchmark.cases(clips)), tuple(chosen["layers"])
    layers = [(layer,) for layer in range(model.depth)]
    table = looks(model, cases, windows=list(dict.fromkeys([*layers, window])))
    control = looks(model, cases, shown=[*cases[1:], cases[0]], windows=[window])
    return {
        "accuracy": _accuracy(answers(model, benchmark.seed, clips)),
        "chosen_on_val": chosen,
        "looks": _summed(_through(table[table["right"]], window), chosen["token"]),
        "control": _summed(control, chosen["token"]),
        "table": _table(table, model.depth),
    }


def knows_shapes(model: VideoLM) -> bool:
    """Whether a model is an organism: it speaks the words of their world and no others."""
    return model.network.processor.tokenizer.get_vocab() == vocabulary()


def _through(table: Table, window: Window) -> Table:
    """The looks through one set of layers."""
    return table[np.array([layers == window for layers in table["layers"]], dtype=bool)]


def exam_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The exam for the screen."""
    for kind, one in found["accuracy"].items():
        low, high = one["interval"]
        yield f"answers  {kind:34} {one['share']:.2f}  [{low:.2f}, {high:.2f}]"
    chosen = found["chosen_on_val"]
    layers = ", ".join(map(str, chosen["layers"]))
    yield f"looks of {chosen['token']!r} at layers {layers} (chosen on shapes-val)"
    if not found["looks"]["questions"]:
        yield "looks    none to speak of: no question was answered right"
    for figure, means in LOOKS.items():
        if one := found["looks"].get(figure):
            (low, high), other = one["interval"], found["control"][figure]["share"]
            yield (
                f"looks    {means:34} {one['share']:.2f}  [{low:.2f}, {high:.2f}]"
                f"  chance {one['chance']:.2f}, another clip {other:.2f}"
            )


def _best(table: Table) -> dict[str, Any]:
    """The role token and layers whose peak lies on the true track most often."""
    roles = table[table["kind"] == "role"]
    shares = roles.groupby(["name", "layers"])["on_track"].mean()
    name, layers = shares.index[int(shares.to_numpy().argmax())]
    return {"token": name, "layers": list(layers), "on_track": float(shares.max())}


def _summed(table: Table, token: str) -> dict[str, Any]:
    """Shares and intervals of a token's looks, and how many questions they are of."""
    rows = table[table["name"] == token]
    if rows.empty:
        return {"questions": 0}
    figures = {
        figure: {**share(rows[figure]), "chance": float(rows[f"chance_{figure}"].mean())}
        for figure in LOOKS
    }
    return {**figures, "questions": len(rows)}


def _table(table: Table, depth: int) -> dict[str, dict[str, list[float]]]:
    """For each token, by layer: how often its peak is on the track, and its visual activation."""
    means = table.groupby(["name", "layers"])[["on_track", "in_span", "activation"]].mean()
    return {
        str(name): {
            figure: [round(float(means.loc[(name, (layer,)), figure]), 4) for layer in range(depth)]
            for figure in means.columns
        }
        for name in dict.fromkeys(table["name"])
    }


def _accuracy(table: Table) -> dict[str, dict[str, Any]]:
    kinds = {str(kind): rows["right"] for kind, rows in table.groupby("kind")}
    polar = table["answer"].isin(["Yes", "No"])
    described = table["kind"] == "describe"
    kinds["open questions"] = table[~polar & ~described]["right"]
    return {kind: {**share(right), "questions": len(right)} for kind, right in kinds.items()}


def share(right: Table) -> dict[str, Any]:
    """How many of a column of trials went right, and the interval of that."""
    values = np.asarray(right, dtype=float)
    return {"share": float(values.mean()), "interval": bootstrap_interval(values)}

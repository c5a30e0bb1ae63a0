"""Which choices suit a model: `BEST` is what does best on shapes-val, one choice after the other.

    python analyses/choices.py              draw from the stored numbers (seconds)
    python analyses/choices.py --measure    measure them again (two CPU cores, seven minutes)

Starting from the preset `plain`, each choice is set to the option with the highest m_vIoU while
the others stay as they are; token and layers are chosen a second time, since they hang together.
Tokens are role tokens, the paper's candidates: only these have a like in the generic prompt.
Nothing is reported on these clips: what the choices are worth stands in `components.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common import BLUE, ORANGE, Claim, Numbers, create_figure, draw_dots, finish_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig
from tables import Comparison, score_configs

from probe.grounding.config import PLAIN
from probe.grounding.span_rules import BestContrast, GrowFromPeak, TopHull
from probe.interpret.token_rules import AllOf, Fixed, MostActive

TOKENS = {
    "most active role token": MostActive(),
    "all role tokens": AllOf(),
    **{f"role token {index}": Fixed(index) for index in range(-5, 0)},
}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "token": TOKENS,
    "relative": {"over the generic prompt's": True, "raw": False},
    "ask_whole": {"its part of the query": False, "the whole query": True},
    "span": {
        "top 7 of 20": TopHull(),
        "grow to 11 of 20": GrowFromPeak(),
        "best contrast": BestContrast(),
    },
}
"""By field of `GrounderConfig`; the first of each is what `PLAIN` has."""

ORDER = ("token", "layers", "relative", "ask_whole", "token", "layers", "span")

TITLES = {
    "token": "token",
    "layers": "layers averaged",
    "relative": "map",
    "ask_whole": "final map read with",
    "span": "span",
}


def measure(measurement: Measurement) -> Numbers:
    """m_vIoU of every option the last time it was tried, and what was chosen."""
    options = {**OPTIONS, "layers": windows(measurement.model.depth)}
    protocol = measurement.dataset.protocol
    config, tried, tables, chosen = PLAIN, [], {}, {}
    for choice in ORDER:
        configs = {
            name: replace(config, **{choice: option}) for name, option in options[choice].items()
        }
        records = measurement.each(
            lambda model, case, configs=configs: score_configs(model, case, configs, protocol)
        )
        tried.append(records)
        tables[choice] = Comparison.of(records, protocol).table()
        chosen[choice] = max(tables[choice], key=lambda name: tables[choice][name]["m_viou"])
        config = configs[chosen[choice]]
    return {
        **measurement.provenance(*tried),
        "protocol": protocol,
        "tables": tables,
        "chosen": chosen,
    }


def windows(depth: int) -> dict[str, tuple[int, ...] | None]:
    """All layers, each layer, and runs of two and three."""
    runs = [tuple(range(a, a + long)) for long in (1, 2, 3) for a in range(depth - long + 1)]
    return {"all": None, **{", ".join(map(str, run)): run for run in runs}}


def draw(numbers: Numbers) -> Figure:
    """m_vIoU of each option with its interval, choice by choice; what was chosen in another hue."""
    figure = create_figure(8.6, 4.2)
    places: Any = [["token", "layers", last] for last in ("relative", "ask_whole", "span")]
    for choice, axes in figure.subplot_mosaic(places, sharex=True).items():
        _draw_choice(axes, numbers["tables"][choice], numbers["chosen"][choice])
        axes.set_title(TITLES[choice])
    return finish_figure(figure, numbers)


def _draw_choice(axes: Axes, table: Numbers, chosen: str) -> None:
    rows = {
        name: {"mean": row["m_viou"], "interval": row["m_viou_interval"]}
        for name, row in table.items()
    }
    draw_dots(axes, rows, BLUE)
    best = rows[chosen]["mean"]
    axes.plot([best], [list(rows).index(chosen)], "o", ms=6, color=ORANGE, zorder=3)
    axes.set(xlabel="m_vIoU", xlim=(0, None))


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-val", clips=60))

if __name__ == "__main__":
    CLAIM.run()

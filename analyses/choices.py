"""The choices that suit the organism: a role token, layers 2 and 3, raw maps; they make `BEST`.

    python analyses/choices.py              draw from the stored numbers (seconds)
    python analyses/choices.py --measure    measure them again (one CPU core, three minutes)

Starting from the preset `plain`, each choice is set to the option with the highest m_vIoU while
the others keep their value; token and layers are chosen a second time, since each depends on the
other. Tokens are role tokens, the paper's candidates: only these occur in the generic prompt too.
The scores on these clips (shapes-val) served to choose and are no result; `components.py` reports.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common import BLUE, ORANGE, Claim, Numbers, create_figure, draw_dots, finish_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig
from tables import Comparison, score_configs

from probe.grounding.presets import PLAIN
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
"""Options by field of `GrounderConfig`; the first of each is the value of `PLAIN`."""

# Later choices are made with the earlier ones in place; token and layers once more at the end.
CHOICE_ORDER = ("token", "layers", "relative", "ask_whole", "token", "layers", "span")

CHOICE_TITLES = {
    "token": "token",
    "layers": "layers averaged",
    "relative": "map",
    "ask_whole": "final map read with",
    "span": "span",
}


def measure(measurement: Measurement) -> Numbers:
    """Measure m_vIoU of every option the last time it was tried, and choose the best ones."""
    options = {**OPTIONS, "layers": layer_windows(measurement.model.depth)}
    protocol = measurement.dataset.protocol
    config, tried, tables, chosen = PLAIN, [], {}, {}
    for choice in CHOICE_ORDER:
        configs = {
            name: replace(config, **{choice: option}) for name, option in options[choice].items()
        }
        records = measurement.measure_cases(
            # The default binds this round's configurations: a closure would see the last round's.
            lambda model, case, configs=configs: score_configs(model, case, configs, protocol)
        )
        tried.append(records)
        tables[choice] = Comparison.from_records(records, protocol).table()
        chosen[choice] = max(tables[choice], key=lambda name: tables[choice][name]["m_viou"])
        config = configs[chosen[choice]]
    return {
        **measurement.provenance(*tried),
        "protocol": protocol,
        "tables": tables,
        "chosen": chosen,
    }


def layer_windows(depth: int) -> dict[str, tuple[int, ...] | None]:
    """Return all layers, each layer, and windows of two and three layers, by name."""
    runs = [tuple(range(a, a + long)) for long in (1, 2, 3) for a in range(depth - long + 1)]
    return {"all": None, **{", ".join(map(str, run)): run for run in runs}}


def draw(numbers: Numbers) -> Figure:
    """Draw m_vIoU of each option with its interval, choice by choice; the chosen one in orange."""
    figure = create_figure(8.6, 4.2)
    places: Any = [["token", "layers", last] for last in ("relative", "ask_whole", "span")]
    for choice, axes in figure.subplot_mosaic(places, sharex=True).items():
        _draw_choice(axes, numbers["tables"][choice], numbers["chosen"][choice])
        axes.set_title(CHOICE_TITLES[choice])
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

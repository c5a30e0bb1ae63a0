"""A probe names what it was never taught from one token, unless the model was not taught it either.

    python analyses/concepts.py          draw from the stored numbers (seconds)
    python analyses/concepts.py --measure --held-out DIR/checkpoint --rival DIR/checkpoint

Protocol, written on 26 November 2026 before a number of these clips was looked at, and not changed
after:

- *Samples.* The state of the visual token that a thing covers most, entering a decoder layer, in
  two random frames in which the thing acts. Learned on 500 clips drawn for this page (seed
  611,777); named on the first 250 clips of shapes-report-2. No question is asked.
- *Classes.* 168 triples of colour, shape and action. In each of ten splits another 40 are held
  out; every colour, shape and action stays in some class that is taught. Attributes are one-hot.
- *Recipe.* `STATES`, whose constants come from a first look at other clips, for all rows.
- *Rows.* Stage A alone; prototypes without mixing, with plain mixup, with placeholders. Then
  placeholders on the pixels of the cell, on the states of random weights, with attributes
  that are shuffled among classes, and with the model's own embeddings of words as attributes.
- *Figures.* T1, U, S and H; the mean over splits with its interval over splits. All splits share
  clips and model, so the interval is not one over other clips or other models. The tested
  differences are those of H between placeholders and the rows before them, paired by split.
- *Layers.* H of placeholders at each layer, three splits, for pairs of factors and for triples, a
  quarter of the classes held out.
- *Unseen by the model, too.* Two organisms that only learned to see (600 steps on frames, no
  decoder), one of them raised without four pairs of colour and shape. These four are held out for
  both, and for the shipped model, whose recipe is longer; five seeds of the probe, at the input of
  the decoder. One organism each is an anecdote.

The two organisms, with no decoder that was trained, are those of

    probe train-organism --frame-steps 600 --clip-steps 0 --steps 0 --out RIVAL
    probe train-organism --frame-steps 600 --clip-steps 0 --steps 0 --out HELD-OUT \
        --without red cross green triangle blue square yellow circle
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
from common import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    Claim,
    ClaimOptions,
    Numbers,
    Summary,
    apply_holm,
    compare_paired,
    create_figure,
    draw_dots,
    draw_line,
    errors_in_one_line,
    finish_figure,
    read_command_line,
    summary,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig, Records
from torch import Tensor
from tyro.conf import arg

from probe.engine.model import VideoLM, load
from probe.files import read_json, write_json
from probe.metrics.zero_shot import zero_shot_report
from probe.organism.benchmark import SHAPES_REPORT_2
from probe.organism.network import make_network, save_checkpoint
from probe.organism.world import make_clip
from probe.trained.concepts.attributes import ClassAttributes, embed_factors, encode_factors
from probe.trained.concepts.concept_probe import ConceptProbe
from probe.trained.concepts.mixing import Mixup, NoMixing
from probe.trained.concepts.recipes import STATES
from probe.trained.concepts.shapes import ShapeClasses, ShapeStates, collect_shapes

LEARNED_CLIPS, LEARNED_SEED = 500, 611_777
SPLITS, LAYER_SPLITS, SEEDS = 10, 3, 5
TRIPLES = ShapeClasses(("colour", "shape", "action"))
HELD_OUT_TRIPLES = 40
LAYER = 4

KINDS = {
    "colour, shape, action": TRIPLES,
    "colour, shape": ShapeClasses(("colour", "shape")),
    "colour, action": ShapeClasses(("colour", "action")),
    "shape, action": ShapeClasses(("shape", "action")),
}
"""Kinds of class whose composition is followed through the layers."""

WITHOUT = (("red", "cross"), ("green", "triangle"), ("blue", "square"), ("yellow", "circle"))
"""The pairs that one organism was raised without."""

RECIPES = {
    "prototypes": STATES.with_mixing(NoMixing()),
    "mixup": STATES.with_mixing(Mixup()),
    "placeholders": STATES,
}
"""The rows that are learned, by the rule of mixing."""

SEMANTIC = "semantic stage alone"
PLACEHOLDERS = "placeholders"
FIGURES = ("t1", "unseen", "seen", "harmonic")
SHOWN = {"harmonic": "H", "unseen": "U, unseen classes", "seen": "S, seen classes"}
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples to learn from, and samples to name."""

    learned: ShapeStates
    named: ShapeStates

    @classmethod
    def collect(cls, model: VideoLM, clips: int, path: Path, layer: int | None = None) -> "Samples":
        """Read the states of all clips, or those that an earlier run kept under a path."""
        layers = None if layer is None else [layer]
        learned = (make_clip((LEARNED_SEED, index)) for index in range(LEARNED_CLIPS))
        named = (case.clip for case in SHAPES_REPORT_2.cases(clips))
        return cls(
            _collect(model, learned, layers, path / "learned.safetensors"),
            _collect(model, named, layers, path / "named.safetensors"),
        )


def _collect(
    model: VideoLM, clips: Iterator[Any], layers: list[int] | None, path: Path
) -> ShapeStates:
    if path.is_file():
        return ShapeStates.load(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = collect_shapes(model, clips, layers)
    found.save(path)
    return found


def remember(path: Path, measure: Callable[[], Numbers]) -> Numbers:
    """Measure something, or read what an earlier run measured and wrote to the same file."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, measure())
    return read_json(path)


@dataclass(frozen=True, eq=False)
class Task:
    """Samples of some classes, part of which is not taught, and what is said of each class."""

    samples: Samples
    classes: ShapeClasses
    seen: Tensor
    attributes: ClassAttributes
    seed: int
    read: Callable[[ShapeStates], Tensor]
    """Takes the vectors that are read from the samples."""

    def learn(self, recipe: Any) -> ConceptProbe:
        """Learn a probe."""
        learned = self.samples.learned
        return ConceptProbe.learn(
            self.read(learned),
            self.classes.label(learned.factors),
            self.attributes,
            self.seen,
            replace(recipe, seed=self.seed),
        )

    def report(self, scores: Tensor) -> Numbers:
        """Compute the figures of the scores of the samples that are named."""
        classes = self.classes.label(self.samples.named.factors)
        return zero_shot_report(scores, classes, self.seen).to_dict()

    def measure(self, recipe: Any) -> Numbers:
        """Learn a probe and compute its figures."""
        return self.report(self.learn(recipe).scores(self.read(self.samples.named)))


def read_layer(layer: int) -> Callable[[ShapeStates], Tensor]:
    """Return the reader of one layer's states."""
    return partial(ShapeStates.at, layer=layer)


def read_pixels(samples: ShapeStates) -> Tensor:
    """Return the pixels of the cells."""
    return samples.pixels


def make_task(samples: Samples, kind: ShapeClasses, held: int, split: int, layer: int) -> Task:
    """Make the task of one split at a layer, with one-hot attributes."""
    seen = kind.hold_out(held, np.random.default_rng((split, held)))
    attributes = encode_factors(kind.combinations)
    return Task(samples, kind, seen, attributes, split, read_layer(layer))


def measure_split(task: Task, random: Samples, words: ClassAttributes) -> Numbers:
    """Measure all rows of one split."""
    probes = {name: task.learn(recipe) for name, recipe in RECIPES.items()}
    vectors = task.read(task.samples.named)
    # Stage A is the same in all three: it comes before the rule of mixing.
    rows = {SEMANTIC: task.report(probes[PLACEHOLDERS].semantic_scores(vectors))}
    rows |= {name: task.report(one.scores(vectors)) for name, one in probes.items()}
    order = np.random.default_rng((task.seed, 1)).permutation(len(task.attributes)).tolist()
    controls = {
        "attributes: embeddings": replace(task, attributes=words),
        "pixels of the cell": replace(task, read=read_pixels),
        "random weights": replace(task, samples=random),
        "attributes: shuffled": replace(task, attributes=task.attributes.permuted(order)),
    }
    return rows | {name: control.measure(STATES) for name, control in controls.items()}


def summarise(reports: list[Numbers]) -> dict[str, Summary]:
    """Summarise each figure over splits or seeds; all values are kept for the dots."""
    return {
        name: {**summary(values), "values": values}
        for name in FIGURES
        for values in [[one[name] for one in reports]]
    }


def measure_table(samples: Samples, random: Samples, words: ClassAttributes, keep: Path) -> Numbers:
    """Measure the rows at `LAYER`, and the tested differences."""
    tasks = [make_task(samples, TRIPLES, HELD_OUT_TRIPLES, one, LAYER) for one in range(SPLITS)]
    found = [
        remember(keep / f"split-{one.seed}.json", partial(measure_split, one, random, words))
        for one in tasks
    ]
    table = {name: summarise([one[name] for one in found]) for name in found[0]}
    best = table[PLACEHOLDERS]["harmonic"]["values"]
    tests = [
        {"over": PLACEHOLDERS, "under": name}
        | compare_paired(best, table[name]["harmonic"]["values"])
        for name in (SEMANTIC, "prototypes", "mixup")
    ]
    return {"table": table, "differences": apply_holm(tests)}


def measure_layers(samples: Samples, keep: Path) -> Numbers:
    """Measure placeholders at each layer for each kind of class."""
    found: Numbers = {name: {} for name in KINDS}
    for (name, kind), layer in product(KINDS.items(), samples.learned.layers):
        tasks = [
            make_task(samples, kind, len(kind.names) // 4, split, layer)
            for split in range(LAYER_SPLITS)
        ]
        found[name][str(layer)] = remember(
            keep / f"layer-{layer}-{'-'.join(kind.factors)}.json", partial(measure_tasks, tasks)
        )
    return found


def measure_tasks(tasks: list[Task]) -> Numbers:
    """Measure placeholders on some tasks, and summarise over them."""
    return summarise([one.measure(STATES) for one in tasks])


def measure_without(samples: Samples) -> Numbers:
    """Measure placeholders at the decoder's input where the four pairs are held out."""
    kind = KINDS["colour, shape"]
    seen = torch.tensor([one not in WITHOUT for one in kind.combinations])
    task = replace(make_task(samples, kind, len(WITHOUT), 0, 0), seen=seen)
    return measure_tasks([replace(task, seed=seed) for seed in range(SEEDS)])


@dataclass(frozen=True)
class ConceptsOptions(ClaimOptions):
    """Draw the figure of this claim from its stored numbers; measure them first with --measure."""

    held_out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Checkpoint of the organism that was raised without four pairs."""

    rival: Annotated[Path | None, arg(metavar="DIR")] = None
    """Checkpoint of the organism of the same recipe that was raised with all."""

    keep: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for states and parts of the numbers, from which a run that was stopped goes on."""


def measure_all(options: ConceptsOptions) -> Numbers:
    """Measure the table, the layers and the organisms."""
    with TemporaryDirectory() as temporary:
        return measure_in(options, options.keep or Path(temporary))


def measure_in(options: ConceptsOptions, keep: Path) -> Numbers:
    """Measure all, with states and parts of the numbers in a folder."""
    others = open_organisms(options)  # first: a wrong folder is found at once, and not at the end
    measurement, clips = options.config.open(), options.config.clips
    samples = Samples.collect(measurement.model, clips, keep / "shipped")
    save_checkpoint(make_network(0), keep / "untrained")
    untrained = load(str(keep / "untrained"), dtype="float32")
    random = Samples.collect(untrained, clips, keep / "random", LAYER)
    view = measurement.model.watch(SHAPES_REPORT_2.case(0).clip.video())
    words = embed_factors(view, TRIPLES.combinations)
    return {
        **_describe(measurement),
        "learned": {"clips": LEARNED_CLIPS, "samples": len(samples.learned)},
        "named": {"clips": clips, "samples": len(samples.named)},
        "splits": SPLITS,
        "layer": LAYER,
        **measure_table(samples, random, words, keep),
        "layers": measure_layers(samples, keep),
        "without": {
            **measure_organisms(others, clips, keep),
            "shipped model": remember(
                keep / "shipped" / "numbers.json", partial(measure_without, samples)
            ),
        },
    }


def open_organisms(options: ConceptsOptions) -> dict[str, VideoLM]:
    """Open the organisms that were raised without the pairs, and with them, if they are given."""
    given = {"raised without them": options.held_out, "raised with them": options.rival}
    return {
        name: load(str(path), dtype="float32") for name, path in given.items() if path is not None
    }


def measure_organisms(others: Mapping[str, VideoLM], clips: int, keep: Path) -> Numbers:
    """Measure the organisms that were raised without the pairs, and with them."""
    found: Numbers = {}
    for name, model in others.items():
        place = keep / name.replace(" ", "-")
        samples = Samples.collect(model, clips, place, 0)
        found[name] = remember(place / "numbers.json", partial(measure_without, samples))
    return found


def _describe(measurement: Measurement) -> Numbers:
    nothing: Records[Any] = Records((), {})
    return measurement.provenance(nothing)


def draw(numbers: Numbers) -> Figure:
    """Draw the table, H layer by layer, and the organisms that were raised with and without."""
    figure = create_figure(9.6, 3.8)
    table, layers, without = figure.subplots(1, 3, width_ratios=(1.1, 1, 0.8))
    _draw_table(table, numbers["table"])
    held = f"{HELD_OUT_TRIPLES} of {len(TRIPLES.names)} triples held out"
    table.set(xlabel=f"{held}, layer {numbers['layer']}")
    for (name, by_layer), colour in zip(numbers["layers"].items(), COLOURS, strict=True):
        found = [one["harmonic"] for one in by_layer.values()]
        draw_line(layers, [int(one) for one in by_layer], found, label=name, color=colour)
    layers.set(ylim=(0, 1.02), xlabel="states entering layer", ylabel="H, a quarter held out")
    layers.set_xticks([int(one) for one in next(iter(numbers["layers"].values()))])
    _draw_table(without, numbers["without"])
    without.set(xlabel="four pairs held out, layer 0")
    for axes in (table, layers):
        axes.legend(fontsize=6, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return finish_figure(figure, numbers)


def _draw_table(axes: Axes, rows: Numbers) -> None:
    """Draw H, U and S of each row."""
    for place, (name, label) in enumerate(SHOWN.items()):
        found = {row: one[name] for row, one in rows.items()}
        draw_dots(axes, found, COLOURS[place], label=label, lower=0.22 * (place - 1))
    axes.set(xlim=(0, 1))


# No `measure`: `all.py --measure` has no organisms to compare.
CLAIM = Claim(
    __file__,
    draw,
    config=MeasurementConfig(data="shapes-report-2", clips=250),
    only_shapes="the classes are those of the shapes",
)


def main() -> None:
    """Measure if the command line asks for it, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(ConceptsOptions(CLAIM.config), CLAIM.name)
        if options.measure:
            options.check(CLAIM.config)
            if options.out is None and (options.held_out is None or options.rival is None):
                raise ValueError(
                    "the committed numbers compare organisms; give --held-out, --rival"
                )
            torch.set_num_threads(1)  # the layers are too small to be shared among threads
            CLAIM.store(measure_all(options), options.out)
            CLAIM.redraw(options.out)
        else:
            CLAIM.follow(options)


if __name__ == "__main__":
    main()

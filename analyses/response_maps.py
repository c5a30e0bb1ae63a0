"""Sentences alone teach a reader to find the thing in states that attention reads worse.

    python analyses/response_maps.py                         draw from the stored numbers (seconds)
    python analyses/response_maps.py --measure --keep DIR    measure again; a stopped run goes on

Protocol, written on 26 November 2026 before a number of these clips was looked at, and not changed
after:

- *Trained on* 600 clips of a seed that no benchmark has, with the sentence about each thing; on
  frames in which the thing acts. The model is frozen; its states enter layer 4. Several seeds of
  the weights and draws (`--seeds`), 2,000 steps of 32 frames, the preset `VIDEO`.
- *Chosen on* 100 clips of shapes-val, in two steps. First, without the anchor term: 0.82 of the
  strongest cells lay on the true object, and 0.82 on the first 500 clips of shapes-report-2, with
  one seed. Most of the others lay on the next cell. So the anchor term of the released code, which
  pulls a map to a proposal, was added: 1.00 on shapes-val. Nothing else was tried.
- *Reported on* the last 500 clips of shapes-report-2, which nothing of this page had seen: the
  queried thing, and of the frames that the model sees the middle one of those in which it acts.
- *Figures.* The strongest cell of the frame is on the true object (covered by more than 0.1); the
  object with the strongest cell inside it, weighted by coverage, is the true one; IoU of the cells
  above half the peak with those on the true object. Rivals' maps have no zero: their least value
  in the frame is taken off for the last two.
- *Rivals.* Word lens at layer 4, all content words of the query; attention, the look of `BEST`
  for the attribute part; cause, `CausalEffect` among the true tracks (it has no map: right object
  alone); chance.
- *Rows.* The preset: classification, shrinking and anchor, proposed tracks. Without the anchor,
  without shrinking, without both (classification alone, which needs no proposals); with
  disambiguation, as the paper prints it; the referring module without its cues; true proposals for
  proposed ones; any frame, so that time is no label; the released code's forms; the states of the
  same network with random weights, to tell what the reader adds by itself; and the first row
  without the stored bank, as the released code is at test time. Each stage.
- *Whole clips.* The method `responses` of `probe evaluate` with the maps of each seed, next to
  `CAUSAL`, `BEST` and the word lens; the same proposed tracks.
- *Statistics.* Means with 95 % intervals that resample seeds, then clips. Tested differences are
  paired over clips, means over seeds; Holm's correction over all of them. Direction: the first row
  above lens and attention and above each row that lacks something. All is told as it comes out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeAlias

import numpy as np
import torch
from common import (
    BLUE,
    GREY,
    ORANGE,
    Claim,
    ClaimOptions,
    Numbers,
    apply_holm,
    compare_paired,
    create_figure,
    describe_tests,
    draw_dots,
    draw_tests,
    errors_in_one_line,
    finish_figure,
    read_command_line,
    summarise_share,
    summary,
)
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig, Records
from tables import score_methods
from torch import Tensor
from tyro.conf import arg

from probe.engine.model import VideoLM, load
from probe.engine.view import View
from probe.evaluation.methods import METHODS, RESPONSES, Grounding, Method, find_content_words
from probe.files import read_json, write_json
from probe.grounder import look
from probe.grounding.cues import split_cues
from probe.grounding.presets import BEST, CAUSAL
from probe.grounding.track_rules import CausalEffect, score_tracks
from probe.interpret.word_lens import word_lens
from probe.organism.network import make_network, save_checkpoint
from probe.trained.responses.examples import any_frame
from probe.trained.responses.learned import Learned
from probe.trained.responses.losses import (
    Loss,
    anchor_loss,
    disambiguation_loss,
    normalise_maps,
    shrinking_loss,
)
from probe.trained.responses.presets import RELEASED_CODE, VIDEO, Term
from probe.trained.responses.responses import Responses
from probe.trained.responses.shapes import describe_shapes, find_proposed, find_true
from probe.trained.responses.training import ResponseRecipe, train_responses

LAYER = 4
TRAINING_CLIPS = 600
RESAMPLES = 2000

FULL, BANKLESS = "preset", "preset, no bank"
TRUE_PROPOSALS, UNTRAINED = "true proposals", "untrained model"
"""Rows of another way to propose, and of another model: the same network with random weights."""

Change: TypeAlias = Callable[[ResponseRecipe], ResponseRecipe]


def _leave_out(*losses: Loss) -> Change:
    """Leave terms out of the loss."""
    terms = tuple(term for term in VIDEO.terms if term.loss not in losses)
    return lambda recipe: replace(recipe, config=replace(recipe.config, terms=terms))


def _disambiguate(recipe: ResponseRecipe) -> ResponseRecipe:
    terms = (*VIDEO.terms, Term(1.0, disambiguation_loss))
    return replace(recipe, config=replace(recipe.config, terms=terms))


def _leave_out_cues(recipe: ResponseRecipe) -> ResponseRecipe:
    network = replace(recipe.config.network, sentence_update=0.0)
    return replace(recipe, config=replace(recipe.config, network=network))


def _change_nothing(recipe: ResponseRecipe) -> ResponseRecipe:
    return recipe


def _take_released(recipe: ResponseRecipe) -> ResponseRecipe:
    network = replace(RELEASED_CODE.network, channels=VIDEO.network.channels)
    return replace(recipe, config=replace(RELEASED_CODE, network=network))


VARIANTS: Mapping[str, Change] = {
    FULL: _change_nothing,
    "without anchor": _leave_out(anchor_loss),
    "without shrinking": _leave_out(shrinking_loss),
    "classification alone": _leave_out(anchor_loss, shrinking_loss),
    "with disambiguation": _disambiguate,
    "without cues": _leave_out_cues,
    TRUE_PROPOSALS: _change_nothing,
    "any frame": lambda recipe: replace(recipe, frames=any_frame),
    "released code": _take_released,
    UNTRAINED: _change_nothing,
}
"""The rows that are trained, and their change of the recipe."""

FIGURES = {
    "on_object": "strongest cell on the true object",
    "right": "true object chosen",
    "iou": "IoU at half the peak",
}

RIVALS = {"word lens": tuple(FIGURES), "attention": tuple(FIGURES), "cause": ("right",)}
"""The rivals, and the figures that they have."""

METHOD_ROWS: Mapping[str, Method] = {
    "CAUSAL": Grounding(CAUSAL),
    "BEST": Grounding(BEST),
    "word lens": METHODS["lens"],
}


@dataclass(frozen=True)
class ResponsesOptions(ClaimOptions):
    """Draw the figure of this page from its stored numbers; measure them first with --measure."""

    keep: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder that keeps states, trained maps and what was measured of each clip."""

    seeds: int = 3
    """Number of training seeds."""

    only: tuple[str, ...] = tuple(VARIANTS)
    """The rows to train; the first is always needed."""


def measure_all(options: ResponsesOptions) -> Numbers:
    """Train all rows, and measure them and their rivals on each clip."""
    with TemporaryDirectory() as temporary:
        return measure_in(options, options.keep or Path(temporary))


def measure_in(options: ResponsesOptions, keep: Path) -> Numbers:
    """Measure with what is kept in a folder."""
    measurement = options.config.open()
    untrained = open_untrained(keep / "untrained")
    models = {name: untrained if name == UNTRAINED else measurement.model for name in VARIANTS}
    trained = {
        name: [train(models[name], name, seed, keep) for seed in range(options.seeds)]
        for name in options.only
    }
    trained[BANKLESS] = [one.without_bank() for one in trained[FULL]]

    def measure_kept(model: VideoLM, case: Case) -> Numbers:
        folder = keep / "clips" / case.name.replace("/", "-")
        return measure_case(model, untrained, case, trained, folder)

    return summarise(measurement, measurement.measure_cases(measure_kept), options.seeds)


STATES = {TRUE_PROPOSALS: "states-true", UNTRAINED: "states-untrained"}
"""Folders of states and masks that are not those of the other rows."""


def open_untrained(folder: Path) -> VideoLM:
    """Open the network of the shipped model with random weights."""
    if not folder.exists():
        save_checkpoint(make_network(0), folder)
    return load(str(folder), dtype="float32")


def train(model: VideoLM, name: str, seed: int, keep: Path) -> Responses:
    """Train one row with one seed, unless it is kept."""
    words = name.replace(" ", "-")
    path = keep / f"{words}-{seed}.safetensors"
    if not path.exists():
        rule = find_true if name == TRUE_PROPOSALS else find_proposed
        videos = describe_shapes(TRAINING_CLIPS, proposals=rule)
        recipe = VARIANTS[name](ResponseRecipe(LAYER, cues=split_cues, seed=seed))
        learned = train_responses(
            model,
            videos,
            recipe,
            # Masks are kept with the states, so those of true tracks need a folder of their own.
            states=keep / STATES.get(name, "states"),
            run=keep / f"{words}-{seed}",
            data="shapes",
        )
        learned.save(path)
    return Responses.of(Learned.load(path), path)


def measure_case(
    model: VideoLM,
    untrained: VideoLM,
    case: Case,
    trained: Mapping[str, list[Responses]],
    keep: Path,
) -> Numbers:
    """Measure all rows and rivals on one clip, but for those that a folder keeps."""
    keep.mkdir(parents=True, exist_ok=True)
    view, other = model.watch(case.video), untrained.watch(case.video)
    frame = choose_frame(case)
    methods = {**METHOD_ROWS, **dict(_list_methods(trained[FULL]))}
    rows = {
        name: [
            _keep_or(
                keep / f"{name} {seed}.json",
                lambda maps=maps, seen=other if name == UNTRAINED else view: [
                    point(seen, case, one[frame]) for one in maps.score(seen, case.query)
                ],
            )
            for seed, maps in enumerate(seeds)
        ]
        for name, seeds in trained.items()
    }
    return {
        "rows": rows,
        "rivals": _keep_or(keep / "rivals.json", lambda: measure_rivals(view, case, frame)),
        "methods": {
            name: _keep_or(
                keep / f"method {name}.json",
                lambda name=name, one=one: score_methods(
                    model, case, {name: one}, "hcstvg-official"
                )[name],
            )
            for name, one in methods.items()
        },
    }


def _keep_or(path: Path, compute: Callable[[], Any]) -> Any:
    """Return what is kept in a file, or compute it and keep it."""
    if not path.exists():
        write_json(path, compute())
    return read_json(path)


def _list_methods(seeds: list[Responses]) -> Iterator[tuple[str, Method]]:
    for seed, maps in enumerate(seeds):
        yield f"responses {seed}", Grounding(replace(RESPONSES, maps=maps))


def choose_frame(case: Case) -> int:
    """Choose the middle one of the frames that the model sees while the queried thing acts."""
    inside = [place for place, source in enumerate(case.sampled) if source in case.truth.span]
    if not inside:
        raise ValueError(f"{case.name}: no frame of its span is sampled")
    return inside[len(inside) // 2]


def point(view: View, case: Case, scores: Float[Tensor, " cell"]) -> dict[str, float]:
    """Measure where the map of one frame points; scores may have any sign."""
    cells, frame = view.grid.cells, choose_frame(case)
    inside = cells.inside(case.track)[frame].flatten()
    shares = [torch.from_numpy(cells.coverage(one))[frame].flatten() for one in case.tracks]
    heat = normalise_maps(scores)
    bright = heat > heat.max() / 2
    strongest = [float((heat * share).max()) for share in shares]
    return {
        "on_object": float(inside[scores.argmax()]),
        "right": float(int(np.argmax(strongest)) == 0),
        "iou": float((bright & inside).sum() / (bright | inside).sum()),
    }


def measure_rivals(view: View, case: Case, frame: int) -> Numbers:
    """Measure the rivals on one clip, and chance."""
    lens = word_lens(view, find_content_words(case.query), LAYER).values[frame].flatten()
    where = look(view, BEST.parts(case.queries)[0], BEST)
    seen = where.heatmap.values[frame].flatten()
    effects = score_tracks(CausalEffect(), view, case.queries, where, case.tracks).values
    share = float(view.grid.cells.inside(case.track)[frame].float().mean())
    return {
        "word lens": point(view, case, lens - lens.min()),
        "attention": point(view, case, seen - seen.min()),
        "cause": {"right": float(int(np.argmax(effects)) == 0)},
        # All cells above half of a flat map are bright: its IoU is the share of the object.
        "chance": {"on_object": share, "right": 1 / len(case.tracks), "iou": share},
    }


def summarise(measurement: Measurement, records: Records[Any], seeds: int) -> Numbers:
    """Summarise what was measured of all clips."""
    rows = list(records.values[0]["rows"])
    last = {figure: {row: _collect(records, row, figure, -1) for row in rows} for figure in FIGURES}
    rivals = {
        figure: {
            name: np.array([one["rivals"][name][figure] for one in records])
            for name, figures in RIVALS.items()
            if figure in figures
        }
        for figure in FIGURES
    }
    methods = {
        name: np.array([[one["methods"][name]["m_viou"] for one in records]])
        for name in METHOD_ROWS
    }
    methods["responses"] = np.array(
        [
            [one["methods"][f"responses {seed}"]["m_viou"] for one in records]
            for seed in range(seeds)
        ]
    )
    return {
        **measurement.provenance(records),
        "seeds": seeds,
        "trained": {"clips": TRAINING_CLIPS, "layer": LAYER},
        "table": {
            figure: {
                **{row: summarise_seeds(values) for row, values in last[figure].items()},
                **{name: summarise_rival(values) for name, values in rivals[figure].items()},
            }
            for figure in FIGURES
        },
        "chance": {
            figure: float(np.mean([one["rivals"]["chance"][figure] for one in records]))
            for figure in FIGURES
        },
        "stages": [
            {figure: summarise_seeds(_collect(records, FULL, figure, stage)) for figure in FIGURES}
            for stage in range(VIDEO.network.stages)
        ],
        "whole_clips": {name: summarise_seeds(values) for name, values in methods.items()},
        "tests": _test(last, rivals, methods),
    }


def _collect(records: Records[Any], row: str, figure: str, stage: int) -> np.ndarray:
    """Collect a figure of a row by seed and clip."""
    return np.array([[seed[stage][figure] for seed in one["rows"][row]] for one in records]).T


def summarise_seeds(values: Float[np.ndarray, "seed clip"]) -> Numbers:
    """Return the mean, an interval that resamples seeds and then clips, and the mean by seed."""
    rng = np.random.default_rng(0)
    seeds, clips = values.shape
    means = [
        values[np.ix_(rng.integers(seeds, size=seeds), rng.integers(clips, size=clips))].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "mean": float(values.mean()),
        "interval": [float(low), float(high)],
        "by_seed": [float(one) for one in values.mean(1)],
    }


def summarise_rival(values: Float[np.ndarray, " clip"]) -> Numbers:
    """Return the mean of what was not trained, and its interval: Wilson's for shares."""
    numbers = [float(one) for one in values]
    share = set(numbers) <= {0.0, 1.0}
    found = summarise_share(numbers) if share else summary(numbers)
    return {**found, "by_seed": [found["mean"]]}


def _test(last: Any, rivals: Any, methods: Any) -> list[Numbers]:
    """Test all differences that the protocol names, with one correction."""
    pairs = [
        (figure, FULL, name, last[figure][FULL].mean(0), values)
        for figure in ("on_object", "right")
        for name, values in rivals[figure].items()
    ]
    pairs += [
        ("on_object", FULL, row, last["on_object"][FULL].mean(0), values.mean(0))
        for row, values in last["on_object"].items()
        if row != FULL
    ]
    pairs += [
        ("m_viou", "responses", name, methods["responses"].mean(0), values.mean(0))
        for name, values in methods.items()
        if name != "responses"
    ]
    found = [
        {"figure": figure, "over": over, "under": under, **compare_paired(list(a), list(b))}
        for figure, over, under, a, b in pairs
    ]
    return apply_holm(found)


def draw(numbers: Numbers) -> Figure:
    """Draw the rows with their rivals, each stage, whole clips, and the tested differences."""
    figure = create_figure(9.5, 6.2)
    (top, middle, stages), (iou, whole, tests) = figure.subplots(2, 3)
    for ax, name in ((top, "on_object"), (middle, "right"), (iou, "iou")):
        _draw_rows(ax, numbers["table"][name])
        ax.axvline(numbers["chance"][name], color=GREY, lw=1, ls="--")
        ax.set(xlim=(0, 1), xlabel=f"{FIGURES[name]} (dashed: chance)")
    for name, label in FIGURES.items():
        means = [stage[name]["mean"] for stage in numbers["stages"]]
        stages.plot(range(1, len(means) + 1), means, marker="o", ms=3, label=label)
    stages.set(ylim=(0, 1), xlabel=f"stage, {FULL}", xticks=range(1, len(numbers["stages"]) + 1))
    stages.legend(fontsize=6, frameon=False)
    _draw_rows(whole, numbers["whole_clips"])
    whole.set(xlim=(0, 1), xlabel="m_vIoU of whole clips")
    draw_tests(
        tests,
        {f"{one['figure']}: over {one['under']}": one for one in numbers["tests"]},
    )
    tests.set_xlabel(describe_tests(numbers["tests"]).replace(" (", "\n("))
    return finish_figure(figure, numbers)


def _draw_rows(ax: Axes, rows: Mapping[str, Numbers]) -> None:
    """Draw trained rows blue with a dot for each seed, and rivals orange."""
    draw_dots(ax, rows)
    for place, one in enumerate(rows.values()):
        single = len(one["by_seed"]) == 1
        ax.plot(
            one["by_seed"],
            [place + 0.25] * len(one["by_seed"]),
            ls="",
            marker=".",
            ms=3,
            color=ORANGE if single else BLUE,
            clip_on=False,
        )


CLAIM = Claim(
    __file__,
    draw,
    config=MeasurementConfig(data="shapes-report-2", clips=500, first=500),
    only_shapes="maps are trained on the shapes",
)


def main() -> None:
    """Measure if the command line asks for it, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(ResponsesOptions(CLAIM.config), CLAIM.name)
        if options.measure:
            options.check(CLAIM.config)
            torch.set_num_threads(1)  # the layers are too small to be shared among threads
            CLAIM.store(measure_all(options), options.out)
            CLAIM.redraw(options.out)
        else:
            CLAIM.follow(options)


if __name__ == "__main__":
    main()

"""The organism of things knows what is there and what is done, and hardly which thing does what.

    python analyses/things_answers.py              draw from the stored numbers (seconds)
    python analyses/things_answers.py --measure    measure what is missing (5 minutes of a core)
    python analyses/things_answers.py --measure --model FOLDER --out DIR

About 31 questions a clip in their plain form, as many answered "No" as "Yes"; every word of what is
to be denied is true of something in the clip wherever that is possible. Each is also asked in
another wording, and misspelt, in capitals, in lower case or in the plural: paired differences, with
intervals that draw whole clips. An answer is right to the letter. Rivals: the most frequent answer
to each kind of question (on things-val), the same question about the video of another clip, and
random weights on the first clips.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Claim,
    Numbers,
    Table,
    create_figure,
    draw_dots,
    draw_legend_below,
    draw_level,
    finish_figure,
    summarise_share,
)
from matplotlib.figure import Figure
from measurement import MeasurementConfig
from parts import write_part
from things_runs import (
    NO_SHAPES,
    THINGS_MODEL,
    UNTRAINED,
    Runs,
    ThingsOptions,
    judge_line,
    run_things,
    set_number_type,
)

from probe.datasets.drawn import BENCHMARKS
from probe.metrics import resample_clusters
from probe.organism.benchmark import Benchmark
from probe.organism.questions import QuestionAnswer
from probe.organism.scores import check_answers
from probe.organism.things.questions import make_questions
from probe.organism.things.sentences import misspell

PLAIN, OTHER_WORDING, OTHER_VIDEO = "plain", "another wording", "another clip's video"
RESPELT = ("misspelt", "capitals", "lower case", "plural")
"""Forms of which each question is asked in one."""

CONSTANT = "most frequent answer"

ORGANISM = "organism"

HARD = 1.0
"""Share of hard questions among those to be denied; in training it is 0.8 at most."""

FORMS_DRAW = 5
"""Part of the seed of the choice of wordings, which no other draw of a benchmark has."""

UNTRAINED_CLIPS = 60

POLAR, OPEN, RELATIONS = "yes or no", "open", "relations"

KINDS_OF_RELATIONS = ("relation", "what is there")

WANTED = {POLAR: 0.90, OPEN: 0.80, RELATIONS: 0.75}
"""Least shares of right answers that were asked for, before there was an organism."""

FARTHEST_WORDING, FARTHEST_GROUND = 0.05, 0.10
"""Greatest differences that were asked for: from the plain form, and from the mean."""


def ask_plainly(benchmark: Benchmark, index: int) -> list[QuestionAnswer]:
    """Make the questions about a clip, in their plain form and without captions."""
    clip = benchmark.world.make_clip((benchmark.seed, index))
    rng = np.random.default_rng((benchmark.seed, index, 1))
    asked = make_questions(clip, rng, HARD, paraphrased=0.0)
    # A caption is right only to the letter, which none is.
    return [question for question in asked if question.kind != "describe"]


def word_otherwise(
    question: QuestionAnswer, number: int, rng: np.random.Generator
) -> dict[str, str]:
    """Word a plain question otherwise: in correct spelling, and in one form of `RESPELT`.

    Args:
        question: The question.
        number: Its place among those about the clip, by which the forms take turns.
        rng: Generator of all random choices.
    """
    found = {OTHER_WORDING: question.wordings[int(rng.integers(len(question.wordings)))]}
    plurals = [text for text in question.wordings if text.startswith("Are there any")]
    form = RESPELT[number % len(RESPELT)]
    if form == "plural" and plurals:
        found[form] = plurals[0]
    elif form == "capitals":
        found[form] = question.text.upper()
    elif form == "lower case":
        found[form] = question.text.lower().rstrip("?.")
    elif (text := misspell(question.text, rng)) != question.text:
        found["misspelt"] = text
    return found


def list_questions(benchmark: Benchmark, index: int) -> list[tuple[str, int, QuestionAnswer]]:
    """List all that is asked while a clip is shown: the form, the number, and the question.

    The questions about the clip before it have the form `OTHER_VIDEO`.
    """
    rng = np.random.default_rng((benchmark.seed, index, FORMS_DRAW))
    found = []
    for number, question in enumerate(ask_plainly(benchmark, index)):
        forms = {PLAIN: question.text, **word_otherwise(question, number, rng)}
        found += [
            (form, number, QuestionAnswer(text, question.answer, question.kind))
            for form, text in forms.items()
        ]
    others = ask_plainly(benchmark, (index - 1) % benchmark.size)
    return found + [(OTHER_VIDEO, number, one) for number, one in enumerate(others)]


def measure_part(config: MeasurementConfig, file: Path, *, only_plain: bool = False) -> None:
    """Ask all questions about some clips, and store which answers are right."""
    torch.set_num_threads(1)
    measurement, benchmark = config.open(), BENCHMARKS[config.data]
    rows: dict[str, list[Any]] = {}
    for index in measurement.indices:
        clip = benchmark.world.make_clip((benchmark.seed, index))
        asked = list_questions(benchmark, index)
        if only_plain:
            asked = [one for one in asked if one[0] == PLAIN]
        questions = [question for _, _, question in asked]
        right = check_answers(measurement.model, clip, questions, benchmark.world)
        groups = {**benchmark.world.group(clip), "things": name_count(len(clip.things))}
        for (form, number, question), one in zip(asked, right, strict=True):
            row = {"clip": index, "form": form, "question": number, "right": int(one)}
            for name, value in {**row, "kind": question.kind, "answer": question.answer}.items():
                rows.setdefault(name, []).append(value)
            for name, value in groups.items():
                rows.setdefault(name, []).append(value)
    write_part(file, measurement.provenance(), rows)


def measure_plain_part(config: MeasurementConfig, file: Path) -> None:
    """Ask only the plain questions about some clips."""
    measure_part(config, file, only_plain=True)


def name_count(things: int) -> str:
    """Name the group of a number of things."""
    return next(
        name for name, most in (("3 or 4", 4), ("5 or 6", 6), ("7 or 8", 8)) if things <= most
    )


def find_constants(benchmark: Benchmark) -> dict[str, str]:
    """Find the most frequent answer to each kind of question about the clips of a benchmark."""
    answers: dict[str, Counter[str]] = {}
    for index in range(benchmark.size):
        for question in ask_plainly(benchmark, index):
            answers.setdefault(question.kind, Counter())[question.answer] += 1
    # The first in the alphabet of equally frequent ones, so that no order decides.
    return {
        kind: min(counts, key=lambda one: (-counts[one], one)) for kind, counts in answers.items()
    }


# Summaries


def summarise(found: Numbers, untrained: Numbers, constants: Mapping[str, str]) -> Numbers:
    """Compute shares of right answers by kind, form and group, and judge the wanted lines."""
    rows, random = pd.DataFrame(found["values"]), pd.DataFrame(untrained["values"])
    plain = rows[rows["form"] == PLAIN]
    models = {
        ORGANISM: plain,
        OTHER_VIDEO: rows[rows["form"] == OTHER_VIDEO],
        UNTRAINED: random,
        CONSTANT: plain.assign(
            right=[
                answer == constants.get(kind)
                for kind, answer in zip(plain["kind"], plain["answer"], strict=True)
            ]
        ),
    }
    forms = {
        form: compare_forms(rows, form)
        for form in (OTHER_WORDING, *RESPELT)
        if form in set(rows["form"])
    }
    groups = {
        f"{column}: {value}": compare_group(plain, column, value)
        for column in ("light", "texture", "things")
        for value in sorted(set(plain[column]))
    }
    answers = {name: share_by_kind(table) for name, table in models.items()}
    return {
        **{name: found[name] for name in ("dataset", "first", "cases", "failed", "frames")},
        **{name: found[name] for name in ("model", "weights", "versions")},
        "untrained_clips": untrained["cases"],
        "constants": dict(sorted(constants.items())),
        "answers": answers,
        "forms": forms,
        "groups": groups,
        "lines": judge(answers[ORGANISM], forms, groups),
    }


def share_by_kind(table: Table) -> dict[str, Numbers]:
    """Compute the share of right answers to each kind of question, and to several kinds as one."""
    polar = table["answer"].isin(["Yes", "No"])
    several = {POLAR: polar, OPEN: ~polar, RELATIONS: table["kind"].isin(KINDS_OF_RELATIONS)}
    chosen = {
        **several,
        # All of one kind are yes-or-no questions, or none is; those are listed first.
        **{
            str(kind): table["kind"] == kind
            for kind in dict.fromkeys(
                [*sorted(set(table["kind"][polar])), *sorted(set(table["kind"]))]
            )
        },
    }
    return {
        name: {
            **summarise_share(table["right"][which].to_numpy(float)),
            "questions": int(which.sum()),
        }
        for name, which in chosen.items()
        if which.any()
    }


def compare_forms(rows: Table, form: str) -> Numbers:
    """Compare a form with the plain one of the same questions, with intervals over clips."""
    keys = ["clip", "question"]
    plain = rows[rows["form"] == PLAIN].set_index(keys)["right"]
    other = rows[rows["form"] == form].set_index(keys)
    before = plain.loc[other.index].to_numpy(float)
    after = other["right"].to_numpy(float)
    polar = other["answer"].isin(["Yes", "No"]).to_numpy()
    clips = other.index.get_level_values("clip").to_numpy()
    found = {
        "plain": float(before.mean()),
        "form": float(after.mean()),
        "questions": len(other),
        **mean_over_clips(after - before, clips),
    }
    parts = {POLAR: polar, OPEN: ~polar}
    return found | {
        name: mean_over_clips((after - before)[which], clips[which])
        for name, which in parts.items()
        if which.any()
    }


def mean_over_clips(values: np.ndarray, clips: np.ndarray) -> Numbers:
    """Compute the mean over questions, with an interval that draws whole clips."""
    _, clusters = np.unique(clips, return_inverse=True)

    def resample(weights: np.ndarray) -> np.ndarray:
        return (weights @ values) / weights.sum(1)

    return {"mean": float(values.mean()), "interval": list(resample_clusters(resample, clusters))}


def compare_group(plain: Table, column: str, value: str) -> Numbers:
    """Compare the share of right answers about a group of clips with that about all clips."""
    right, inside = plain["right"].to_numpy(float), (plain[column] == value).to_numpy(float)
    _, clusters = np.unique(plain["clip"], return_inverse=True)

    def resample(weights: np.ndarray) -> np.ndarray:
        within = weights * inside
        count = within.sum(1)
        # A group of which no clip was drawn has no share: that draw is left out.
        share = np.divide(within @ right, count, where=count > 0, out=np.full(len(weights), np.nan))
        return share - (weights @ right) / weights.sum(1)

    share = float(right[inside > 0].mean())
    return {
        "share": share,
        "clips": int(plain["clip"][inside > 0].nunique()),
        "mean": share - float(right.mean()),
        "interval": list(resample_clusters(resample, clusters)),
    }


def judge(
    answers: Mapping[str, Numbers], forms: Mapping[str, Numbers], groups: Mapping[str, Numbers]
) -> dict[str, Numbers]:
    """Judge the lines that were wanted before there was an organism."""
    wording = {OTHER_WORDING: forms[OTHER_WORDING]}
    grounds = {name: one for name, one in groups.items() if not name.startswith("things")}
    return {
        **{name: judge_line(answers[name], least) for name, least in WANTED.items()},
        **{name: judge_line(one, FARTHEST_WORDING, most=True) for name, one in wording.items()},
        **{name: judge_line(one, FARTHEST_GROUND, most=True) for name, one in grounds.items()},
    }


# The figure

MODELS = {ORGANISM: BLUE, CONSTANT: ORANGE, OTHER_VIDEO: GREEN, UNTRAINED: GREY}
"""Rows of the figure, and their colours."""


def draw(numbers: Numbers) -> Figure:
    """Draw right answers by kind with rivals, and what wording and ground change."""
    figure = create_figure(10.4, 5.2)
    mosaic: Any = [["kinds", "forms"], ["kinds", "groups"]]
    axes = figure.subplot_mosaic(mosaic, height_ratios=[1, 2])
    for place, (name, colour) in enumerate(MODELS.items()):
        lower = 0.16 * (place - (len(MODELS) - 1) / 2)
        rows = {kind: numbers["answers"][name].get(kind) for kind in numbers["answers"][ORGANISM]}
        present = {kind: row for kind, row in rows.items() if row is not None}
        if present.keys() == rows.keys():
            draw_dots(axes["kinds"], rows, colour, label=name, lower=lower)
    for row, kind in enumerate(numbers["answers"][ORGANISM]):
        if (least := WANTED.get(kind)) is not None:
            axes["kinds"].plot([least], [row], "|", ms=16, color="black")
    axes["kinds"].set(xlim=(0, 1), xlabel="share of right answers (bar: what was wanted)")
    draw_legend_below(axes["kinds"])
    _draw_changes(axes["forms"], numbers["forms"], FARTHEST_WORDING)
    axes["forms"].set(xlabel="less the plain form of the same questions")
    _draw_changes(axes["groups"], numbers["groups"], FARTHEST_GROUND)
    axes["groups"].set(xlabel="clips of a group less all clips")
    return finish_figure(figure, numbers)


def _draw_changes(axes: Any, changes: Mapping[str, Numbers], farthest: float) -> None:
    draw_dots(axes, changes, BLUE)
    draw_level(axes)
    for end in (-farthest, farthest):
        axes.axvline(end, color=ORANGE, lw=0.8, ls=":")


CLAIM = Claim(
    __file__,
    draw,
    config=MeasurementConfig(data="things-report", clips=400, model=THINGS_MODEL),
    only_shapes=NO_SHAPES,
)


def measure_all(options: ThingsOptions) -> Numbers:
    """Measure what is missing of the organism and of random weights, and sum up."""
    runs, config = Runs.of(CLAIM, options), set_number_type(options.config)
    found = runs.measure(config, runs.name_parts(config, "answers"), measure_part)
    random = runs.make_untrained(config, UNTRAINED_CLIPS)
    untrained = runs.measure(random, runs.name_parts(random, UNTRAINED), measure_plain_part)
    benchmark = BENCHMARKS[config.data]
    return summarise(found, untrained, find_constants(benchmark.chosen_on or benchmark))


def main() -> None:
    """Measure what is missing if the command line asks for it, and draw."""
    run_things(CLAIM, measure_all)


if __name__ == "__main__":
    main()

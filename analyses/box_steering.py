"""Drawing the look into a box makes an open question mean what is there; a cut, yet more often.

    python analyses/box_steering.py              draw from the stored numbers (seconds)
    python analyses/box_steering.py --measure    measure again (one CPU core, fifteen minutes)

"What color is the square?" is asked where two squares differ in colour, so that only the region
says which is meant: the task of ControlMLLM (Wu et al., NeurIPS 2024). Counted is the share of
clips whose answer is the colour of the thing: with nothing done, with the look drawn into the box
of the thing (`probe.steer_to`), into the box of the other square, and on some of the clips into an
empty place of the same form, or by a box in one frame, a point or a scribble. The rivals learn
nothing: all cells outside the region cut from the question, and the look set to the region or made
stronger there by hand. Is the other square still there for the model while its look is drawn to the
first? Steps and their length were chosen on shapes-val: the fewest of those that name the thing
most often. The share of the look in the region is the method's own objective, and no finding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from common import (
    BLUE,
    GREEN,
    ORANGE,
    Claim,
    Numbers,
    apply_holm,
    compare_paired,
    create_figure,
    describe_tests,
    draw_dots,
    draw_legend_below,
    draw_level,
    draw_tests,
    finish_figure,
    summarise_share,
    summary,
)
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig
from torch import Tensor

from probe.engine.interventions import Intervention
from probe.engine.model import VideoLM
from probe.engine.prompts import readable
from probe.engine.readings import yes_minus_no
from probe.engine.view import View
from probe.grounding.box_steering import STEERING_RATE, STEERING_STEPS, Steering, steer_to
from probe.grounding.queries import as_question
from probe.grounding.reattention import Relative
from probe.interpret.cuts import Cut
from probe.interpret.shares import Amplify, SetAttention
from probe.video import Tube

CellMask = Bool[Tensor, "frame row column"]

TRIED = ((2, 0.4), (3, 0.2), (3, 0.4), (5, 0.2))
"""Numbers of steps, and lengths of a step relative to the visual tokens' mean norm, that are tried
on the clips for choosing."""

CHOOSING_CLIPS, FURTHER_CLIPS = 16, 120
"""Clips for choosing; and of the report's clips, those on which further regions are tried."""

FACTOR = 8.0
"""Factor by which the rival makes the look in the region stronger."""

REGIONS = {"thing": "the thing's colour, done to its box", "other": "the same, done to the other's"}
"""The regions, as the figure names them."""

HAND_MADE: Mapping[str, Callable[[CellMask], Intervention]] = {
    "all else cut": lambda region: Cut(cells=~region),
    "look set": lambda region: SetAttention(region.float()),
    f"look times {FACTOR:g}": lambda region: Amplify(FACTOR, cells=region),
}
"""The rivals that change how a question is read, without learning anything."""

STEERED, PLAIN = "steered", "nothing done"

WAYS = (STEERED, *HAND_MADE)


@dataclass(frozen=True)
class Pair:
    """Two things of one shape, and the question that means either."""

    thing: Tube
    other: Tube

    @property
    def colour(self) -> str:
        """The right answer where the thing is meant."""
        return self.thing.label.split()[0]

    @property
    def question(self) -> str:
        """The question, which does not say which of them is meant."""
        return f"What color is the {self.thing.label.split()[1]}?"


def measure(measurement: Measurement) -> Numbers:
    """Measure how often the answer is the thing's colour, by what is done and by region."""
    chosen = _shorten(measurement.for_choosing(), CHOOSING_CLIPS)
    tried = chosen.measure_cases(_try_lengths)
    records = measurement.measure_cases(_measure_ways)
    further = _shorten(measurement, FURTHER_CLIPS).measure_cases(_measure_further)
    found = [one for one in records.values if one]
    elsewhere = [one for one in further.values if one]
    return {
        **measurement.provenance(records, further),
        "asked": {
            "box": len(found),
            "further": len(elsewhere),
            "empty": sum("empty place" in one for one in elsewhere),
        },
        "steps": STEERING_STEPS,
        "rate": STEERING_RATE.share,
        "choosing": _summarise_tried([one for one in tried.values if one]),
        "named": {
            PLAIN: _count([one[PLAIN] for one in found]),
            **{
                way: {region: _summarise_named(found, way, region) for region in REGIONS}
                for way in WAYS
            },
        },
        "tests": _test(found, elsewhere),
        "in_region": {
            region: {
                when: summary([one["in_region"][region][place] for one in found])
                for place, when in enumerate(("before", "after"))
            }
            for region in REGIONS
        },
        "other_seen": {
            way: _count([one["other_seen"][way] for one in found]) for way in (PLAIN, *WAYS)
        },
        "further": {
            name: _count([one[name] for one in elsewhere if name in one])
            for name in dict.fromkeys(name for one in elsewhere for name in one)
        },
    }


def _shorten(measurement: Measurement, clips: int) -> Measurement:
    config = measurement.config
    return replace(measurement, config=replace(config, clips=min(clips, config.clips)))


def find_pair(case: Case) -> Pair | None:
    """Find two things of one shape, the queried one among them if it has a twin; None if none has.

    Things of one shape differ in colour: no two of a clip share both.
    """
    for place, thing in enumerate(case.tracks):
        for other in case.tracks[place + 1 :]:
            if thing.label.split()[1] == other.label.split()[1]:
                return Pair(thing, other)
    return None


def find_empty_place(view: View, case: Case, thing: Tube) -> CellMask | None:
    """Find where a thing's cells come to lie when they are moved alike in all frames.

    Of the moves after which they touch no thing at any time, the longest; None if there is none.
    """
    own = view.grid.cells.inside(thing)
    # Where any thing is in that frame, the asked ones included.
    taken = torch.stack([view.grid.cells.inside(track) for track in case.tracks]).any(0)
    _, rows, columns = own.shape
    moves = product(range(1 - rows, rows), range(1 - columns, columns))
    for move in sorted(moves, key=lambda move: -np.hypot(*move)):
        moved = torch.roll(own, move, dims=(1, 2))
        # Rolled over an edge, cells would come to lie on the other side.
        if _cut_edges(own, move).sum() == own.sum() and not (moved & taken).any():
            return moved
    return None


def _cut_edges(mask: CellMask, move: tuple[int, int]) -> CellMask:
    """Return the part of a mask that stays in the picture when it is moved."""
    (down, right), (_, rows, columns) = move, mask.shape
    return mask[:, max(0, -down) : rows - max(0, down), max(0, -right) : columns - max(0, right)]


def _try_lengths(model: VideoLM, case: Case) -> dict[str, Any] | None:
    """Measure on one clip which answers come out with other steps."""
    if (pair := find_pair(case)) is None:
        return None
    view, tracks = model.watch(case.video), (pair.thing, pair.other)
    return {
        _name_tried(steps, share): [
            _steer(view, pair, track, steps=steps, rate=Relative(share))[1] for track in tracks
        ]
        for steps, share in TRIED
    }


def _steer(view: View, pair: Pair, region: Any, **choices: Any) -> tuple[Steering, bool]:
    """Steer the pair's question to a region, and tell whether the answer is the thing's colour."""
    # The organism's colours are one token each, so the first one is the answer.
    steered = steer_to(view, pair.question, region, max_new_tokens=1, **choices)
    return steered, _names(view, steered.after.logits, pair)


def _names(view: View, logits: Float[Tensor, " word"], pair: Pair) -> bool:
    """Tell whether the first token of an answer is the colour of the thing."""
    (token,) = view.writer.tokenizer.convert_ids_to_tokens([int(logits.argmax())])
    return readable(token) == pair.colour


def _measure_ways(model: VideoLM, case: Case) -> dict[str, Any] | None:
    """Measure on one clip which answers come out of all that is done."""
    if (pair := find_pair(case)) is None:
        return None
    view = model.watch(case.video)
    regions = {
        name: view.grid.cells.inside(track)
        for name, track in zip(REGIONS, (pair.thing, pair.other), strict=True)
    }
    steered = {name: _steer(view, pair, region) for name, region in regions.items()}
    # All that is done by hand, to either region, is read in one pass: none of it changes the video.
    places = list(product(HAND_MADE, REGIONS))
    done = [[HAND_MADE[way](regions[name])] for way, name in places]
    asked = [pair.question] * len(done)
    logits = view.answer_logits(*asked, interventions_per_question=done)
    by_hand = dict(zip(places, logits, strict=True))
    return {
        PLAIN: _names(view, steered["thing"][0].before.logits, pair),
        STEERED: {name: one for name, (_, one) in steered.items()},
        **{
            way: {name: _names(view, by_hand[way, name], pair) for name in REGIONS}
            for way in HAND_MADE
        },
        "in_region": {name: (one.shares[0], one.shares[-1]) for name, (one, _) in steered.items()},
        "other_seen": _see_other(view, steered["thing"][0], regions["thing"], pair),
    }


def _see_other(view: View, steered: Steering, region: CellMask, pair: Pair) -> dict[str, bool]:
    """Tell whether the model still says that the other thing is there, whatever is done."""
    question, ids = as_question(pair.other.label), view.checkpoint.answers
    done: list[list[Intervention]] = [[], *([make(region)] for make in HAND_MADE.values())]
    logits = view.answer_logits(*[question] * len(done), interventions_per_question=done)
    under = view.with_latent(steered.latent).answer_logits(question)
    said = zip((PLAIN, *HAND_MADE, STEERED), torch.cat([logits, under]), strict=True)
    return {way: bool(yes_minus_no(one, ids) > 0) for way, one in said}


def _measure_further(model: VideoLM, case: Case) -> dict[str, bool] | None:
    """Measure on one clip which answers come out of an empty place and of other forms of region."""
    if (pair := find_pair(case)) is None:
        return None
    view = model.watch(case.video)
    # By frame, as a user would draw them, at the frames that the model sees.
    boxes = {frame: pair.thing.interpolated([frame]).boxes[0] for frame in case.sampled}
    middle = case.sampled[len(case.sampled) // 2]
    empty = find_empty_place(view, case, pair.thing)
    further = {
        "box in all frames": pair.thing,
        "box in one frame": {middle: boxes[middle]},
        "point in all frames": {frame: (box[:2] + box[2:]) / 2 for frame, box in boxes.items()},
        "scribble in all frames": {frame: _scribble(box) for frame, box in boxes.items()},
        **({} if empty is None else {"empty place": empty}),
    }
    return {name: _steer(view, pair, region)[1] for name, region in further.items()}


def _scribble(box: np.ndarray) -> np.ndarray:
    """Draw five points from the upper left to the lower right of the middle of a box."""
    quarter = (box[2:] - box[:2]) / 4
    return np.linspace(box[:2] + quarter, box[2:] - quarter, 5)


def _name_tried(steps: int, share: float) -> str:
    return f"{steps} steps of {share:g}"


def _count(answers: Sequence[bool]) -> Numbers:
    """Compute the share of answers that are counted, with its interval."""
    return summarise_share([float(one) for one in answers])


def _summarise_named(found: Sequence[Any], way: str, region: str) -> Numbers:
    return _count([one[way][region] for one in found if region in one[way]])


def _summarise_tried(tried: Sequence[Any]) -> Numbers:
    """Average, for each number and length of steps, the answers to both regions."""
    return {
        name: {
            region: _count([one[name][place] for one in tried])
            for place, region in enumerate(("thing", "other"))
        }
        for name in (_name_tried(*lengths) for lengths in TRIED)
    }


def _test(found: Sequence[Any], further: Sequence[Any]) -> list[Numbers]:
    """Compare steering with what is named next to it, on the clips that have both."""
    thing = [one[STEERED]["thing"] for one in found]
    # Paired, so only on clips in which some place is empty.
    both = [one for one in further if "empty place" in one]
    tests = [
        (PLAIN, thing, [one[PLAIN] for one in found]),
        ("drawn to the other", thing, [one[STEERED]["other"] for one in found]),
        (
            "drawn to an empty place",
            [one["box in all frames"] for one in both],
            [one["empty place"] for one in both],
        ),
        *((way, thing, [one[way]["thing"] for one in found]) for way in HAND_MADE),
    ]
    compared = [
        {"under": name, **compare_paired([*map(float, over)], [*map(float, under)])}
        for name, over, under in tests
    ]
    return apply_holm(compared)


def draw(numbers: Numbers) -> Figure:
    """Draw the shares by what is done and region, the tests, and the further regions."""
    figure = create_figure(10.4, 3.1)
    first, second, third = figure.subplots(1, 3, width_ratios=(1.1, 1, 1))
    for lower, colour, (region, label) in zip(
        (-0.15, 0.0), (ORANGE, BLUE), REGIONS.items(), strict=True
    ):
        rows = {way: numbers["named"][way][region] for way in WAYS}
        draw_dots(first, rows, colour, label=label, lower=lower)
    seen = {way: numbers["other_seen"][way] for way in WAYS}
    draw_dots(first, seen, GREEN, label="yes, the other is there", lower=0.15)
    plain = numbers["named"][PLAIN]["mean"]
    draw_level(first, plain, PLAIN)
    first.set(xlim=(0, 1), xlabel=f"share of {numbers['asked']['box']} clips by answer")
    draw_legend_below(first)
    draw_tests(second, {one["under"]: one for one in numbers["tests"]})
    second.set(xlabel="steered to the thing, less...", title=describe_tests(numbers["tests"]))
    draw_dots(third, numbers["further"], ORANGE)
    draw_level(third, plain, PLAIN)
    third.set(
        xlim=(0, 1), xlabel=f"the thing's colour, drawn to... ({numbers['asked']['further']} clips)"
    )
    return finish_figure(figure, numbers)


CLAIM = Claim(
    __file__,
    draw,
    measure,
    MeasurementConfig(data="shapes-report-2", clips=600),
    only_shapes="the question names shapes and the answer colours, as only the shapes' tracks do",
)

if __name__ == "__main__":
    CLAIM.run()

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.candidates.proposals import propose_tracks
from probe.cli import names
from probe.cli.evaluating import ProtocolName
from probe.datasets import NAMES
from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.evaluation import EvaluationConfig, Evaluator, RuleNames, evaluate, read_run
from probe.evaluation.direct import parse_answer
from probe.evaluation.methods import (
    METHODS,
    Grounding,
    LargestTrack,
    Lens,
    PresenceMethod,
    RandomTrack,
    RandomTube,
    Task,
    find_content_words,
    find_method,
    find_peaks,
)
from probe.evaluation.rules import RULE_KINDS
from probe.grounder import ground
from probe.grounding.presets import BEST, PRESETS
from probe.grounding.queries import decompose
from probe.metrics import PROTOCOLS
from probe.organism.world import ACTIONS, COLOURS, SHAPES
from probe.video import Span, Tube, Video, box_iou

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds


@pytest.fixture
def ten_seconds():
    """100 frames of 200 x 100 pixels, ten a second."""
    frames = np.zeros((4, 100, 200, 3), dtype=np.uint8)
    return Video(frames, (12, 37, 62, 87), np.arange(100) / 10)


def box_track(*box, frames=(0, 50)):
    return Tube(np.array(frames), np.tile(np.array(box, dtype=np.float64), (len(frames), 1)))


def task(video, *candidates, name="a query", query="the thing"):
    return Task(name, video, decompose(query), candidates, closed=True)


def test_the_command_line_knows_every_name(command):
    assert sorted(ProtocolName.__args__) == sorted(PROTOCOLS)
    _, out, _ = command("evaluate", "--help")
    words = re.findall(r"[a-z0-9-]+", out)
    assert {*NAMES, *METHODS} <= set(words)
    assert names.DATASETS == NAMES
    assert tuple(METHODS) == names.METHODS
    assert {kind: found.names for kind, found in RULE_KINDS.items()} == names.RULES


def test_the_largest_track_is_taken_in_the_middle_half_or_in_the_whole_clip(ten_seconds):
    small, large = box_track(0, 0, 10, 10), box_track(50, 0, 80, 30)
    for method, span in (("largest-track-middle-half", (25, 75)), ("whole-clip", (0, 100))):
        prediction = METHODS[method](NO_MODEL, task(ten_seconds, small, large, small))
        assert prediction.span == Span(*span)
        assert prediction.track is large


NO_MODEL = object.__new__(VideoLM)
"""A model of which nothing can be read: it has no attribute."""

BLIND = ("largest-track-middle-half", "whole-clip", "random-track", "random-tube")
"""Methods that read neither the model nor the query."""


@pytest.mark.parametrize("name", BLIND)
def test_a_blind_method_needs_no_model_and_does_not_hear_the_query(ten_seconds, name):
    tracks = [box_track(0, 0, side, side) for side in range(1, 6)]
    one, other = (
        METHODS[name](NO_MODEL, task(ten_seconds, *tracks, query=query))
        for query in ("the red circle that jumps", "a man in a coat")
    )
    assert (one.span, one.track) == (other.span, other.track)
    assert one.presence is None


def test_a_name_of_an_earlier_version_is_still_taken():
    assert find_method("centre") == LargestTrack() == METHODS["largest-track-middle-half"]
    assert "centre" not in METHODS


def test_the_random_track_follows_from_the_name_of_the_query_alone(ten_seconds):
    tracks = [box_track(0, 0, side, side) for side in range(1, 6)]
    names = [f"query {number}" for number in range(40)]
    first, again = (
        [RandomTrack()(NO_MODEL, task(ten_seconds, *tracks, name=name)).track for name in order]
        for order in (names, reversed(names))
    )
    assert all(one is other for one, other in zip(first, reversed(again), strict=True))
    assert {id(track) for track in first} == {id(track) for track in tracks}


def test_a_random_tube_is_the_random_track_in_any_window_of_half_the_clip(ten_seconds):
    tracks = [box_track(0, 0, side, side) for side in range(1, 6)]
    starts = set()
    for number in range(300):
        asked = task(ten_seconds, *tracks, name=f"query {number}")
        prediction = RandomTube()(NO_MODEL, asked)
        assert prediction.track is RandomTrack()(NO_MODEL, asked).track
        assert len(prediction.span) == 50
        starts.add(prediction.span.start)
    assert (min(starts), max(starts)) == (0, 50)


def test_grounding_is_ground(organism, clip, video):
    """With open candidates the method gives what `ground` gives when it finds its own."""
    for query in (clip.things[0].query, "the green cross that winks"):
        found = propose_tracks(video)
        prediction = Grounding(BEST)(
            organism, Task("x", video, decompose(query), found, closed=False)
        )
        answer = ground(organism, video, query, config=BEST)
        assert prediction.span == answer.span
        np.testing.assert_array_equal(prediction.track.boxes, answer.track.boxes)


def test_a_closed_choice_is_one_of_the_candidates(organism, clip, video):
    corner = box_track(0, 0, 3, 3, frames=(0, 63))
    made = Task("x", video, decompose(clip.things[0].query), (corner,), closed=True)
    assert Grounding(BEST)(organism, made).track is corner


def test_presets_and_rivals_differ_only_where_they_say():
    assert all(METHODS[name] == Grounding(config) for name, config in PRESETS.items())
    assert METHODS["noun-token"] == METHODS["noun"]
    differences = {
        ("mean-of-roles", "plain"): "token",
        ("fixed-token", "plain"): "token",
        ("time-heads", "causal"): "heads_when",
        ("over-generic", "causal"): "relevance_when",
        ("read-again", "causal"): "again",
        ("read-again-boxes", "causal"): "again",
    }
    for (name, preset), field in differences.items():
        method, usual = METHODS[name], vars(PRESETS[preset])
        assert isinstance(method, Grounding)
        changed = {key for key, value in vars(method.config).items() if value != usual[key]}
        assert changed == {field}


@pytest.mark.parametrize(
    ("name", "field", "rule"),
    [
        ("time-heads", "heads_when", "probe.interpret.head_rules:GatheredInTime"),
        ("over-generic", "relevance_when", "probe.grounding.relevance:OverGeneric"),
        ("read-again-boxes", "again", "probe.grounding.again:ReadAgain"),
    ],
)
def test_another_choice_of_the_time_is_a_method_and_an_option_of_runs(
    organism, tmp_path, name, field, rule
):
    asked = EvaluationConfig("shapes-val", method=name)
    option = replace(asked, method="causal", rules=RuleNames(**{field: rule.split(":")[1]}))
    method, same = asked.find_method(), option.find_method()
    assert isinstance(method, Grounding)
    assert isinstance(same, Grounding)
    assert method.config.to_dict()[field]["is"] == same.config.to_dict()[field]["is"] == rule
    evaluate(Evaluator(asked, asked.load_dataset(), organism), tmp_path / "run", limit=1)
    (result,) = read_run(tmp_path / "run").results.values()
    sample = asked.load_dataset()[0]
    video = sample.recording.read(8).video
    answer = ground(organism, video, sample.query, config=method.config)
    assert result.error is None
    assert result.span == answer.span
    np.testing.assert_allclose(result.tube.boxes, answer.tube.boxes, atol=0.01)


# The word lens


def test_the_lens_finds_the_thing_that_is_most_like_the_words(organism, clip, video):
    found = propose_tracks(video)
    for thing in clip.things:
        asked = Task("x", video, decompose(thing.query), found, closed=False)
        prediction = METHODS["lens"](organism, asked)
        truth = thing.track().interpolated(prediction.track.frames)
        assert box_iou(prediction.track.boxes, truth.boxes).mean() > 0.5, thing.query
        colour, shape = thing.attribute.split()
        assert prediction.details["where_words"] == [colour, shape]
        assert prediction.details["when_words"] == [shape, *thing.action.split()]


def test_the_lens_is_the_same_whatever_the_model_would_answer(organism, clip, video, monkeypatch):
    """It asks nothing: with every question refused it still answers."""

    def refuse(*_, **__):
        raise AssertionError("a question was asked")

    asked = Task("x", video, decompose(clip.things[0].query), propose_tracks(video), closed=False)
    before = METHODS["lens"](organism, asked)
    for way in ("read", "attention", "answer_logits", "trace"):
        monkeypatch.setattr(View, way, refuse)
    after = METHODS["lens"](organism, asked)
    assert (before.span, before.presence) == (after.span, after.presence)
    np.testing.assert_array_equal(before.track.boxes, after.track.boxes)


def test_words_that_the_model_does_not_know_are_left_out_and_told(organism, clip, video):
    thing = clip.things[0]
    known, strange = (
        METHODS["lens"](organism, task(video, *propose_tracks(video), query=query))
        for query in (thing.query, f"the stripy {thing.query.removeprefix('the ')}")
    )
    assert (known.details["unknown_words"], strange.details["unknown_words"]) == ([], ["stripy"])
    assert (known.span, known.presence) == (strange.span, strange.presence)
    with pytest.raises(ValueError, match="no word of 'the zebra' tells anything that this model"):
        METHODS["lens"](organism, task(video, box_track(0, 0, 9, 9), query="the zebra"))


def test_the_presence_of_the_lens_is_higher_for_what_is_there(organism, clip, video):
    lens = METHODS["lens"]
    assert isinstance(lens, PresenceMethod)
    there = [thing.query for thing in clip.things]
    seen = {(thing.colour, thing.shape) for thing in clip.things}
    absent = [
        f"the {colour} {shape} that {action}"
        for colour, shape, action in zip(COLOURS, SHAPES, ACTIONS, strict=False)
        if (colour, shape) not in seen
    ]
    margins = lens.measure_presence(organism, video, [*there, *absent])
    assert all(-1 <= margin <= 1 for margin in margins)
    assert np.mean(margins[: len(there)]) > np.mean(margins[len(there) :])
    answered = lens(organism, task(video, box_track(0, 0, 9, 9), query=there[0]))
    assert answered.presence == pytest.approx(margins[0])


def test_a_lens_of_one_layer_reads_that_layer(organism, clip, video):
    asked = task(video, *propose_tracks(video), query=clip.things[0].query)
    whole, *single = (Lens(layers)(organism, asked) for layers in (None, (0,), (3,)))
    assert len({prediction.presence for prediction in (whole, *single)}) == 3


def test_the_peak_on_a_track_follows_from_the_order_of_cells_alone():
    cells = Cells(((0,), (1,)), 2, 2, (0.0, 0.0, 20.0, 20.0))
    values = torch.tensor([[[-3.0, -1.0], [-2.0, -4.0]], [[-7.0, -5.0], [-6.0, -8.0]]])
    track = Tube(np.array([0]), np.array([[0.0, 0.0, 12.0, 10.0]]))
    # The left cell whole, a fifth of the right one; the track is absent from the second frame.
    assert find_peaks(Heatmap(values, cells), track).tolist() == [-1, -8]
    assert find_peaks(Heatmap(3 * values + 100, cells), track).tolist() == [97, 76]
    least = Tube(np.array([0, 1]), np.array([[0.0, 0.0, 0.9, 10.0]] * 2))
    assert find_peaks(Heatmap(values, cells), least).tolist() == [-8, -8], "less than ON_TUBE"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the red circle that glows", ("red", "circle", "glows")),
        ("The man in purple clothes.", ("man", "purple", "clothes")),
        ("the square that slides left", ("square", "slides", "left")),
        ("the red circle and the red square", ("red", "circle", "square")),
        ("who is it?", ()),
    ],
)
def test_content_words_are_those_that_are_no_function_words(text, words):
    assert find_content_words(text) == words


def test_what_is_no_tube_is_a_failure_and_says_what_was_written(organism, video):
    made = Task("x", video, decompose("the red circle"), (), closed=True)
    with pytest.raises(ValueError, match="in what the model wrote"):
        METHODS["direct"](organism, made)


HALF_BOX = [20.0, 10.0, 100.0, 50.0]
"""Left, top, right and bottom of the box that all of these texts describe."""


@pytest.mark.parametrize(
    "text",
    [
        "from 2.0 to 5.0 seconds; at 2.0: [0.1, 0.1, 0.5, 0.5]; at 4.0: [0.1, 0.1, 0.5, 0.5]",
        "From 2 to 5. The box is [0.10, 0.10, 0.50, 0.50].",
        "It happens between 2s and 5s at (0.1, 0.1, 0.5, 0.5)",
        '{"start": 2.0, "end": 5.0, "boxes": {"2.0": [0.1, 0.1, 0.5, 0.5]}}',
        '```json\n{"start_time": 2, "end_time": 5, "bbox_2d": [100, 100, 500, 500]}\n```',
        "0:02 - 0:05 seconds, <10 10 50 50>",
        "2.0 to 5.0 seconds: box [0.5, 0.5, 0.1, 0.1]",
        "At 2: [0.1, 0.1, 0.5, 0.5], at 5: [0.1, 0.1, 0.5, 0.5]",
    ],
)
def test_times_and_boxes_are_read_however_they_are_written(ten_seconds, text):
    answer = parse_answer(text, ten_seconds)
    assert answer.span == Span(20, 50)
    np.testing.assert_allclose(answer.track.boxes, np.tile(HALF_BOX, (len(answer.track), 1)))


def test_pixels_are_taken_for_pixels_where_no_other_unit_holds_them():
    video = Video(np.zeros((1, 2000, 4000, 3), dtype=np.uint8), (0,), np.arange(100) / 10)
    answer = parse_answer("from 2 to 5: [400, 200, 2000, 1000]", video)
    assert answer.track.boxes[0].tolist() == [400, 200, 2000, 1000]


def test_boxes_without_seconds_are_spread_over_the_span(ten_seconds):
    answer = parse_answer("from 2 to 5 seconds: [0, 0, .5, 1], [0, 0, 1, 1]", ten_seconds)
    assert answer.span == Span(20, 50)
    assert answer.track.frames.tolist() == [20, 49]
    assert answer.track.boxes.tolist() == [[0, 0, 100, 100], [0, 0, 200, 100]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yes", "no box"),
        ("", "no box"),
        ("[0.1, 0.1, 0.5, 0.5]", "no time"),
        ("from 2 to 5: [0.5, 0.5, 0.5, 0.5]", "area"),
        ("from 20 to 50 seconds: [0.1, 0.1, 0.5, 0.5]", "second 20 of a video of 10"),
        ("from 2 to 5: [0, 0, 5000, 50]", "beyond the picture"),
    ],
)
def test_a_text_without_a_tube_says_what_it_lacks(ten_seconds, text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_answer(text, ten_seconds)

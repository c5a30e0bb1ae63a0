import re

import numpy as np
import pytest

from probe.candidates.proposals import propose_tracks
from probe.cli.evaluating import ProtocolName, list_datasets, list_methods
from probe.datasets import NAMES
from probe.evaluation.direct import parse_answer
from probe.evaluation.methods import METHODS, CentredWindow, Grounding, RandomTrack, Task
from probe.grounder import ground
from probe.grounding.presets import BEST, PRESETS
from probe.grounding.queries import decompose
from probe.metrics import PROTOCOLS
from probe.video import Span, Tube, Video


@pytest.fixture
def ten_seconds():
    """100 frames of 200 x 100 pixels, ten a second."""
    frames = np.zeros((4, 100, 200, 3), dtype=np.uint8)
    return Video(frames, (12, 37, 62, 87), np.arange(100) / 10)


def box_track(*box, frames=(0, 50)):
    return Tube(np.array(frames), np.tile(np.array(box, dtype=np.float64), (len(frames), 1)))


def task(video, *candidates, name="a query"):
    return Task(name, video, decompose("the thing"), candidates, closed=True)


def test_the_command_line_knows_every_name(command):
    assert sorted(ProtocolName.__args__) == sorted(PROTOCOLS)
    _, out, _ = command("evaluate", "--help")
    words = re.findall(r"[a-z0-9-]+", out)
    assert {*NAMES, *METHODS} <= set(words)
    assert all(name in list_datasets("") for name in NAMES)
    assert all(name in list_methods("") for name in METHODS)


def test_the_centred_window_is_the_middle_half_with_the_largest_track(organism, ten_seconds):
    small, large = box_track(0, 0, 10, 10), box_track(50, 0, 80, 30)
    prediction = CentredWindow()(organism, task(ten_seconds, small, large, small))
    assert prediction.span == Span(25, 75)
    assert prediction.track is large


def test_the_random_track_follows_from_the_query_alone(organism, ten_seconds):
    tracks = [box_track(0, 0, side, side) for side in range(1, 6)]
    names = [f"query {number}" for number in range(40)]
    first, again = (
        [RandomTrack()(organism, task(ten_seconds, *tracks, name=name)).track for name in order]
        for order in (names, reversed(names))
    )
    assert all(one is other for one, other in zip(first, reversed(again), strict=True))
    assert {id(track) for track in first} == {id(track) for track in tracks}


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


def test_presets_and_baselines_differ_only_where_they_say():
    assert all(METHODS[name] == Grounding(config) for name, config in PRESETS.items())
    plain = vars(PRESETS["plain"])
    for name in ("mean-of-roles", "fixed-token"):
        method = METHODS[name]
        assert isinstance(method, Grounding)
        changed = {key for key, value in vars(method.config).items() if value != plain[key]}
        assert changed == {"token"}


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

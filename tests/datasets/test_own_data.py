"""Data sets of JSON lines: what a line says is scored, and what is wrong is said by line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from published_formats import SCALE, write_clip

from probe.candidates.tracks import save_tracks
from probe.datasets import OwnFileError, check_samples, load_dataset
from probe.datasets.footage import StoredVideo
from probe.metrics import Known
from probe.organism.world import LENGTH, RATE, SIDE, make_clip
from probe.video import Span, Tube
from probe.video.video import read_video

SEED = 7
SIZE = SIDE * SCALE
SCHEMA = Path(__file__).parents[2] / "docs" / "own_data.schema.json"
FORMS = {"time": "frames", "box": "xyxy", "unit": "pixels"}


@pytest.fixture(scope="module")
def truth():
    """The true tube of the clip, in pixels of its file."""
    tube = make_clip(SEED).things[0].tube()
    return Tube(tube.frames, tube.boxes * SCALE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the clip as 7.mp4."""
    root = tmp_path_factory.mktemp("own")
    write_clip(root / "7.mp4", SEED)
    return root


@pytest.fixture
def write(folder):
    """Write lines about the clip into its folder; give the path."""

    def lines(*records, name="mine.jsonl"):
        path = folder / name
        texts = [one if isinstance(one, str) else json.dumps(one) for one in records]
        path.write_text("\n".join(texts) + "\n")
        return path

    return lines


def line(**fields):
    return {"video": "7.mp4", "query": "the cross", **fields}


def settle(path, index=0, frames=4) -> Any:
    sample = load_dataset(path)[index]
    return sample.settle(sample.recording.read(frames))


def check(path, root=None) -> list[Any]:
    """Return the problem of each line, or None."""
    return list(check_samples(load_dataset(path, root)))


def in_form(tube, time, box, unit):
    """Write the boxes of a tube in one of the eight forms."""
    boxes = {}
    for frame, corners in zip(tube.frames.tolist(), tube.boxes, strict=True):
        edges = corners / SIZE if unit == "shares" else corners
        if box == "xywh":
            edges = np.concatenate([edges[:2], edges[2:] - edges[:2]])
        boxes[str(frame if time == "frames" else frame / RATE)] = edges.tolist()
    span = [tube.span.start, tube.span.stop]
    return {
        "span": span if time == "frames" else [end / RATE for end in span],
        "boxes": boxes,
        "time": time,
        "box": box,
        "unit": unit,
    }


# What a line says.


@pytest.mark.parametrize("unit", ["pixels", "shares"])
@pytest.mark.parametrize("box", ["xyxy", "xywh"])
@pytest.mark.parametrize("time", ["frames", "seconds"])
def test_every_form_is_the_same_tube(write, truth, time, box, unit):
    sample = settle(write(line(**in_form(truth, time, box, unit))))
    assert sample.truth.frames.tolist() == truth.frames.tolist()
    np.testing.assert_allclose(sample.truth.boxes, truth.boxes, atol=1e-9)
    assert (sample.notes, sample.known) == ((), Known())


def test_a_header_names_the_forms_of_all_lines_and_a_line_may_name_another(write, truth):
    form = in_form(truth, "seconds", "xywh", "shares")
    named = {name: form.pop(name) for name in FORMS}
    header = {"format": "grounding-probe/queries", "version": 1, "protocol": "stcat", **named}
    path = write(header, line(**form), line(**in_form(truth, "frames", "xyxy", "pixels")))
    first, second = (settle(path, index) for index in range(2))
    np.testing.assert_allclose(first.truth.boxes, second.truth.boxes, atol=1e-9)
    assert load_dataset(path).protocol == "stcat"
    assert load_dataset(path).ids == ("line 2", "line 3")


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({"span": {"seconds": [1, 2]}}, Known(time=True, place=False)),
        ({"boxes": {"3": [1, 2, 30, 40]}, **FORMS}, Known(time=False, place=True)),
        ({}, Known(time=False, place=False)),
        ({"span": None, "boxes": None}, Known(time=False, place=False)),
    ],
)
def test_what_is_left_out_is_not_known_before_and_after_the_video_is_read(write, given, known):
    path = write(line(**given))
    assert load_dataset(path)[0].known == known
    sample = settle(path)
    assert sample.known == known
    assert sample.truth is None


def test_a_span_of_seconds_holds_the_frames_shown_in_it(write):
    for seconds, frames in (
        ([0, LENGTH / RATE], Span(0, LENGTH)),
        ([10 / RATE, 20 / RATE], Span(10, 20)),
        # Rounded to two digits, up or down, an end is still that of its frame.
        ([round(10 / RATE, 2), round(21 / RATE, 2)], Span(10, 21)),
        ([10 / RATE + 1e-3, 10 / RATE + 2e-3], Span(10, 11)),
    ):
        assert settle(write(line(span={"seconds": seconds}))).span == frames


def test_boxes_are_joined_by_straight_lines_and_null_parts_them(write):
    boxes = {"10": [0, 0, 10, 10], "14": [8, 0, 18, 10], "15": None, "20": [0, 0, 8, 8]}
    tube = settle(write(line(boxes=boxes, **FORMS))).place
    assert tube.frames.tolist() == [10, 11, 12, 13, 14, 20]
    assert tube.boxes[:, 0].tolist() == [0, 2, 4, 6, 8, 0]


def test_boxes_are_held_to_the_ends_of_the_span_and_a_long_hold_is_said(write):
    boxes = {"10": [0, 0, 10, 10], "20": [10, 0, 20, 10]}
    short = settle(write(line(span=[5, 26], boxes=boxes, **FORMS)))
    assert short.truth.span == Span(5, 26)
    assert short.truth.boxes[[0, -1], 0].tolist() == [0, 10]
    assert short.notes == ()
    long = settle(write(line(span=[5, 60], boxes=boxes, **FORMS)))
    assert "the nearest one is held" in long.notes[0]


def test_boxes_outside_the_span_are_an_oracle_s_and_not_the_truth(write, truth):
    form = in_form(truth, "frames", "xyxy", "pixels")
    start, stop = truth.span.start + 5, truth.span.stop - 5
    sample = settle(write(line(**{**form, "span": [start, stop]})))
    assert sample.truth.span == Span(start, stop)
    (track,) = sample.tracks
    assert track.span == Span(0, LENGTH)
    np.testing.assert_allclose(track.within(truth.span).boxes, truth.boxes)


def test_a_file_of_tracks_gives_the_boxes_of_its_target(write, folder, truth):
    other = Tube([0, 5], [[0, 0, 9, 9]] * 2)
    save_tracks([other, truth], read_video(folder / "7.mp4", 4), folder / "tracks.json")
    span = [truth.span.start, truth.span.stop]
    path = write(line(tracks="tracks.json", target=1, span={"frames": span}))
    np.testing.assert_allclose(settle(path).truth.boxes, truth.boxes, atol=0.006)
    version = load_dataset(path).version
    save_tracks([other], read_video(folder / "7.mp4", 4), folder / "tracks.json")
    assert load_dataset(path).version != version, "the truth has changed"
    with pytest.raises(ValueError, match="target 1 of 1 tracks"):
        settle(path)


def test_a_folder_of_its_own_for_videos_and_absolute_paths_are_found(folder, tmp_path):
    path = tmp_path / "elsewhere.jsonl"
    named = [{"video": one, "query": "it"} for one in ("7.mp4", str(folder / "7.mp4"))]
    path.write_text("\n".join(map(json.dumps, named)))
    assert [one.fatal for one in check(path) if one] == [True]
    assert check(path, folder) == [None, None]


def test_what_the_annotation_says_of_the_video_is_checked(write):
    wrong_size, wrong_length = line(width=64, height=SIZE), line(frames=LENGTH + 9)
    findings = check(write(wrong_size, wrong_length))
    assert findings[0].fatal
    assert "drawn on 64 x" in findings[0].text
    assert not findings[1].fatal
    assert f"annotated are {LENGTH + 9}" in findings[1].text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"span": {"seconds": [1e3, 2e3]}}, "after the video ends"),
        ({"span": {"frames": [LENGTH, LENGTH + 1]}}, "after the video ends"),
        ({"boxes": {"999": [1, 2, 30, 40]}, **FORMS}, "no box within the video"),
        ({"boxes": {"3": [0.1, 0.1, 0.2, 0.2]}, **FORMS}, "name the unit shares"),
        ({"boxes": {"3": [1e4, 1e4, 2e4, 2e4]}, **FORMS}, "outside the picture"),
        ({"boxes": {"3": [1, 2, 30, 40]}, "span": [20, 30], **FORMS}, "no box in the span"),
        (
            {"boxes": {"3": [1, 2, 30, 40], "9": None}, "span": [0, 12], **FORMS},
            "absent at an end of the span",
        ),
    ],
)
def test_a_truth_that_is_not_of_this_video_fails_alone(write, given, said):
    good, bad = check(write(line(), line(**given)))
    assert good is None
    assert bad.fatal
    assert said in bad.text
    assert "\n" not in bad.text


def test_ends_beyond_the_video_are_cut_and_said(write):
    boxes = {"3": [1, 2, 30, 40], "999": [1, 2, 30, 40]}
    sample = settle(write(line(span=[0, 999], boxes=boxes, **FORMS)))
    assert sample.span == Span(0, LENGTH)
    assert any("cut to it" in note for note in sample.notes)
    assert any("1 of 2 boxes are after the end" in note for note in sample.notes)


@pytest.fixture(scope="module")
def pictures(folder):
    """A folder of twenty frames next to the clip."""
    (folder / "frames").mkdir()
    for number in range(20):
        Image.new("RGB", (SIZE, SIZE)).save(folder / "frames" / f"{number}.png")
    return "frames"


def test_seconds_of_a_folder_are_those_of_its_rate_or_their_guess_is_said(write, pictures):
    about = line(video=pictures, span={"seconds": [0.2, 0.6]})
    header = {"format": "grounding-probe/queries", "fps": 10}
    for path, place in ((write(line(**{**about, "fps": 10})), 0), (write(header, about), 0)):
        sample = settle(path, place)
        assert (sample.span, sample.notes) == (Span(2, 6), ())
        assert load_dataset(path)[0].recording.read(4).video.fps == pytest.approx(10)
    (guessed,) = check(write(about))
    assert not guessed.fatal
    assert "25 frames a second are assumed for its seconds; name the right number" in guessed.text
    boxes = {"boxes": {"0.4": [1, 2, 30, 40]}, **FORMS, "time": "seconds"}
    (guessed,) = check(write(line(video=pictures, **boxes)))
    assert "25 frames a second are assumed" in guessed.text
    assert check(write(line(video=pictures, span={"frames": [2, 6]}))) == [None]


def test_a_rate_that_a_file_does_not_have_is_noted_and_its_own_times_hold(write):
    given = line(span={"seconds": [10 / RATE, 20 / RATE]})
    assert settle(write({**given, "fps": RATE})).notes == ()
    sample = settle(write({**given, "fps": RATE * 2}))
    assert sample.span == Span(10, 20)
    assert "annotated are" in sample.notes[0]


def test_boxes_without_area_are_counted_and_a_track_of_no_others_is_refused(write, folder):
    boxes = {"3": [9, 9, 9, 9], "4": [1, 2, 30, 40], "5": [1, 2, 30, 2]}
    (note,) = settle(write(line(boxes=boxes, **FORMS))).notes
    assert note.startswith("2 of 3 boxes have no area, such as [9.0, 9.0, 9.0, 9.0]")
    flat = Tube([0, 5], [[9, 9, 9, 20]] * 2)
    save_tracks([flat], read_video(folder / "7.mp4", 4), folder / "flat.json")
    (found,) = check(write(line(tracks="flat.json")))
    assert "no box has an area" in found.text


def test_names_that_begin_with_a_tilde_are_names(write, folder, monkeypatch):
    write_clip(folder / "~clip.mp4", SEED)
    path = write(line(video="~clip.mp4"), line(video="~nosuchuser/7.mp4"), name="~mine.jsonl")
    good, bad = check(path)
    assert good is None
    assert "~nosuchuser/7.mp4: no such video" in bad.text
    with pytest.raises(OwnFileError, match=r"line 1: tracks: .*~t\.json: no such file"):
        load_dataset(write(line(tracks="~t.json")))
    with pytest.raises(ValueError, match="~x: no such folder"):
        load_dataset(path, "~x")
    monkeypatch.chdir(folder)
    assert len(load_dataset("~mine.jsonl")) == 2


def test_a_name_that_is_too_long_is_that_line_s_failure(write):
    good, bad = check(write(line(), line(video="a" * 300 + ".mp4")))
    assert good is None
    assert bad.text.endswith("aaa.mp4: no such video")
    with pytest.raises(OwnFileError, match=r"line 2: tracks: .*File name too long"):
        load_dataset(write(line(), line(tracks="a" * 300)))
    with pytest.raises(ValueError, match="aaa: no such folder; give --root"):
        load_dataset(write(line()), "a" * 300)


# What is wrong with a line.

BAD = [
    ({"query": "it"}, 'video: it is missing; add "video"'),
    ({"video": "7.mp4"}, "query: it is missing"),
    (line(query="  "), "query: ' ' is no text"),
    (line(spam=[1, 2]), "spam: no field is called 'spam'; did you mean span?"),
    (line(span=[1, 2]), 'time: the ends of the span are given without it; add "time": "frames"'),
    (line(span=[2, 1], time="seconds"), "span: from 2 to 1"),
    (line(span=[0.5, 2], time="frames"), "span: frames [0.5, 2] are not whole"),
    (line(span={"minutes": [1, 2]}), "span: {'minutes': [1, 2]} names no unit"),
    (line(span=[1], time="seconds"), "span: [1] is not two numbers"),
    (line(span=[True, 2], time="frames"), "is not two numbers"),
    (line(boxes={"1": [1, 2, 3, 4]}, time="frames", box="xyxy"), "unit: boxes are given without"),
    (line(boxes={"1": [5, 2, 3, 4]}, **FORMS), "has a negative side as xyxy"),
    (line(boxes={"1": [1, 2, 3]}, **FORMS), "boxes, 1: [1, 2, 3] is not four numbers"),
    (line(boxes={"x": [1, 2, 3, 4]}, **FORMS), "boxes: 'x' is no time"),
    (line(boxes={"1.5": [1, 2, 3, 4]}, **FORMS), "frame 1.5 is not whole"),
    (line(boxes={"1": None}, **FORMS), "all of them are null"),
    (line(boxes=[[1, 2, 3, 4]], **FORMS), "write an object of one box for each"),
    (line(boxes={"1": [9, 9, 99, 99]}, **{**FORMS, "unit": "shares"}), "no share of the picture"),
    (line(unit="percent"), "unit: 'percent' is unknown; write 'pixels' or 'shares'"),
    (line(kind="question"), "kind: 'question' is unknown"),
    (line(target=1), 'target: it is a place in a file of tracks; add "tracks"'),
    (line(tracks="a.json", boxes={"1": [1, 2, 3, 4]}, **FORMS), "tracks: boxes are given, too"),
    (line(width=640), "height: the other side is given"),
    (line(frames=0), "frames: 0; write a whole number"),
    (line(fps=0), "fps: 0; write frames a second"),
    (line(fps="25"), "fps: '25'; write frames a second"),
    (line(fps=True), "fps: True; write frames a second"),
    (line(fps=1e300), "fps: 1e+300; write frames a second"),
    (line(query="dog \ud800"), "holds half of a character"),
    (line(boxes={"1": [9, 9, 9, 9], "2": [1, 2, 1, 4]}, **FORMS), "none of them has an area"),
    (line(boxes={"1": [9, 9, 0, 5]}, **{**FORMS, "box": "xywh"}), "none of them has an area"),
    (line(absent=["x"]), "absent: ['x']; write an object"),
    ([1, 2], "a line is [1, 2]; write a JSON object"),
    ('{"video": "7.mp4", "video": "8.mp4"}', "'video' is there twice"),
    ("{", "not JSON"),
]


@pytest.mark.parametrize(("record", "said"), BAD)
def test_a_line_of_no_use_is_named_with_file_field_and_remedy(write, record, said):
    with pytest.raises(OwnFileError) as refused:
        load_dataset(write(line(), record))
    (problem,) = refused.value.problems
    assert f"mine.jsonl, line 2: {said}" in problem or (said in problem and "line 2" in problem)
    assert "\n" not in problem
    assert str(refused.value) == problem


def test_all_problems_of_a_file_are_listed_in_the_order_of_its_lines(write):
    path = write(line(), *(record for record, _ in BAD))
    with pytest.raises(OwnFileError, match=rf"and {len(BAD) - 1} more; list them with") as refused:
        load_dataset(path)
    found = refused.value.problems
    assert len(found) == refused.value.count == len(BAD)
    numbers = [int(one.split(", line ")[1].split(":")[0]) for one in found]
    assert numbers == list(range(2, len(BAD) + 2))


def test_a_mistake_in_every_line_is_listed_up_to_a_number(write):
    with pytest.raises(OwnFileError, match="and 149 more") as refused:
        load_dataset(write(*[{"query": "it"}] * 150))
    assert (len(refused.value.problems), refused.value.count) == (100, 150)


def test_names_must_differ_and_are_made_of_lines_where_there_are_none(write):
    path = write(line(id="a"), "", line(), line(id="b"))
    assert load_dataset(path).ids == ("a", "line 3", "b")
    with pytest.raises(OwnFileError, match="line 2: id: 'a' is that of line 1"):
        load_dataset(write(line(id="a"), line(id="a")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no query in it"),
        ('{"format": "grounding-probe/queries"}', "no query after the first line"),
        ('{"format": "other"}', "format: 'other' is unknown"),
        ('{"format": "grounding-probe/queries", "version": 9}', "version: 9 cannot be read"),
        ('{"format": "grounding-probe/queries", "boxes": 1}', "boxes: no field"),
        ('{"format": "grounding-probe/queries", "protocol": ["a"]}', "protocol: ['a'] is unknown"),
        ('{"format": "grounding-probe/queries", "fps": -1}', "fps: -1; write frames a second"),
    ],
)
def test_a_file_without_queries_or_with_a_wrong_header_is_refused(write, text, said):
    with pytest.raises(ValueError, match=r"mine\.jsonl") as refused:
        load_dataset(write(text))
    assert said in str(refused.value)


def test_options_of_other_data_sets_are_refused(write, folder):
    with pytest.raises(ValueError, match="leave out --annotations"):
        load_dataset(write(line()), annotations=folder / "x.json")
    with pytest.raises(ValueError, match="no such folder"):
        load_dataset(write(line()), folder / "absent")


# The schema says the same.


@pytest.fixture(scope="module")
def schema():
    content = json.loads(SCHEMA.read_text())
    from jsonschema import Draft202012Validator  # which takes two seconds, of one worker only

    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


BEYOND_SCHEMA = (
    "given without",
    "from 2 to 1",
    "not whole",
    "negative side",
    "all of them are null",
    "no share of the picture",
    "has an area",
    "half of a character",
    "not JSON",
    "there twice",
)
"""Problems of two fields together, or of the text, of which a schema knows nothing."""


@pytest.mark.parametrize(("record", "said"), BAD)
def test_the_schema_refuses_what_the_reader_refuses(schema, record, said):
    if not any(part in said for part in BEYOND_SCHEMA):
        assert not schema.is_valid(record)


def test_the_schema_accepts_what_the_reader_accepts(schema, truth):
    header = {"format": "grounding-probe/queries", "version": 1, "fps": 12.5, **FORMS}
    forms = in_form(truth, "seconds", "xywh", "shares")
    extra = {"id": "a", "width": 1, "height": 2, "frames": 3, "absent": {"colour": "x"}}
    for record in (
        header,
        line(),
        line(fps=30),
        line(**forms, **extra, extra={"mine": 1}),
        line(span={"seconds": [1, 2]}, tracks="tracks.json", target=0),
        line(boxes={"1": [1, 2, 3, 4], "5": None}, **FORMS),
    ):
        assert list(schema.iter_errors(record)) == []


def test_a_name_longer_than_the_system_has_is_that_of_no_video_and_stops_no_other(tmp_path):
    path, long = tmp_path / "queries.jsonl", f"{'n' * 300}.mp4"
    lines = [{"video": name, "query": "the dog"} for name in (long, "clip.mp4")]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for finding in check_samples(load_dataset(path)):
        assert finding is not None
        assert "no such video" in finding.text
    assert "no such video" in StoredVideo.from_path(tmp_path / long).remark

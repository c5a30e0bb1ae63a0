import json
from typing import Any

import numpy as np
import pytest
from published_formats import SCALE, write_hcstvg, write_vidstg

from probe.datasets import ENTRIES, DataSet, check_samples, load_dataset
from probe.metrics import Known, score_query
from probe.organism.benchmark import SHAPES_VAL
from probe.organism.world import LENGTH, RATE, SIDE, make_clip
from probe.video import Span, Tube
from probe.video.encoding import write_video

SEED = 7


@pytest.fixture(scope="module")
def truth():
    """The tube that is written into each folder."""
    return make_clip(SEED).things[0].tube()


@pytest.fixture(scope="module")
def query():
    return make_clip(SEED).things[0].query


@pytest.fixture(scope="module", params=["hcstvg1", "hcstvg2", "vidstg"])
def written(request, tmp_path_factory):
    """A data set's name and its folder."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "vidstg":
        write_vidstg(root)
    else:
        write_hcstvg(root, int(request.param[-1]))
    return request.param, root


@pytest.fixture
def edited(tmp_path):
    """Write a folder of one query after its entry was changed; give the sample."""

    def sample(name, change) -> Any:
        if name == "vidstg":
            path = write_vidstg(tmp_path, (SEED,))
            entries = json.loads(path.read_text())
            change(entries[0])
        else:
            path = write_hcstvg(tmp_path, int(name[-1]), (SEED,))
            entries = json.loads(path.read_text())
            change(next(iter(entries.values())))
        path.write_text(json.dumps(entries))
        return load_dataset(name, tmp_path)[0]

    return sample


def test_a_sample_is_the_tube_that_was_written_in_source_frames_and_pixels(written, truth, query):
    sample: Any = load_dataset(*written)[0]
    assert sample.query == query
    assert sample.truth.frames.tolist() == truth.frames.tolist()
    np.testing.assert_allclose(sample.truth.boxes, truth.boxes * SCALE)
    assert sample.size == (SIDE * SCALE, SIDE * SCALE)
    assert sample.length == LENGTH
    assert sample.span == truth.span


def test_what_was_written_is_found_whole(written):
    assert [finding for finding in check_samples(load_dataset(*written)) if finding] == []


def test_a_sample_reads_its_video(written):
    footage = load_dataset(*written)[1].recording.read(5)
    assert (len(footage.video), footage.offset, footage.source_length) == (5, 0, LENGTH)


def test_vidstg_has_sentences_and_questions_together_and_apart(tmp_path):
    write_vidstg(tmp_path)
    kinds = {
        name: [sample.kind for sample in load_dataset(name, tmp_path)]
        for name in ("vidstg", "vidstg-declarative", "vidstg-interrogative")
    }
    assert kinds["vidstg-declarative"] == ["declarative"] * 2
    assert kinds["vidstg-interrogative"] == ["interrogative"] * 2
    assert kinds["vidstg"] == ["declarative", "interrogative"] * 2
    assert load_dataset("vidstg-interrogative", tmp_path)[0].query.startswith("what ")


def test_shapes_are_drawn_and_need_no_folder():
    dataset = load_dataset("shapes-val")
    case = SHAPES_VAL.case(3)
    sample: Any = dataset[3]
    assert len(dataset) == SHAPES_VAL.size
    assert (sample.id, sample.query) == (dataset.ids[3], case.query)
    assert sample.id == case.name
    np.testing.assert_array_equal(sample.truth.boxes, case.truth.boxes)
    np.testing.assert_array_equal(sample.recording.read(8).video.frames, case.clip.video(8).frames)
    with pytest.raises(ValueError, match="leave out --root"):
        load_dataset("shapes-val", "/somewhere")


# Traps: each of these fails if the format is read another way.


@pytest.mark.parametrize("name", ["hcstvg1", "hcstvg2"])
def test_hcstvg_counts_frames_from_one(edited, name):
    assert edited(name, lambda entry: entry.update(st_frame=1)).truth.frames[0] == 0


@pytest.mark.parametrize("name", ["hcstvg1", "hcstvg2"])
def test_hcstvg_boxes_are_corner_and_size(edited, name):
    sample: Any = edited(name, lambda entry: entry.update(bbox=[[10, 20, 30, 5]] * 8))
    assert sample.truth.boxes.tolist() == [[10, 20, 40, 25]] * 8


@pytest.mark.parametrize("name", ["hcstvg1", "hcstvg2"])
def test_a_few_boxes_of_negative_size_agree_with_nothing_and_spoil_no_other(edited, name):
    boxes = [[10, 20, 30, 5], [10, 20, -3, 5], [10, 20, 30, -5], [10, 20, 30, 5]]
    sample = edited(name, lambda entry: entry.update(bbox=boxes))
    assert sample.notes == ("2 of 4 boxes have a negative size: these frames agree with no answer",)
    assert (sample.truth.boxes[:, 2:] - sample.truth.boxes[:, :2])[:, 0].tolist() == [30, 0, 30, 30]
    whole = Tube(sample.truth.frames, [[10, 20, 40, 25]] * 4)
    found = score_query(whole, sample.truth, "hcstvg-official")
    assert (found.tiou, found.viou) == (1, 0.5)
    # An oracle's candidate goes on where the box was.
    assert sample.tracks[0].boxes.tolist() == [[10, 20, 40, 25]] * LENGTH
    (finding,) = check_samples(DataSet.from_samples("mine", [sample]))
    assert finding is not None
    assert not finding.fatal


@pytest.mark.parametrize("name", ["hcstvg1", "hcstvg2"])
def test_a_query_of_which_every_box_has_a_negative_size_is_of_no_use(edited, name):
    with pytest.raises(ValueError, match="every box has a negative size"):
        edited(name, lambda entry: entry.update(bbox=[[10, 20, -3, 5]] * 8))


@pytest.mark.parametrize("times", [(19.0, 19.9), (0.0, 0.1)])
@pytest.mark.parametrize("name", ["hcstvg1", "hcstvg2"])
def test_hcstvg_times_do_not_move_the_frames(edited, name, times, truth):
    start, end = times
    sample: Any = edited(name, lambda entry: entry.update(st_time=start, ed_time=end))
    assert sample.span == truth.span


@pytest.mark.parametrize("later", [1, 0, -1])
def test_hcstvg_ends_with_its_last_box_whatever_the_last_frame_says(edited, truth, later):
    def lose_the_last(entry):
        del entry["bbox"][-1]
        last = entry["st_frame"] + len(entry["bbox"]) - 1  # inclusive, as published
        entry["ed_frame"] = last + later

    assert edited("hcstvg2", lose_the_last).span == Span(truth.span.start, truth.span.stop - 1)


@pytest.mark.parametrize(
    ("name", "as_published"),
    [
        ("hcstvg1", {"width": 320, "height": 240}),
        ("hcstvg2", {"img_size": [240, 320]}),
        ("vidstg", {"width": 320, "height": 240}),
    ],
)
def test_a_size_is_height_and_width_however_it_is_written(edited, name, as_published):
    assert edited(name, lambda entry: entry.update(as_published)).size == (240, 320)


def test_vidstg_without_any_boxes_is_scored_in_time_and_says_so_in_one_line(tmp_path, truth):
    write_vidstg(tmp_path, (7, 8))
    boxed = load_dataset("vidstg", tmp_path)
    for path in (tmp_path / "vidor").rglob("*.json"):
        path.unlink()
    with pytest.warns(UserWarning, match="scored in time alone") as said:
        dataset = load_dataset("vidstg", tmp_path)
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    assert dataset.version != boxed.version, "their figures do not compare"
    assert [one.known for one in dataset] == [Known(time=True, place=False)] * 4
    assert dataset[0].span == truth.span
    assert list(check_samples(dataset)) == [None] * 4


def test_one_missing_file_of_vidor_s_boxes_fails_its_queries_alone(tmp_path):
    write_vidstg(tmp_path, (7, 8))
    next(tmp_path.rglob("400007.json")).unlink()
    findings = list(check_samples(load_dataset("vidstg-declarative", tmp_path)))
    assert findings[1] is None
    assert findings[0] is not None
    assert "no such file" in findings[0].text


def test_vidstg_truth_ends_before_its_last_frame(edited):
    sample = edited("vidstg", lambda it: it.update(temporal_gt={"begin_fid": 20, "end_fid": 30}))
    assert sample.truth.frames.tolist() == list(range(20, 30))


def test_vidstg_part_ends_with_its_last_frame(edited):
    sample = edited("vidstg", lambda it: it.update(used_segment={"begin_fid": 16, "end_fid": 47}))
    footage = sample.recording.read(4)
    assert (footage.offset, footage.video.source_length) == (16, 32)
    assert [footage.offset + index for index in footage.video.indices] == [20, 28, 36, 44]


def test_vidstg_shows_the_pictures_of_its_part(tmp_path):
    write_vidstg(tmp_path, (SEED,), used=(16, 47))
    footage = load_dataset("vidstg", tmp_path)[0].recording.read(4)
    drawn = make_clip(SEED).frame(28, scale=SCALE)
    assert np.abs(footage.video.frames[1].astype(int) - drawn).mean() < 8  # lossy encoding


def test_vidstg_object_may_lack_boxes_the_last_included(tmp_path, truth):
    write_vidstg(tmp_path, (SEED,))
    path = next(tmp_path.rglob("400007.json"))
    boxes = json.loads(path.read_text())
    last = truth.span.stop - 1
    for frame in (last, last - 3):
        boxes["trajectories"][frame] = [it for it in boxes["trajectories"][frame] if it["tid"] != 0]
    path.write_text(json.dumps(boxes))
    sample: Any = load_dataset("vidstg", tmp_path)[0]
    expected = [frame for frame in truth.frames.tolist() if frame not in (last, last - 3)]
    assert sample.truth.frames.tolist() == expected


def test_a_tube_survives_the_way_into_a_part_and_back(tmp_path):
    write_vidstg(tmp_path, (SEED,), used=(16, 47))
    sample: Any = load_dataset("vidstg", tmp_path)[0]
    footage = sample.recording.read(4)
    inside = sample.truth.within(Span(16, 48))
    back = footage.to_source(footage.from_source(sample.truth))
    assert back.frames.tolist() == inside.frames.tolist()
    np.testing.assert_array_equal(back.boxes, inside.boxes)


# What is not as it should be.


def only_finding(dataset):
    """What is wrong with the one sample of a data set."""
    (finding,) = check_samples(dataset)
    assert finding is not None
    return finding


def test_a_wrong_root_is_one_line(tmp_path):
    for name in (name for name, entry in ENTRIES.items() if entry.needs_root):
        with pytest.raises(ValueError, match="no such folder"):
            load_dataset(name, tmp_path / "absent")
        with pytest.raises(ValueError, match="no annotations in it"):
            load_dataset(name, tmp_path)
        with pytest.raises(ValueError, match="give --root"):
            load_dataset(name)


def test_annotations_of_another_version_are_refused(tmp_path):
    path = write_hcstvg(tmp_path, 2, (SEED,))
    with pytest.raises(ValueError, match="'caption'"):
        load_dataset("hcstvg1", tmp_path, path)
    with pytest.raises(ValueError, match="VidSTG"):
        load_dataset("vidstg", tmp_path, path)


def test_a_missing_video_is_found_before_the_run(written):
    name, root = written
    path = sorted(root.rglob("*.mp4"))[0]
    path.rename(path.with_suffix(".gone"))
    try:
        first = next(finding for finding in check_samples(load_dataset(name, root)) if finding)
    finally:
        path.with_suffix(".gone").rename(path)
    assert first.fatal
    assert "no such video" in first.text


def test_another_container_is_used_and_said(tmp_path):
    write_hcstvg(tmp_path, 1, (SEED,))
    path = next(tmp_path.rglob("*.mp4"))
    path.rename(path.with_suffix(".mkv"))
    dataset = load_dataset("hcstvg1", tmp_path)
    finding = only_finding(dataset)
    assert not finding.fatal
    assert "annotated as 7_a.b-c.mp4, found 7_a.b-c.mkv" in finding.text
    assert dataset[0].recording.read(2).source_length == LENGTH


@pytest.mark.parametrize(("annotated", "odd"), [(62, False), (61, True), (66, False), (67, True)])
def test_a_length_that_differs_by_more_than_two_frames_is_said(tmp_path, annotated, odd):
    path = write_hcstvg(tmp_path, 1, (SEED,))
    entries = json.loads(path.read_text())
    next(iter(entries.values()))["img_num"] = annotated
    path.write_text(json.dumps(entries))
    (finding,) = check_samples(load_dataset("hcstvg1", tmp_path))
    assert (finding is not None) == odd
    assert finding is None or (not finding.fatal and f"annotated are {annotated}" in finding.text)


def test_pictures_of_another_size_than_the_boxes_are_refused(tmp_path):
    write_hcstvg(tmp_path, 1, (SEED,))
    path = next(tmp_path.rglob("*.mp4"))
    write_video(path, np.zeros((LENGTH, 64, 96, 3), dtype=np.uint8), RATE)
    finding = only_finding(load_dataset("hcstvg1", tmp_path))
    assert finding.fatal
    assert "96 x 64" in finding.text


@pytest.mark.parametrize("name", ["../outside.mp4", "/etc/outside.mp4", "a/../../outside.mp4", ""])
def test_names_never_leave_the_root(tmp_path, name):
    (tmp_path / "outside.mp4").write_bytes(b"secret")
    root = tmp_path / "root"
    path = write_hcstvg(root, 1, (SEED,))
    (entry,) = json.loads(path.read_text()).values()
    path.write_text(json.dumps({name: entry}))
    dataset = load_dataset("hcstvg1", root)
    finding = only_finding(dataset)
    assert finding.fatal
    assert "leads out" in finding.text
    with pytest.raises(ValueError, match="leads out"):
        dataset[0].recording.read(2)


def test_a_vidor_name_never_leaves_the_root(tmp_path):
    path = write_vidstg(tmp_path / "root", (SEED,))
    (tmp_path / "outside.json").write_text("{}")
    entries = json.loads(path.read_text())
    entries[0]["vid"] = "../outside"
    path.write_text(json.dumps(entries))
    finding = only_finding(load_dataset("vidstg-declarative", tmp_path / "root"))
    assert "leads out" in finding.text


def test_a_video_that_is_there_twice_is_not_guessed_at(tmp_path):
    write_hcstvg(tmp_path, 1, (SEED,))
    path = next(tmp_path.rglob("*.mp4"))
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    finding = only_finding(load_dataset("hcstvg1", tmp_path))
    assert finding.fatal
    assert "more than once" in finding.text


def test_an_entry_of_no_use_spoils_no_other(tmp_path):
    path = write_hcstvg(tmp_path, 1)
    entries = json.loads(path.read_text())
    first, second, _ = entries
    del entries[first]["bbox"]
    entries[second]["bbox"] = []
    path.write_text(json.dumps(entries))
    findings = list(check_samples(load_dataset("hcstvg1", tmp_path)))
    assert findings[2] is None
    assert all(it and "annotation cannot be read" in it.text for it in findings[:2])


def test_a_query_about_an_object_without_boxes_is_refused(edited):
    with pytest.raises(ValueError, match="object 9 has no box"):
        edited("vidstg", lambda entry: entry["captions"][0].update(target_id=9))


# Annotations that are of no use, by mistake or ill will


@pytest.mark.parametrize("name", ["hcstvg1", "hcstvg2"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"img_num": 10**12}, "img_num is 1000000000000, not a whole number"),
        ({"img_num": 10**400}, "img_num is 1000"),
        ({"img_num": float("inf")}, "img_num is inf"),
        ({"img_num": "many"}, "img_num is 'many'"),
        ({"img_num": [500]}, r"img_num is \[500\]"),
        ({"st_frame": 10**30}, "st_frame is 1000000"),
        ({"st_frame": 0}, "st_frame is 0"),
        ({"bbox": [[1, 2, 3, 10**400]]}, "OverflowError"),
        ({"bbox": [[1, 2, float("nan"), 4]]}, r"bbox, 0 is \[1, 2, nan, 4\], not four numbers"),
        ({"bbox": [[1, 2, 3]]}, r"bbox, 0 is \[1, 2, 3\], not four numbers"),
        ({"bbox": [[1, 2, 3, 4], *[[1, 2, 3, 4, 9]] * 4]}, "bbox, 1 is .*9.*, not four numbers"),
        ({"bbox": "boxes"}, "bbox is 'boxes', not a list"),
        ({"bbox": []}, r"bbox is \[\], not a list of boxes"),
        ({"bbox": True}, "bbox is True, not a list"),
        ({"st_frame": 5.7}, "st_frame is 5.7, not a whole number"),
        ({"st_frame": True}, "st_frame is True, not a whole number"),
        ({"caption": "  ", "English": "  "}, "is ' ', not a text"),
        ({"caption": "a \ud800", "English": "a \ud800"}, "half of a character"),
        ({"caption": ["a", "b"], "English": ["a", "b"]}, r"is \['a', 'b'\], not a text"),
        ({"width": "x", "height": "x", "img_size": ["x", "x"]}, "a side of the picture is 'x'"),
    ],
)
def test_an_entry_of_wrong_numbers_or_types_is_refused_in_one_line(edited, name, change, said):
    with pytest.raises(ValueError, match=f"^7_a.b-c.mp4: its annotation cannot be .*{said}") as no:
        edited(name, lambda entry: entry.update(change))
    assert "\n" not in str(no.value)
    assert len(str(no.value)) < 300


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"height": "tall"}, "height is 'tall'"),
        ({"frame_count": 10**30}, "frame_count is 1000"),
        ({"fps": 10**400}, "OverflowError"),
        ({"fps": "fast"}, "could not convert"),
        ({"temporal_gt": {"begin_fid": "x", "end_fid": 30}}, "'x'; give a whole number"),
        ({"temporal_gt": {"begin_fid": 30, "end_fid": 20}}, "a span cannot stop at 20"),
        ({"used_segment": None}, "TypeError"),
        ({"captions": [{"target_id": [1], "description": "x"}]}, "TypeError"),
        ({"captions": [{"target_id": 0, "description": {"a": 1}}]}, "not a text"),
        ({"captions": ["words"]}, "TypeError"),
    ],
)
def test_an_entry_of_vidstg_of_wrong_types_is_refused_in_one_line(edited, change, said):
    with pytest.raises(ValueError, match=f"its annotation cannot be read .*{said}") as refused:
        edited("vidstg", lambda entry: entry.update(change))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("queries", [None, 5, "words", {"a": 1}])
def test_queries_that_are_no_list_are_named_with_file_and_entry(tmp_path, queries):
    path = write_vidstg(tmp_path, (SEED,))
    entries = json.loads(path.read_text())
    entries[0]["captions"] = queries
    path.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"entry 0: captions is .*; it must be a list"):
        load_dataset("vidstg", tmp_path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda _: "[" * 5000 + "]" * 5000, "nested too deeply"),
        (lambda text: text[:-1] + ', "7_a.b-c.mp4": {}}', "'7_a.b-c.mp4' is there twice"),
        (lambda _: "[1, 2]", "must map video names to objects"),
        (lambda _: '{"a": 1}', "must map video names to objects"),
        (lambda _: '{"a": "' + "x" * 10**7 + '"}', "must map video names to objects"),
        (lambda text: text[:-9], "cannot be read as JSON"),
    ],
)  # fmt: skip
def test_annotations_that_are_none_are_refused_in_one_line(tmp_path, write, said):
    path = write_hcstvg(tmp_path, 1, (SEED,))
    path.write_text(write(path.read_text()))
    with pytest.raises(ValueError, match=said) as refused:
        load_dataset("hcstvg1", tmp_path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < len(str(path)) + 300


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_annotations_are_read_in_every_encoding(tmp_path, encoding):
    path = write_hcstvg(tmp_path, 1, (SEED,))
    path.write_bytes(path.read_text().encode(encoding))
    assert len(load_dataset("hcstvg1", tmp_path)) == 1


@pytest.mark.parametrize("name", ["a\nb" * 10**5, "\0", "..\\..\\x", "C:/x", "~/x.mp4", "x" * 300])
def test_a_name_of_anything_is_shown_in_one_line(tmp_path, name):
    path = write_hcstvg(tmp_path, 1, (SEED,))
    (entry,) = json.loads(path.read_text()).values()
    path.write_text(json.dumps({name: entry}))
    finding = only_finding(load_dataset("hcstvg1", tmp_path))
    assert finding.fatal
    assert "\n" not in finding.text
    assert len(finding.text) < len(str(tmp_path)) + 200


def test_links_of_the_user_are_followed_and_broken_ones_are_named(tmp_path):
    root = tmp_path / "root"
    write_hcstvg(root, 1, (SEED,))
    video = next(root.rglob("*.mp4"))
    stored = video.rename(tmp_path / "stored.mp4")
    # People keep large data sets on other disks.
    video.symlink_to(stored)
    assert list(check_samples(load_dataset("hcstvg1", root))) == [None]
    for target, said in (
        (video.name, "Too many levels of symbolic links"),
        ("/nowhere/x.mp4", "no such file"),
        ("/dev/zero", "a device, not an ordinary file"),
        (__file__, "a text file, not a video"),
    ):
        video.unlink()
        video.symlink_to(target)
        finding = only_finding(load_dataset("hcstvg1", root))
        assert finding.fatal
        assert said in finding.text

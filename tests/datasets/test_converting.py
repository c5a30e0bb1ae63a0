"""Conversion of annotations: what goes out comes back, and is scored as the format scores."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from published_formats import SCALE, write_clip, write_hcstvg

from probe.datasets import load_dataset
from probe.datasets.converting import READERS, WRITERS, Source, convert
from probe.datasets.own import OwnFile
from probe.datasets.sentences import Sentences
from probe.metrics import score_query
from probe.organism.world import LENGTH, RATE, SIDE
from probe.video import Span, Tube
from probe.video.masks import Mask

NAN = float("nan")
SEEDS = (7, 8, 9)
SIZE = SIDE * SCALE


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A file of three full truths in seconds and shares, with its videos."""
    folder = tmp_path_factory.mktemp("clips")
    lines = []
    for seed in SEEDS:
        thing = write_clip(folder / f"{seed}.mp4", seed).things[0]
        tube = thing.tube()
        boxes = {
            str(frame / RATE): (box / SIDE).tolist()
            for frame, box in zip(tube.frames.tolist(), tube.boxes, strict=True)
        }
        span = [tube.span.start / RATE, tube.span.stop / RATE]
        forms = {"time": "seconds", "box": "xyxy", "unit": "shares"}
        lines.append(
            {"id": f"q{seed}", "video": f"{seed}.mp4", "query": thing.query, "span": span}
            | {"boxes": boxes, **forms}
        )
    path = folder / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def run(path, read, write, out, root=None, sentences=None):
    given = None if sentences is None else Sentences.read(sentences)
    written = convert(Source(path, root, given, out), read, write)
    written.save(out)
    return written


def settle_all(path) -> list[Any]:
    dataset = load_dataset(path)
    return [one.settle(one.recording.read(4)) for one in dataset]


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


# Own data and HC-STVG.


@pytest.mark.parametrize("edition", ["hcstvg1", "hcstvg2"])
def test_own_data_comes_back_from_the_official_hcstvg_json(own, tmp_path, edition):
    official, back = tmp_path / "official.json", tmp_path / "back.jsonl"
    assert run(own, "own", edition, official).queries == len(SEEDS)
    run(official, edition, "own", back, root=own.parent)
    for before, after in zip(settle_all(own), settle_all(back), strict=True):
        assert (after.query, after.kind) == (before.query, before.kind)
        assert after.truth.frames.tolist() == before.truth.frames.tolist()
        np.testing.assert_allclose(after.truth.boxes, before.truth.boxes, atol=1e-9)
        assert (after.size, after.length) == ((SIZE, SIZE), LENGTH)


def overlap(a, b):
    """IoU of two boxes as left, top, width and height."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(across, 0) * max(down, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def score_officially(entry, predicted):
    """Score boxes by 1-based frame against an entry, as HC-STVG's evaluator counts."""
    true = dict(enumerate(entry["bbox"], start=entry["st_frame"]))
    shared = true.keys() & predicted.keys()
    count = max(*true, *predicted) - min(*true, *predicted) + 1
    overlaps = sum(overlap(true[frame], predicted[frame]) for frame in shared)
    return len(shared) / count, overlaps / count


@pytest.mark.parametrize("edition", ["hcstvg1", "hcstvg2"])
def test_the_exported_file_scores_answers_as_we_do(own, tmp_path, edition):
    run(own, "own", edition, tmp_path / "official.json")
    entries = json.loads((tmp_path / "official.json").read_text())
    rng = np.random.default_rng(0)
    for sample in settle_all(own):
        entry = entries[sample.recording.name]
        for _ in range(5):
            start, stop = np.sort(rng.choice(LENGTH + 1, 2, replace=False)).tolist()
            near = sample.truth.boxes[0] + rng.normal(0, 4, 2).repeat(2)[[0, 2, 1, 3]]
            answer = Tube(range(start, stop), np.tile(near, (stop - start, 1)))
            x1, y1, x2, y2 = near.tolist()
            given = {at: [x1, y1, x2 - x1, y2 - y1] for at in range(start + 1, stop + 1)}
            ours = score_query(answer, sample.truth, "hcstvg-official")
            assert (ours.tiou, ours.viou) == pytest.approx(score_officially(entry, given), abs=1e-9)


def test_hcstvg_is_read_and_written_again_without_a_change(tmp_path):
    path = write_hcstvg(tmp_path, 1, SEEDS)
    own, again = tmp_path / "own.jsonl", tmp_path / "again.json"
    run(path, "hcstvg1", "own", own, root=tmp_path)
    run(own, "own", "hcstvg1", again)
    before, after = json.loads(path.read_text()), json.loads(again.read_text())
    assert before.keys() == after.keys()
    for name, entry in before.items():
        for field in ("st_frame", "img_num", "caption", "width", "height"):
            assert after[name][field] == entry[field]
        np.testing.assert_allclose(after[name]["bbox"], entry["bbox"], atol=1e-9)


def test_what_hcstvg_cannot_hold_is_left_out_and_told(own, tmp_path):
    whole = own.read_text().splitlines()
    gap = json.loads(whole[1])
    times = list(gap["boxes"])
    gap["boxes"][times[len(times) // 2]] = None
    bare = {"video": "9.mp4", "query": "it"}
    path = own.parent / "some.jsonl"
    path.write_text("\n".join([whole[0], json.dumps(gap), json.dumps(bare)]))
    written = run(path, "own", "hcstvg1", tmp_path / "official.json")
    assert written.queries == 1
    assert ["1 queries" in note for note in written.notes] == [True, True]
    path.write_text("\n".join([whole[0], json.dumps({**bare, "video": "7.mp4"})]))
    with pytest.raises(ValueError, match=r"7.mp4: 2 queries about it"):
        run(path, "own", "hcstvg1", tmp_path / "official.json")


def test_own_data_is_written_in_one_form_with_gaps_and_parts_of_truths(own, tmp_path):
    lines = [
        {"video": "7.mp4", "query": "a", "span": {"seconds": [1, 2]}},
        {"video": "7.mp4", "query": "b", "time": "frames", "box": "xywh", "unit": "shares"}
        | {"boxes": {"3": [0.1, 0.1, 0.2, 0.2], "5": None, "9": [0.1, 0.1, 0.2, 0.2]}},
        {"video": "7.mp4", "query": "c", "kind": "interrogative", "absent": {"colour": "x"}},
    ]
    path = own.parent / "parts.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    run(path, "own", "own", tmp_path / "again.jsonl")
    for before, after in zip(settle_all(path), settle_all(tmp_path / "again.jsonl"), strict=True):
        assert (after.time, after.kind, after.absent) == (before.time, before.kind, before.absent)
        assert (after.place is None) == (before.place is None)
        if before.place is not None:
            assert after.place.frames.tolist() == before.place.frames.tolist() == [3, 9]
            np.testing.assert_allclose(after.place.boxes, before.place.boxes, atol=1e-9)


# DORO-STVG.


def test_own_data_comes_back_from_doro_to_the_half_second(own, tmp_path):
    run(own, "own", "doro-stvg", tmp_path / "doro.jsonl")
    for record in map(json.loads, (tmp_path / "doro.jsonl").read_text().splitlines()):
        (member,) = record["target_members"]
        numbers = [int(frame) for frame in member["boxes"]]
        assert (member["start_frame"], member["end_frame"]) == (min(numbers), max(numbers))
    run(tmp_path / "doro.jsonl", "doro-stvg", "own", tmp_path / "back.jsonl")
    for before, after in zip(settle_all(own), settle_all(tmp_path / "back.jsonl"), strict=True):
        assert after.id == before.id
        ends = np.subtract(
            [after.span.start, after.span.stop], [before.span.start, before.span.stop]
        )
        assert (abs(ends) <= RATE / 2).all()
        half = [frame for frame in after.truth.frames.tolist() if frame % (RATE / 2) == 0]
        shared = [frame for frame in half if frame in before.span and frame in after.span]
        for frame in shared:
            np.testing.assert_allclose(after.truth.box_at(frame), before.truth.box_at(frame))


def test_a_doro_query_about_two_targets_becomes_a_line_for_each(own, tmp_path):
    members = [
        {"target_index": place, "boxes": {"2": [0, 0, 8, 8], "3": [0, 0, 8, 8 * place]}}
        for place in (1, 2)
    ]
    query = {"video_path": str(own.parent / "7.mp4"), "query_id": "q", "query": "both of them"}
    per_target = {"target 1": "the cross"}
    path = tmp_path / "doro.jsonl"
    path.write_text(
        json.dumps({**query, "target_members": members, "per_target_queries": per_target})
    )
    written = run(path, "doro-stvg", "own", tmp_path / "own.jsonl")
    assert "1 queries are about several targets" in written.notes[0]
    first, second = settle_all(tmp_path / "own.jsonl")
    assert (first.id, first.query, second.query) == ("q/target 1", "the cross", "both of them")
    assert first.span == Span(int(RATE), int(2 * RATE)), (
        "frames 2 and 3 of two a second are one second"
    )


def test_the_formatted_doro_file_has_boxes_in_shares(own, tmp_path):
    box = json.dumps({"the cross": {"2": [0.25, 0.25, 0.5, 0.5]}})
    record = {"video_path": str(own.parent / "7.mp4"), "queryid": "q", "query": "it", "box": box}
    path = tmp_path / "doro.jsonl"
    path.write_text(json.dumps(record))
    run(path, "doro-stvg", "own", tmp_path / "own.jsonl")
    (sample,) = settle_all(tmp_path / "own.jsonl")
    assert sample.truth.boxes[0].tolist() == [SIZE / 4, SIZE / 4, SIZE / 2, SIZE / 2]


# Tracks without sentences.


@pytest.fixture
def mot(tmp_path):
    """A sequence whose frames are 7.mp4, with two tracks and a line that is not to be used."""
    home = tmp_path / "MOT-7"
    (home / "gt").mkdir(parents=True)
    rows = [
        *((frame, 3, 10, 20, 30, 40, 1, 1, 1) for frame in (1, 2, 5)),
        (1, 4, 0, 0, 8, 8, 1, 1, 1),
        (1, 5, 0, 0, 8, 8, 0, 12, 1),
    ]
    (home / "gt" / "gt.txt").write_text("\n".join(",".join(map(str, row)) for row in rows))
    (home / "seqinfo.ini").write_text(
        f"[Sequence]\nimWidth={SIZE}\nimHeight={SIZE}\nseqLength={LENGTH}\nimDir=../../clip.mp4\n"
    )
    return home


def test_mot_counts_frames_from_one_and_parts_what_is_not_listed(own, mot, tmp_path):
    sentences = write_json(tmp_path / "sentences.json", {"3": "the man in red"})
    out = tmp_path / "own.jsonl"
    written = run(mot, "mot", "own", out, root=own.parent / "7.mp4", sentences=sentences)
    assert "1 of 2 tracks have no sentence" in written.notes[0]
    (sample,) = settle_all(out)
    assert sample.query == "the man in red"
    assert sample.place.frames.tolist() == [0, 1, 4]
    assert sample.place.boxes[0].tolist() == [10, 20, 40, 60]
    assert (sample.size, sample.length, sample.span) == ((SIZE, SIZE), LENGTH, None)


def test_a_sentence_may_say_when_and_there_may_be_several(own, mot, tmp_path):
    span = {"span": {"seconds": [0, 2 / RATE]}}
    given = {"3": [{"query": "a", **span}, "b"], "4": "c"}
    sentences = write_json(tmp_path / "sentences.json", given)
    out = tmp_path / "own.jsonl"
    run(mot / "gt" / "gt.txt", "mot", "own", out, root=own.parent / "7.mp4", sentences=sentences)
    first, second, third = settle_all(out)
    assert (first.query, second.query, third.query) == ("a", "b", "c")
    assert first.truth.frames.tolist() == [0, 1]
    assert second.truth is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "has boxes and no queries; give --queries"),
        ({"9": "it"}, "a sentence about track 9, which has no box; there are 3, 4"),
        ({"3": 5}, "5 is no sentence"),
        ({"3": {"query": "a", "boxes": {}}}, "boxes comes from the tracks"),
        ([], "not an object of a sentence for each track"),
    ],
)
def test_sentences_that_fit_no_track_are_refused(mot, tmp_path, given, said):
    path = None if given is None else write_json(tmp_path / "sentences.json", given)
    with pytest.raises(ValueError, match=said):
        run(mot, "mot", "own", tmp_path / "own.jsonl", sentences=path)


@pytest.mark.parametrize("text", ["a,b,c,d,e,f", "1,2,3", "0,1,2,3,4,5", "1.5,1,2,3,4,5", ""])
def test_a_damaged_mot_file_is_refused_by_line(mot, tmp_path, text):
    (mot / "gt" / "gt.txt").write_text(text)
    sentences = write_json(tmp_path / "sentences.json", {"3": "it"})
    with pytest.raises(ValueError, match=r"gt\.txt") as refused:
        run(mot, "mot", "own", tmp_path / "own.jsonl", sentences=sentences)
    assert "\n" not in str(refused.value)


def test_seconds_of_a_sentence_are_those_of_the_sequence(mot, tmp_path):
    (mot / "img1").mkdir()
    for frame in range(1, 51):
        Image.new("RGB", (SIZE, SIZE)).save(mot / "img1" / f"{frame:06d}.png")
    rows = [(frame, 3, 10, 20, 30, 40, 1, 1, 1) for frame in range(1, 51)]
    (mot / "gt" / "gt.txt").write_text("\n".join(",".join(map(str, row)) for row in rows))
    given = {"3": {"query": "a", "span": {"seconds": [0.5, 1.5]}}}
    sentences, out = write_json(tmp_path / "sentences.json", given), tmp_path / "own.jsonl"
    for text, span in (("frameRate=10\n", Span(5, 15)), ("", Span(12, 37))):
        (mot / "seqinfo.ini").write_text(f"[Sequence]\nimDir=img1\nseqLength=50\n{text}")
        run(mot, "mot", "own", out, sentences=sentences)
        (sample,) = settle_all(out)
        assert sample.truth.span == span
        assert [("assumed" in note) for note in sample.notes] == [True] * (not text)
    # What is written in frames is exact, so that the guess is told now or never.
    written = run(out, "own", "own", tmp_path / "frames.jsonl")
    assert "25 frames a second are assumed" in written.notes[0]
    for wrong in ("0", "fast", "inf"):
        (mot / "seqinfo.ini").write_text(f"[Sequence]\nframeRate={wrong}\n")
        with pytest.raises(ValueError, match=rf"seqinfo\.ini: frameRate is '{wrong}'; write"):
            run(mot, "mot", "own", out, sentences=sentences)


def test_half_a_character_in_a_sentence_is_named_with_its_file(mot, tmp_path):
    sentences = write_json(tmp_path / "sentences.json", {"3": "dog \ud800"})
    with pytest.raises(ValueError, match=r"sentences\.json: track 3: .*half of a character"):
        run(mot, "mot", "own", tmp_path / "own.jsonl", sentences=sentences)


def test_a_video_whose_name_is_no_utf8_is_converted(own, tmp_path):
    name = "caf\udce9.mp4"  # as Python reads the bytes of Latin-1
    (tmp_path / name).write_bytes((own.parent / "7.mp4").read_bytes())
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps({"video": name, "query": "it", "span": {"frames": [1, 2]}}))
    run(path, "own", "own", tmp_path / "again.jsonl")
    assert settle_all(tmp_path / "again.jsonl")[0].span == Span(1, 2)


CATEGORIES = [{"id": 1, "name": "dog"}, {"id": 2, "name": "traffic_light"}]


def coco_by_image():
    """Two dogs and a light in four annotated frames of a video, by image."""
    annotations = [
        *((1, 1, frame, [10, 20, 30, 40]) for frame in (0, 5)),
        (2, 1, 5, [0, 0, 8, 8]),
        *((3, 2, frame, [4, 4, 8, 8]) for frame in (0, 5, 15)),
    ]
    return {
        "videos": [{"id": 1, "name": "7", "file_name": "7.mp4", "width": SIZE, "height": SIZE}],
        "categories": CATEGORIES,
        "images": [
            {"id": 100 + frame, "video_id": 1, "file_name": f"7/{frame}.jpg", "frame_index": frame}
            for frame in (0, 5, 10, 15)
        ],
        "annotations": [
            {"id": number, "track_id": track, "category_id": category, "bbox": box}
            | {"image_id": 100 + frame}
            for number, (track, category, frame, box) in enumerate(annotations)
        ],
    }


def coco_by_video():
    """A dog of boxes, and a light of masks, in the layout of YouTube-VIS."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[4:12, 4:12] = True
    record = Mask.from_pixels(mask).to_dict()
    polygon = [[4, 4, 12, 4, 12, 12, 4, 12]]
    return {
        "videos": [
            {"id": 1, "width": SIZE, "height": SIZE, "length": 4}
            | {"file_names": [f"7.mp4/{frame}.jpg" for frame in range(4)]}
        ],
        "categories": CATEGORIES,
        "annotations": [
            {"id": 1, "video_id": 1, "category_id": 1}
            | {"bboxes": [[10, 20, 30, 40], None, [10, 20, 30, 40], None]},
            {"id": 2, "video_id": 1, "category_id": 2}
            | {"segmentations": [None, record, polygon, None]},
        ],
    }


def test_coco_videos_by_image_are_named_by_a_category_that_is_alone(own, tmp_path):
    path = write_json(tmp_path / "coco.json", coco_by_image())
    written = run(path, "coco", "own", tmp_path / "own.jsonl", root=own.parent)
    assert "2 of 3 tracks are not alone of their category" in written.notes[0]
    (light,) = settle_all(tmp_path / "own.jsonl")
    assert light.query == "the traffic light"
    # Frame 10 was annotated, and has no light: there is none from frame 5 to 15.
    assert light.place.frames.tolist() == [*range(6), 15]
    assert light.place.boxes[0].tolist() == [4, 4, 12, 12]
    sentences = write_json(tmp_path / "sentences.json", {"1": "the dog that stays"})
    run(path, "coco", "own", tmp_path / "own.jsonl", root=own.parent, sentences=sentences)
    (dog,) = settle_all(tmp_path / "own.jsonl")
    assert dog.place.frames.tolist() == list(range(6)), "between two annotated frames it is there"


def test_coco_videos_of_whole_tracks_have_boxes_of_masks_and_polygons(own, tmp_path):
    path = write_json(tmp_path / "coco.json", coco_by_video())
    run(path, "coco", "own", tmp_path / "own.jsonl", root=own.parent)
    dog, light = settle_all(tmp_path / "own.jsonl")
    assert (dog.query, light.query) == ("the dog", "the traffic light")
    assert dog.place.frames.tolist() == [0, 2]
    assert light.place.frames.tolist() == [1, 2]
    assert light.place.boxes.tolist() == [[4, 4, 12, 12]] * 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.pop("videos"), "has no list of videos"),
        (lambda it: it["annotations"][0].pop("track_id"), "neither track_id nor instance_id"),
        (lambda it: it["images"][0].pop("frame_index"), "neither frame_index nor frame_id"),
        (lambda it: it["annotations"][0].update(image_id=5), "its image_id, 5, is not in the file"),
        (lambda it: it["annotations"][0].update(bbox="box"), "not four numbers"),
        (lambda it: it["annotations"][0].update(bbox=[1, 2, 3, 4, 5]), "not four numbers"),
        (lambda it: it["annotations"][0].update(bbox=[NAN, 2, 3, 4]), "not four numbers"),
        (
            lambda it: it["annotations"].append(it["annotations"][1] | {"bbox": [0, 0, 9, 9]}),
            "annotation 1: a second box of track 1 in frame 5",
        ),
        (lambda it: it["images"].append(it["images"][0]), "two images have the id 100"),
        (lambda it: it.update(images=None), "images is None, not a list"),
        (lambda it: it["images"][0].pop("video_id"), "image 100: video_id is None"),
        (lambda it: it["images"][0].update(video_id=[1]), r"video_id is \[1\]"),
        (lambda it: it["images"][0].update(frame_index=5.7), "frame_index is 5.7, not the number"),
        (lambda it: it["images"][0].update(file_name=3), "the name of a picture is 3, not a text"),
        (lambda it: it["videos"][0].update(file_names={"a": 1}), "file_names is .*not a list"),
        (lambda it: it["videos"][0].update(file_names=[3]), "name of a picture is 3, not a text"),
        (lambda it: it["videos"][0].update(file_name=3), "video 1: file_name is 3, not a text"),
        (lambda it: it["videos"][0].update(width="x"), "video 1: width is 'x'"),
        (lambda it: it["videos"][0].update(id=[1]), r"a video: id is \[1\]"),
        (
            lambda it: it.update(categories=[{"id": 1, "name": 3}]),
            "name of a category is 3, not a text",
        ),
        (lambda it: it.update(categories=[3]), "categories, 0: 3 is not an object"),
        (lambda it: it.update(annotations=[]), "no track is the only one of its category"),
    ],
)
def test_a_damaged_coco_file_is_refused_in_one_line(own, tmp_path, change, said):
    content = coco_by_image()
    change(content)
    path = write_json(tmp_path / "coco.json", content)
    with pytest.raises(ValueError, match=said) as refused:
        run(path, "coco", "own", tmp_path / "own.jsonl", root=own.parent)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (None, "7"),
        ([], "7"),
        ([{"id": 3}], "7"),
        ([{"id": 3, "video_id": 1}], "7"),
        ([{"id": 3, "video_id": 1, "file_name": "inside/0.jpg"}], "inside"),
    ],
)
def test_images_that_name_no_folder_leave_the_name_of_the_video(tmp_path, images, found):
    content = coco_by_video() | {"images": images}
    content["videos"] = [{"id": 1, "name": "7"}]
    path = write_json(tmp_path / "coco.json", content)
    run(path, "coco", "own", tmp_path / "own.jsonl")
    assert [one.recording.name for one in load_dataset(tmp_path / "own.jsonl")] == [found] * 2


# Drafts.


def write_answer(path, clip, **changes):
    """A file with what a draft is made of: an answer to 4 of the 24 frames of a video."""
    content = {
        "format": "grounding-probe/answer",
        "query": "the cross",
        "video": {"path": str(clip), "part": None, "size": [SIZE, SIZE], "frames": 24}
        | {"sampled_frames": [0, 8, 16]}
        | changes.pop("video", {}),
        "span": {"start_frame": 3, "stop_frame": 7},
        "tube": {"frames": [3, 4, 5, 6], "boxes": [[1, 2, 30, 40]] * 4},
    } | changes
    return write_json(path, {name: value for name, value in content.items() if value is not None})


def test_a_draft_of_an_answer_to_a_part_counts_in_the_whole_file(own, tmp_path):
    clip, out = own.parent / "7.mp4", tmp_path / "draft.jsonl"
    path = write_answer(tmp_path / "answer.json", clip, video={"part": [12, 36]})
    run(path, "answer", "own", out)
    (sample,) = settle_all(out)
    assert sample.truth.frames.tolist() == [15, 16, 17, 18]
    assert sample.list_remarks(sample.recording.read(1)) == ()
    run(write_answer(path, clip, video={"frames": LENGTH}), "answer", "own", out)
    (sample,) = settle_all(out)
    assert (sample.truth.span, sample.length) == (Span(3, 7), LENGTH)


def test_a_draft_of_an_answer_to_a_picture_has_a_box_and_no_span(tmp_path):
    Image.new("RGB", (SIZE, SIZE)).save(tmp_path / "one.png")
    still = {"frames": 1, "sampled_frames": [0]}
    tube = {"frames": [0], "boxes": [[1, 2, 30, 40]]}
    path = tmp_path / "answer.json"
    write_answer(path, tmp_path / "one.png", video=still, span=None, tube=tube)
    run(path, "answer", "own", tmp_path / "draft.jsonl")
    (sample,) = settle_all(tmp_path / "draft.jsonl")
    assert sample.span is None
    assert sample.place.boxes.tolist() == [[1, 2, 30, 40]]
    write_answer(path, tmp_path / "one.png", span=None)  # of three frames, it must say when
    with pytest.raises(ValueError, match=r"answer\.json: its annotation cannot be read .*'span'"):
        run(path, "answer", "own", tmp_path / "draft.jsonl")


# The command.


def test_a_file_of_ones_own_must_have_the_name_of_one(command, own, tmp_path):
    code, _, err = command("convert", own, "--out", tmp_path / "x.json")
    assert code == 2
    assert "give a name that ends in .jsonl" in err
    assert not (tmp_path / "x.json").exists()


def test_no_check_is_advised_of_a_file_that_cannot_be_checked(tmp_path):
    bad = "{}\n{}\n"
    (tmp_path / "bad.jsonl").write_text(bad)
    (tmp_path / "bad.json").write_text(bad)
    for path, advised in ((tmp_path / "bad.jsonl", True), (tmp_path / "bad.json", False)):
        with pytest.raises(ValueError, match="and 1 more") as refused:
            run(path, "own", "hcstvg1", tmp_path / "out.json")
        assert ("--check" in str(refused.value)) == advised
    with pytest.raises(ValueError, match="and 1 more") as refused:
        OwnFile.parse(tmp_path / "new.jsonl", bad)
    assert "--check" not in str(refused.value)


def test_the_command_converts_and_says_what_to_do_next(command, own, tmp_path):
    out = tmp_path / "official.json"
    code, said, err = command("convert", own, "--to", "hcstvg1", "--out", out)
    assert (code, err) == (0, "")
    assert f"written {out} (3 queries)" in said
    code, said, _ = command("convert", own, "--out", tmp_path / "x.jsonl", "--json")
    assert json.loads(said)["queries"] == len(SEEDS)
    code, _, err = command("convert", own, "--out", out, "--queries", "x.json")
    assert code == 2
    assert "own has queries of its own" in err


def test_the_names_of_the_command_are_those_of_the_tables():
    from typing import get_args

    from probe.cli.converting import ReadName, WriteName

    assert set(get_args(ReadName)) == set(READERS)
    assert set(get_args(WriteName)) == set(WRITERS)

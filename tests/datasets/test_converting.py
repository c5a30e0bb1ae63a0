"""Conversion of annotations: what goes out comes back, and is scored as the format scores."""

import json
from typing import Any

import numpy as np
import pytest
from published_formats import SCALE, write_clip, write_hcstvg

from probe.datasets import load_dataset
from probe.datasets.converting import READERS, WRITERS, Source, convert
from probe.datasets.sentences import Sentences
from probe.metrics import score_query
from probe.organism.world import LENGTH, RATE, SIDE
from probe.video import Span, Tube
from probe.video.masks import Mask

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
        (lambda it: it["annotations"][0].update(image_id=5), "annotation cannot be read"),
        (lambda it: it["annotations"][0].update(bbox="box"), "could not convert"),
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


# The command.


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

"""Candidate tracks: what is written is read, what is wrong is named, the best is the best."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from tolerances import assert_equal_up_to_rounding

from probe.candidates.tracks import best_track, load_tracks, save_tracks, track_scores
from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.video import Tube, Video

HEIGHT, WIDTH, LENGTH = 40, 60, 30
SAMPLED = (0, 10, 20)


@pytest.fixture
def video() -> Video:
    frames = np.zeros((len(SAMPLED), HEIGHT, WIDTH, 3), np.uint8)
    return Video(frames, SAMPLED, source_times=np.arange(LENGTH) / 25)


def tube(*boxes: tuple[float, float, float, float], label: str = "") -> Tube:
    return Tube(np.array(SAMPLED[: len(boxes)]), np.array(boxes, dtype=float), label)


def published(*bboxes, **change) -> dict:
    """A file as the authors publish it; absent frames fill up three sampled frames."""
    boxes = [[list(box)] for box in bboxes] + [[[0, 0, 0, 0]]] * (3 - len(bboxes))
    proposal = {
        "track_id": 7,
        "bboxes": boxes,
        "rles": [None, None, None],
        "class_name": "man",
        "box_format": "xyxy",
        "img_width": WIDTH,
        "img_height": HEIGHT,
    }
    return {"sample_frames": list(SAMPLED), "dino_sam2_proposals": [proposal | change]}


def own(frames, boxes, **change) -> dict:
    return {
        "format": "grounding-probe/tracks",
        "version": 1,
        "size": [HEIGHT, WIDTH],
        "frames": LENGTH,
        "tracks": [{"label": "", "frames": frames, "boxes": boxes}],
    } | change


def rle(x1: int, y1: int, x2: int, y2: int) -> dict:
    picture = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    picture[y1:y2, x1:x2] = 1
    return {**coco_mask.encode(picture)}


def as_text(mask: dict) -> dict:
    return mask | {"counts": mask["counts"].decode()}


def load(tmp_path, content, video) -> tuple[Tube, ...]:
    path = tmp_path / "tracks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_tracks(path, video)


def test_saved_tracks_come_back(tmp_path, video):
    path = tmp_path / "tracks.json"
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, HEIGHT, (4, 3, 2, 2)), axis=2).reshape(4, 3, 4).round(2)
    tracks = [tube(*map(tuple, boxes), label="the dög") for boxes in corners]
    save_tracks(tracks, video, path)
    loaded = load_tracks(str(path), video)
    assert loaded == tuple(tracks)
    save_tracks(loaded, video, path)
    assert load_tracks(path, video) == loaded


def test_published_proposals_are_read_and_zero_boxes_are_absent(tmp_path, video):
    (track,) = load(tmp_path, published((1, 2, 30, 40), (0, 0, 0, 0), (5, 5, 60, 20)), video)
    assert track.frames.tolist() == [0, 20]
    assert track.boxes.tolist() == [[1, 2, 30, 40], [5, 5, 60, 20]]
    assert track.label == "man"


def test_a_mask_gives_the_box_only_where_there_is_none(tmp_path, video):
    masks = [as_text(rle(1, 2, 3, 4)), as_text(rle(10, 11, 22, 33)), as_text(rle(0, 0, 0, 0))]
    (track,) = load(tmp_path, published((5, 5, 9, 9), rles=masks), video)
    assert track.frames.tolist() == [0, 10]
    assert track.boxes.tolist() == [[5, 5, 9, 9], [10, 11, 22, 33]]
    assert [mask.to_dict() for mask in track.masks if mask] == masks[:2]


def test_masks_are_kept_when_tracks_are_saved_and_loaded(tmp_path, video):
    masks = [as_text(rle(1, 2, 3, 4)), None, as_text(rle(0, 0, 0, 0))]
    (track,) = load(tmp_path, published(BOX, BOX, BOX, rles=masks), video)
    path = tmp_path / "own.json"
    save_tracks([track, tube((1, 1, 2, 2))], video, path)
    again, plain = load_tracks(path, video)
    assert again == track
    assert [mask and mask.area for mask in again.masks] == [4, None, 0]
    assert plain.masks == ()
    assert "masks" not in json.loads(path.read_text())["tracks"][1]


def test_one_sliver_in_the_corner_is_no_reason_to_refuse_a_file(tmp_path, video):
    content = own([0], [BOX])
    content["tracks"].append({"label": "", "frames": [3], "boxes": [[0, 0, 0.5, 1]]})
    assert len(load(tmp_path, content, video)) == 2
    tiny = Video(np.zeros((1, 1, 1, 3), np.uint8), (0,), np.zeros(1))
    content = own([0], [[0, 0, 1, 1]], size=[1, 1]) | {"frames": 1}
    assert len(load(tmp_path, content, tiny)) == 1


def test_relative_boxes_are_not_written_either(tmp_path, video):
    with pytest.raises(ValueError, match="every box lies within one pixel"):
        save_tracks([tube((0.1, 0.1, 0.5, 0.9))], video, tmp_path / "tracks.json")


READ_MANY = """
import sys
import numpy as np
from probe.candidates.tracks import load_tracks
from probe.video import Tube, Video

frames = np.zeros((3, 40, 60, 3), np.uint8)
video = Video(frames, (0, 10, 20), np.arange(30) / 25)
tracks = load_tracks(sys.argv[1], video)
print(len(tracks))
assert tracks[-1] == Tube([9], [[1.5, 2, 30, 39]], "a")
"""


@pytest.mark.slow
def test_a_hundred_thousand_tracks_are_read(tmp_path):
    record = {"label": "a", "frames": [9], "boxes": [[1.5, 2.0, 30.0, 39.0]]}
    path = tmp_path / "tracks.json"
    path.write_text(json.dumps(own([], []) | {"tracks": [record] * 100_000}))
    # In a process without the checks of types that slow each call down here.
    command = [sys.executable, "-c", READ_MANY, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 100_000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_tracks_are_read_in_every_encoding(tmp_path, video, encoding):
    path = tmp_path / "tracks.json"
    path.write_bytes(json.dumps(own([0], [BOX])).encode(encoding))
    assert len(load_tracks(path, video)) == 1


def test_a_proposal_that_is_never_seen_is_no_candidate(tmp_path, video):
    content = published((1, 1, 2, 2))
    content["dino_sam2_proposals"] += published()["dino_sam2_proposals"]
    assert len(load(tmp_path, content, video)) == 1


def test_boxes_a_pixel_over_the_edge_are_clipped(tmp_path, video):
    (track,) = load(tmp_path, published((-1, -0.5, WIDTH + 1, HEIGHT + 0.9)), video)
    assert track.boxes.tolist() == [[0, 0, WIDTH, HEIGHT]]


BOX = [1, 1, 2, 2]
NAN = float("nan")


def masked(masks) -> dict:
    """A track of one box, with these masks."""
    return {"frames": [0], "boxes": [BOX], "masks": masks}


BAD = {
    "not JSON": ("{", "cannot be read as JSON"),
    "not an object": ([1], "JSON object"),
    "neither format": ({"boxes": []}, "neither"),
    "another version": (own([0], [BOX], version=2), "version 2"),
    "another size": (own([0], [BOX], size=[WIDTH, HEIGHT]), r"\[60, 40\].*\[40, 60\]"),
    "another length": (own([0], [BOX]) | {"frames": 31}, "31 frames.*30"),
    "no tracks": (own([0], [BOX], tracks=[]), "no tracks"),
    "tracks missing": (own([0], [BOX], tracks=None), "tracks: found None"),
    "track not an object": (own([0], [BOX], tracks=[3]), "track 0 is 3"),
    "frame outside": (own([0, 30], [BOX, BOX]), "track 0: frame 30 .*30 frames"),
    "frame negative": (own([-4], [BOX]), "track 0: frame -4"),
    "frames repeated": (own([5, 5], [BOX, BOX]), "track 0: frames: 5 follows 5"),
    "frame not whole": (own([0.5], [BOX]), "0.5 is not a whole number"),
    "fewer boxes": (own([0, 1], [BOX]), "track 0: 1 boxes for 2 frames"),
    "NaN": (own([0, 9], [BOX, [1, NAN, 2, 2]]), r"track 0, frame 9: .*nan.* not finite"),
    "inside out": (own([9], [[5, 1, 2, 2]]), r"track 0, frame 9: .*5\.0, 1\.0.* inside out"),
    "out of the frame": (own([9], [[0, 0, 61.5, 9]]), r"track 0, frame 9: .*61\.5.*60 x 40"),
    "frame too large": (own([10**30], [BOX]), "cannot be read as candidate tracks .*too large"),
    "number too large": (
        own([9], [[0, 0, 10**400, 9]]),
        "cannot be read as candidate tracks .*too large",
    ),
    "number infinite": (own([9], [[0, 0, 9, float("inf")]]), "frame 9: .*inf.* not finite"),
    "three numbers": (own([9], [[1, 2, 3]]), "track 0, frame 9: .*not four numbers"),
    "published: another size": (published(BOX, img_width=61), r"track 0 .*\[40, 61\]"),
    "published: another form": (published(BOX, box_format="xywh"), "xywh"),
    "published: fewer boxes": (published(bboxes=[[BOX]]), "track_id 7.*1 bboxes for 3 frames"),
    "published: fewer masks": (published(BOX, rles=[None]), "1 rles for 3 frames"),
    "published: NaN": (published(BOX, [NAN] * 4), r"track 0 .*frame 10: .*not finite"),
    "published: inside out": (published([1, 9, 2, 2]), r"track 0 .*frame 0: .*inside out"),
    "published: out of the frame": (published([-2, 0, 2, 2]), r"frame 0: .*-2\.0.*leaves"),
    "published: never seen": (published(), "no tracks"),
    "published: nothing found": (published() | {"dino_sam2_proposals": []}, "no tracks"),
    "published: frame outside": (
        published(BOX, BOX, BOX) | {"sample_frames": [0, 10, 99]},
        "frame 99 .*30 frames",
    ),
    "published: mask of another size": (
        published(BOX, rles=[None, {"size": [9, 9], "counts": "0"}, None]),
        r"frame 10: a mask of \[9, 9\]",
    ),
    "track too deep": (own([0], [BOX], tracks=[[[[[[3]]]]]]), "track 0 is "),
    "size of another type": (own([0], [BOX], size="60 x 40"), "'60 x 40'.*the video has"),
    "true for a number": (own([9], [[0, 0, True, 9]]), "track 0, frame 9: .*not four numbers"),
    "text of any length": (own([9], ["x" * 10**6]), "track 0, frame 9: .*not four numbers"),
    "no box at all": (own([], []), "track 0: it has no frame with a box; leave the track out"),
    "a label of another type": (
        own([], [], tracks=[{"label": 3, "frames": [0], "boxes": [BOX]}]),
        "track 0: label is 3; give a text, or null",
    ),
    "published: a label of another type": (published(BOX, class_name={}), "class_name is {};"),
    "relative boxes": (
        own([0, 9], [[0.1, 0.2, 0.5, 0.9], [0, 0, 1, 1]]),
        r"every box lies within one pixel, such as \[0.1, 0.2, 0.5, 0.9\]; .*60 \(x\) and 40",
    ),
    "published: relative boxes": (
        published([0.1, 0.2, 0.5, 0.9], rles=[None, as_text(rle(1, 2, 30, 40)), None]),
        "every box lies within one pixel",
    ),
    "own: a mask of another size": (
        own([], [], tracks=[masked([{"size": [9, 9], "counts": "0"}])]),
        r"track 0, frame 0: a mask of \[9, 9\]",
    ),
    "own: fewer masks": (
        own([], [], tracks=[masked([None, None])]),
        "track 0: 2 masks for 1 frames",
    ),
    "published: masks are true": (published(BOX, rles=True), "rles: found True; it must be a list"),
    "published: counts do not add up": (
        published(BOX, rles=[None, {"size": [HEIGHT, WIDTH], "counts": [5, 6, 7]}, None]),
        "frame 10: the counts add up to 18, a mask of 40 x 60 has 2400 pixels",
    ),
    "published: compressed counts do not add up": (
        published(BOX, rles=[None, {"size": [HEIGHT, WIDTH], "counts": "567"}, None]),
        "frame 10: the counts add up to 18",
    ),
    "published: counts end too early": (
        published(BOX, rles=[None, {"size": [HEIGHT, WIDTH], "counts": "Z`o"}, None]),
        "frame 10: the counts 'Z`o' end in the middle of a number",
    ),
    "published: counts are no counts": (
        published(BOX, rles=[None, {"size": [HEIGHT, WIDTH], "counts": "\u72ac !"}, None]),
        "frame 10: the counts .* are no compressed counts",
    ),
    "published: negative counts": (
        published(BOX, rles=[None, {"size": [HEIGHT, WIDTH], "counts": [-5, 2405]}, None]),
        "frame 10: counts of .* whole numbers above 0",
    ),
    "published: empty runs": (
        published(BOX, rles=[None, {"size": [HEIGHT, WIDTH], "counts": [5, 0, 2395]}, None]),
        "frame 10: counts of .* whole numbers above 0",
    ),
    "published: counts of text": (
        published(BOX, rles=[None, {"size": [HEIGHT, WIDTH], "counts": ["5", 2395]}, None]),
        "frame 10: counts of .* whole numbers above 0",
    ),
    "published: mask without counts": (
        published(BOX, rles=[None, {"size": [HEIGHT, WIDTH]}, None]),
        "frame 10: a mask without counts",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path, video, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path, content, video)
    assert str(caught.value).startswith(str(tmp_path / "tracks.json"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(tmp_path)) + 400
    assert "; " in str(caught.value)


def test_a_label_of_null_is_none(tmp_path, video):
    given = own([], [], tracks=[{"label": None, "frames": [0], "boxes": [BOX]}])
    assert load(tmp_path, given, video)[0].label == ""


def test_a_missing_file_is_named(tmp_path, video):
    with pytest.raises(ValueError, match=r"nowhere\.json: no such file"):
        load_tracks(tmp_path / "nowhere.json", video)


def test_what_could_not_be_read_again_is_not_written(tmp_path, video):
    path = tmp_path / "tracks.json"
    with pytest.raises(ValueError, match="no tracks to save"):
        save_tracks([], video, path)
    with pytest.raises(ValueError, match="track 1: it has no frame with a box"):
        save_tracks([tube((0, 0, 5, 9)), tube()], video, path)
    with pytest.raises(ValueError, match=r"track 0, frame 0: .* leaves the frame"):
        save_tracks([tube((0, 0, WIDTH + 5, 9))], video, path)
    assert not path.exists()


@pytest.mark.parametrize("as_type", [str, Path])
def test_the_path_may_come_first_as_it_once_did(tmp_path, video, as_type):
    new, old, mixed = (tmp_path / name for name in ("new", "old", "mixed"))
    tracks = [tube((0, 0, 9, 9), label="a")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_tracks(tracks, video, as_type(new))
        save_tracks(path=as_type(new), video=video, tracks=tracks)
    last = r"^save_tracks takes its path last now: save_tracks\(tracks, video, path\)$"
    # The arguments as they once were, which the types of today do not have.
    calls: list[tuple[Any, Any]] = [
        ((as_type(old), tracks, video), {}),
        ((as_type(mixed), tracks), {"video": video}),
    ]
    for arguments, names in calls:
        with pytest.warns(DeprecationWarning, match=last):
            save_tracks(*arguments, **names)
    assert new.read_bytes() == old.read_bytes() == mixed.read_bytes()


def random_map(seed: int) -> Heatmap:
    values = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(seed))
    return Heatmap(values, Cells(tuple((f,) for f in SAMPLED), 4, 6, (0.0, 0.0, 60.0, 40.0)))


def random_tube(rng: np.random.Generator) -> Tube:
    corners = np.sort(rng.uniform(0, HEIGHT, (3, 2, 2)), axis=1)
    return Tube(np.array(SAMPLED), corners.reshape(3, 4))


def slow_score(candidate: Tube, heatmap: Heatmap) -> float:
    """Cell by cell: attention times the covered share of the cell, the greatest of all."""
    best = 0.0
    for frame, row, column in np.ndindex(*heatmap.cells.shape):
        x1, y1, x2, y2 = heatmap.cells.box(row, column)
        box = candidate.box_at(heatmap.cells.frames[frame][0])
        assert box is not None
        across = max(0.0, min(x2, box[2]) - max(x1, box[0]))
        down = max(0.0, min(y2, box[3]) - max(y1, box[1]))
        share = across * down / ((x2 - x1) * (y2 - y1))
        best = max(best, float(heatmap.values[frame, row, column]) * share)
    return best


def test_scores_equal_the_slow_count_of_every_cell():
    rng = np.random.default_rng(0)
    heatmap = random_map(0)
    candidates = [random_tube(rng) for _ in range(6)]
    expected = [slow_score(candidate, heatmap) for candidate in candidates]
    assert_equal_up_to_rounding(track_scores(candidates, heatmap), expected)


def test_the_best_track_holds_the_peak_of_the_map():
    heatmap = random_map(1)
    values = heatmap.values.clone()
    values[1, 2, 4] = 5
    heatmap = Heatmap(values, heatmap.cells)
    elsewhere, there = tube((0, 0, 20, 20)), tube((0, 0, 9, 9), (40, 20, 50, 30), (0, 0, 9, 9))
    assert best_track([elsewhere, there], heatmap) is there
    assert best_track([there, elsewhere], heatmap) is there


def test_ties_go_to_the_first():
    one, same = tube((0, 0, 20, 20)), tube((0, 0, 20, 20))
    assert best_track([one, same], random_map(2)) is one
    assert best_track([same, one], random_map(2)) is same


def test_scores_follow_the_scale_of_the_map_and_carry_its_gradient():
    heatmap = random_map(3)
    candidates = [tube((0, 0, 20, 20)), tube((20, 10, 45, 40))]
    double = Heatmap((2 * heatmap.values).requires_grad_(), heatmap.cells)
    scores = track_scores(candidates, double)
    assert_equal_up_to_rounding(scores, 2 * track_scores(candidates, heatmap))
    (gradient,) = torch.autograd.grad(scores[0], double.values)
    assert gradient.count_nonzero() == 1


def test_no_candidate_and_no_number_are_errors():
    with pytest.raises(ValueError, match="no candidate"):
        best_track([], random_map(4))
    with pytest.raises(ValueError, match="no candidate"):
        track_scores([], random_map(4))
    broken = Heatmap(random_map(4).values * NAN, random_map(4).cells)
    with pytest.raises(ValueError, match="NaN"):
        best_track([tube((0, 0, 20, 20))], broken)

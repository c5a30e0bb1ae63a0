"""Detectors: what a phrase names is found, followed both ways as one object, and remembered."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_detectors import save_tiny_finder, save_tiny_tracker
from tolerances import assert_equal_up_to_rounding, tolerance

from probe.candidates.detection_cache import hash_content
from probe.candidates.detections import (
    Detection,
    DetectionConfig,
    box_around,
    link_detections,
    select_new,
)
from probe.candidates.detectors import FindAndFollow, detect_tracks, load_detector
from probe.candidates.finders import open_finder
from probe.candidates.trackers import open_tracker
from probe.metrics import box_iou
from probe.organism.world import make_clip
from probe.video import Tube, read_video, source_frames

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

LOW = DetectionConfig(box_threshold=0.2, text_threshold=0.2, limit=3)
"""Thresholds that boxes of random weights pass, and few of them."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detectors")
    save_tiny_finder(folder / "finder")
    save_tiny_tracker(folder / "tracker")
    return folder / "finder", folder / "tracker"


@pytest.fixture(scope="module")
def detector(folders):
    return load_detector(*folders)


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(7).write(path, scale=2)
    return path


@pytest.fixture(scope="module")
def video(clip_file):
    return read_video(clip_file, 8)


@pytest.fixture(scope="module")
def tracks(detector, video):
    return detect_tracks(detector, video, ["circle", "the red square"], config=LOW)


def edges(mask):
    """The box around a mask as a list, empty for an empty mask."""
    box = box_around(mask)
    return [] if box is None else box.tolist()


def plain(tracks):
    return [track.to_dict() for track in tracks]


def test_a_real_file_gives_labelled_tracks_at_every_tenth_frame_and_the_last(tracks, video):
    assert tracks
    assert {track.label for track in tracks} <= {"circle", "the red square"}
    height, width = video.size
    for track in tracks:
        assert set(track.frames) <= {0, 10, 20, 30, 40, 50, 60, 63}
        assert (track.boxes >= 0).all()
        assert (track.boxes <= [width, height, width, height]).all()
    assert any(len(track) == 8 for track in tracks)


def test_a_search_ends_the_same_every_time_and_however_the_phrase_is_written(
    detector, video, tracks
):
    again = detect_tracks(detector, video, ["Circle.", "The  red SQUARE", "circle"], config=LOW)
    assert plain(again) == plain(tracks)


def test_a_picture_gives_other_boxes_for_another_phrase_and_fewer_at_higher_thresholds(
    detector, video
):
    picture = video.frames[0]
    low, high = (
        {
            (*found.box, found.score)
            for found in detector.finder.find(picture, "circle", DetectionConfig(box, 0.0))
        }
        for box in (0.1, 0.9)
    )
    assert high < low
    assert all(score > 0.9 for *_, score in high)
    other = detector.finder.find(picture, "the red dog", DetectionConfig(0.1, 0.0))
    assert {(*found.box, found.score) for found in other} != low
    assert detector.finder.find(picture, "circle", DetectionConfig(0.1, 1.0)) == []


@torch.inference_mode()
def test_boxes_are_in_pixels_of_a_picture_that_is_not_square(detector, video):
    picture = video.frames[0][:70]
    opened = detector.finder.opened
    model, processor = opened.model, opened.processor
    outputs = model(**processor(images=picture, text="circle.", return_tensors="pt"))
    scores = outputs.logits[0].sigmoid().amax(-1)
    x, y, width, height = (outputs.pred_boxes[0] * torch.tensor([112, 70, 112, 70])).T
    corners = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
    found = detector.finder.find(picture, "circle", DetectionConfig(0.1, 0.0))
    assert len(found) == int((scores > 0.1).sum()) > 1
    for box, score in zip(corners[scores > 0.1], scores[scores > 0.1], strict=True):
        (same,) = (one for one in found if abs(one.score - score) <= tolerance(1))
        limits = np.array([112, 70, 112, 70])
        assert_equal_up_to_rounding(same.box, np.clip(box.numpy(), 0, limits), scale=limits)


@pytest.mark.slow
def test_a_single_phrase_may_be_given_as_it_is(detector, video):
    alone, listed = (detect_tracks(detector, video, one, config=LOW) for one in ("man", ["man"]))
    assert plain(alone) == plain(listed) != []


def test_nothing_found_is_no_tracks(detector, video):
    assert detect_tracks(detector, video, ["circle"], config=DetectionConfig(1.0)) == ()


@pytest.mark.parametrize("phrases", [[], [" . "]])
def test_a_search_for_nothing_is_refused(detector, video, phrases):
    with pytest.raises(ValueError, match="phrase"):
        detect_tracks(detector, video, phrases)


@torch.inference_mode()
def followed_by_the_book(tracker, pictures, start, boxes):
    """SAM 2's own loops over a session that holds the whole video, as its manual has them."""
    session = tracker.processor.init_video_session(video=np.stack([*pictures.values()]))
    origin, size = [*pictures].index(start), pictures[start].shape[:2]
    tracker.processor.add_inputs_to_inference_session(
        session, frame_idx=origin, obj_ids=[*range(len(boxes))], input_boxes=[boxes]
    )
    masks = {}
    for reverse in (False, True):
        loop = tracker.model.propagate_in_video_iterator(session, origin, reverse=reverse)
        for output in loop:
            (masks[output.frame_idx],) = tracker.processor.post_process_masks(
                [output.pred_masks], [size]
            )
    return [masks[place][:, 0].numpy() for place in range(len(pictures))]


@pytest.mark.slow
def test_objects_are_followed_as_by_sam_2s_own_loops_with_no_picture_kept(detector, video):
    pictures = {
        frame: picture for frame, picture in enumerate(source_frames(video)) if frame % 4 == 0
    }
    boxes = [[20.0, 20.0, 60.0, 60.0], [70.0, 5.0, 100.0, 40.0]]
    found = [Detection(np.array(box), 1.0, "thing") for box in boxes]
    expected = followed_by_the_book(detector.tracker.opened, pictures, 16, boxes)
    assert 0.02 < np.mean(expected) < 0.98, "masks with an inside and an outside"
    followed = dict(detector.tracker.propagate(pictures, 16, found))
    assert [*followed] == [*range(16, 64, 4), 12, 8, 4, 0]
    for frame, masks in zip(pictures, expected, strict=True):
        assert (followed[frame] == masks).mean() > 0.999, frame
    for number, track in enumerate(detector.tracker.follow(pictures, 16, found)):
        around = {frame: edges(followed[frame][number]) for frame in pictures}
        assert track.frames.tolist() == [frame for frame in pictures if around[frame]]
        assert track.boxes.tolist() == [around[frame] for frame in track.frames]


# Linking, with a tracker that knows the truth.

SIZE, LENGTH = 10.0, 50


def thing(speed, y, present=range(0, LENGTH, 10)):
    """An object that moves to the right, in the frames in which it is seen."""
    frames = np.array([*present])
    corners = np.stack([20.0 + speed * frames, np.full(len(frames), y)], axis=1)
    return Tube(frames, np.hstack([corners, corners + SIZE]))


def seen(things, frame, score=0.9, shift=0.0):
    boxes = [thing.box_at(frame) for thing in things]
    return [Detection(box + shift, score, "thing") for box in boxes if box is not None]


class Following:
    """Follows each object perfectly for as long as it is seen without a break."""

    def __init__(self, *things):
        self.things, self.asked = things, []

    def __call__(self, frame, found):
        self.asked.append((frame, len(found)))
        return [min(self.things, key=lambda t: self.away(t, frame, one)) for one in found]

    @staticmethod
    def away(track, frame, detection):
        box = track.box_at(frame)
        return np.inf if box is None else float(np.abs(box - detection.box).sum())


def test_an_object_that_is_found_again_and_again_is_one_track():
    things = [thing(1.0, 0.0), thing(-0.2, 50.0)]
    follow = Following(*things)
    found = {frame: seen(things, frame, shift=1.0) for frame in range(0, LENGTH, 10)}
    assert plain(link_detections(found, follow)) == plain(things)
    assert follow.asked == [(0, 2)], "followed once, together"


def test_an_object_that_appears_later_is_another_track_and_a_lost_one_begins_again():
    early, late = thing(1.0, 0.0, range(0, 30, 10)), thing(1.0, 0.0, range(40, 50, 10))
    other = thing(0.0, 80.0, range(20, 50, 10))
    found = {frame: seen([early, late, other], frame) for frame in range(0, LENGTH, 10)}
    follow = Following(early, late, other)
    assert plain(link_detections(found, follow)) == plain([early, other, late])
    assert follow.asked == [(0, 1), (20, 1), (40, 1)]


def test_of_too_many_objects_the_first_and_surest_are_followed():
    things = [thing(0.0, 30.0 * number) for number in range(4)]
    found = {0: [*seen(things[:1], 0, 0.5), *seen(things[1:], 0, 0.8)], 10: seen(things, 10)}
    linked = link_detections(found, Following(*things), DetectionConfig(limit=3))
    assert plain(linked) == plain(things[1:])


def test_an_object_whose_mask_is_nowhere_is_no_track():
    gone = Tube(np.empty(0, np.int64), np.empty((0, 4)))
    assert link_detections({0: seen([thing(0.0, 0.0)], 0)}, lambda *_: [gone]) == ()
    assert link_detections({0: [], 10: []}, Following()) == ()


def test_the_laws_of_new_detections():
    rng = np.random.default_rng(0)
    for _ in range(50):
        corners = rng.uniform(0, 60, (12, 2))
        boxes = np.hstack([corners, corners + rng.uniform(5, 40, (12, 2))])
        known = [*boxes[:3]]
        found = [
            Detection(box, float(score), "thing")
            for box, score in zip(boxes[3:], rng.random(9), strict=True)
        ]
        new = select_new(found, known, 0.5)
        assert new == select_new(found[::-1], known, 0.5), "their order does not matter"
        assert new == select_new(new, known, 0.5), "what is left claims nothing of the rest"
        for left_out in (one for one in found if one not in new):
            surer = [one.box for one in new if one.score > left_out.score]
            others = np.stack([*known, *surer])
            assert box_iou(np.broadcast_to(left_out.box, others.shape), others).max() >= 0.5


def test_a_box_goes_around_the_pixels_of_its_mask():
    mask = np.zeros((8, 10), dtype=bool)
    assert box_around(mask) is None
    mask[2, 3] = True
    assert edges(mask) == [3, 2, 4, 3]
    mask[5, 1] = True
    assert edges(mask) == [1, 2, 4, 6]


# The cache.


@pytest.fixture(scope="module")
def searched(detector, video, tmp_path_factory):
    """A cache with one search in it."""
    cache = tmp_path_factory.mktemp("searched")
    detect_tracks(detector, video, ["circle"], config=LOW, cache=cache)
    return cache


@pytest.fixture
def kept(searched, tmp_path):
    """The file of that search, in a cache that may be changed."""
    shutil.copytree(searched, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    return file


def test_a_search_is_known_again_by_content_and_not_run(detector, clip_file, kept, tmp_path):
    content = json.loads(kept.read_text())
    content["tracks"] = [{"label": "marked", "frames": [0], "boxes": [[1, 2, 3, 4]]}]
    kept.write_text(json.dumps(content))
    (tmp_path / "other name.mp4").write_bytes(clip_file.read_bytes())
    copy = read_video(tmp_path / "other name.mp4", 5)
    (found,) = detect_tracks(detector, copy, ["circle"], config=LOW, cache=kept.parent)
    assert found.label == "marked"


@pytest.mark.slow
def test_another_phrase_number_or_video_is_another_search(detector, video, kept):
    searches = [
        (video, ["square"], LOW),
        (video, ["circle"], dataclasses.replace(LOW, same=0.4)),
        (dataclasses.replace(video, path=None), ["circle"], LOW),
    ]
    for number, (shown, phrases, config) in enumerate(searches, start=2):
        detect_tracks(detector, shown, phrases, config=config, cache=kept.parent)
        assert len([*kept.parent.iterdir()]) == number


def test_nothing_found_is_kept_too(detector, video, tmp_path):
    for _ in range(2):
        found = detect_tracks(
            detector, video, ["circle"], config=DetectionConfig(1.0), cache=tmp_path
        )
        assert found == ()
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["tracks"] == []


@pytest.mark.slow
def test_a_torn_or_foreign_file_is_warned_of_and_made_again(detector, video, kept):
    whole = kept.read_text()
    foreign = json.dumps({**json.loads(whole), "key": {"phrases": ["square"]}})
    records = [
        {**json.loads(whole), **wrong}
        for wrong in (
            {"version": 2},
            {"tracks": None},
            {"tracks": [3]},
            {"tracks": [{"frames": [0]}]},
            {"tracks": [{"frames": ["first"], "boxes": [[0, 0, 1, 1]]}]},
        )
    ]
    for content in (whole[:-20], "[]", "", foreign, *map(json.dumps, records)):
        kept.write_text(content)
        with pytest.warns(UserWarning, match="the detector runs again"):
            detect_tracks(detector, video, ["circle"], config=LOW, cache=kept.parent)
        assert kept.read_text() == whole
        assert [*kept.parent.iterdir()] == [kept]


def test_a_cache_that_cannot_be_made_is_named_before_the_search(detector, video, tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "file/below"):
        with pytest.raises(ValueError, match=f"{name}: cannot be made .*; give another folder"):
            detect_tracks(detector, video, "man", cache=str(tmp_path / name))


def test_weights_are_told_apart_by_what_they_are(folders, detector):
    again = FindAndFollow(
        open_finder(str(folders[0]), device="cpu", dtype="auto"),
        open_tracker(str(folders[1]), device="cpu", dtype="auto"),
    )
    assert again.tracker.opened.fingerprint == detector.tracker.opened.fingerprint
    with torch.no_grad():
        again.tracker.opened.model.no_memory_embedding.add_(1e-3)
    del again.tracker.opened.__dict__["fingerprint"]
    assert again.tracker.opened.fingerprint != detector.tracker.opened.fingerprint


def test_a_folder_of_frames_is_known_by_its_images(tmp_path, clip):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(3):
            Image.fromarray(clip.frame(index)).save(tmp_path / name / f"{index}.png")
    a, b = (read_video(tmp_path / name, 2) for name in ("a", "b"))
    assert hash_content(a) == hash_content(b)
    Image.fromarray(clip.frame(9)).save(tmp_path / "b" / "1.png")
    assert hash_content(a) != hash_content(b)


# Opening.


def test_a_wrong_checkpoint_is_one_line(folders, tmp_path):
    finder, tracker = folders
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((finder / "config.json").read_text())
    (pickled / "pytorch_model.bin").write_bytes(b"")
    wrong = [
        ("no such folder", (tmp_path / "none", tracker), {}),
        ("pickled weights are not read", (pickled, tracker), {}),
        ("of type 'sam2_video'; give one of grounding-dino", (tracker, tracker), {}),
        ("of type 'grounding-dino'; give one of sam2_video", (finder, finder), {}),
        ("unknown dtype 'int8'", folders, {"dtype": "int8"}),
        ("cannot use device", folders, {"device": "nowhere"}),
    ]
    for words, checkpoints, options in wrong:
        with pytest.raises(ValueError, match=words) as refused:
            load_detector(*checkpoints, **options)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", [0, 1], ids=["finder", "tracker"])
def test_a_checkpoint_without_all_its_weights_is_refused(folders, tmp_path, place):
    folder = Path(shutil.copytree(folders[place], tmp_path / "some"))
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if name.endswith(("q_proj.weight", "query.weight")))
    kept = {name: weight for name, weight in weights.items() if name != lost}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="1 weights are missing, the first"):
        load_detector(*(folder if i == place else other for i, other in enumerate(folders)))


@pytest.mark.slow
def test_half_precision_finds_and_follows(folders, video):
    half = load_detector(*folders, dtype="bfloat16")
    assert detect_tracks(half, video, ["circle"], config=LOW)


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"limit": 0}, {"same": 1.5}, {"box_threshold": -0.1}]
)
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DetectionConfig(**wrong)

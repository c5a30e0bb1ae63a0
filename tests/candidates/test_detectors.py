"""Detectors: what a phrase names is found, followed both ways as one object, and remembered."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_detectors import save_tiny_finder, save_tiny_tracker
from tolerances import assert_equal_up_to_rounding, tolerance

from probe.candidates.detections import DetectionConfig
from probe.candidates.detectors import FindAndFollow, detect_tracks, load_detector
from probe.candidates.finders import open_finder
from probe.candidates.trackers import open_tracker
from probe.organism.world import make_clip
from probe.video import read_video

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

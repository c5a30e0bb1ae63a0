"""Trackers: each type follows as its own loops do, though it is shown one picture at a time."""

import numpy as np
import pytest
import torch
from tiny_detectors import SAVE_TRACKERS

from probe.candidates.detections import Detection
from probe.candidates.detector_models import open_detector_model
from probe.candidates.trackers import TRACKERS, open_tracker, read_reach
from probe.organism.world import make_clip

pytestmark = pytest.mark.slow  # each opens a model

BOXES = [[10.0, 10.0, 30.0, 30.0], [35.0, 2.0, 50.0, 20.0]]
FOUND = [Detection(np.array(box), 1.0, "thing") for box in BOXES]
START = 20


@pytest.fixture(scope="module")
def pictures():
    """More of them than a tracker looks back, on either side of the start."""
    clip = make_clip(7)
    return {frame: clip.frame(frame) for frame in range(0, 64, 4)}


@pytest.fixture(scope="module", params=SAVE_TRACKERS)
def tracker(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    SAVE_TRACKERS[request.param](folder)
    return open_tracker(str(folder), device="cpu", dtype="auto")


def test_there_is_a_test_model_of_every_type():
    assert {*SAVE_TRACKERS} == {*TRACKERS}


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


def test_objects_are_followed_as_by_the_models_own_loops_with_no_picture_kept(tracker, pictures):
    assert read_reach(tracker.opened.model.config) < len(pictures) // 3
    expected = followed_by_the_book(tracker.opened, pictures, START, BOXES)
    assert 0.02 < np.mean(expected) < 0.98, "masks with an inside and an outside"
    followed = dict(tracker.propagate(pictures, START, FOUND))
    assert [*followed] == [*range(START, 64, 4), *range(START - 4, -1, -4)]
    for frame, masks in zip(pictures, expected, strict=True):
        assert (followed[frame] == masks).mean() > 0.999, frame
    for number, track in enumerate(tracker.follow(pictures, START, FOUND)):
        seen = [frame for frame in pictures if followed[frame][number].any()]
        assert track.frames.tolist() == seen
        assert track.label == "thing"
        for frame, box, mask in zip(track.frames, track.boxes, track.masks, strict=True):
            assert mask is not None
            assert np.array_equal(mask.to_pixels(), followed[frame][number])
            assert np.array_equal(mask.box, box)


def test_a_package_that_is_not_installed_is_named_in_one_line(tmp_path, monkeypatch):
    from transformers.utils import import_utils

    SAVE_TRACKERS["edgetam_video"](tmp_path)
    _, message = import_utils.BACKENDS_MAPPING["timm"]
    monkeypatch.setitem(import_utils.BACKENDS_MAPPING, "timm", (lambda: False, message))
    with pytest.raises(ValueError, match="requires the timm library") as refused:
        open_detector_model(str(tmp_path), TRACKERS, device="cpu", dtype="auto")
    assert str(refused.value).startswith(f"{tmp_path}: ")
    assert 'pip install "grounding-probe[detectors]"' in str(refused.value)
    assert "\n" not in str(refused.value)

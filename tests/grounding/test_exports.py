"""Answers as values of other programs, from an answer whose track has masks in some frames."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import supervision

from probe.grounder import ground
from probe.grounding import exports
from probe.grounding.exports import list_relative_boxes, to_detections, to_fiftyone
from probe.organism.world import make_clip
from probe.video import Tube, read_video
from probe.video.masks import Mask


@pytest.fixture(scope="module")
def answer(organism, tmp_path_factory):
    """An answer about a video file, whose track has a mask in its first frame."""
    path = tmp_path_factory.mktemp("exports") / "clip.mp4"
    clip = make_clip(7)
    clip.write(path)
    video = read_video(path, 8)
    track = clip.things[0].track()
    x1, y1, x2, y2 = track.boxes[0].round().astype(int)
    pixels = np.zeros(video.size, dtype=bool)
    pixels[y1:y2, x1:x2] = True
    masks = [Mask.from_pixels(pixels), *[None] * (len(track) - 1)]
    masked = Tube(track.frames, track.boxes, "cross", masks)
    return ground(organism, video, clip.things[0].query, [masked])


def test_detections_are_the_boxes_of_the_span_by_frame(answer):
    found: Any = to_detections(answer)
    assert list(found) == list(range(answer.span.start, answer.span.stop))
    for frame, one in found.items():
        assert isinstance(one, supervision.Detections)
        np.testing.assert_allclose(one.xyxy, answer.tube.box_at(frame)[None])
        assert one.tracker_id is not None
        assert one.tracker_id.tolist() == [1]
        assert list(one.data["class_name"]) == ["cross"]
        assert one.metadata["query"] == answer.queries.whole


def test_detections_of_the_whole_track_have_masks_where_the_tracker_gave_them(answer):
    found = to_detections(answer, answer.whole_track)
    assert len(found) == answer.video.source_length
    first: Any = found[0].mask
    assert first.shape == (1, *answer.video.size)
    x1, y1, x2, y2 = found[0].xyxy[0].round().astype(int)
    assert first[0].sum() == (x2 - x1) * (y2 - y1)
    assert all(one.mask is None for frame, one in found.items() if frame)
    # What is made of them is read by supervision itself: one object seen throughout.
    merged: Any = supervision.Detections.merge([found[3], found[4]])
    assert merged.data["frame"].tolist() == [3, 4]


def test_a_score_on_another_scale_is_no_confidence(answer):
    for score, confidence in ((0.5, [0.5]), (7.0, None), (-1.0, None)):
        changed = replace(answer, scores=(score,))
        one: Any = to_detections(changed)[answer.span.start]
        assert (None if one.confidence is None else one.confidence.tolist()) == confidence


def test_relative_boxes_count_frames_from_one_and_cut_masks_to_the_box(answer):
    height, width = answer.video.size
    boxes = list(list_relative_boxes(answer.whole_track, answer.video))
    assert [one.frame for one in boxes] == list(range(1, answer.video.source_length + 1))
    for one, box in zip(boxes, answer.whole_track.boxes.tolist(), strict=True):
        left, top, across, down = one.box
        back = [left * width, top * height, (left + across) * width, (top + down) * height]
        np.testing.assert_allclose(back, box, atol=1e-9)
    assert boxes[0].mask is not None
    assert boxes[0].mask.all(), "the mask fills its box"
    assert boxes[1].mask is None


class Recorded(SimpleNamespace):
    """A value of FiftyOne, which keeps what it was made of and takes fields as a sample does."""

    def __init__(self, **fields):
        super().__init__(**fields, frames={}, fields={})

    def __setitem__(self, name, value):
        self.fields[name] = value


def test_a_sample_of_fiftyone_has_boxes_by_frame_and_the_span(answer, monkeypatch):
    # FiftyOne starts a database server, which cannot be had everywhere; its five types are plain
    # records of their fields.
    names = ("Sample", "Frame", "Detection", "Detections", "TemporalDetection")
    fake = SimpleNamespace(**dict.fromkeys((*names, "TemporalDetections"), Recorded))
    monkeypatch.setattr(exports, "_import_fiftyone", lambda: fake)
    sample = to_fiftyone(answer)
    assert sample.filepath == str(answer.video.path)
    assert list(sample.frames) == list(range(answer.span.start + 1, answer.span.stop + 1))
    found = next(iter(sample.frames.values())).probe.detections[0]
    assert (found.label, found.index) == ("cross", 1)
    (when,) = sample.fields["probe_span"].detections
    assert when.support == [answer.span.start + 1, answer.span.stop]
    assert sample.fields["probe_presence"] == answer.presence


def test_fiftyone_needs_a_file_and_what_is_missing_is_one_line(answer, monkeypatch):
    bare = replace(answer, video=replace(answer.video, path=None))
    with pytest.raises(ValueError, match="FiftyOne opens video files"):
        to_fiftyone(bare)
    for name, call in (("supervision", to_detections), ("fiftyone", to_fiftyone)):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(RuntimeError, match=f"{name} is not installed"):
            call(answer)

"""Concept trackers: text in, tracks out, as SAM 3's own loop gives them, one picture at a time."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_detectors import save_tiny_sam3

from probe.candidates.concepts import open_concept_tracker
from probe.candidates.detections import DetectionConfig, drop_repeated, tube_of_masks
from probe.candidates.detectors import detect_tracks, load_detector, load_picture_detector
from probe.candidates.pictures import read_pictures
from probe.organism.world import make_clip
from probe.video import Video, read_video
from probe.video.masks import Mask

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

EVERY = DetectionConfig(every=8, same=1.0, limit=1000)
"""All that is found, repeated or not."""

HOTSTART = {"hotstart_delay": 3, "hotstart_unmatch_thresh": 2, "hotstart_dup_thresh": 2}
"""Numbers with which some tracks of random weights are withdrawn."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sam3")
    save_tiny_sam3(folder, **HOTSTART)
    return folder


@pytest.fixture(scope="module")
def concepts(folder):
    return open_concept_tracker(str(folder), device="cpu", dtype="auto")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(28).write(path, scale=2)  # random weights find two things in it
    return read_video(path, 8)


@torch.inference_mode()
def found_by_the_book(concepts, pictures, phrases):
    """SAM 3's own loop over a session that holds the whole video: masks by object and frame."""
    model, processor = concepts.opened.model, concepts.opened.processor
    session = processor.init_video_session(video=np.stack([*pictures.values()]))
    processor.add_text_prompt(session, phrases)
    frames, found, confused, removed = [*pictures], {}, [], set()
    for output in model.propagate_in_video_iterator(session):
        frame, seen = frames[output.frame_idx], processor.postprocess_outputs(session, output)
        named = {n: phrase for phrase, all_of in seen["prompt_to_obj_ids"].items() for n in all_of}
        for number, mask in zip(seen["object_ids"].tolist(), seen["masks"].numpy(), strict=True):
            found.setdefault((number, named[number]), {})[frame] = Mask.from_pixels(mask)
        # Where a track is withdrawn, transformers confuses the masks of those before it.
        confused += [frame] if output.removed_obj_ids - removed else []
        removed |= output.removed_obj_ids
    return found, confused


def test_tracks_are_those_of_the_models_own_loop_with_no_picture_kept(concepts, video):
    pictures = read_pictures(video, EVERY.every)
    found, confused = found_by_the_book(concepts, pictures, ["circle", "square"])
    assert 0 < len(confused) < len(pictures) - 2
    expected = [
        tube_of_masks(
            {at: mask for at, mask in masks.items() if at == min(masks) or at not in confused},
            phrase,
        )
        for (_, phrase), masks in found.items()
    ]
    kept = drop_repeated([track for track in expected if len(track)], EVERY)
    tracks = concepts.tracks(video, ["circle", "square"], config=EVERY)
    assert any(len(track) > 3 for track in tracks)
    for track, known in zip(tracks, kept, strict=True):
        assert track.label == known.label
        assert track.frames.tolist() == known.frames.tolist()
        for mask, same in zip(track.masks, known.masks, strict=True):
            assert mask is not None
            assert same is not None
            assert (mask.to_pixels() == same.to_pixels()).mean() > 0.999


def test_boxes_go_around_the_masks_and_begin_in_order(concepts, video):
    tracks = concepts.tracks(video, ["circle"], config=EVERY)
    assert [track.frames[0] for track in tracks] == sorted(track.frames[0] for track in tracks)
    for track in tracks:
        assert track.label == "circle"
        for box, mask in zip(track.boxes, track.masks, strict=True):
            assert np.array_equal(mask.box, box)


def test_what_is_found_twice_is_one_track_and_there_are_no_more_than_wanted(concepts, video):
    few, single, many = (
        concepts.tracks(video, ["circle", "square"], config=config)
        for config in (replace(EVERY, same=0.0), replace(EVERY, limit=1), EVERY)
    )
    assert len(few) == 1, "any two boxes overlap by nothing or more"
    assert few == single == many[:1]
    assert len(many) > 1


def test_surer_objects_only_are_kept_above_a_threshold(concepts, video):
    none, some, usual = (
        concepts.tracks(video, ["circle"], config=DetectionConfig(box_threshold=threshold, every=8))
        for threshold in (1.0, None, 0.0)
    )
    assert none == ()
    assert some == usual, "the checkpoint has a threshold of its own"


def test_a_phrase_longer_than_the_model_reads_is_refused(concepts, video):
    with pytest.raises(ValueError, match=r"has \d+ tokens, SAM 3 reads 32; name the thing in"):
        concepts.tracks(video, ["circle", "dog " * 20], config=EVERY)


def test_it_opens_as_a_detector_that_takes_no_tracker(folder, concepts, video, tmp_path):
    detector = load_detector(folder)
    config = DetectionConfig(every=8)
    found = detect_tracks(detector, video, "Circle.", config=config, cache=tmp_path)
    assert found == concepts.tracks(video, ["circle"], config=config) != ()
    (kept,) = tmp_path.iterdir()
    key = json.loads(kept.read_text())["key"]
    assert key["tracking"] is None
    assert key["detection"]["content"] == concepts.opened.fingerprint
    assert detect_tracks(detector, video, "circle", config=config, cache=tmp_path) == found
    with pytest.raises(ValueError, match="SAM 3 follows what it finds by itself; leave out") as no:
        load_detector(folder, folder)
    assert "\n" not in str(no.value)


def test_it_finds_in_a_single_picture(folder):
    still = Video(make_clip(7).frame(0)[None], (0,), np.zeros(1))
    for detector in (load_detector(folder), load_picture_detector(folder)):
        tracks = detect_tracks(detector, still, "circle")
        assert tracks
        assert all(len(track) == 1 and track.masks for track in tracks)

"""From a phrase to tracks to an answer, by the command line, with detectors of random weights."""

import json

import numpy as np
import pytest
from tiny_detectors import SAVE_FINDERS, SAVE_TRACKERS, save_tiny_sam3

from probe.grounder import ground
from probe.grounding.queries import decompose
from probe.grounding.sources import Search
from probe.organism.world import make_clip
from probe.video import Tube, Video

pytestmark = pytest.mark.slow  # each grounds a query

QUERY = "the red circle that jumps"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detected")
    make_clip(7).write(folder / "clip.mp4", scale=2)
    return folder


@pytest.fixture
def run_ground(command, folder, tmp_path):
    """Ground the clip: the answer's record or None, and the lines of error."""

    def run(*words):
        out = tmp_path / "out"
        code, _, err = command("ground", folder / "clip.mp4", QUERY, "--out", out, *words)
        lines = err.replace("\r", "\n").splitlines()
        errors = [line for line in lines if line.startswith("probe: ") and "note:" not in line]
        answer = out / "answer.json"
        assert answer.exists() == (code == 0), err
        return json.loads(answer.read_text()) if code == 0 else None, errors

    return run


def check_answer(record, label):
    """Check that the answer is one of the candidates, which have the label and their masks."""
    candidates = [Tube.from_dict(one) for one in record["candidates"]]
    assert {track.label for track in candidates} == {label}
    assert any(mask is not None for track in candidates for mask in track.masks)
    for track in candidates:
        for box, mask in zip(track.boxes, track.masks, strict=True):
            assert mask is None or (mask.box == box).all()
    assert Tube.from_dict(record["track"]) in candidates
    assert len(record["tube"]["frames"]) > 0


@pytest.mark.parametrize(
    ("finder", "tracker"),
    [
        ("owlv2", "edgetam_video"),
        ("grounding-dino", "sam3_tracker_video"),
        ("d_fine", "sam2_video"),
    ],
)
def test_what_is_found_and_followed_is_what_an_answer_is_chosen_from(
    run_ground, tmp_path, finder, tracker
):
    SAVE_FINDERS[finder](tmp_path / "finder", **({} if finder != "d_fine" else {"bias": 2.0}))
    SAVE_TRACKERS[tracker](tmp_path / "tracker")
    record, _ = run_ground("--detector", tmp_path / "finder", "--tracker", tmp_path / "tracker")
    check_answer(record, "circle")


def test_the_tracks_of_a_concept_are_what_an_answer_is_chosen_from(run_ground, tmp_path):
    save_tiny_sam3(tmp_path / "sam3")
    record, _ = run_ground("--detector", tmp_path / "sam3", "--cache", tmp_path / "cache")
    check_answer(record, "circle")
    again, _ = run_ground("--detector", tmp_path / "sam3", "--cache", tmp_path / "cache")
    assert again["candidates"] == record["candidates"], "they are kept with their masks"


def test_a_picture_is_searched_without_a_tracker(tmp_path, organism):
    SAVE_FINDERS["owlv2"](tmp_path / "finder")
    still = Video(make_clip(7).frame(0)[None], (0,), np.zeros(1))
    # No tracker is named, and none could be downloaded.
    searcher = Search(str(tmp_path / "finder")).open_for(still, device="cpu", dtype="auto")
    tracks = searcher.find(still, decompose(QUERY))
    assert [len(track) for track in tracks] == [1] * len(tracks)
    assert ground(organism, still, QUERY, tracks).track in tracks
    with pytest.raises(ValueError, match="64 frames; this detector is for a single picture"):
        searcher.find(make_clip(7).video(), decompose(QUERY))


def test_what_a_detector_cannot_do_is_one_line(run_ground, tmp_path):
    SAVE_FINDERS["rf_detr"](tmp_path / "finder", classes=("person", "dog"))
    SAVE_TRACKERS["sam2_video"](tmp_path / "tracker")
    save_tiny_sam3(tmp_path / "sam3")
    finder, tracker = (("--detector", tmp_path / "finder"), ("--tracker", tmp_path / "tracker"))
    refused = [
        ((*finder, *tracker), "knows no class 'circle'; it knows person, dog"),
        (("--detector", tmp_path / "sam3", *tracker), "SAM 3 follows what it finds by itself"),
        ((*finder, "--tracker", tmp_path / "finder"), "of type 'rf_detr'; give one of sam2_video"),
        (("--detector", tmp_path / "tracker"), "of type 'sam2_video'; give one of grounding-dino"),
    ]
    for words, named in refused:
        record, errors = run_ground(*words)
        assert record is None
        (error,) = errors
        assert named in error

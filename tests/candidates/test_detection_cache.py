"""Caches of searches: known again by content, and never trusted when damaged or foreign."""

import dataclasses
import json
import shutil

import pytest
from tiny_detectors import save_tiny_finder, save_tiny_tracker

from probe.candidates.detection_cache import hash_content
from probe.candidates.detections import DetectionConfig
from probe.candidates.detectors import detect_tracks, load_detector
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

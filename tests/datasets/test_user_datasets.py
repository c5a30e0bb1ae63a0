"""Data sets in user code alone: functions of modules that the package does not know."""

import sys
import uuid

import numpy as np
import pytest

from probe.datasets import DataSet, Sample, StoredVideo, check_samples, load_dataset
from probe.organism.world import LENGTH, make_clip
from probe.video import Span, Tube

READER = """
from pathlib import Path

from probe.datasets import DataSet, Sample, StoredVideo
from probe.organism.world import make_clip

SEEDS = (7, 8)


def read(root, annotations):
    samples = []
    for seed in SEEDS:
        thing = make_clip(seed).things[0]
        video = StoredVideo.from_path(root / f"{seed}.mp4")
        samples.append(Sample(str(seed), thing.query, video, thing.tube()))
    return DataSet.from_samples("mine", samples)


def read_annotations(root, annotations):
    assert isinstance(annotations, Path)
    return read(root, None)


def read_nothing(root, annotations):
    return [1, 2]


def read_alone(root):
    return read(root, None)


def read_badly(root, annotations):
    raise ValueError(f"{root}: not a folder of mine")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of user code; give its name, which no other test has."""

    def write(text):
        name = f"mine_{uuid.uuid4().hex[:8]}"
        (tmp_path / "code").mkdir(exist_ok=True)
        (tmp_path / "code" / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path / "code")
        return name

    return write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for seed in (7, 8):
        make_clip(seed).write(folder / f"{seed}.mp4")
    return folder


@pytest.mark.slow
def test_a_function_of_the_user_gives_a_data_set(module, root):
    dataset = load_dataset(f"{module(READER)}:read", root)
    assert (dataset.name, dataset.ids, len(dataset)) == ("mine", ("7", "8"), 2)
    assert [sample.video_name for sample in dataset] == ["7", "8"]
    assert list(check_samples(dataset)) == [None, None]
    footage = dataset[0].recording.read(4)
    assert (len(footage.video), footage.source_length) == (4, LENGTH)


def test_its_version_follows_from_the_truth(module, root):
    name, other = module(READER), module(READER.replace("(7, 8)", "(7, 9)"))
    assert load_dataset(f"{name}:read", root).version == load_dataset(f"{name}:read", root).version
    assert load_dataset(f"{name}:read", root).version != load_dataset(f"{other}:read", root).version


def test_annotations_are_passed_on_as_a_path(module, root):
    dataset = load_dataset(f"{module(READER)}:read_annotations", str(root), "mine.json")
    assert len(dataset) == 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent_module:read", "cannot import 'absent_module'"),
        ("{module}:absent", "no 'absent' in"),
        ("{module}:SEEDS", "a tuple, not a function"),
        ("{module}:read_nothing", "returned a list, not a probe.datasets.DataSet"),
        ("{module}:read_alone", "cannot be called with root and annotations"),
        ("{module}:read_badly", "not a folder of mine"),
        ("{module}:", "names no"),
        ("{broken}:read", "(SyntaxError: invalid syntax"),
        ("{failing}:read", "(ZeroDivisionError: division by zero)"),
    ],
)
def test_anything_wrong_with_it_is_one_line(module, root, name, reason):
    names = {"module": module(READER), "broken": module("def"), "failing": module("1 / 0")}
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the reason is compared below
        load_dataset(name.format(**names), root)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_module_is_imported_only_when_it_is_asked_for(module):
    name = module("1 / 0")
    load_dataset("shapes-val")
    assert name not in sys.modules


# Samples made by hand.


@pytest.fixture
def truth():
    return Tube(np.array([10, 12]), np.array([[0.0, 0.0, 8.0, 8.0], [4.0, 0.0, 12.0, 8.0]]))


def test_a_sample_needs_four_things_and_accepts_any_size_and_length(root, truth):
    sample = Sample("1", "the dog jumps", StoredVideo.from_path(root / "7.mp4"), truth)
    footage = sample.recording.read(4)
    assert (sample.video_name, sample.kind, sample.span) == ("7", "declarative", Span(10, 13))
    sample.check_size(footage)
    assert sample.list_remarks(footage) == ()


def test_the_track_of_a_bare_truth_does_not_tell_when_the_query_holds(root, truth):
    sample = Sample("1", "the dog jumps", StoredVideo.from_path(root / "7.mp4"), truth)
    (track,) = sample.find_tracks(sample.recording.read(4))
    assert track.span == Span(0, LENGTH)
    assert track.boxes[[0, 9, 10, 11, 12, 40], 0].tolist() == [0, 0, 0, 2, 4, 4]


def test_annotated_tracks_are_shown_as_far_as_the_footage_goes(root, truth):
    other = Tube(np.arange(3), np.tile([0.0, 0.0, 4.0, 4.0], (3, 1)))
    video = StoredVideo.from_path(root / "7.mp4", Span(8, 20))
    sample = Sample("1", "the dog jumps", video, truth, tracks=(truth, other))
    (track,) = sample.find_tracks(sample.recording.read(4))
    assert track.frames.tolist() == [2, 4]


def test_a_missing_video_spoils_only_its_own_sample(root, truth):
    videos = [StoredVideo.from_path(root / name) for name in ("absent.mp4", "7.mp4")]
    samples = [Sample(str(place), "it", video, truth) for place, video in enumerate(videos)]
    first, second = check_samples(DataSet.from_samples("mine", samples))
    assert first is not None
    assert first.fatal
    assert "absent.mp4: no such video" in first.text
    assert second is None


def test_a_data_set_made_by_hand_is_checked_like_any_other(root, truth):
    sample = Sample("1", "it", StoredVideo.from_path(root / "7.mp4"), truth)
    with pytest.raises(ValueError, match="'1' is annotated 2 times"):
        DataSet.from_samples("mine", [sample, sample])
    with pytest.raises(ValueError, match="no query"):
        DataSet.from_samples("mine", [])
    with pytest.raises(ValueError, match="no protocol 'mine'"):
        DataSet.from_samples("mine", [sample], protocol="mine")

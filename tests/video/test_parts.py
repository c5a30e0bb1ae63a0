"""Parts of a video: a stretch that is sampled as if the rest were not there."""

import numpy as np
import pytest

from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.organism.world import make_clip
from probe.video import FrameRate, read_part, read_video, source_frames


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(6).write(path)
    return path


def test_a_part_has_its_own_clock_and_the_frames_of_the_file(clip_path):
    whole = read_video(clip_path, 64)
    part = read_part(clip_path, 1.0, 3.0, frames=64)
    inside = [i for i, time in enumerate(whole.source_times) if 1.0 <= time < 3.0]
    assert part.part == range(inside[0], inside[-1] + 1)
    assert part.source_times[0] == 0
    np.testing.assert_allclose(part.source_times, whole.source_times[inside] - 1.0, atol=1e-6)
    np.testing.assert_array_equal(part.frames, whole.frames[inside])
    assert sum(1 for _ in source_frames(part)) == len(inside)


def test_a_rate_counts_frames_of_the_part_alone(clip_path):
    assert len(read_part(clip_path, 1.0, 3.0, frames=FrameRate(2))) == 4
    assert len(read_part(clip_path, end=1.0, frames=FrameRate(2))) == 2
    assert read_part(clip_path, frames=8).part == range(64)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (50, None, "no frame is shown from 50 s on; the video has 4.00 s"),
        (-1, None, "the start of a part is -1; give seconds from 0"),
        (None, "soon", "the end of a part is 'soon'"),
    ],
)
def test_a_part_that_is_none_is_refused_in_one_line(clip_path, start, end, words):
    with pytest.raises(ValueError, match=words):
        read_part(clip_path, start, end)
    with pytest.raises(ValueError, match="a folder of frames has no clock"):
        read_part(clip_path.parent, 1)


@pytest.mark.slow
def test_the_answer_of_a_part_finds_its_video_again(clip_path, organism, tmp_path):
    part = read_part(clip_path, 1.0, frames=8)
    answer = ground(organism, part, make_clip(6).things[0].query)
    answer.save(tmp_path / "answer.json")
    again = Answer.load(tmp_path / "answer.json")
    assert again == answer
    assert again.video.part == part.part
    np.testing.assert_array_equal(again.video.frames, part.frames)


@pytest.mark.slow
def test_commands_show_a_part_by_rate(command, clip_path, tmp_path):
    words = ("ground", clip_path, make_clip(6).things[0].query, "--out", tmp_path / "out")
    code, _, err = command(*words, "--fps", "3", "--start", "1", "--end", "3.5")
    assert code == 0, err
    seen = Answer.load(tmp_path / "out" / "answer.json").video
    assert len(seen) == 8  # three a second for two and a half
    assert seen.part == range(16, 56)
    code, _, err = command("ground", clip_path.parent, "the red square", "--start", "1")
    assert code == 2
    assert "--start: said of one video, but there are many" in err
    for wrong, text in (
        (("--fps", "3", "--frames", "8"), "--fps and --frames"),
        (("--start", "3", "--end", "1"), "--start 3 is not before --end 1"),
        (("--fps", "0"), "--fps is 0"),
    ):
        code, _, err = command(*words, *wrong)
        assert code == 2
        assert text in err

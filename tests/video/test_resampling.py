"""Further frames of a video that has been read."""

import numpy as np
import pytest
from PIL import Image

from probe.organism.world import LENGTH, make_clip
from probe.video import Span, Video, has_source, read_part, read_video, sample_stretch

STRETCH = Span(19, 42)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A clip as a file, as a part of a file, as a folder of images and as it is drawn."""
    clip, folder = make_clip(6), tmp_path_factory.mktemp("clip")
    clip.write(folder / "clip.mp4", scale=1)
    images = folder / "images"
    images.mkdir()
    for index in range(LENGTH):
        Image.fromarray(clip.frame(index)).save(images / f"{index}.png")
    return {
        "file": lambda count: read_video(folder / "clip.mp4", count),
        "part": lambda count: read_part(folder / "clip.mp4", 0.5, frames=count),
        "images": lambda count: read_video(images, count),
        "drawn": clip.video,
    }


@pytest.mark.parametrize("kind", ["file", "part", "images", "drawn"])
def test_a_stretch_read_again_has_the_frames_and_the_clock_of_the_whole(sources, kind):
    video, whole = sources[kind](8), sources[kind](LENGTH)
    again = sample_stretch(video, STRETCH, 5)
    assert again.indices == (21, 25, 30, 35, 39)
    np.testing.assert_array_equal(again.frames, whole.frames[list(again.indices)])
    np.testing.assert_array_equal(again.source_times, video.source_times)
    assert (again.path, again.part) == (video.path, video.part)
    everything = sample_stretch(again, STRETCH, 1000)
    assert everything.indices == tuple(range(STRETCH.start, STRETCH.stop))


def test_what_cannot_be_read_again_is_refused_in_one_line(sources, tmp_path):
    array = Video(np.zeros((2, 8, 8, 3), np.uint8), (1, 3), np.arange(5) / 5)
    assert not has_source(array)
    assert all(has_source(read(8)) for read in sources.values())
    with pytest.raises(ValueError, match="nothing else of its source; give the file"):
        sample_stretch(array, Span(0, 4), 2)
    with pytest.raises(ValueError, match="give at least one frame, and a stretch of the video"):
        sample_stretch(sources["drawn"](8), Span(LENGTH, LENGTH + 9), 2)
    make_clip(6).write(tmp_path / "other.mp4", scale=1)
    video = read_video(tmp_path / "other.mp4", 8)
    (tmp_path / "other.mp4").write_bytes(_write_shorter(tmp_path / "short.mp4"))
    with pytest.raises(ValueError, match="has 32 frames now but had 64 when read"):
        sample_stretch(video, STRETCH, 4)


def _write_shorter(path):
    from probe.video.encoding import write_video

    clip = make_clip(6)
    write_video(path, (clip.frame(index) for index in range(LENGTH // 2)), 16.0)
    return path.read_bytes()

"""Videos as Jupyter shows them: frames in a row, drawn without matplotlib."""

import subprocess
import sys

import numpy as np
import pytest
from shown import elements_of, image_of

from probe.video import Video, read_video
from probe.video.previews import MOST_HTML_BYTES, choose_evenly, choose_row, write_times


def video_of(frames, height, width, colour=None):
    pictures = np.zeros((frames, height, width, 3), np.uint8)
    for number in range(frames):
        pictures[number] = (10 * number + 40, 60, 200) if colour is None else colour
    return Video(pictures, tuple(range(frames)), np.arange(frames) / 10)


def test_the_frames_are_shown_in_order_with_a_line_of_text():
    video = video_of(8, 90, 160)
    html = video._repr_html_()
    attributes, picture = image_of(html)
    _, text = elements_of(html)
    assert text == attributes["alt"] == repr(video)
    pixels = np.asarray(picture)[-20].astype(int)
    # Red grows with the number of the frame; between the frames the row is white.
    red = pixels[(pixels[:, 1] < 120)][:, 0]
    steps = np.flatnonzero(np.abs(np.diff(red)) > 6)
    assert len(steps) == len(choose_row(8, 160 / 90)) - 1
    assert red[5] < red[-5]


@pytest.mark.parametrize("size", [(360, 640), (640, 360), (5, 300), (300, 5), (1, 1)])
@pytest.mark.parametrize("frames", [1, 3, 40])
def test_any_video_fits(size, frames):
    noise = np.random.default_rng(0).integers(0, 255, (frames, *size, 3), np.uint8)
    html = read_video(noise, frames)._repr_html_()
    assert len(html) <= MOST_HTML_BYTES
    _, picture = image_of(html)
    assert picture.width <= 6 * 96 * 1.5 + 1


def test_a_name_of_any_text_stays_text(tmp_path):
    name = "<script>alert('$x$')<b>"
    folder = tmp_path / name
    folder.mkdir()
    from PIL import Image

    for number in range(2):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    attributes, _ = image_of(read_video(folder, 2)._repr_html_())
    assert name in attributes["alt"]


def test_times_are_written_so_that_they_differ():
    assert write_times(np.array([0.0, 0.51, 2.0])) == ["0.0 s", "0.5 s", "2.0 s"]
    assert write_times(np.array([0.0, 0.04])) == ["0.00 s", "0.04 s"]
    assert write_times(np.array([0.0, 0.001])) == ["0.000 s", "0.001 s"]


def test_chosen_frames_are_evenly_spaced_and_include_first_and_last():
    assert choose_evenly(3, 8) == [0, 1, 2]
    assert choose_evenly(1, 8) == [0]
    for count in (9, 20, 101):
        chosen = choose_evenly(count, 8)
        assert (chosen[0], chosen[-1], len(chosen)) == (0, count - 1, 8)
        assert np.ptp(np.diff(chosen)) <= 1


def test_a_row_has_more_frames_where_they_are_narrow():
    wide, tall = choose_row(100, 16 / 9), choose_row(100, 9 / 16)
    assert len(wide) == 5
    assert len(tall) == 8


def test_showing_a_video_does_not_import_matplotlib():
    program = (
        "import sys, numpy as np; from probe.video import read_video;"
        "read_video(np.zeros((3, 8, 8, 3), np.uint8), 3)._repr_html_();"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

"""What was found, small: boxes in the frames of the span only, and a bar of time to scale."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from shown import drawn
from staged import staged_video

from probe.pictures.found import DOUBT_LINES, Found, draw_found
from probe.video import Span, Tube
from probe.video.previews import FRAME_GAP

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

ODD = "the $red$ thing \\frac{$ <script>alert(1)</script>"


@pytest.fixture(scope="module")
def video():
    return staged_video(frames=20, height=90, width=160)  # frames 5, 15 ... of 200, at 10 fps


def tube_over(span):
    frames = np.arange(span.start, span.stop)
    return Tube(frames, np.stack([[f / 4, 10, f / 4 + 20, 40] for f in frames]))


def lines_below(bar):
    return [text.get_text() for text in bar.texts]


def draw(video, span, **texts):
    figure = Figure(layout="constrained")
    found = Found(tube_over(span), span, **{"query": ODD, "about": "one of 2 tracks", **texts})
    draw_found(figure, video, found)
    row, bar = figure.axes
    return figure, row, bar


@pytest.mark.parametrize("span", [Span(0, 200), Span(60, 130), Span(33, 38), Span(150, 151)])
def test_boxes_are_drawn_in_the_frames_of_the_span_and_in_no_other(video, span):
    _, row, _ = draw(video, span)
    times = [float(label.get_text()[:-2]) for label in row.get_xticklabels()]
    frames = [video.indices[int(np.abs(video.times - time).argmin())] for time in times]
    lefts = [patch.get_x() for patch in row.patches if isinstance(patch, Rectangle)]
    boxed = {int(left // (160 * (1 + FRAME_GAP))) for left in lefts}
    assert [frame in span for frame in frames] == [n in boxed for n in range(len(frames))]
    sampled = any(index in span for index in video.indices)
    assert bool(boxed) == sampled
    for left in lefts:
        tile, x1 = divmod(left, 160 * (1 + FRAME_GAP))
        assert x1 == pytest.approx(frames[int(tile)] / 4)


def test_frames_outside_the_span_are_pale(video):
    _, row, _ = draw(video, Span(60, 130))
    means = [np.asarray(image.get_array()).mean() for image in row.images]
    assert min(means[0], means[-1]) > max(means[2:3]) + 40


def test_the_bar_shows_the_span_within_the_video(video):
    _, _, bar = draw(video, Span(60, 130))
    whole, part = (patch for patch in bar.patches if isinstance(patch, Rectangle))
    assert (whole.get_x(), whole.get_width()) == pytest.approx((0, 20.0))
    assert (part.get_x(), part.get_width()) == pytest.approx((6.0, 7.0))
    assert lines_below(bar) == ["6.00 to 13.00 s of 20.0 s, one of 2 tracks"]


def test_doubts_are_written_below_the_times_and_do_not_overlap(video):
    long = "the model says no to the whole query, " * 6
    figure, _, bar = draw(video, Span(60, 130), doubts=("the model says no", "$x$ " * 99, long))
    times, first, *others = lines_below(bar)
    assert times.startswith("6.00 to 13.00 s")
    assert first == "doubt: the model says no"
    assert len(others) == 2 * DOUBT_LINES
    assert others[0].startswith("doubt: $x$ $x$")
    assert others[1].endswith("…")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in bar.texts]
    assert all(upper.y0 >= lower.y1 - 2 for upper, lower in pairwise(boxes))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    assert boxes[0].y1 <= bar.get_window_extent().y0


def test_of_many_doubts_the_others_are_counted(video):
    _, _, bar = draw(video, Span(60, 130), doubts=("a", "b", "c", "d", "e"))
    assert lines_below(bar)[1:] == ["doubt: a", "doubt: b", "and 3 more doubts"]


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (64, 64), (20, 300)])
@pytest.mark.parametrize("frames", [1, 2, 20])
def test_videos_of_any_shape_and_length_fit_in_six_by_two_and_a_half_inches(size, frames):
    video = staged_video(frames, *size)
    figure, row, _ = draw(video, Span(0, 10 * frames), doubts=("the model says no",))
    width, height = figure.get_size_inches()
    assert width <= 6
    assert height <= 2.5
    assert 1 <= len(row.images) <= frames
    assert np.asarray(drawn(figure)).std() > 10


def test_the_query_is_drawn_as_it_is(video):
    figure, row, _ = draw(video, Span(60, 130), about=ODD)
    assert row.get_title(loc="left") == ODD
    drawn(figure)

"""Figures read back from their axes: what is on them, and that no text is taken for more."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from shown import drawn
from staged import staged_reading, staged_video
from tolerances import assert_equal_up_to_rounding

from probe.drawing.figures import compare_maps, draw_frames, draw_token_figure
from probe.drawing.headings import QUERY_SIZE
from probe.drawing.keys import KEY_HEIGHT, draw_key
from probe.grounder import ground
from probe.grounding.presets import PLAIN
from probe.pictures.heat import colour_heat
from probe.video import Tube
from probe.video.previews import FRAME_GAP

ODD = ["$x$", "\\frac{$", "<script>alert(1)</script>", "100%_of^it"]


@pytest.fixture(scope="module")
def video():
    return staged_video(frames=6, height=90, width=160)


@pytest.fixture(scope="module")
def reading(video):
    return staged_reading(video, ODD, layers=1, heads=1, side=4)


def texts(figure):
    """Every text of a figure that is not a number of an axis."""
    return [text for text in figure.findobj(Text) if text.get_text()]


def shown_as_written(figure, wanted):
    """Whether a text is in a figure, and none of those with a sign of mathematics is read as it."""
    found = texts(figure)
    assert any(wanted in text.get_text() for text in found)
    signs = [text for text in found if "$" in text.get_text() or "\\" in text.get_text()]
    assert signs
    drawn(figure)
    return not any(text.get_parse_math() for text in signs)


@pytest.mark.slow
def test_tokens_of_any_text_are_drawn_as_they_are(video, reading):
    assert shown_as_written(draw_token_figure(video, reading, 7), "$x$")


def test_a_long_question_is_broken_and_cut_to_the_width_of_its_figure(video):
    long = staged_reading(video, ["why", "would", "anyone"] * 60, layers=1, heads=1, side=4)
    figure = draw_token_figure(video, long, 3)
    figure.draw_without_rendering()
    lines = [text for text in texts(figure) if text.get_fontsize() == QUERY_SIZE]
    assert len(lines) == 2
    assert lines[1].get_text().endswith("…")
    for line in lines:
        assert 0.8 * figure.bbox.width < line.get_window_extent().width < figure.bbox.width


@pytest.mark.slow
def test_names_of_maps_of_any_text_are_drawn_as_they_are(video, reading):
    maps = {name: reading.heatmap(number) for number, name in enumerate(ODD)}
    figure = compare_maps(video, maps)
    for name in ODD:
        assert shown_as_written(figure, name)


@pytest.mark.slow
def test_an_answer_to_any_query_is_drawn_as_it_is(organism, clip):
    answer = ground(organism, clip.video(6), clip.things[0].query, config=PLAIN)
    odd = replace(answer.queries, whole="the $\\frac{$ thing at 5$ <script>")
    assert answer.where.reading is not None
    prompt = replace(answer.where.reading.prompt, question="Is $x$ there \\frac$?")
    where = replace(answer.where, reading=replace(answer.where.reading, prompt=prompt))
    label = Tube(answer.track.frames, answer.track.boxes, "a $\\label$")
    tricky = replace(answer, queries=odd, where=where, track=label, doubts=("a $doubt\\$",))
    figure = tricky.plot()
    for wanted in ("the $\\frac{$ thing at 5$ <script>", "Is $x$ there", "a $doubt\\$"):
        assert shown_as_written(figure, wanted)
    assert tricky._repr_html_().startswith("<img ")


def test_tracks_are_outlined_while_they_last(video):
    here = Tube(np.array([5, 25]), np.array([[10.0, 10, 40, 40]] * 2))
    there = Tube(np.array([35, 55]), np.array([[50.0, 50, 80, 80]] * 2))
    ax = Figure().subplots()
    draw_frames(ax, video, None, here, [here, there])
    outlined = [[], []]
    for left in (patch.get_x() for patch in ax.patches if isinstance(patch, Rectangle)):
        tile, x1 = divmod(left, 160 * (1 + FRAME_GAP))
        outlined[0 if x1 == pytest.approx(10) else 1].append(int(tile))
    # Lines are drawn twice, one wider below, and the answer is also among the candidates.
    assert [sorted(set(tiles)) for tiles in outlined] == [[0, 1, 2], [3, 4, 5]]
    assert [len(tiles) for tiles in outlined] == [12, 6]


def test_the_truth_has_dashes_in_its_own_frames_and_the_answer_none(video):
    tube = Tube(np.array([0, 55]), np.array([[10.0, 10, 40, 40]] * 2))
    truth = Tube(np.array([5, 25]), np.array([[50.0, 50, 80, 80]] * 2))
    ax = Figure().subplots()
    draw_frames(ax, video, None, tube, truth=truth)
    tiles = {False: set(), True: set()}
    for patch in (patch for patch in ax.patches if isinstance(patch, Rectangle)):
        tile, x1 = divmod(patch.get_x(), 160 * (1 + FRAME_GAP))
        dashed = patch.get_linestyle() not in ("-", "solid")
        tiles[dashed].add((int(tile), round(x1)))
    assert tiles == {
        False: {(tile, 10) for tile in range(6)},
        True: {(tile, 50) for tile in (0, 1, 2)},
    }


def test_a_key_names_the_lines_and_shows_the_colours_of_heat_from_left_to_right():
    figure = Figure((8, KEY_HEIGHT))
    draw_key(
        figure.add_subfigure(GridSpec(1, 1)[0]),
        [("answer", "blue", False), ("truth", "white", True)],
    )
    written = {text.get_text() for text in texts(figure)}
    assert {"answer", "truth", "strongest"} <= written
    (bar,) = (np.asarray(image.get_array()) for ax in figure.axes for image in ax.images)
    ground = 0.5
    heat = colour_heat(np.linspace(0, 1, bar.shape[1]))
    mixed = (1 - heat[:, 3:]) * ground + heat[:, 3:] * heat[:, :3]
    assert_equal_up_to_rounding(bar[0], mixed)


def test_of_a_long_video_ten_frames_are_drawn_first_and_last_included():
    video = staged_video(frames=30, height=9, width=16)
    ax = Figure().subplots()
    draw_frames(ax, video)
    titles = [label.get_text() for label in ax.get_xticklabels()]
    assert len(titles) == len(ax.images) == 10
    assert titles[0] == f"{video.times[0]:.1f} s"
    assert titles[-1] == f"{video.times[-1]:.1f} s"


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (64, 64)])
def test_rows_of_maps_fill_their_figure(size):
    video = staged_video(8, *size)
    heatmap = staged_reading(video, ["a"], layers=1, heads=1, side=4).heatmap(0)
    figure = compare_maps(video, {"one": heatmap, "two": heatmap})
    figure.draw_without_rendering()
    for part in figure.subfigs:
        (ax,) = part.axes
        box = ax.get_window_extent()
        assert box.width > 0.75 * part.bbox.width or box.height > 0.75 * part.bbox.height

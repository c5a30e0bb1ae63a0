"""Small pictures of results: read back from the HTML that Jupyter gets."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from staged import staged_reading, staged_video

from probe.drawing.html import (
    MOST_HTML_BYTES,
    figure_as_html,
    picture_of_heatmap,
    picture_of_reading,
)
from probe.engine.attention import Heatmap
from probe.video import Video


@pytest.fixture(scope="module")
def video():
    return staged_video(frames=20, height=90, width=160)


@pytest.fixture(scope="module")
def reading(video):
    words = ["Is", "there", "a", "yellow", "disc"]
    return staged_reading(video, words, layers=2, heads=2, side=6)


class Tags(HTMLParser):
    """Collects the tags of a text."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def image_of(text):
    """The attributes of the only tag of a text, and the picture in it."""
    tags = Tags()
    tags.feed(text)
    [(tag, attributes)] = tags.found
    assert tag == "img"
    kind, _, data = attributes["src"].partition(",")
    assert kind == "data:image/png;base64"
    return attributes, Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def drawn(figure):
    """The figure in all its colours."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=144, format="png", facecolor="white")
    return np.asarray(Image.open(stream).convert("RGB"))


def titles(figure):
    return [ax.get_title() for ax in figure.axes]


def test_a_label_stays_text_whatever_is_in_it():
    figure = Figure((2, 1))
    figure.set_label('"><script>alert(1)</script>&amp;')
    attributes, _ = image_of(figure_as_html(figure))
    assert attributes["alt"] == '"><script>alert(1)</script>&amp;'


def test_the_worst_picture_fits_and_fills_its_figure():
    figure = Figure((6, 3))
    noise = np.random.default_rng(0).random((300, 600, 3))
    figure.add_axes((0, 0, 1, 1)).imshow(noise, aspect="auto")
    text = figure_as_html(figure)
    assert MOST_HTML_BYTES / 2 < len(text) <= MOST_HTML_BYTES
    attributes, picture = image_of(text)
    assert picture.width == pytest.approx(2 * picture.height, abs=1)
    assert f"width: {6 * 96}px" in attributes["style"]


def test_a_figure_can_be_shown_again_and_is_left_as_it_was(reading):
    figure = picture_of_reading(reading)
    size, dpi = tuple(figure.get_size_inches()), figure.dpi
    assert figure_as_html(figure) == figure_as_html(figure)
    assert (tuple(figure.get_size_inches()), figure.dpi) == (size, dpi)


def test_small_spots_keep_their_colour_among_few_colours():
    # Smooth shades fill nearly all the picture, as skies and walls do.
    shade = np.linspace(60, 200, 400, dtype=np.uint8)
    picture = np.stack([shade * np.ones((100, 1), np.uint8)] * 3, axis=-1)
    picture[..., 1] //= 2
    picture += np.random.default_rng(0).integers(0, 9, picture.shape, dtype=np.uint8)
    picture[40:43, 200:203] = (252, 180, 20)
    figure = Figure((400 / 144, 100 / 144))
    figure.add_axes((0, 0, 1, 1)).imshow(picture, aspect="auto", interpolation="nearest")
    figure.axes[0].set_axis_off()
    _, shown = image_of(figure_as_html(figure))
    far = np.abs(np.asarray(shown).astype(int) - drawn(figure)).max()
    assert far < 20


@pytest.mark.parametrize("strongest", [0, 7, 13, 19])
def test_the_strongest_frame_is_among_those_drawn_and_its_cell_is_outlined(video, strongest):
    reading = staged_reading(video, ["a"], layers=1, heads=1, side=6)
    values = torch.rand(20, 6, 6, generator=torch.Generator().manual_seed(strongest)) / 2
    values[strongest, 2, 4] = 1
    heatmap = Heatmap(values, reading.grid.cells)
    for figure in (picture_of_heatmap(heatmap), picture_of_heatmap(heatmap, video)):
        outlined = [ax for ax in figure.axes if ax.patches]
        place = video.indices[strongest]
        assert [ax.get_title() for ax in outlined] in (
            [f"frame {place}"],
            [f"{video.time_at(place):.1f} s"],
        )
        x1, y1, x2, y2 = reading.grid.cells.box(2, 4)
        outline = outlined[0].patches[0]
        assert isinstance(outline, Rectangle)
        assert outline.get_bbox().extents == pytest.approx((x1, y1, x2, y2))
        assert "strongest is 1" in str(figure.get_label())
        assert figure.get_size_inches()[0] <= 6.5
        assert figure.get_size_inches()[1] <= 1.6


def test_frames_are_drawn_in_the_maps_order(video, reading):
    forwards = titles(picture_of_heatmap(reading.heatmap(3), video))
    backwards = titles(picture_of_heatmap(reading.heatmap(3).reversed(), video))
    assert forwards == sorted(forwards, key=lambda title: float(title[:-2]))
    assert backwards == forwards[::-1]


def test_heat_is_laid_over_the_pictures(video, reading):
    plain = Heatmap(torch.zeros(20, 6, 6), reading.grid.cells)
    hot = plain.values.clone()
    hot[:, 0, 0] = 1
    cold, warm = (
        drawn(picture_of_heatmap(Heatmap(values, plain.cells), video))
        for values in (plain.values, hot)
    )
    changed = np.abs(cold.astype(int) - warm).max(-1) > 30
    assert changed[: len(changed) // 2].any()
    assert not changed[len(changed) // 2 : -40].any()  # the caption below has another number


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (64, 64)])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_maps_of_any_shape_and_length_fit(size, frames):
    video = staged_video(frames, *size)
    heatmap = staged_reading(video, ["a"], layers=1, heads=1, side=4).heatmap(0)
    for figure in (picture_of_heatmap(heatmap), picture_of_heatmap(heatmap, video)):
        assert 1 <= len(figure.axes) <= frames
        for ax in figure.axes:
            box = ax.get_position()
            across, down = figure.get_size_inches() * (box.width, box.height)
            assert across / down == pytest.approx(size[1] / size[0])
            assert min(box.x0, box.y0, 1 - box.x1, 1 - box.y1) > 0
        assert len(figure_as_html(figure)) <= MOST_HTML_BYTES


def test_a_map_that_is_not_finite_is_refused(reading):
    heatmap = reading.heatmap(3)
    broken = replace(heatmap, values=heatmap.values.clone().fill_(torch.nan))
    with pytest.raises(ValueError, match="NaN"):
        picture_of_heatmap(broken)


def test_a_map_of_another_video_is_refused(video, reading):
    other = Video(video.frames[:3], (0, 1, 2), video.source_times)
    with pytest.raises(ValueError, match="source frame 5, which is not among"):
        picture_of_heatmap(reading.heatmap(3), other)


def test_half_precision_maps_that_carry_a_gradient_are_drawn(reading):
    heatmap = reading.heatmap(3)
    learnt = heatmap.values.to(torch.bfloat16).requires_grad_()
    assert picture_of_heatmap(replace(heatmap, values=learnt)).axes


def test_a_reading_names_its_tokens_its_grounding_token_and_its_margin(reading):
    figure = picture_of_reading(reading)
    [ax] = figure.axes
    assert tuple(label.get_text() for label in ax.get_xticklabels()) == reading.tokens
    assert "yes minus no +1.25" in ax.get_title(loc="left")
    assert re.search(r"11 tokens.*grounding token '\w+'", str(figure.get_label()))


def test_a_question_of_any_text_is_drawn(video):
    words = ["$x$", "\\frac{$", "<b>", "supercalifragilistic" * 3, "a\nb"]
    reading = staged_reading(video, words, layers=1, heads=1, side=4)
    [ax] = picture_of_reading(reading).axes
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels[:3] == words[:3]
    assert max(map(len, labels)) == 12
    _, picture = image_of(figure_as_html(picture_of_reading(reading)))
    assert np.asarray(picture).std() > 10


def test_a_long_question_names_the_role_tokens_only(video):
    words = [f"word{number}" for number in range(60)]
    reading = staged_reading(video, words, layers=1, heads=1, side=4)
    [ax] = picture_of_reading(reading).axes
    named = [label.get_text() for label in ax.get_xticklabels()]
    assert named == [reading.tokens[token] for token in reading.prompt.indices("role")]
    assert len(ax.patches) == len(reading.tokens)


def test_a_reading_without_role_tokens_has_no_grounding_token(reading):
    few = replace(
        reading,
        prompt=replace(reading.prompt, tokens=reading.prompt.tokens[:4]),
        attention=reading.attention[:, :, :4],
    )
    figure = picture_of_reading(few)
    assert "grounding token" not in str(figure.get_label())

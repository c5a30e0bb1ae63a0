"""What is drawn is read back from the written file, and compared with what went in."""

import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import probe.drawing.overlays
from probe.drawing.overlays import ANSWER_COLOUR, HeatScale, Zoom, overlay
from probe.drawing.time_bars import StripText, TimeBar
from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.video import Span, Tube, Video, read_image, read_video, source_frames
from probe.video.encoding import write_video

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

LENGTH, SIDE, SCALE = 24, 60, 6
GREY = 128


@pytest.fixture
def video() -> Video:
    return read_video(np.full((LENGTH, SIDE, SIDE, 3), GREY, np.uint8), LENGTH, fps=8)


def map_with(frame: int, row: int, column: int, region=(0.0, 0.0, 60.0, 60.0)) -> Heatmap:
    values = torch.zeros(6, 4, 4)
    values[frame, row, column] = 1
    cells = Cells(tuple((4 * index, 4 * index + 1) for index in range(6)), 4, 4, region)
    return Heatmap(values, cells)


def still_tube() -> Tube:
    return Tube(np.array([0, LENGTH - 1]), np.array([[20.0, 10, 40, 30]] * 2), "square")


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def change(frames: np.ndarray) -> np.ndarray:
    """How far each pixel of the video, not of the bar below it, is from the grey it was."""
    return np.abs(frames[:, : SIDE * SCALE].astype(int) - GREY).max(-1)


def test_browsers_can_play_an_overlay(tmp_path):
    write_video(tmp_path / "in.mp4", [np.full((45, 61, 3), GREY, np.uint8)] * 10, 5)
    source = read_video(tmp_path / "in.mp4", 4)
    overlay(tmp_path / "out.mp4", source, None, None, Span(2, 5), title="a query")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == stream.height % 2 == 0
        assert stream.height > probe.drawing.overlays.LEAST_HEIGHT
    assert len(frames_of(tmp_path / "out.mp4")) == source.source_length


def test_frames_keep_their_times(tmp_path):
    times = [0.0, 0.2, 0.4, 2.0, 2.2]
    picture = np.full((40, 40, 3), GREY, np.uint8)
    write_video(tmp_path / "in.mp4", [picture] * 5, 5, times=times)
    overlay(tmp_path / "out.mp4", read_video(tmp_path / "in.mp4", 2), None, None, None)
    assert read_video(tmp_path / "out.mp4", 2).source_times == pytest.approx(times)


@pytest.mark.slow
def test_heat_is_drawn_in_its_cell_and_its_frames_only(tmp_path, video):
    overlay(tmp_path / "out.mp4", video, map_with(2, 1, 3), None, None)
    changed = change(frames_of(tmp_path / "out.mp4"))
    cell = SIDE * SCALE // 4
    assert changed[8, cell + cell // 2, 3 * cell + cell // 2] > 40
    assert changed[8, :, : 2 * cell].max() < 8
    assert changed[[0, 20]].max() < 8


def test_heat_fades_in_a_straight_line_between_map_frames(video):
    heat = HeatScale.of(map_with(2, 1, 3), video)
    before, at = heat.times[1], heat.times[2]
    levels = [heat.at(time)[1, 3] for time in np.linspace(before, at, 5)]
    assert levels == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert heat.at(-5.0)[1, 3] == heat.at(99.0)[1, 3] == 0


def test_a_reversed_map_is_drawn_at_the_same_moments(video):
    heatmap = map_with(2, 1, 3)
    for time in np.linspace(0, 3, 9):
        there = HeatScale.of(heatmap, video).at(time)
        assert (HeatScale.of(heatmap.reversed(), video).at(time) == there).all()


def test_one_scale_holds_for_the_whole_video(video):
    values = torch.rand(6, 4, 4, generator=torch.Generator().manual_seed(0))
    values[3] *= 4
    heat = HeatScale.of(Heatmap(values, map_with(0, 0, 0).cells), video)
    assert heat.values.max() == 1
    assert heat.values[3].max() > 2 * heat.values[[0, 1, 2, 4, 5]].max()
    order = values.numpy().ravel().argsort()
    assert (np.diff(heat.values.ravel()[order]) >= 0).all()


def test_an_even_map_draws_nothing(tmp_path, video):
    flat = Heatmap(torch.full((6, 4, 4), 0.01), map_with(0, 0, 0).cells)
    overlay(tmp_path / "out.mp4", video, flat, None, None)
    assert change(frames_of(tmp_path / "out.mp4")).max() < 8


def test_the_box_is_drawn_in_every_frame_of_the_span_and_in_no_other(tmp_path, video):
    overlay(tmp_path / "out.mp4", video, None, still_tube(), Span(6, 15))
    frames = frames_of(tmp_path / "out.mp4")
    drawn = [index for index, changed in enumerate(change(frames)) if changed.max() > 60]
    assert drawn == list(range(6, 15))
    left = frames[10, 20 * SCALE, 20 * SCALE - 2].astype(int)
    inside = frames[10, 20 * SCALE, 20 * SCALE + 4].astype(int)
    assert np.abs(left - ANSWER_COLOUR).max() < 60
    assert np.abs(inside - GREY).max() < 20  # what the box encloses is free but for a halo


def test_the_truth_is_drawn_where_the_answer_is_not(tmp_path, video):
    truth = Tube(np.arange(4), np.array([[5.0, 35, 25, 55]] * 4))
    overlay(tmp_path / "out.mp4", video, None, still_tube(), Span(10, 20), truth=truth)
    changed = change(frames_of(tmp_path / "out.mp4"))
    assert changed[2, 34 * SCALE : 56 * SCALE, 4 * SCALE : 26 * SCALE].max() > 60
    assert changed[2, : 32 * SCALE].max() < 20
    assert changed[15, 34 * SCALE :].max() < 20


def test_where_both_agree_the_answer_is_seen_between_the_dashes_of_the_truth(tmp_path, video):
    overlay(tmp_path / "out.mp4", video, None, still_tube(), None, truth=still_tube())
    above = frames_of(tmp_path / "out.mp4")[5, 10 * SCALE - 2, 20 * SCALE : 40 * SCALE].astype(int)
    white = above.min(-1) > 200
    blue = above[:, 2] - above[:, 0] > 60
    assert white.sum() > 20
    assert blue.sum() > 20


def test_the_head_runs_along_the_bar(tmp_path, video):
    overlay(tmp_path / "out.mp4", video, None, None, None)
    strip = frames_of(tmp_path / "out.mp4")[:, SIDE * SCALE :].astype(int)
    row = strip[:, : strip.shape[1] // 3].min(-1).max(1)
    heads = row.argmax(1)
    assert (np.diff(heads) > 0).all()
    assert heads[0] < 30
    assert heads[-1] > 300


def test_the_span_is_marked_on_the_bar(tmp_path, video):
    overlay(tmp_path / "out.mp4", video, None, None, Span(6, 12))
    strip = frames_of(tmp_path / "out.mp4")[0, SIDE * SCALE :].astype(int)
    blue = (strip[..., 2] - strip[..., 0] > 60)[: strip.shape[0] // 2].any(0)
    (marked,) = np.nonzero(blue)
    margin = 16
    width = SIDE * SCALE - 2 * margin
    assert marked[0] == pytest.approx(margin + width / 4, abs=3)
    assert marked[-1] == pytest.approx(margin + width / 2, abs=3)


@pytest.mark.parametrize("title", ["", "short", "a very long query " * 30, "zwei\nZeilen"])
def test_any_title_fits_beside_the_picture(tmp_path, video, title):
    overlay(tmp_path / "out.mp4", video, None, None, Span(2, 5), title=title)
    assert frames_of(tmp_path / "out.mp4").shape[2] == SIDE * SCALE


def strip_of(video: Video, width: int = 400, unit: int = 16, **said) -> np.ndarray:
    """The strip below the picture, without marker and clock."""
    text = StripText(**said)
    strip = TimeBar.of(video, [], width=width, unit=unit, text=text)
    return np.asarray(strip.background).astype(int)


def is_amber(strip: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(strip, -1, 0)
    return (red > 150) & (green > 100) & (blue < 110)


DOUBTS = (
    "the model says no to the whole query: its margin is -2.31 logits, and at 0 it knows nothing",
    "the chosen candidate is nearly the whole frame, so the box says little of where the thing is",
    "maps of both frame orders disagree: the spans share 0.12 of their frames",
)


def test_doubts_are_amber_lines_between_the_query_and_the_bars(video):
    without, said = (
        strip_of(video, title="a query"),
        strip_of(video, title="a query", doubts=DOUBTS),
    )
    assert not is_amber(without).any()
    (rows,) = np.nonzero(is_amber(said).any(1))
    query = 32
    assert np.array_equal(said[:query], without[:query])
    added = len(said) - len(without)
    assert query <= rows[0] < rows[-1] < query + added
    assert np.array_equal(said[query + added :], without[query:])


@pytest.mark.parametrize("width", [20, 60, 392, 640, 1280])
def test_doubts_stay_within_the_strip_at_any_width(video, width):
    (columns,) = np.nonzero(is_amber(strip_of(video, width=width, doubts=DOUBTS)).any(0))
    assert 0 < columns[0] <= 18
    assert columns[-1] < width


def test_of_many_doubts_the_first_are_written_and_the_others_counted(video):
    heights = [len(strip_of(video, doubts=DOUBTS * count)) for count in (1, 2, 99)]
    assert heights[1] == heights[2]
    two, four = (strip_of(video, doubts=DOUBTS[:2] + ("x",) * more) for more in (2, 3))
    assert (two != four).any()  # "and 2 more", "and 3 more"


def test_an_overlay_shows_the_doubts_of_an_answer(tmp_path, video):
    overlay(tmp_path / "out.mp4", video, None, still_tube(), Span(2, 5), doubts=DOUBTS[:1])
    strip = frames_of(tmp_path / "out.mp4")[0, SIDE * SCALE :].astype(int)
    assert is_amber(strip).sum() > 100


@pytest.mark.parametrize(
    "pair",
    [
        ("男人跳", "女孩走"),
        ("a ñ", "a ж"),
        ("رجل", "ولد"),
        ("😀", "👾"),
        ("red\x1b[31m", "red[31m"),
        ("\u202ered", "red"),
        ("$x$", "x"),
        ("नमस्ते", "คน"),
    ],
)
def test_two_queries_are_never_drawn_alike(video, pair):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whether a font has them differs from machine to machine
        one, other = (strip_of(video, title=title) for title in pair)
    assert one.shape == other.shape
    assert (one != other).any()


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path):
    def peak(length: int) -> int:
        pictures = (np.full((90, 90, 3), GREY, np.uint8) for _ in range(length))
        write_video(tmp_path / "in.mp4", pictures, 10)
        source = read_video(tmp_path / "in.mp4", 4)
        overlay(tmp_path / "out.mp4", source, map_with(0, 0, 0), None, Span(0, 2))
        tracemalloc.start()
        try:
            overlay(tmp_path / "out.mp4", source, map_with(0, 0, 0), None, Span(0, 2))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    frame = 360 * 450 * 3
    assert peak(90) - peak(30) < 2 * frame


def test_no_partial_file_is_left_after_a_failure(tmp_path, monkeypatch):
    video = read_video(np.full((100, SIDE, SIDE, 3), GREY, np.uint8), 100)

    def breaking(video):
        yield from source_frames(video)
        assert list(tmp_path.iterdir())  # the partial file
        raise ValueError("frame 100 cannot be decoded")

    monkeypatch.setattr(probe.drawing.overlays, "source_frames", breaking)
    with pytest.raises(ValueError, match="frame 100"):
        overlay(tmp_path / "out.mp4", video, None, None, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("width", "height"), [(640, 8), (10_000, 2), (2, 4_000), (20_000, 16), (1, 1)]
)
def test_pictures_of_any_shape_are_drawn(tmp_path, width, height):
    video = read_video(np.full((3, height, width, 3), GREY, np.uint8), 3)
    values = torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(0))
    cells = Cells(((0,), (1,), (2,)), 2, 2, (0.0, 0.0, float(width), float(height)))
    boxes = np.array([[width / 4, height / 4, width / 2, height / 2]] * 2)
    tube = Tube(np.array([0, 2]), boxes)
    path = tmp_path / "out.mp4"
    overlay(path, video, Heatmap(values, cells), tube, None, truth=tube, title="a query")
    assert read_video(path, 3).source_length == 3
    zoom = Zoom.of(video)
    assert zoom.width / zoom.height == pytest.approx(width / height, rel=0.05)


def test_a_video_of_pixels_that_are_not_square_is_drawn_as_players_show_it(tmp_path):
    grey = np.full((4, 120, 160, 3), GREY, np.uint8)
    stored = Video(grey, (0, 1, 2, 3), np.arange(4) / 8)
    tube = Tube(np.array([0, 3]), np.array([[40.0, 30, 120, 90]] * 2))
    overlay(tmp_path / "square.mp4", stored, None, tube, None)
    wide = replace(stored, pixel_aspect=64 / 45)
    overlay(tmp_path / "wide.mp4", wide, None, tube, None)
    square, stretched = (frames_of(tmp_path / f"{name}.mp4")[1] for name in ("square", "wide"))
    assert square.shape[1] == 480
    assert stretched.shape[1] == 684  # 160 x 64 / 45 x 3, rounded to an even number
    # The line of the box is where the stored box is, in the wider picture.
    across = 684 / 160
    for x in (40 * across - 2, 120 * across + 1):
        assert np.abs(stretched[180, round(x)].astype(int) - ANSWER_COLOUR).max() < 60


def test_the_overlay_of_a_picture_is_a_picture_without_a_time(tmp_path):
    picture = read_image(np.full((40, 60, 3), GREY, np.uint8))
    box = Tube(0, [10, 10, 30, 30])
    said = {"title": "the cat", "doubts": ["the model says no"]}
    overlay(tmp_path / "out.png", picture, None, box, None, **said)
    drawn = read_image(tmp_path / "out.png").frames[0].astype(int)
    zoom = Zoom.of(picture)
    height, width = zoom.height, zoom.width
    assert drawn.shape[1] == width
    blue = np.abs(drawn - ANSWER_COLOUR).max(-1) < 30
    rows, columns = (np.flatnonzero(blue.any(axis)) for axis in (1, 0))
    # Around the box, and nowhere else: there is no bar of time.
    edges = np.array([rows[0], rows[-1], columns[0], columns[-1]]) / zoom.down
    assert np.abs(edges - (10, 30, 10, 30)).max() < 1
    assert is_amber(drawn[height:]).any()
    # Without words there is nothing below the picture.
    overlay(tmp_path / "bare.png", picture, None, None, None)
    bare = read_image(tmp_path / "bare.png")
    assert bare.size == (height, width)
    assert (bare.frames == GREY).all()


def test_one_frame_of_a_video_is_drawn_alone(tmp_path):
    shades = np.arange(9, dtype=np.uint8)[:, None, None, None] * 20
    single = read_video(np.broadcast_to(shades, (9, 40, 40, 3)), 1)
    assert single.indices == (4,)
    overlay(tmp_path / "out.png", single, None, Tube([4], [[9, 9, 20, 20]]), None)
    assert (read_image(tmp_path / "out.png").frames[0, 0, 0] == 80).all()


def test_the_overlay_of_a_picture_is_no_video(tmp_path):
    picture = read_image(np.full((40, 60, 3), GREY, np.uint8))
    with pytest.raises(ValueError, match=r"give a name that ends in .png"):
        overlay(tmp_path / "out.mp4", picture, None, None, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.gif", "out.webm"])
def test_an_overlay_is_an_mp4_by_name_too(tmp_path, video, name):
    with pytest.raises(ValueError, match=f"{name}: videos are written as MP4"):
        overlay(tmp_path / name, video, None, None, None)
    assert not list(tmp_path.iterdir())


def test_a_map_of_another_video_is_refused(tmp_path, video):
    short = read_video(np.zeros((9, SIDE, SIDE, 3), np.uint8), 9)
    with pytest.raises(ValueError, match="source frame 21 but the video has 9"):
        overlay(tmp_path / "out.mp4", short, map_with(0, 0, 0), None, None)
    broken = Heatmap(torch.full((6, 4, 4), torch.nan), map_with(0, 0, 0).cells)
    with pytest.raises(ValueError, match="NaN"):
        overlay(tmp_path / "out.mp4", video, broken, None, None)

"""Small pictures of what was found: frames with the box, and a bar of time with the span."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probe.pictures.crops import dim_outside
from probe.pictures.doubts import set_doubts
from probe.pictures.fonts import make_legible, note_missing_once
from probe.pictures.lettering import POINTS_PER_INCH, Lettering, measure_room
from probe.pictures.rows import (
    BOX_WIDTH,
    TITLES_HEIGHT,
    Tile,
    compute_row_height,
    draw_row,
    put_among,
)
from probe.pictures.style import (
    CHOSEN_COLOUR,
    DOUBT_COLOUR,
    PICTURE_WIDTH,
    QUIET_COLOUR,
    TEXT_SIZE,
    choose_options,
)
from probe.video import Box, Span, Tube, Video
from probe.video.previews import choose_row, write_times

DOUBT_LINES = 2
"""Lines of a doubt below the bar."""

BAR_HEIGHT, LINE_HEIGHT = 0.1, 0.14
"""Inches of the bar of time, and of a line of text below it."""

HIGHEST_PICTURE, LOWEST_FRAMES = 2.5, 0.9
"""Inches; frames that would need more are drawn smaller, but not lower than that."""

FADED = 0.55
"""Share of white in the frames outside the span."""


@dataclass(frozen=True)
class Found:
    """Text around the picture, and lines drawn into it."""

    tube: Tube
    """The box of each frame."""

    span: Span | None
    """The time of the answer, in source frames; None for a picture, which has no time."""

    query: str
    """The text above the frames, cut if it is long."""

    about: str
    """The text below the bar, after the times."""

    doubts: Sequence[str] = ()
    """Sentences that say why a reader should doubt it."""

    region: Box | None = None
    """The part of each frame that the model sees; None for all of it. The rest is dark."""


@note_missing_once()
def draw_found(figure: Figure, video: Video, found: Found) -> None:
    """Draw frames in a row, with the box on those in the span, and a bar of time below them.

    Frames outside the span are pale. Of the sampled frames in it, at least one is drawn. A picture
    is drawn alone, without a time.

    Args:
        figure: An empty figure, whose height is set.
        video: The video.
        found: What was found in it.
    """
    tube = found.tube
    span = found.span or tube.span
    height, width = video.size
    shown = choose_row(len(video), width / height)
    lines = _set_lines(video, found)
    below = BAR_HEIGHT + LINE_HEIGHT * (1 + len(lines))  # one more for space
    room = max(HIGHEST_PICTURE - below, LOWEST_FRAMES)
    frames = min(compute_row_height(len(shown), width / height), room)
    figure.set_size_inches(PICTURE_WIDTH, frames + below)
    row, bar = figure.subplots(2, 1, height_ratios=(frames - TITLES_HEIGHT, BAR_HEIGHT))
    inside = [place for place, index in enumerate(video.indices) if index in span]
    if inside and not set(inside) & set(shown):
        shown = put_among(shown, inside[len(inside) // 2])
    times, tiles = write_times(video.times), []
    for place in shown:
        picture, index = video.frames[place], video.indices[place]
        if found.region is not None:
            picture = dim_outside(picture, found.region)
        outlines = ()
        if index in span and len(tube):
            outlines = ((tube.interpolated([index]).boxes[0], CHOSEN_COLOUR, BOX_WIDTH),)
        else:
            picture = (picture * (1 - FADED) + 255 * FADED).astype(picture.dtype)
        tiles.append(Tile(picture, times[place], outlines))
    draw_row(row, tiles, found.query)
    _draw_time(bar, video, found.span)
    _write_lines(bar, lines)


def _set_lines(video: Video, found: Found) -> list[tuple[str, str]]:
    """Set the lines of text below the bar, each with its colour: the times, then the doubts."""
    about = found.about
    if found.span is not None:
        start, stop, end = _find_times(video, found.span)
        about = f"{start:.2f} to {stop:.2f} s of {end:.1f} s, {about}"
    about = make_legible(about)
    room, lettering = measure_room(PICTURE_WIDTH), Lettering.in_points(TEXT_SIZE)
    doubts = set_doubts(found.doubts, lettering, room, lines=DOUBT_LINES)
    return [(lettering.fit(about, room), "black"), *((line, DOUBT_COLOUR) for line in doubts)]


def _write_lines(bar: Axes, lines: Sequence[tuple[str, str]]) -> None:
    for number, (line, colour) in enumerate(lines):
        # Annotations count as parts of the axes, so that layouts leave room for them.
        bar.annotate(
            line,
            xy=(0, 0),
            xycoords="axes fraction",
            xytext=(0, -POINTS_PER_INCH * LINE_HEIGHT * (number + 0.3)),
            textcoords="offset points",
            va="top",
            fontsize=TEXT_SIZE,
            color=colour,
            **choose_options(line),
        )


def _find_times(video: Video, span: Span) -> tuple[float, float, float]:
    """Find the seconds at which a span starts and stops, and those of the whole video."""
    return video.time_at(span.start), video.time_at(span.stop), video.time_at(video.source_length)


def _draw_time(bar: Axes, video: Video, span: Span | None) -> None:
    bar.set(yticks=[], xticks=[])
    if span is not None:
        start, stop, end = _find_times(video, span)
        bar.barh(0, end, color=QUIET_COLOUR)
        bar.barh(0, stop - start, left=start, color=CHOSEN_COLOUR)
        bar.set_xlim(0, end)
    for spine in bar.spines.values():
        spine.set_visible(False)

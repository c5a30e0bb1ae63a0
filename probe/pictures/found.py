"""Small pictures of what was found: frames with the box, and a bar of time with the span."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probe.pictures.rows import (
    BOX_WIDTH,
    TITLES_HEIGHT,
    Tile,
    compute_row_height,
    draw_row,
    put_among,
)
from probe.pictures.style import (
    AS_WRITTEN,
    CHOSEN_COLOUR,
    PICTURE_WIDTH,
    QUIET_COLOUR,
    TEXT_SIZE,
    shorten_line,
)
from probe.video import Span, Tube, Video
from probe.video.previews import choose_row, write_times

LONGEST_LINE = 95
"""Characters after which a line below the bar is cut."""

BAR_HEIGHT, LINE_HEIGHT = 0.1, 0.14
"""Inches of the bar of time, and of a line of text below it."""

HIGHEST_PICTURE = 2.5
"""Inches; frames that would need more are drawn smaller."""

FADED = 0.55
"""Share of white in the frames outside the span."""


@dataclass(frozen=True)
class Found:
    """Text around the picture, and lines drawn into it."""

    tube: Tube
    """The box of each frame."""

    span: Span
    """The time of the answer, in source frames."""

    query: str
    """The text above the frames, cut if it is long."""

    about: str
    """The text below the bar, after the times."""

    doubts: Sequence[str] = ()
    """Sentences that say why a reader should doubt it."""


def draw_found(figure: Figure, video: Video, found: Found) -> None:
    """Draw frames in a row, with the box on those in the span, and a bar of time below them.

    Frames outside the span are pale. Of the sampled frames in it, at least one is drawn.

    Args:
        figure: An empty figure, whose height is set.
        video: The video.
        found: What was found in it.
    """
    tube, span = found.tube, found.span
    height, width = video.size
    shown = choose_row(len(video), width / height)
    below = BAR_HEIGHT + LINE_HEIGHT * (2 + len(found.doubts))  # one of them for space
    frames = min(compute_row_height(len(shown), width / height), HIGHEST_PICTURE - below)
    figure.set_size_inches(PICTURE_WIDTH, frames + below)
    row, bar = figure.subplots(2, 1, height_ratios=(frames - TITLES_HEIGHT, BAR_HEIGHT))
    inside = [place for place, index in enumerate(video.indices) if index in span]
    if inside and not set(inside) & set(shown):
        shown = put_among(shown, inside[len(inside) // 2])
    times, tiles = write_times(video.times), []
    for place in shown:
        picture, index = video.frames[place], video.indices[place]
        outlines = ()
        if index in span and len(tube):
            outlines = ((tube.interpolated([index]).boxes[0], CHOSEN_COLOUR, BOX_WIDTH),)
        else:
            picture = (picture * (1 - FADED) + 255 * FADED).astype(picture.dtype)
        tiles.append(Tile(picture, times[place], outlines))
    draw_row(row, tiles, found.query)
    _draw_time(bar, video, found)


def _draw_time(bar: Axes, video: Video, found: Found) -> None:
    span = found.span
    start, stop = video.time_at(span.start), video.time_at(span.stop)
    end = video.time_at(video.source_length)
    bar.barh(0, end, color=QUIET_COLOUR)
    bar.barh(0, stop - start, left=start, color=CHOSEN_COLOUR)
    bar.set(xlim=(0, end), yticks=[], xticks=[])
    for spine in bar.spines.values():
        spine.set_visible(False)
    lines = [f"{start:.2f} to {stop:.2f} s of {end:.1f} s, {found.about}"]
    lines += [f"doubt: {doubt}" for doubt in found.doubts]
    text = "\n".join(shorten_line(line, LONGEST_LINE) for line in lines)
    bar.set_xlabel(text, fontsize=TEXT_SIZE, loc="left", **AS_WRITTEN)

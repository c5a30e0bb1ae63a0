"""What was found in a video, small: frames with the box, and a bar of time with the span."""

from matplotlib.figure import Figure

from probe.pictures.rows import BOX_WIDTH, Tile, draw_row, put_among
from probe.pictures.style import AS_WRITTEN, CHOSEN_COLOUR, QUIET_COLOUR, TEXT_SIZE, shorten_line
from probe.video import Span, Tube, Video
from probe.video.previews import choose_row, write_times

LONGEST_ABOUT = 90
"""Characters after which the text below the bar is cut."""

BAR_HEIGHT = 0.07
"""Height of the bar of time as a share of the row of frames."""

FADED = 0.55
"""Share of white in the frames outside the span."""


def draw_found(
    figure: Figure, video: Video, tube: Tube, span: Span, *, query: str, about: str
) -> None:
    """Draw frames in a row, with the box on those in the span, and a bar of time below them.

    Frames outside the span are pale. Of the sampled frames in it, at least
    one is drawn.

    Args:
        figure: An empty figure.
        video: The video.
        tube: The box of each frame.
        span: The time of the answer, in source frames.
        query: The text above the frames, cut if it is long.
        about: The text below the bar, cut if it is long.
    """
    row, bar = figure.subplots(2, 1, height_ratios=(1.0, BAR_HEIGHT))
    height, width = video.size
    shown = choose_row(len(video), width / height)
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
    draw_row(row, tiles, query)
    start, stop = video.time_at(span.start), video.time_at(span.stop)
    end = video.time_at(video.source_length)
    bar.barh(0, end, color=QUIET_COLOUR)
    bar.barh(0, stop - start, left=start, color=CHOSEN_COLOUR)
    bar.set(xlim=(0, end), yticks=[], xticks=[])
    for spine in bar.spines.values():
        spine.set_visible(False)
    about = shorten_line(f"{start:.2f} to {stop:.2f} s of {end:.1f} s, {about}", LONGEST_ABOUT)
    bar.set_xlabel(about, fontsize=TEXT_SIZE, loc="left", **AS_WRITTEN)

"""Draw small pictures of results for Jupyter, and write any figure as HTML.

The functions keep no state: each makes a new figure or text.
"""

import base64
import html
import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from probe.drawing.figures import CHOSEN_COLOUR, draw_tokens
from probe.drawing.overlays import HEAT_COLOURS, blend, scale_heat
from probe.engine.attention import Heatmap
from probe.engine.readings import Reading, shorten
from probe.interpret.grounding_tokens import grounding_token
from probe.video import Box, Video

MOST_HTML_BYTES = 60_000
"""Size of a picture as HTML. A notebook saves the picture of every result that it showed."""

PAGE_DPI = 96
"""Pixels an inch of a web page, as CSS defines it."""

SHARPEST_DPI = 1.5 * PAGE_DPI
"""Pixels an inch at which small text is sharp on most screens."""

PICTURE_WIDTH, LEAST_PICTURE_WIDTH = 6.0, 3.2
"""Inches; in the least width there is room for a caption."""

MAP_HEIGHT = 1.05
"""Inches of one frame of a map."""

FEWEST_MAPS, MOST_MAPS = 4, 8
"""Frames of a map that are drawn in a row, if it has as many."""

MOST_TOKEN_LABELS = 36
"""Tokens below whose bars there is room for their text."""

LONGEST_TOKEN_LABEL, LONGEST_QUESTION = 12, 80
"""Signs after which the text of a token or a question is cut."""

SMALL_TEXT, SMALLEST_TEXT = 6.5, 5.0
"""Points."""


def figure_as_html(figure: Figure) -> str:
    """Write a figure as an HTML image that contains its picture, a PNG, in at most 60 kB.

    The figure's label (`figure.set_label`) becomes the text for those who cannot see the picture.
    """
    width = figure.get_size_inches()[0]
    dpi = SHARPEST_DPI
    while True:
        picture = base64.b64encode(_encode_png(figure, dpi)).decode()
        text = (
            f'<img src="data:image/png;base64,{picture}" '
            f'alt="{html.escape(str(figure.get_label()))}" '
            f'style="width: {round(PAGE_DPI * width)}px; max-width: 100%">'
        )
        if len(text) <= MOST_HTML_BYTES or dpi < 1:
            return text
        # Bytes grow with the number of pixels: this guess is mostly right, and always smaller.
        dpi *= min(0.95, 0.97 * (MOST_HTML_BYTES / len(text)) ** 0.5)


def picture_of_heatmap(heatmap: Heatmap, video: Video | None = None) -> Figure:
    """Draw the frames of a map in a row, on one scale, with the strongest cell outlined.

    Args:
        heatmap: The map. If it has many frames, some of them are drawn, the strongest among them.
        video: The video that it was read from, to draw its pictures below; None for the map alone.

    Raises:
        ValueError: if a value is not finite, or the video does not have the map's frames.
    """
    values = heatmap.values.detach().float().cpu().numpy().astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("the heatmap has values that are NaN or infinite; nothing is drawn")
    heat = scale_heat(values)
    left, top, right, bottom = heatmap.cells.region
    height, width = (bottom - top, right - left) if video is None else video.size
    shown = _choose_map_frames(heatmap, MAP_HEIGHT * width / height)
    figure, axes = _make_row(len(shown), width / height)
    for ax, number in zip(axes, shown, strict=True):
        sources = heatmap.cells.frames[number]
        if video is None:
            edges = (left, right, bottom, top)
            ax.imshow(heat[number], cmap=HEAT_COLOURS, vmin=0, vmax=1, extent=edges)
            title = f"frame {sources[0]}"
        else:
            place = _find_picture(video, sources)
            picture = blend(video.frames[place], heat[number], heatmap.cells.region)
            ax.imshow(picture, extent=(0, width, height, 0))
            title = f"{video.times[place]:.1f} s"
        ax.set_title(title, fontsize=SMALL_TEXT, pad=2)
        if number == heatmap.peak[0]:
            _outline_cell(ax, heatmap.cells.box(*heatmap.peak[1:]))
    frames, rows, columns = heatmap.cells.shape
    frames = "1 frame" if frames == 1 else f"{frames} frames"
    about = f"{frames} of {rows} x {columns} cells; the strongest is {values.max():.3g}"
    figure.text(0.01, 0.02, about, fontsize=SMALL_TEXT, va="bottom")
    figure.set_label(f"map of {about}")
    return figure


def picture_of_reading(reading: Reading) -> Figure:
    """Draw the visual activation of each token, the grounding token in orange, and the margin."""
    roles = reading.prompt.indices("role")
    chosen = [grounding_token(reading)] if roles else []
    figure = Figure((PICTURE_WIDTH, 1.7), layout="constrained")
    ax = figure.subplots()
    draw_tokens(ax, reading, chosen)
    tokens = [_one_line(text, LONGEST_TOKEN_LABEL) for text in reading.tokens]
    # In a long question only the tokens that may be chosen are named: all texts would overlap.
    named = range(len(tokens)) if len(tokens) <= MOST_TOKEN_LABELS else roles
    texts = [tokens[token] for token in named]
    ax.set_xticks(list(named), texts, rotation=60, ha="right", parse_math=False)
    ax.set_ylabel("visual activation", fontsize=SMALL_TEXT)
    ax.tick_params(labelsize=SMALL_TEXT if len(tokens) <= MOST_TOKEN_LABELS else SMALLEST_TEXT)
    margin = f"yes minus no {reading.margin:+.2f}"
    title = f"{_one_line(reading.prompt.question, LONGEST_QUESTION)}   {margin}"
    ax.set_title(title, fontsize=7, loc="left", parse_math=False)
    about = f"visual activation of {len(tokens)} tokens; {margin}"
    if chosen:
        about += f"; grounding token {reading.tokens[chosen[0]]!r}"
    figure.set_label(f"{reading.prompt.question} {about}")
    return figure


def _make_row(count: int, aspect: float) -> tuple[Figure, list[Axes]]:
    """Make a figure with axes for so many pictures in a row, each as wide as `aspect` heights."""
    # Placed by hand: the layout engines of matplotlib leave wide gaps between pictures.
    title, caption, gap = 0.16, 0.2, 0.04
    across = min(PICTURE_WIDTH / count - gap, MAP_HEIGHT * aspect)
    width = max(count * (across + gap) + gap, LEAST_PICTURE_WIDTH)
    height = across / aspect + title + caption
    figure = Figure((width, height))
    axes = []
    for number in range(count):
        left = gap + number * (across + gap)
        ax = figure.add_axes(
            (left / width, caption / height, across / width, across / aspect / height)
        )
        ax.set_axis_off()
        axes.append(ax)
    return figure, axes


def _choose_map_frames(heatmap: Heatmap, width: float) -> list[int]:
    """Choose frames of a map that fit in a row: evenly spaced, and with the strongest."""
    count = len(heatmap.cells.frames)
    room = int(np.clip(PICTURE_WIDTH // width, FEWEST_MAPS, MOST_MAPS))
    shown = np.linspace(0, count - 1, min(count, room)).round().astype(int)
    strongest = heatmap.peak[0]
    shown[np.abs(shown - strongest).argmin()] = strongest
    return shown.tolist()


def _find_picture(video: Video, sources: tuple[int, ...]) -> int:
    for source in sources:
        if source in video.indices:
            return video.indices.index(source)
    raise ValueError(
        f"the heatmap shows source frame {sources[0]}, which is not among the video's sampled "
        f"frames {video.indices}; draw it on the video that it was read from"
    )


def _outline_cell(ax: Axes, box: Box) -> None:
    x1, y1, x2, y2 = box
    for colour, thickness in (("white", 2.2), (CHOSEN_COLOUR, 1.2)):
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=colour, lw=thickness))


def _encode_png(figure: Figure, dpi: float) -> bytes:
    """Write a figure as a PNG of 256 colours, less than half as large as one of all colours."""
    drawn = io.BytesIO()
    # White, because a notebook may be dark but the text is black.
    figure.savefig(drawn, dpi=dpi, format="png", facecolor="white")
    # Six bits a channel first: a choice among hundreds of thousands of colours takes many seconds.
    levels = np.asarray(Image.open(drawn).convert("RGB")) >> 2
    image = Image.fromarray(levels << 2 | levels >> 4)
    # Pillow's usual choice of colours (median cut) gives most of them to large areas, and turns
    # small spots of heat grey; maximum coverage leaves no colour far from one of the 256.
    image = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    result = io.BytesIO()
    image.save(result, "PNG", optimize=True)
    return result.getvalue()


def _one_line(text: str, most: int) -> str:
    return shorten(" ".join(text.split()), most)

"""Frames in a row as HTML, for Jupyter; drawn by Pillow, since this room knows no other drawing."""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

MOST_HTML_BYTES = 60_000
"""Size of a picture as HTML. A notebook saves the picture of every result that it showed."""

PAGE_DPI = 96
"""Pixels an inch of a web page, as CSS defines it."""

SHARPEST = 1.5
"""Pixels of a picture for each pixel of the page: then small text is sharp on most screens."""

ROW_WIDTH, ROW_HEIGHT = 6.0, 1.1
"""Inches of a row of frames, and of one frame of it, where the frames are not too wide for it."""

FEWEST_IN_ROW, MOST_IN_ROW = 5, 8
"""Frames that are shown in a row, if there are as many."""

FRAME_GAP = 0.04
"""Space between two frames of a row, as a share of their width."""

PREVIEW_QUALITIES = (85, 70, 50, 30)
"""Qualities of WebP tried in turn until a picture fits."""

CAPTION_PIXELS = 11
"""Height of the text above a frame, in pixels of the page."""


def choose_row(count: int, aspect: float) -> list[int]:
    """Choose which of so many frames are shown in a row: evenly spaced, first and last included.

    Args:
        count: The number of frames that there are.
        aspect: The width of a frame over its height.
    """
    room = int(np.clip(ROW_WIDTH // (ROW_HEIGHT * aspect), FEWEST_IN_ROW, MOST_IN_ROW))
    return choose_evenly(count, room)


def choose_evenly(count: int, most: int) -> list[int]:
    """Choose at most so many of `count` places: evenly spaced, first and last included."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def write_times(times: Float[np.ndarray, " frame"]) -> list[str]:
    """Write times in seconds, with as many decimals as tell them apart; at least one.

    Nothing for a single frame, whose time tells it from no other.
    """
    if len(times) == 1:
        return [""]
    for decimals in (1, 2, 3):
        texts = [f"{time:.{decimals}f} s" for time in times]
        if len(set(texts)) == len(texts):
            break
    return texts


def write_photo_element(
    image: Image.Image, about: str, width: float, most: int = MOST_HTML_BYTES
) -> str:
    """Write an HTML element that contains a picture as WebP, of the best quality that fits.

    Args:
        image: The picture.
        about: Text for those who cannot see it.
        width: Its width in pixels of the page.
        most: Bytes that the element should have at most.

    Returns:
        The element; a picture that does not fit at the lowest quality is longer than it should be.
    """
    element = ""
    for quality in PREVIEW_QUALITIES:
        stream = io.BytesIO()
        image.save(stream, "WEBP", quality=quality)
        element = write_image_element(stream.getvalue(), "webp", about, width)
        if len(element) <= most:
            break
    return element


def write_image_element(data: bytes, kind: str, about: str, width: float) -> str:
    """Write an HTML element that contains an image.

    Args:
        data: The file of the image.
        kind: Its type, such as "png".
        about: Text for those who cannot see it; it stays text, whatever is in it.
        width: Its width in pixels of the page; less on a narrow page.
    """
    return (
        f'<img src="data:image/{kind};base64,{base64.b64encode(data).decode()}" '
        f'alt="{html.escape(about)}" style="width: {round(width)}px; max-width: 100%">'
    )


def write_text_element(text: str) -> str:
    """Write an HTML element of plain text; signs of HTML in it are shown as they are."""
    return f'<pre style="white-space: pre-wrap">{html.escape(text)}</pre>'


def write_frames_element(
    frames: UInt8[np.ndarray, "frame height width 3"], captions: Sequence[str], about: str
) -> str:
    """Write frames in a row as an HTML image in at most 60 kB, with a line of text below it.

    Args:
        frames: The frames, all of which are shown.
        captions: A short text above each.
        about: The line of text.
    """
    below = write_text_element(about)
    row = _draw_row(frames, captions)
    room = MOST_HTML_BYTES - len(below) - len("<div></div>")
    image = write_photo_element(row, about, row.width / SHARPEST, room)
    return f"<div>{image}{below}</div>"


def _draw_row(
    frames: UInt8[np.ndarray, "frame height width 3"], captions: Sequence[str]
) -> Image.Image:
    count, height, width, _ = frames.shape
    page = SHARPEST * PAGE_DPI
    across = min(page * ROW_WIDTH / (count * (1 + FRAME_GAP)), page * ROW_HEIGHT * width / height)
    gap, down = round(FRAME_GAP * across), max(1, round(across * height / width))
    across = max(1, round(across))
    font = ImageFont.load_default(SHARPEST * CAPTION_PIXELS)
    above = round(1.5 * SHARPEST * CAPTION_PIXELS)
    row = Image.new("RGB", (count * (across + gap) - gap, above + down), "white")
    draw = ImageDraw.Draw(row)
    for number, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
        left = number * (across + gap)
        row.paste(Image.fromarray(frame).resize((across, down)), (left, above))
        draw.text((left + across / 2, above / 2), caption, fill="black", font=font, anchor="mm")
    return row

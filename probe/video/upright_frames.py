"""Pictures of decoded frames: upright, as RGB of 8 bits, and on white where transparent."""

from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from jaxtyping import UInt8
from PIL import Image

from probe.video.images import to_rgb

NO_CLOCK = Fraction(1)
"""Seconds per tick of a graph of filters that no time is asked of."""

SIDE_DATA_KINDS = 48
"""More kinds of side data than FFmpeg knows: the last of 8.1 has the number 33."""


def turn_upright(frame: VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
    """Turn and mirror a picture by the file's display matrix, as a player does.

    What is transparent is put on the ground on which pictures are.
    """
    if _has_alpha(frame.format):
        picture = to_rgb(Image.fromarray(frame.to_ndarray(format="rgba")), "a frame")
    else:
        picture = frame.to_ndarray(format="rgb24")
    a, b, c, d = read_matrix(frame)
    # Only the nearest quarter turn and mirror: cameras write no others.
    if abs(b) > abs(a):
        picture, a, d = picture.swapaxes(0, 1), c, b
    picture = picture[:, ::-1] if a < 0 else picture
    picture = picture[::-1] if d < 0 else picture
    return np.ascontiguousarray(picture)


def read_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """Read a, b, c, d of the display matrix: a pixel at (x, y) is shown at (ax + cy, bx + dy)."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV fails on kinds that it has no name for, such as EXIF
        matrix = _drop_unnamed(frame).side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 1, 0, 0, 1
    # In ISO 14496-12, a, b, u, c, d, v come first.
    a, b, _, c, d, _ = np.frombuffer(bytes(matrix), np.int32)[:6].tolist()
    return a, b, c, d


def _drop_unnamed(frame: VideoFrame) -> VideoFrame:
    """Return a frame without the side data that PyAV has no name for."""
    graph, named = Graph(), {kind.value for kind in Type}
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=NO_CLOCK
    )
    for kind in set(range(SIDE_DATA_KINDS)) - named:
        # FFmpeg's names of the kinds differ from version to version; their numbers stay.
        following = graph.add("sidedata", f"mode=delete:type={kind}")
        last.link_to(following)
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    found = graph.pull()
    assert isinstance(found, VideoFrame)
    return found


def _has_alpha(form: VideoFormat) -> bool:
    # A palette is of colours with transparency.
    return form.has_palette or any(component.is_alpha for component in form.components)

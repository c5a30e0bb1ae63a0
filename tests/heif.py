"""Pictures of items (ISO 23008-12), written by hand: a HEIC or AVIF whose picture is of tiles."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

Colour = tuple[int, int, int]

SIDE = 64
"""Width and height of a tile, in pixels."""

PRIMARY = 1
"""The number of the item that is the picture; its tiles come after it."""


def write_tiled(path: Path, *colours: Colour) -> Path:
    """Write a picture that is two tiles wide, each of one colour: a HEIC, or an AVIF."""
    avif = path.suffix == ".avif"
    codec, brand, configuration = ("av01", "avif", "av1C") if avif else ("hvc1", "heic", "hvcC")
    files = [_encode_av1(colour) if avif else _encode_hevc(colour) for colour in colours]
    tiles = [_find_box(file, b"mdat")[8:] for file in files]
    rows = len(colours) // 2
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, 1, 2 * SIDE, rows * SIDE)
    start = _box("ftyp", brand.encode(), bytes(4), brand.encode(), b"mif1miaf")
    properties = _box(
        "ipco", _find_box(files[0], configuration.encode()), _size(SIDE, SIDE),
        _full("pixi", bytes([3, 8, 8, 8])), _size(2 * SIDE, rows * SIDE),
    )  # fmt: skip
    numbers = range(PRIMARY + 1, PRIMARY + 1 + len(tiles))
    described = b"".join(struct.pack(">HBBBB", number, 3, 0x81, 2, 3) for number in numbers)
    picture = struct.pack(">IHBBB", 1 + len(tiles), PRIMARY, 2, 4, 3)
    kinds = [(PRIMARY, b"grid"), *((number, codec.encode()) for number in numbers)]
    infos = [_full("infe", struct.pack(">HH", n, 0), kind, b"\0", version=2) for n, kind in kinds]
    links = struct.pack(f">HH{len(tiles)}H", PRIMARY, len(tiles), *numbers)

    def describe(offset: int) -> bytes:
        places = b""
        for number, content in zip([PRIMARY, *numbers], [grid, *tiles], strict=True):
            places += struct.pack(">HHHII", number, 0, 1, offset, len(content))
            offset += len(content)
        return _full(
            "meta",
            _full("hdlr", bytes(4), b"pict", bytes(13)),
            _full("pitm", struct.pack(">H", PRIMARY)),
            _full("iloc", b"\x44\0", struct.pack(">H", len(kinds)), places),
            _full("iinf", struct.pack(">H", len(kinds)), *infos),
            _full("iref", _box("dimg", links)),
            _box("iprp", properties, _full("ipma", picture, described)),
        )

    offset = len(start) + len(describe(0)) + 8
    path.write_bytes(start + describe(offset) + _box("mdat", grid, *tiles))
    return path


def _encode_av1(colour: Colour) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), colour).save(written, "AVIF", quality=90)
    return written.getvalue()


def _encode_hevc(colour: Colour) -> bytes:
    written = io.BytesIO()
    with av.open(written, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx265", rate=1, options={"x265-params": "log-level=none", "tag": "hvc1"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.codec_context.time_base = Fraction(1)
        frame = av.VideoFrame.from_image(Image.new("RGB", (SIDE, SIDE), colour))
        coded = frame.reformat(format="yuv420p")
        for packet in (*stream.encode(coded), *stream.encode(None)):
            # Of a single frame x265 gives a time of decoding that it never set.
            packet.pts = packet.dts = 0
            container.mux(packet)
    return written.getvalue()


def _find_box(content: bytes, name: bytes) -> bytes:
    start = content.index(name) - 4
    return content[start : start + int.from_bytes(content[start : start + 4], "big")]


def _box(name: str, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I", 8 + len(inside)) + name.encode() + inside


def _full(name: str, *content: bytes, version: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24), *content)


def _size(width: int, height: int) -> bytes:
    return _full("ispe", struct.pack(">II", width, height))

"""Video files opened for reading: files of known containers only, and pictures of a bounded size.

A file may come from anybody, and FFmpeg reads more than videos: lists and playlists make it open
other files or addresses, some without an end, and a few bytes may announce pictures of gigabytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from probe.files import check_file
from probe.video.images import MOST_PIXELS, check_pixels

PROTOCOLS = ("file",)
"""The protocols that FFmpeg may read by: that of the given file, and no address or pipe."""

BARE = frozenset(
    {"mpegvideo", "mjpeg", "h261", "h263", "h264", "hevc", "vvc", "m4v", "av1", "obu", "vc1"}
    | {"cavsvideo", "dirac", "dnxhd", "evc", "avs2", "avs3", "apv"}
)
"""FFmpeg's names of streams without a container, which have no clock."""

FORMATS = (
    *("mov", "matroska", "webm", "avi", "flv", "ogg", "asf", "mxf", "nut", "rm", "gxf", "wtv"),
    *("mpegts", "mpeg", "mpegvideo", "dv", "ivf", "yuv4mpegpipe", "mjpeg", "mpjpeg"),
    *("h261", "h263", "h264", "hevc", "vvc", "m4v", "av1", "obu", "vc1", "cavsvideo", "dirac"),
    *("dhav", "dnxhd", "evc", "avs2", "avs3", "apv"),
    *("gif", "apng", "png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe"),
    *("wav", "mp3", "flac", "aac", "aiff"),
)
"""FFmpeg's names of the containers that are read: all that hold their pictures in themselves.

Left out are those that name other files (concat, hls, dash, sdp, image2), those that draw what is
no picture (tty), and formats of old games, which nobody asks a model about. Sound is among them
only so that the error can call it by its name.
"""

OTHER_TYPES = frozenset({"audio", "subtitle"})
"""PyAV's names of streams that hold something else than pictures."""

HEIF_BRANDS = frozenset(
    {"mif1", "msf1", "mif2", "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"}
    | {"avif", "avis", "avci", "avcs", "jpeg", "jpgs", "vvic", "vvis", "j2ki", "j2is"}
)
"""Brands that a file names first if it is a picture of items (ISO 23008-12), such as HEIC."""

ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the transparency of a codec, which FFmpeg's own decoder leaves out."""

TEXT_SAMPLE = 512
"""Bytes from the beginning of a file that tell whether it is text."""

BROKEN = (AttributeError, TypeError, ArithmeticError, LookupError, UnicodeError)
"""Errors of PyAV, other than FFmpeg's own, on damaged files: it expects values that are missing."""


@contextmanager
def open_pictures(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first stream of moving pictures; whatever fails becomes one line.

    Raises:
        ValueError: if the path is no file, the file is no video, it is damaged, or its pictures are
            too large.
    """
    check_file(path)
    if not path.stat().st_size:
        raise ValueError(f"{path}: the file is empty (0 bytes); copy or download it again")
    try:
        # "file:" keeps FFmpeg from reading a name such as "take 1: cut.mp4" as a protocol.
        with av.open(
            f"file:{path}", options=_list_options(), metadata_errors="replace"
        ) as container:
            stream = _find_pictures(path, container)
            _check_decoder(path, container, stream)
            stream.thread_type = "AUTO"  # several frames at once too, not only parts of one
            yield container, stream
    except FFmpegError as error:
        raise _not_video_error(path, error.strerror) from error
    except BROKEN as error:
        raise ValueError(
            f"{path}: damaged ({type(error).__name__}: {error}); copy it again or convert it to MP4"
        ) from error


def _list_options() -> dict[str, str]:
    return {
        "protocol_whitelist": ",".join(PROTOCOLS),
        "format_whitelist": ",".join(FORMATS),
        # For the decoders with which FFmpeg looks into the streams while it opens the file.
        "max_pixels": str(MOST_PIXELS),
    }


def _find_pictures(path: Path, container: InputContainer) -> VideoStream:
    cover = Disposition.attached_pic  # the picture of a piece of music is a video stream too
    for stream in container.streams.video:
        if not stream.disposition & cover:
            _check_whole(path, container, stream)
            return stream
    found = sorted({stream.type for stream in container.streams if stream.type in OTHER_TYPES})
    only = " and ".join(found) or ("a cover picture" if container.streams.video else "")
    if not only:  # Matroska lists a stream without saying what it is
        raise _unknown_codec_error(path)
    raise ValueError(
        f"{path}: no video stream; found only {only}. Give a file with moving pictures"
    )


def _check_whole(path: Path, container: InputContainer, stream: VideoStream) -> None:
    """Refuse a picture of items, of which one stream holds a part: FFmpeg does not join them.

    Telephones store a picture as tiles. Other streams may be its transparency or a sequence, and
    nothing tells these from a thumbnail.
    """
    count = len(container.streams.video)
    tiled = bool(stream.disposition & Disposition.dependent)
    if container.metadata.get("major_brand") in HEIF_BRANDS and (tiled or count > 1):
        raise ValueError(
            f"{path}: a HEIC picture of {count} parts (tiles, a sequence, transparency or a "
            "thumbnail), of which only one could be read; convert it to PNG or JPEG"
        )


def make_decoder(stream: VideoStream) -> VideoCodecContext:
    """Return a decoder of a stream from the current place on, one that reads its transparency."""
    name = ALPHA_DECODERS.get(stream.codec_context.name) if has_alpha(stream) else None
    if name not in av.codecs_available:
        return stream.codec_context
    # A new one each time: a seek does not empty it, as it does the stream's own.
    decoder = CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = stream.codec_context.extradata
    decoder.options = {"max_pixels": str(MOST_PIXELS)}
    return decoder


def has_alpha(stream: VideoStream) -> bool:
    """Tell whether a WebM says that it stores transparency next to the pictures."""
    return stream.metadata.get("alpha_mode") == "1"


def describe_alpha(stream: VideoStream) -> str:
    """Describe transparency that no decoder here reads; nothing if there is none of this kind."""
    name = ALPHA_DECODERS.get(stream.codec_context.name)
    if not has_alpha(stream) or name is None or name in av.codecs_available:
        return ""
    return f"its transparency cannot be read without {name}; what it hides is shown"


def _check_decoder(path: Path, container: InputContainer, stream: VideoStream) -> None:
    """Check that the pictures can be decoded, and bound the memory that this may take."""
    # Its type says otherwise, but PyAV has none for a codec that FFmpeg does not know.
    if stream.codec_context is None:
        raise _unknown_codec_error(path)
    context = stream.codec_context
    # FFmpeg looks into pictures for their size, and does not tell why it found none.
    if not context.width and container.format.name.endswith("_pipe"):
        raise ValueError(
            f"{path}: cannot be read as an image, or has more than {MOST_PIXELS / 1e6:.0f} million "
            "pixels; replace it, or make it smaller"
        )
    check_pixels(str(path), (context.width, context.height))
    # The pictures themselves may be larger than the container says.
    context.options = {"max_pixels": str(MOST_PIXELS)}


def _unknown_codec_error(path: Path) -> ValueError:
    return ValueError(
        f"{path}: damaged, or of a codec that FFmpeg does not know; copy it again or convert it to "
        "MP4"
    )


def _not_video_error(path: Path, reason: str | None) -> ValueError:
    with path.open("rb") as file:
        start = file.read(TEXT_SAMPLE)
    if _is_text(start):
        return ValueError(
            f"{path}: a text file, not a video; give a video file (playlists and lists of files "
            "are not followed)"
        )
    return ValueError(
        f"{path}: not a video, or cut short ({reason}); copy it again or convert it to MP4"
    )


def _is_text(start: bytes) -> bool:
    try:
        # All but the last bytes, which may be the first half of a letter.
        text = start[:-3].decode("utf-8-sig") if len(start) == TEXT_SAMPLE else start.decode()
    except UnicodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)

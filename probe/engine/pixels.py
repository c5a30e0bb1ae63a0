"""The most pixels that a processor keeps of a frame: they decide how many visual tokens it makes.

Some processors give every frame the same size. Others keep the shape of a frame, and make as many
tokens of it as it has pixels, up to a limit. Published files may set this limit for pictures alone:
those of Qwen2-VL and Qwen2.5-VL allow 12,845,056 pixels a frame, with which 20 frames of 1080p make
26,910 visual tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from probe.video.coercion import to_whole


@dataclass(frozen=True)
class PixelCount:
    """A way in which processors count pixels against their limit, the longest edge of a size."""

    of: Literal["frame", "video"]
    """The frames that the limit is for: each by itself, or all that are sampled together."""

    documented: int | None = None
    """The most cells of a frame of a video by the model's authors; None for the processor's own."""


BY_FRAME, BY_VIDEO = PixelCount("frame"), PixelCount("video")

COUNTS: Mapping[str, PixelCount] = MappingProxyType(
    {
        # VIDEO_MAX_TOKEN_NUM of qwen-vl-utils, which the authors prepare videos with; before, its
        # VIDEO_MAX_PIXELS was 768 * 28 * 28. It is the default of the class in transformers, too,
        # but files of checkpoints, written for pictures, replace that.
        "Qwen2VLVideoProcessor": PixelCount("frame", documented=768),
        "Qwen2VLImageProcessor": BY_FRAME,
        "Ernie4_5_VLMoeVideoProcessor": BY_FRAME,
        "CohereCompassVideoProcessor": BY_VIDEO,
        "Cosmos3EdgeVideoProcessor": BY_VIDEO,
        "Glm46VVideoProcessor": BY_VIDEO,
        "Glm4vVideoProcessor": BY_VIDEO,
        "GlmgaVideoProcessor": BY_VIDEO,
        "Qwen3VLVideoProcessor": BY_VIDEO,
        "VideoLlama3VideoProcessor": BY_VIDEO,
    }
)
"""The way of counting, by the class of the part of a processor that makes pictures."""


def choose_pixels(settings: Any, asked: int | None) -> int | None:
    """Return the most pixels that are kept of a frame; None if nothing limits a single one.

    Without a wish it is the number that the model's authors document for videos, or that of the
    processor if it is smaller.

    Args:
        settings: The part of the processor that makes pictures.
        asked: The number that was asked for; None for the usual one.

    Raises:
        ValueError: if the number is less than a cell has, or the processor has no such limit.
    """
    count, one = COUNTS.get(type(settings).__name__), _cell(settings)
    if asked is not None:
        return _check_asked(settings, count, asked, one)
    if count is None or count.of == "video":
        return None
    own, documented = settings.size.get("longest_edge"), count.documented
    limits = (own, None if documented is None else documented * one)
    return min((limit for limit in limits if limit is not None), default=None)


def choose_size(settings: Any, asked: int | None, frames: int) -> dict[str, int] | None:
    """Return the size with which a processor keeps to the pixels of a frame; None for its own.

    Args:
        settings: The part of the processor that makes pictures.
        asked: The number of pixels that was asked for; None for the usual one.
        frames: The number of frames that it is given at once.

    Raises:
        ValueError: as `choose_pixels` says.
    """
    pixels = choose_pixels(settings, asked)
    if pixels is None:
        return None
    most = pixels
    if COUNTS[type(settings).__name__].of == "video":
        # They count frames in whole pairs, and round an odd number up or down.
        together = getattr(settings, "temporal_patch_size", 1)
        most *= max(1, min(frames, round(frames / together) * together))
    own = settings.size
    if own.get("longest_edge") == most:
        return None
    # A picture that is smaller than the shortest edge is enlarged, which must stop at the limit.
    return {"shortest_edge": min(own.get("shortest_edge") or 1, most), "longest_edge": most}


def suggest_fewer(settings: Any) -> str:
    """Suggest how to have fewer visual tokens, by the settings of the processor."""
    limited = type(settings).__name__ in COUNTS
    return "sample fewer frames" + (", or keep fewer pixels of each" if limited else "")


def _cell(settings: Any) -> int:
    """Return the pixels that one visual token shows of a frame."""
    return (getattr(settings, "patch_size", 1) * getattr(settings, "merge_size", 1)) ** 2


def _check_asked(settings: Any, count: PixelCount | None, asked: Any, cell: int) -> int:
    """Refuse a number of pixels that cannot be kept to."""
    if count is None:
        raise ValueError(
            f"pixels={asked}: this model's processor ({type(settings).__name__}) has no limit of "
            f"pixels; leave pixels out, and give fewer frames where there are too many tokens"
        )
    pixels = to_whole(asked, "the most pixels of a frame")
    if pixels < cell:
        raise ValueError(
            f"pixels={pixels}: one visual token shows {cell} pixels; give at least as many"
        )
    return pixels

"""Settings of a checkpoint's processor, checked before it makes pictures and tokens by them."""

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from probe.engine.families import Family
from probe.video import FrameRate, Sampling
from probe.video.frame_rate import MOST_UNASKED

MOST_FRAMES = 4096
"""Most frames that a processor may want of a video; published ones want up to 768."""


BRIGHTEST = 1000.0
"""Largest mean and spread of pixels, which are counted up to 1 or up to 255."""


SHARED = (
    ("patch_size", "patch_size"),
    ("temporal_patch_size", "temporal_patch_size"),
    ("merge_size", "spatial_merge_size"),
)
"""Settings that some processors share with the vision tower, by their names in either."""


FRAME_COUNTS = ("num_frames", "min_frames", "max_frames")
"""Settings that are numbers of frames."""

FASTEST = 1000.0
"""Most frames a second that a processor may want; published ones want up to 3."""


def choose_frames(settings: Any, usual: int) -> Sampling:
    """Return the number of frames to sample: by the processor's own rate or number, else the usual.

    Args:
        settings: The part of the processor that makes pictures.
        usual: The number where it says nothing.
    """
    number, rate = (getattr(settings, name, None) for name in ("num_frames", "fps"))
    if rate is None:
        return number or usual
    # The number is a ceiling next to a rate: SmolVLM2 takes a frame a second, and at most 64.
    most = min(number or getattr(settings, "max_frames", None) or MOST_UNASKED, MOST_UNASKED)
    return FrameRate(rate, min(getattr(settings, "min_frames", None) or 1, most), most)


def check_processor(name: str, processor: Any, config: Any, family: Family) -> None:
    """Refuse a processor that lacks a part, or whose settings are beyond all sense.

    Nothing is processed: a size of a million pixels would take all memory before it failed.

    Args:
        name: The checkpoint's name or folder, for the message.
        processor: The processor.
        config: The checkpoint's configuration.
        family: The entry of the checkpoint's family.

    Raises:
        ValueError: if it is one.
    """
    for problem in _find_problems(processor, config, family):
        raise ValueError(
            f"{name}: the processor {problem}; compare its files with those that were published"
        )


def _find_problems(processor: Any, config: Any, family: Family) -> Iterator[str]:
    eyes = f"{family.medium}_processor"
    for part in ("tokenizer", eyes):
        if getattr(processor, part, None) is None:
            yield f"has no {part.replace('_', ' ')}"
    settings = getattr(processor, eyes)
    for name in FRAME_COUNTS:
        frames = getattr(settings, name, None)
        if frames is not None and not _is_count(frames, MOST_FRAMES):
            yield (
                f"samples {reprlib.repr(frames)} frames ({name}), not a whole number from 1 to "
                f"{MOST_FRAMES}"
            )
    rate = getattr(settings, "fps", None)
    if rate is not None and not (_is_number(rate) and 0 < rate <= FASTEST):
        yield f"samples {reprlib.repr(rate)} frames a second, not a number up to {FASTEST:.0f}"
    yield from _find_sizes(settings, *family.largest_sizes)
    yield from _find_scales(settings)
    for ours, theirs in SHARED:
        here, there = getattr(settings, ours, None), getattr(config.vision_config, theirs, None)
        if here is not None and there is not None and here != there:
            yield f"has {reprlib.repr(here)} for {ours}, but the vision tower has {there!r}"


def _find_scales(settings: Any) -> Iterator[str]:
    """Find scales that are zero or endless, by which every picture would be grey, or no number."""
    for entry, least in (("image_mean", -BRIGHTEST), ("image_std", 0.0), ("rescale_factor", 0.0)):
        given = getattr(settings, entry, None)
        for value in given if isinstance(given, Sequence) else [given]:
            if value is None:
                continue
            if not (_is_number(value) and least < value <= BRIGHTEST):
                yield f"has {reprlib.repr(value)} in {entry}, which no picture can be scaled by"


def _find_sizes(settings: Any, longest: int, other: int) -> Iterator[str]:
    for entry in ("size", "crop_size"):
        sizes: Mapping[str, Any] = dict(getattr(settings, entry, None) or {})
        for edge, size in sizes.items():
            most = longest if edge == "longest_edge" else other
            # None where a size is given by other entries.
            if size is not None and not _is_count(size, most):
                yield (
                    f"has {reprlib.repr(size)} for {edge} in {entry}, not a whole number from 1 "
                    f"to {most}"
                )


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most

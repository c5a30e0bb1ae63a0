"""A video in plain values, by which a file of results names it, and read again by them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.paths import is_there
from probe.video.decoding import read_timetable
from probe.video.parts import sample_part
from probe.video.video import Video, read_video


def describe_video(video: Video) -> dict[str, Any]:
    """Describe a video in plain values: its file, and which frames of it were seen."""
    height, width = video.size
    part = video.part
    return {
        "path": None if video.path is None else str(video.path),
        "part": None if part is None else [part.start, part.stop],
        "size": [height, width],
        "frames": video.source_length,
        "fps": round(video.fps, 4),
        "sampled_frames": list(video.indices),
    }


def find_video(path: str | Path, about: Mapping[str, Any]) -> Video:
    """Read a described video again; its path may count from where the describing file is.

    Args:
        path: The file that holds the description.
        about: The description, as `describe_video` gives it.

    Raises:
        ValueError: if the video has no path, or is not there, or cannot be read.
    """
    if about["path"] is None:
        raise ValueError(f"{path}: does not say where its video is; give it as video=")
    named, folder = Path(about["path"]), Path(path).parent
    # Where it was; from the file's folder; and in that folder, if both were moved together.
    places = (named, folder / named, folder / named.name)
    found = next((place for place in places if is_there(place)), places[0])
    count, part = len(about["sampled_frames"]), about.get("part")
    if part is None:
        # Pictures in a row have no clock of their own.
        return read_video(found, count, fps=about["fps"] if found.is_dir() else None)
    return sample_part(found, read_timetable(found), range(*part), count)

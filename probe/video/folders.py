"""Folders of videos: one file for each, and not one picture for each frame."""

from pathlib import Path

from probe.video.images import VIDEO_SUFFIXES, list_files, natural_order
from probe.video.paths import find_source


def list_videos(folder: Path) -> list[Path]:
    """List the videos in a folder in natural order, 9 before 10; none for a folder of frames.

    Raises:
        ValueError: if there is no such folder or file, or the folder has pictures and videos.
    """
    folder = find_source(folder)
    if not folder.is_dir():
        return []
    videos = [path for path in list_files(folder) if path.suffix.lower() in VIDEO_SUFFIXES]
    return sorted(videos, key=natural_order)

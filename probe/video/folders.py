"""Folders of videos: one file for each, and not one picture for each frame."""

from pathlib import Path

from probe.video.images import IMAGE_SUFFIXES, natural_order

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv")
"""Endings by which a file is taken for a video."""


def list_videos(folder: Path) -> list[Path]:
    """List the videos in a folder in natural order, 9 before 10; none for a folder of frames.

    A folder with pictures is one video, whatever else is in it.
    """
    if not folder.is_dir():
        return []
    # A Mac leaves a file "._1.mp4", which is no video, next to "1.mp4" on foreign disks.
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    suffixes = {path.suffix.lower() for path in files}
    if suffixes & set(IMAGE_SUFFIXES):
        return []
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    return sorted(videos, key=natural_order)

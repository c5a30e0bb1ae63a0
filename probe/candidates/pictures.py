"""The pictures of a video that a detector searches."""

from probe.candidates.detector_models import Pixels
from probe.video import Video, source_frames


def read_pictures(video: Video, every: int) -> dict[int, Pixels]:
    """Read every so many source frames of a video, and its last; all are held in memory.

    Returns:
        The pictures by source frame, in order.
    """
    last = video.source_length - 1
    return {
        frame: picture
        for frame, picture in enumerate(source_frames(video))
        if frame % every == 0 or frame == last
    }

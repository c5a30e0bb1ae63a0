"""Videos and answers about them: frames read and written; spans of time, boxes and tubes.

This room knows nothing of models. It may use `probe.files` alone.
"""

from probe.video.frame_rate import FrameRate, Sampling, count_frames
from probe.video.parts import read_part, sample_part
from probe.video.resampling import has_source, read_frames, sample_stretch
from probe.video.tubes import Box, Span, Tube, box_iou
from probe.video.video import Video, read_image, read_video, source_frames

__all__ = [
    "Box",
    "FrameRate",
    "Sampling",
    "Span",
    "Tube",
    "Video",
    "box_iou",
    "count_frames",
    "has_source",
    "read_frames",
    "read_image",
    "read_part",
    "read_video",
    "sample_part",
    "sample_stretch",
    "source_frames",
]

"""The truth of a query of a user's own, turned from its form into frames and pixels of the video.

Between two boxes there is a straight line, unless the earlier one is followed by null: then the
thing is absent until the next box. Inside a span, the first and the last box stay where they are
as far as the span goes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from probe.candidates.tracks import load_tracks
from probe.datasets.footage import Footage
from probe.datasets.own_lines import OwnLine, Quad, TimeUnit
from probe.datasets.samples import SettledTruth
from probe.metrics import Known
from probe.video import Span, Tube, Video

EDGE_TOLERANCE = 1.0
"""Pixels by which a box may leave the picture without a note: annotators round."""

RATE_TOLERANCE = 0.02
"""Share by which the frames a second may differ from the annotated ones without a note: 29.97 is
written as 30."""


@dataclass(frozen=True)
class OwnAnnotation:
    """The truth as a line has it; it becomes frames and pixels when the video is read."""

    line: OwnLine
    tracks: Path | None = None
    """The file of tracks that the line names."""

    @property
    def known(self) -> Known:
        """The parts of the truth that the line has."""
        return Known(time=self.line.span is not None, place=self.line.has_place)

    def settle(self, footage: Footage) -> SettledTruth:
        """Convert the span and the boxes to source frames and pixels.

        Raises:
            ValueError: if they lie outside the video, the object is absent at an end of the span,
                or the file of tracks cannot be used.
        """
        video, notes = footage.video, list[str]()
        self._check_clock(video, notes)
        span = self._find_span(video, notes)
        boxes, absent = self._find_boxes(footage, notes)
        if span is None or boxes is None:
            return SettledTruth(time=span, place=boxes, notes=tuple(notes))
        truth = self._cut(boxes, absent, span, notes)
        # Boxes outside the span are of the same object: an oracle's candidate is where it was.
        whole = len(boxes.within(span)) < len(boxes)
        tracks = (boxes.interpolated(range(video.source_length)),) if whole else ()
        return SettledTruth(truth=truth, tracks=tracks, notes=tuple(notes))

    def _check_clock(self, video: Video, notes: list[str]) -> None:
        """Note that seconds are those of a clock that is a guess, or is not the annotated one."""
        line = self.line
        timed = (line.span is not None and line.span_time == "seconds") or (
            line.boxes is not None and line.time == "seconds"
        )
        if timed and video.assumed_rate:
            notes.append(
                f"a folder of frames has no clock, and {video.fps:g} frames a second are assumed "
                "for its seconds; name the right number as fps"
            )
        rate, differs = line.fps, RATE_TOLERANCE
        if rate is not None and video.source_length > 1 and abs(video.fps / rate - 1) > differs:
            notes.append(f"the video has {video.fps:.4g} frames a second, annotated are {rate:.4g}")

    def _find_span(self, video: Video, notes: list[str]) -> Span | None:
        line, length = self.line, video.source_length
        if line.span is None:
            return None
        if length == 1:
            raise ValueError("a picture has no time to be scored; leave out the span")
        ends = [_find_edge(end, line.span_time, video) for end in line.span]
        start, stop = ends
        # A span shorter than a frame is that frame.
        stop = max(stop, start + 1)
        if start >= length:
            raise ValueError(
                f"the span starts at {_describe_moment(line.span[0], line.span_time)}, after the "
                f"video ends ({length} frames, {video.time_at(length):.2f} s); correct the span"
            )
        if stop > length or _exceeds(line.span[1], line.span_time, video):
            notes.append(
                f"the span ends at {_describe_moment(line.span[1], line.span_time)}, after the "
                f"video ({length} frames, {video.time_at(length):.2f} s): cut to it"
            )
        return Span(start, min(stop, length))

    def _find_boxes(self, footage: Footage, notes: list[str]) -> tuple[Tube | None, list[int]]:
        """Find the boxes in pixels by frame, and the frames in which there is said to be none."""
        line, video = self.line, footage.video
        if self.tracks is not None:
            track = self._read_track(self.tracks, footage.whole)
            _check_areas(track.boxes, notes)
            return track.interpolated(range(track.span.start, track.span.stop)), []
        if line.boxes is None:
            return None, []
        placed = _place(line.boxes, line.time, video, notes)
        corners = {at: None if box is None else self._to_pixels(box, video) for at, box in placed}
        drawn = np.array([box for box in corners.values() if box is not None])
        self._check_pixels(drawn, video, notes)
        return _fill(corners), [at for at, box in corners.items() if box is None]

    def _read_track(self, path: Path, whole: Video) -> Tube:
        tracks, target = load_tracks(path, whole), self.line.target
        if target is None and len(tracks) > 1:
            raise ValueError(
                f"{path}: {len(tracks)} tracks in it; name the place of the queried one, from 0, "
                "as target"
            )
        if (target or 0) >= len(tracks):
            raise ValueError(
                f"{path}: target {target} of {len(tracks)} tracks, which are counted from 0"
            )
        return tracks[target or 0]

    def _to_pixels(self, box: Quad, video: Video) -> list[float]:
        height, width = video.size
        a, b, c, d = box
        corners = (a, b, c, d) if self.line.box == "xyxy" else (a, b, a + c, b + d)
        sides = (width, height, width, height) if self.line.unit == "shares" else (1, 1, 1, 1)
        return [edge * side for edge, side in zip(corners, sides, strict=True)]

    def _check_pixels(
        self, boxes: Float[np.ndarray, "box 4"], video: Video, notes: list[str]
    ) -> None:
        height, width = video.size
        if self.line.unit == "pixels" and (boxes <= 1).all() and max(video.size) > 1:
            raise ValueError(
                "every box lies within one pixel; if these are shares of the picture, name the "
                "unit shares"
            )
        edges = np.array([width, height] * 2, dtype=np.float64)
        over = ((boxes < -EDGE_TOLERANCE) | (boxes > edges + EDGE_TOLERANCE)).any(axis=1)
        if over.all():
            outside = (boxes[:, :2] >= edges[:2]).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
            if outside.all():
                raise ValueError(
                    f"every box lies outside the picture of {width} x {height} pixels, such as "
                    f"{boxes[0].tolist()}; give boxes of this video"
                )
        if over.any():
            notes.append(
                f"{int(over.sum())} of {len(boxes)} boxes leave the picture of {width} x {height}"
            )
        _check_areas(boxes, notes)

    def _cut(self, boxes: Tube, absent: Sequence[int], span: Span, notes: list[str]) -> Tube:
        """Cut boxes to the span, and hold the first and the last as far as it goes."""
        inside = boxes.within(span)
        if not len(inside):
            raise ValueError(
                f"no box in the span, frames {span.start} to {span.stop - 1}; the boxes are in "
                f"frames {boxes.span.start} to {boxes.span.stop - 1}: correct one of them"
            )
        before = range(span.start, inside.span.start)
        after = range(inside.span.stop, span.stop)
        # Boxes outside the span and none at its end: the thing is absent between them.
        early = before and (boxes.span.start < span.start or any(at in before for at in absent))
        late = after and (span.stop < boxes.span.stop or any(at in after for at in absent))
        if early or late:
            raise ValueError(
                f"the thing is absent at an end of the span, frames {span.start} to "
                f"{span.stop - 1}: end the span where its boxes do"
            )
        held = max(len(before), len(after))
        if held > _spacing(self.line.boxes, inside):
            notes.append(
                f"boxes in frames {inside.span.start} to {inside.span.stop - 1} of the span "
                f"{span.start} to {span.stop - 1}: the nearest one is held in the others"
            )
        frames = [*before, *inside.frames.tolist(), *after]
        return inside.interpolated(frames)


def _check_areas(boxes: Float[np.ndarray, "box 4"], notes: list[str]) -> None:
    """Note that some boxes have no area, and refuse the truth if none has."""
    flat = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    if flat.all():
        raise ValueError(
            f"no box has an area, such as {boxes[0].tolist()}, so that they agree with no answer; "
            "correct them"
        )
    if flat.any():
        notes.append(
            f"{int(flat.sum())} of {len(boxes)} boxes have no area, such as "
            f"{boxes[flat][0].tolist()}: they agree with no answer"
        )


def _find_edge(moment: float, unit: TimeUnit, video: Video) -> int:
    """Find the frame at whose start an end of a span lies, or the number of frames for the end."""
    if unit == "frames":
        return int(moment)
    # The nearest start of a frame, since seconds are rounded up as often as down.
    starts = np.append(video.source_times, video.time_at(video.source_length))
    if moment >= starts[-1]:
        return video.source_length
    return int(np.abs(starts - moment).argmin())


def _exceeds(moment: float, unit: TimeUnit, video: Video) -> bool:
    """Return True if seconds lie more than a frame after the end of a video."""
    return unit == "seconds" and moment > video.time_at(video.source_length) + 1 / video.fps


def _describe_moment(moment: float, unit: TimeUnit) -> str:
    return f"frame {moment:g}" if unit == "frames" else f"{moment:g} s"


def _place(
    boxes: Mapping[float, Quad | None], unit: TimeUnit, video: Video, notes: list[str]
) -> list[tuple[int, Quad | None]]:
    """Place boxes in frames; of several in one frame, the nearest in time is kept."""
    length, end = video.source_length, video.time_at(video.source_length)
    nearest: dict[int, tuple[float, Quad | None]] = {}
    outside = 0
    for moment, box in boxes.items():
        if moment >= (length if unit == "frames" else end + 1 / video.fps):
            outside += 1
            continue
        frame, distance = int(moment), 0.0
        if unit == "seconds":
            distances = np.abs(video.source_times - moment)
            frame = int(distances.argmin())
            distance = float(distances[frame])
        if frame not in nearest or distance < nearest[frame][0]:
            nearest[frame] = (distance, box)
    if outside:
        notes.append(f"{outside} of {len(boxes)} boxes are after the end of the video: left out")
    if (shared := len(boxes) - outside - len(nearest)) > 0:
        notes.append(f"{shared} of {len(boxes)} boxes are of a frame that has a nearer one")
    if all(box is None for _, box in nearest.values()):
        raise ValueError(
            f"no box within the video of {length} frames, {end:.2f} s; give boxes of this video"
        )
    return [(frame, box) for frame, (_, box) in sorted(nearest.items())]


def _fill(corners: Mapping[int, Sequence[float] | None]) -> Tube:
    """Fill the frames between boxes, except where the thing is said to be absent."""
    frames: list[int] = []
    boxes: list[np.ndarray] = []
    for at, known in _list_stretches(corners):
        tube = Tube(at, known).interpolated(range(at[0], at[-1] + 1))
        frames += tube.frames.tolist()
        boxes.append(tube.boxes)
    return Tube(frames, np.concatenate(boxes))


def _list_stretches(
    corners: Mapping[int, Sequence[float] | None],
) -> Iterator[tuple[list[int], list[Sequence[float]]]]:
    """List the frames and boxes of each stretch of time in which the thing is not absent."""
    at: list[int] = []
    known: list[Sequence[float]] = []
    for frame, box in [*corners.items(), (None, None)]:
        if box is not None and frame is not None:
            at.append(frame)
            known.append(box)
        elif at:
            yield at, known
            at, known = [], []


def _spacing(listed: Mapping[float, Quad | None] | None, inside: Tube) -> int:
    """Return the frames by which a box is usually held: the mean distance of two boxes."""
    # Boxes given once a second end up to a second before the span does, which is as it should be.
    count = len(listed) if listed is not None else len(inside)
    return -(-len(inside) // max(count - 1, 1))

"""MOTChallenge files as a data set of one's own: boxes of each track, and a sentence for each.

A line of `gt.txt` is frame, track, left, top, width, height, used, class, visibility (Milan et al.,
2016). Frames count from 1. Edges are taken as they are, as TrackEval takes them. A line whose
seventh number is 0 is not to be used.
"""

import configparser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

from probe.datasets.own_writing import Written, write_lines
from probe.datasets.sentences import Sentences, make_lines
from probe.files import read_text

USED_COLUMN = 6
"""The place of the number that is 0 for a line that is not to be used."""

LEAST_COLUMNS = 6
"""Numbers that a line has at least: those after the box are often left out."""

PICTURES = "img1"
"""Usual name of the folder of frames."""


@dataclass(frozen=True)
class Sequence:
    """The files of a sequence."""

    tracks: Path
    """The file of boxes."""

    video: Path
    """The folder of frames, or the video file."""

    size: Mapping[str, int]
    """Height, width and number of frames, as far as `seqinfo.ini` says them."""

    rate: float | None
    """Frames a second, by which seconds are meant; None if `seqinfo.ini` does not say it."""

    @classmethod
    def find(cls, path: Path, video: Path | None) -> "Sequence":
        """Find the files of a sequence: of its folder, of one of its parts, or a file of boxes.

        Raises:
            ValueError: if there is no file of boxes, or `seqinfo.ini` is damaged.
        """
        tracks = path / "gt" / "gt.txt" if path.is_dir() else path
        if not tracks.is_file():
            raise ValueError(f"{tracks}: no such file; give gt.txt or the folder of a sequence")
        home = tracks.parent.parent if tracks.parent.name in ("gt", "det") else tracks.parent
        info = home / "seqinfo.ini"
        about = _read_info(info) if info.is_file() else {}
        size = {
            name: int(about[key])
            for name, key in (("height", "imheight"), ("width", "imwidth"), ("frames", "seqlength"))
            if about.get(key, "").isdecimal() and int(about[key])
        }
        rate = _read_rate(info, about["framerate"]) if "framerate" in about else None
        return cls(tracks, video or home / about.get("imdir", PICTURES), size, rate)


def read_mot(
    path: Path,
    sentences: Sentences | None,
    video: Path | None = None,
    place: Callable[[str], str] = str,
) -> Written:
    """Read a sequence as the lines of a file of your own; each track needs a sentence.

    Args:
        path: The file `gt.txt`, or the folder of a sequence that holds gt/gt.txt.
        sentences: The sentences by the number of the track.
        video: The video or the folder of frames; by default the one that `seqinfo.ini` names, or
            `img1` next to the folder of the file.
        place: Names a video as the lines are to name it.

    Raises:
        ValueError: if there are no sentences, a line is damaged, or a sentence is about no track.
    """
    if sentences is None:
        raise ValueError(
            f'{path}: has boxes and no queries; give --queries a JSON file such as {{"3": "the man '
            'in red"}'
        )
    found = Sequence.find(path, video)
    tracks = _read_tracks(found.tracks)
    sentences.check(list(tracks))
    # A sequence is called by its folder, and its frames are in a folder of that one.
    name = found.video.parent.name or found.video.stem
    records = []
    for number, given in sentences.by_track.items():
        about = {
            "video": place(str(found.video.absolute())),
            "boxes": list_boxes(tracks[number]),
            **found.size,
            **({} if found.rate is None else {"fps": found.rate}),
        }
        records += make_lines(f"{name}/{number}", given, about)
    left = len(tracks) - len(sentences.by_track)
    notes = (f"{left} of {len(tracks)} tracks have no sentence and are left out",) if left else ()
    text = write_lines(records, time="frames", box="xywh", unit="pixels")
    return Written(text, len(records), notes)


def list_boxes(boxes: Mapping[int, list[float]]) -> dict[str, list[float] | None]:
    """List boxes by frame, with null after each that is followed by a frame without any."""
    listed: dict[str, list[float] | None] = {}
    last = None
    for frame in sorted(boxes):
        if last is not None and frame > last + 1:
            listed[str(last + 1)] = None
        listed[str(frame)] = boxes[frame]
        last = frame
    return listed


def _read_info(path: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(path))
        return dict(parser["Sequence"])
    except (configparser.Error, KeyError) as failure:
        reason = " ".join(str(failure).split())
        raise ValueError(f"{path}: not the description of a sequence ({reason})") from failure


def _read_rate(path: Path, text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = nan
    if not (isfinite(rate) and rate > 0):
        raise ValueError(
            f"{path}: frameRate is {text!r}; write frames a second, a number above 0, or leave it "
            "out"
        )
    return rate


def _read_tracks(path: Path) -> dict[str, dict[int, list[float]]]:
    """Read the boxes of each track by 0-based frame."""
    tracks: dict[str, dict[int, list[float]]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        values = _parse(where, line)
        if len(values) > USED_COLUMN and values[USED_COLUMN] == 0:
            continue  # such as reflections and people on posters, which evaluators leave out
        frame, track = int(values[0]) - 1, str(int(values[1]))
        boxes = tracks.setdefault(track, {})
        if frame in boxes:
            raise ValueError(f"{where}: a second box of track {track} in frame {frame + 1}")
        boxes[frame] = values[2:6]
    if not tracks:
        raise ValueError(f"{path}: no box in it that is to be used")
    return tracks


def _parse(where: str, line: str) -> list[float]:
    try:
        values = [float(value) for value in line.replace(",", " ").split()]
    except ValueError as failure:
        raise ValueError(f"{where}: not numbers ({failure}); give a file of boxes") from failure
    whole = len(values) >= LEAST_COLUMNS and all(value.is_integer() for value in values[:2])
    if not whole or values[0] < 1:
        raise ValueError(
            f"{where}: not frame, track, left, top, width and height, with frames from 1; give a "
            "file of boxes"
        )
    return values

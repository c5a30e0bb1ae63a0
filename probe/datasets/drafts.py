"""A saved answer as the first draft of a line: a person corrects it faster than they draw boxes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from probe.datasets.fields import read_query, read_words, reading_entry
from probe.datasets.own_writing import Written, list_tube, write_lines
from probe.files import read_json
from probe.paths import is_there
from probe.video import Span, Tube


def read_answer(path: Path, place: Callable[[str], str] = str) -> Written:
    """Read an answer that the grounder saved as a line of a file of your own.

    Args:
        path: The file, such as answer.json.
        place: Names a video as the lines are to name it.

    Raises:
        ValueError: if it is no answer, or does not say where its video is.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not str(content.get("format", "")).endswith("/answer"):
        raise ValueError(f"{path}: not an answer; give an answer.json that `probe ground` wrote")
    with reading_entry(str(path)):
        record = _describe(path, content, place)
    text = write_lines([record], time="frames", box="xyxy", unit="pixels")
    return Written(text, 1, ("this is what was answered, not the truth: correct it first",))


def _describe(path: Path, content: dict[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    about = content["video"]
    # An answer to a part counts from there; how long the whole file is, it does not say.
    part = None if about.get("part") is None else Span(*about["part"])
    start = 0 if part is None else part.start
    tube = Tube.from_dict(content["tube"])
    height, width = about["size"]
    return {
        "id": path.stem,
        "video": place(_find_video(path, read_words(about["path"], "the path of its video"))),
        "query": read_query(content["query"], "query"),
        **_describe_span(content, start),
        "boxes": list_tube(Tube(tube.frames + start, tube.boxes)),
        "height": height,
        "width": width,
        **({"frames": about["frames"]} if part is None else {}),
    }


def _describe_span(content: dict[str, Any], start: int) -> dict[str, Any]:
    """Describe when the answer holds, in frames of the file; nothing of a single frame."""
    if "span" not in content and len(content["video"]["sampled_frames"]) == 1:
        return {}
    span = content["span"]
    holds = Span(span["start_frame"], span["stop_frame"])
    return {"span": [holds.start + start, holds.stop + start]}


def _find_video(path: Path, named: str) -> str:
    """Find the video of an answer, whose path may count from where the answer is."""
    places = (Path(named), path.parent / named, path.parent / Path(named).name)
    found = next((one for one in places if is_there(one)), places[0])
    return str(found.absolute())

"""Lines of a user's own data set: which fields there are, and what is wrong with a line.

A line is a JSON object about one query: `docs/own_data.md` describes it, and
`docs/own_data.schema.json` says it to programs. Nothing here opens a video, so that all lines of a
file are checked at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast, get_args

from probe.datasets.fields import has_half_character
from probe.datasets.samples import QueryKind
from probe.metrics import PROTOCOLS
from probe.spelling import explain_unknown
from probe.video.coercion import describe_given, to_one_line

OWN_FORMAT = "grounding-probe/queries"
OWN_VERSION = 1

TimeUnit: TypeAlias = Literal["frames", "seconds"]
BoxForm: TypeAlias = Literal["xyxy", "xywh"]
BoxUnit: TypeAlias = Literal["pixels", "shares"]

Quad: TypeAlias = tuple[float, float, float, float]

FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"time": get_args(TimeUnit), "box": get_args(BoxForm), "unit": get_args(BoxUnit)}
)
"""The forms that numbers may have, by the field that names them, in a line or in the header."""

HEADER_FIELDS = ("format", "version", "protocol", "fps", *FORMS)
"""Fields of the first line, if it has a format."""

LINE_FIELDS = (
    *("id", "video", "query", "kind", "span", "boxes", "tracks", "target"),
    *FORMS,
    *("width", "height", "frames", "fps", "absent", "extra"),
)
"""Fields of a line."""

OVER_EDGE = 0.5
"""Share of the picture by which a box in shares may leave it; more is a box in pixels."""

LATEST = 1e9
"""Frames or seconds that no video has."""

RATES = (1e-6, 1e6)
"""Frames a second of the slowest time lapse and of the fastest camera."""


@dataclass(frozen=True)
class Header:
    """The forms, the protocol and the rate that hold for all lines which name no other."""

    forms: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "hcstvg-official"
    fps: float | None = None


@dataclass(frozen=True)
class OwnLine:
    """One query of a file, with its numbers in the form in which they were written."""

    number: int
    """The line of the file, from 1."""

    id: str
    video: str
    query: str
    kind: QueryKind = "declarative"
    span: tuple[float, float] | None = None
    boxes: Mapping[float, Quad | None] | None = None
    """Box by frame or second, in increasing order; None where the thing is absent between two."""

    tracks: str | None = None
    """A file of tracks, one of which is that of the queried thing."""

    target: int | None = None
    """The place of that track in the file, from 0."""

    time: TimeUnit = "frames"
    span_time: TimeUnit = "frames"
    box: BoxForm = "xyxy"
    unit: BoxUnit = "pixels"
    size: tuple[int, int] | None = None
    """Height and width of the pictures that were annotated."""

    frames: int | None = None
    """Number of frames of the video that was annotated."""

    fps: float | None = None
    """Frames a second of the video that was annotated; a folder of frames says none itself."""

    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_place(self) -> bool:
        """True if boxes are known."""
        return self.boxes is not None or self.tracks is not None


class LineError(ValueError):
    """A problem with a field; its text has the field, the value and the remedy."""


def read_header(record: Mapping[str, Any]) -> Header:
    """Read the header of a file.

    Raises:
        LineError: if it is of another format or version, or has a field that nobody knows.
    """
    if record.get("format") != OWN_FORMAT:
        raise LineError(
            f"format: {describe_given(record.get('format'))} is unknown; write "
            f'"{OWN_FORMAT}", or leave the header out'
        )
    if record.get("version", OWN_VERSION) != OWN_VERSION:
        raise LineError(
            f"version: {describe_given(record['version'])} cannot be read; this program reads "
            f"version {OWN_VERSION}"
        )
    _check_fields(record, HEADER_FIELDS)
    protocol = record.get("protocol", Header.protocol)
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:
        raise LineError(f"protocol: {_explain_choice(protocol, tuple(PROTOCOLS))}")
    forms = {name: _read_form(record, name) for name in FORMS if name in record}
    return Header(forms, protocol, _read_rate(record) if "fps" in record else None)


def read_line(record: Any, number: int, header: Header) -> OwnLine:
    """Read the record of a line.

    Args:
        record: The JSON value of the line.
        number: The line of the file, from 1.
        header: The forms that the line may leave out.

    Raises:
        LineError: if a field is missing, unknown, or of no use.
    """
    if not isinstance(record, dict):
        raise LineError(f"a line is {describe_given(record)}; write a JSON object")
    _check_fields(record, LINE_FIELDS)
    video = _read_text(record, "video")
    forms = {**header.forms, **{name: _read_form(record, name) for name in FORMS if name in record}}
    span, span_time = _read_span(record, forms)
    boxes = _read_boxes(record, forms)
    tracks = _read_text(record, "tracks") if "tracks" in record else None
    if tracks is not None and boxes is not None:
        raise LineError("tracks: boxes are given, too; leave out one of them")
    return OwnLine(
        number=number,
        id=_read_id(record, number),
        video=video,
        query=_read_query(record),
        kind=_read_kind(record),
        span=span,
        boxes=boxes,
        tracks=tracks,
        target=_read_target(record),
        time=cast(TimeUnit, forms.get("time", "frames")),
        span_time=span_time,
        box=cast(BoxForm, forms.get("box", "xyxy")),
        unit=cast(BoxUnit, forms.get("unit", "pixels")),
        size=_read_size(record),
        frames=_read_whole(record, "frames") if "frames" in record else None,
        fps=_read_rate(record) if "fps" in record else header.fps,
        absent=_read_absent(record),
    )


def _check_fields(record: Mapping[str, Any], known: Sequence[str]) -> None:
    strange = [name for name in record if name not in known]
    if strange:
        name = to_one_line(strange[0])
        also = "anything of your own inside 'extra'" if known is LINE_FIELDS else ""
        raise LineError(f"{name}: {explain_unknown('field', name, known, also)}")


def _read_text(record: Mapping[str, Any], name: str) -> str:
    if name not in record:
        raise LineError(f'{name}: it is missing; add "{name}": "..."')
    value = record[name]
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise LineError(f"{name}: {describe_given(value)} is no text; write one in quotes")
    return value


def _read_query(record: Mapping[str, Any]) -> str:
    query = _read_text(record, "query")
    if has_half_character(query):
        raise LineError(
            f"query: {describe_given(query)} holds half of a character, which no model reads; "
            "write it whole"
        )
    return query


def _read_id(record: Mapping[str, Any], number: int) -> str:
    """Return the name of a query: the one given, or one made of its line, which stays the same."""
    return _read_text(record, "id") if "id" in record else f"line {number}"


def _read_kind(record: Mapping[str, Any]) -> QueryKind:
    kind = record.get("kind", "declarative")
    if kind not in get_args(QueryKind):
        raise LineError(f"kind: {_explain_choice(kind, get_args(QueryKind))}")
    return kind


def _read_form(record: Mapping[str, Any], name: str) -> str:
    if record[name] not in FORMS[name]:
        raise LineError(f"{name}: {_explain_choice(record[name], FORMS[name])}")
    return record[name]


def _explain_choice(value: Any, known: Sequence[str]) -> str:
    return f"{describe_given(value)} is unknown; write {' or '.join(map(repr, known))}"


def _need_form(forms: Mapping[str, str], name: str, of: str) -> str:
    """Return the form in which numbers are given; to guess it would give a wrong score."""
    if name not in forms:
        choice = " or ".join(f'"{name}": "{form}"' for form in FORMS[name])
        raise LineError(
            f"{name}: {of} are given without it; add {choice} to the line or to a first line with "
            f'"format": "{OWN_FORMAT}"'
        )
    return forms[name]


def _read_span(
    record: Mapping[str, Any], forms: Mapping[str, str]
) -> tuple[tuple[float, float] | None, TimeUnit]:
    """Read the two ends of a span and their unit, which the span may name itself."""
    given = record.get("span")
    if given is None:
        return None, "frames"
    if isinstance(given, dict):
        if len(given) != 1 or next(iter(given)) not in FORMS["time"]:
            raise LineError(
                f"span: {describe_given(given)} names no unit; write "
                '{"seconds": [start, end]} or {"frames": [start, stop]}'
            )
        ((named, ends),) = given.items()
    else:
        named, ends = _need_form(forms, "time", "the ends of the span"), given
    unit = cast(TimeUnit, named)
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(_is_number, ends)):
        raise LineError(f"span: {describe_given(ends)} is not two numbers; write [start, end]")
    start, end = ends
    if unit == "frames" and not (type(start) is int and type(end) is int):
        raise LineError(f"span: frames {ends} are not whole; write whole numbers, from 0")
    if not 0 <= start < end <= LATEST:
        raise LineError(
            f"span: from {start} to {end}; it must start at 0 or later and end after it starts"
        )
    return (float(start), float(end)), unit


def _read_boxes(
    record: Mapping[str, Any], forms: Mapping[str, str]
) -> dict[float, Quad | None] | None:
    given = record.get("boxes")
    if given is None:
        return None
    if not isinstance(given, dict) or not given:
        raise LineError(
            f"boxes: {describe_given(given)}; write an object of one box for each frame or second, "
            'such as {"12": [10, 20, 50, 80]}'
        )
    time = _need_form(forms, "time", "the times of boxes")
    form = _need_form(forms, "box", "boxes")
    unit = _need_form(forms, "unit", "boxes")
    boxes = {_read_moment(at, time): _read_box(at, one, form, unit) for at, one in given.items()}
    if len(boxes) < len(given):
        raise LineError("boxes: two of them are at the same time; leave one")
    drawn = [box for box in boxes.values() if box is not None]
    if not drawn:
        raise LineError("boxes: all of them are null; leave the field out if none is known")
    if all(_is_flat(box, form) for box in drawn):
        raise LineError(
            f"boxes: none of them has an area, such as {list(drawn[0])}, and so agrees with no "
            "answer; correct them, or leave the field out"
        )
    return dict(sorted(boxes.items()))


def _read_moment(at: str, time: str) -> float:
    try:
        moment = float(at)
    except ValueError:
        moment = -1.0
    if not 0 <= moment <= LATEST:  # NaN, too
        raise LineError(f"boxes: {to_one_line(repr(at))} is no time; write {time}, from 0")
    if time == "frames" and not moment.is_integer():
        raise LineError(f"boxes: frame {at} is not whole; write whole numbers, from 0")
    return moment


def _read_box(at: str, box: Any, form: str, unit: str) -> Quad | None:
    if box is None:
        return None
    where = f"boxes, {to_one_line(at)}"
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise LineError(
            f"{where}: {describe_given(box)} is not four numbers; write a box as {form}, or null "
            "where the thing is absent"
        )
    a, b, c, d = map(float, box)
    right, bottom = (c, d) if form == "xyxy" else (a + c, b + d)
    if right < a or bottom < b:
        other = "xywh" if form == "xyxy" else "xyxy"
        raise LineError(
            f"{where}: {box} has a negative side as {form}; correct it, or name the form {other}"
        )
    if unit == "shares" and not all(
        -OVER_EDGE <= it <= 1 + OVER_EDGE for it in (a, b, right, bottom)
    ):
        raise LineError(
            f"{where}: {box} is no share of the picture, from 0 to 1; correct it, or name the unit "
            "pixels"
        )
    return a, b, c, d


def _is_flat(box: Quad, form: str) -> bool:
    """Return True for a box without area, which agrees with no answer.

    >>> _is_flat((5.0, 5.0, 5.0, 9.0), "xyxy"), _is_flat((5.0, 5.0, 5.0, 9.0), "xywh")
    (True, False)
    """
    a, b, c, d = box
    return (c <= a or d <= b) if form == "xyxy" else (c <= 0 or d <= 0)


def _is_number(value: Any) -> bool:
    # The types by themselves, since true is a number to Python.
    return type(value) in (int, float) and abs(value) <= LATEST and isfinite(value)


def _read_whole(record: Mapping[str, Any], name: str, least: int = 1) -> int:
    value = record[name]
    if type(value) is not int or not least <= value <= LATEST:
        raise LineError(f"{name}: {describe_given(value)}; write a whole number, {least} or more")
    return value


def _read_rate(record: Mapping[str, Any]) -> float:
    rate = record["fps"]
    slowest, fastest = RATES
    if not _is_number(rate) or not slowest <= rate <= fastest:
        raise LineError(
            f"fps: {describe_given(rate)}; write frames a second, a number above 0 such as 12.5"
        )
    return float(rate)


def _read_target(record: Mapping[str, Any]) -> int | None:
    if "target" not in record:
        return None
    if "tracks" not in record:
        raise LineError('target: it is a place in a file of tracks; add "tracks", or leave it out')
    return _read_whole(record, "target", least=0)


def _read_size(record: Mapping[str, Any]) -> tuple[int, int] | None:
    if "width" not in record and "height" not in record:
        return None
    for name in ("height", "width"):
        if name not in record:
            raise LineError(f"{name}: the other side is given; give both, or none")
    return _read_whole(record, "height"), _read_whole(record, "width")


def _read_absent(record: Mapping[str, Any]) -> dict[str, str]:
    absent = record.get("absent", {})
    texts = isinstance(absent, dict) and all(
        isinstance(one, str) and not has_half_character(one) for one in absent.values()
    )
    if not texts:
        raise LineError(
            f"absent: {describe_given(absent)}; write an object of one query for each kind"
        )
    return absent

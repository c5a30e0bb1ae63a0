"""Sentences for the tracks of another data set, which has boxes and no queries.

A JSON object maps the number of a track to a sentence; to an object of fields of a line, such as
{"query": "...", "span": {"seconds": [2, 5.5]}}; or to a list of either.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.datasets.fields import has_half_character
from probe.files import read_json
from probe.video.coercion import describe_given, to_one_line

TAKEN = ("video", "boxes", "tracks", "target", "box", "unit", "width", "height")
"""Fields of a line that come from the tracks."""


@dataclass(frozen=True)
class Sentences:
    """The sentences of each track, as fields of lines."""

    path: Path
    by_track: Mapping[str, tuple[Mapping[str, Any], ...]]

    @classmethod
    def read(cls, path: Path) -> "Sentences":
        """Read a file of sentences.

        Raises:
            ValueError: if it is none.
        """
        content = read_json(path)
        if not isinstance(content, dict) or not content:
            raise ValueError(
                f'{path}: not an object of a sentence for each track, such as {{"3": "the man in '
                'red"}; write one'
            )
        return cls(path, {name: tuple(_list(path, name, it)) for name, it in content.items()})

    def check(self, tracks: Sequence[str]) -> None:
        """Refuse sentences about tracks that there are not.

        Raises:
            ValueError: if there is one.
        """
        strange = [name for name in self.by_track if name not in tracks]
        if strange:
            more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
            raise ValueError(
                f"{self.path}: a sentence about track {to_one_line(strange[0])}{more}, which has "
                f"no box; there are {to_one_line(', '.join(tracks))}"
            )


def make_lines(
    name: str, sentences: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Make the record of a line for each sentence about a track.

    Args:
        name: The name of the track, from which those of its queries are made.
        sentences: Fields of lines, with a query each.
        about: The fields that come from the track.
    """
    for number, sentence in enumerate(sentences):
        given = {"id": name if len(sentences) == 1 else f"{name}/{number}"}
        yield {**given, **about, **sentence}


def _list(path: Path, name: str, given: Any) -> Iterator[Mapping[str, Any]]:
    for one in given if isinstance(given, list) else [given]:
        fields = {"query": one} if isinstance(one, str) else one
        if not isinstance(fields, dict) or "query" not in fields:
            raise ValueError(
                f"{path}: track {to_one_line(name)}: {describe_given(one)} is no sentence; write a "
                'text, or an object with a "query"'
            )
        query = fields["query"]
        if isinstance(query, str) and has_half_character(query):
            raise ValueError(
                f"{path}: track {to_one_line(name)}: {describe_given(query)} holds half of a "
                "character; write it whole"
            )
        taken = [field for field in fields if field in TAKEN]
        if taken:
            raise ValueError(
                f"{path}: track {to_one_line(name)}: {taken[0]} comes from the tracks; leave it out"
            )
        yield fields

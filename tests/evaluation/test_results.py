"""The line that keeps a result: it notices every change, and is read strictly."""

import json
import os
import random

import numpy as np
import pytest

from probe.evaluation.checksums import has_checksum
from probe.evaluation.results import QueryResult
from probe.evaluation.runs import open_run, read_run
from probe.metrics import QueryScore
from probe.video import Span, Tube

FLIPS = int(os.environ.get("PROBE_FLIPS", "400"))
"""Bits flipped in a file of results; 5,000 by hand."""

CONFIG = {
    "dataset": {"name": "d", "version": "1", "queries": 3},
    "model": {"name": "organism"},
    "method": {"name": "best"},
    "candidates": {"from": "files"},
    "oracle": False,
    "protocol": "stcat",
}


def result(name, **changes):
    track = Tube(np.array([3, 9]), np.array([[0.0, 1.0, 2.0, 3.0], [1.5, 1.0, 2.0, 3.0]]), "a <b>")
    made = {
        "span": Span(4, 8),
        "track": track,
        "sampled": (3, 9),
        "score": QueryScore(0.25, 0.5, 1.0),
        "remarks": ("odd\nlength",),
        "details": {"where_tokens": ["J", "*"], "doubts": ["non"]},
        "presence": 3.25,
        "absent": {"colour": -1.5, "binding": None},
    }
    return QueryResult(name, "wer läuft?", "interrogative", "v.mp4", **{**made, **changes})


def without_checksum(line):
    """The line as an earlier version wrote it."""
    record = json.loads(line)
    del record["checksum"], record["presence"], record["absent"]
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


@pytest.fixture
def folder(tmp_path):
    """A finished run of three queries."""
    with open_run(tmp_path / "run", CONFIG, {}) as run:
        for name in "abc":
            run.add(result(name))
        run.finish("abc", {})
    return tmp_path / "run"


def test_margins_survive_a_line():
    again = QueryResult.from_line(result("a").to_line())
    assert again.presence == 3.25
    assert dict(again.absent) == {"colour": -1.5, "binding": None}
    assert again.to_line() == result("a").to_line()


def test_every_flipped_bit_is_noticed_or_harmless(folder):
    """Noticed: the run is refused, or a note says so. Harmless: results are the same, or a query is
    open and will be asked again."""
    path = folder / "results.jsonl"
    whole = path.read_bytes()
    sound = {name: one.to_line() for name, one in read_run(folder).results.items()}
    rng = random.Random(0)
    refused = noted = harmless = 0
    for _ in range(FLIPS):
        place, bit = rng.randrange(len(whole)), rng.randrange(8)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            stored = read_run(folder)
        except ValueError:
            refused += 1
            continue
        found = {name: one.to_line() for name, one in stored.results.items()}
        assert found.items() <= sound.items(), f"bit {bit} of byte {place} passed unnoticed"
        noted += bool(stored.notes)
        harmless += found == sound and not stored.notes
    assert refused + noted + harmless == FLIPS, (refused, noted, harmless)
    assert refused > FLIPS / 2


def test_a_change_that_is_still_a_result_is_refused_and_named(folder):
    path = folder / "results.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"viou": 0.5', b'"viou": 0.9', 1))
    with pytest.raises(ValueError, match=r"line 1: .*its checksum is another.*delete this line"):
        read_run(folder)
    with pytest.raises(ValueError, match="checksum"), open_run(folder, CONFIG, {}):
        pass


def test_line_ends_of_windows_are_line_ends(folder):
    path = folder / "results.jsonl"
    sound = {name: one.to_line() for name, one in read_run(folder).results.items()}
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    stored = read_run(folder)
    assert {name: one.to_line() for name, one in stored.results.items()} == sound
    assert stored.notes == ()
    with open_run(folder, CONFIG, {}) as run:
        run.add(result("d"))
    assert list(read_run(folder).results) == ["a", "b", "c", "d"]


def test_a_damaged_last_line_is_noted_and_its_query_is_open(folder):
    path = folder / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-30] + b"\n")
    stored = read_run(folder)
    assert list(stored.results) == ["a", "b"]
    assert any("left out" in note for note in stored.notes)
    with open_run(folder, CONFIG, {}) as run:
        assert list(run.results) == ["a", "b"]


def test_lines_of_an_earlier_version_are_read_with_a_note(folder):
    path = folder / "results.jsonl"
    lines = path.read_bytes().splitlines(True)
    path.write_bytes(without_checksum(lines[0]) + lines[1] + without_checksum(lines[2]))
    stored = read_run(folder)
    assert list(stored.results) == ["a", "b", "c"]
    assert stored.results["a"].score == QueryScore(0.25, 0.5, 1.0)
    (note,) = stored.notes
    assert note.startswith("2 of 3 results have no checksum")
    assert [has_checksum(line) for line in lines] == [True] * 3


VALUES = (
    None,
    True,
    7,
    -1,
    10**30,
    0.5,
    float("nan"),
    "a",
    [],
    ["a"],
    [None],
    [1, 2],
    {},
    {"a": 1},
)


@pytest.mark.parametrize("name", list(json.loads(result("a").to_line())))
def test_an_entry_of_any_other_kind_is_one_line_or_a_result(name):
    """Whoever edits a line leaves no checksum, or computes a new one."""
    record = json.loads(result("a").to_line())
    del record["checksum"]
    for value in VALUES:
        line = json.dumps({**record, name: value}).encode()
        try:
            found = QueryResult.from_line(line)
        except ValueError:
            continue
        assert QueryResult.from_line(found.to_line()).to_line() == found.to_line()
        assert len(found.tube) < 100
        hash(found.id)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": ["a"]}, "id is of type list, not str"),
        ({"viou": 2.0}, "not between 0 and 1"),
        ({"viou": True}, "viou is of type bool"),
        ({"presence": float("inf")}, "not finite"),
        ({"absent": {"colour": "no"}}, "margin is of type str"),
        ({"kind": "a shout"}, "unknown kind"),
        ({"span": [0, 10**12]}, "a span from frame 0 to 1000000000000"),
        ({"span": [1]}, "missing 1 required|TypeError"),
        ({"more": 1}, "unknown entry 'more'"),
        ({"track": {"frames": [10**30], "boxes": [[0, 0, 1, 1]]}}, "not a result"),
    ],
)
def test_what_is_no_result_says_why(change, reason):
    record = json.loads(result("a").to_line())
    del record["checksum"]
    with pytest.raises(ValueError, match=reason):
        QueryResult.from_line(json.dumps({**record, **change}).encode())


def test_names_that_are_no_utf8_and_signs_of_any_kind_survive():
    odd = result("a\udcff", error="ESC \x1b[31m, \u2028, 名前, 🙂", details={"x": "\udc80"})
    line = odd.to_line()
    assert line.count(b"\n") == 1
    again = QueryResult.from_line(line)
    assert (again.id, again.error, dict(again.details)) == (odd.id, odd.error, dict(odd.details))


def test_a_line_nested_deeply_is_one_line():
    record = without_checksum(result("a").to_line())
    deep = record.replace(b'"details": {', b'"details": {"x": ' + b"[" * 5000 + b"]" * 5000 + b", ")
    with pytest.raises(ValueError, match="nested too deeply"):
        QueryResult.from_line(deep)

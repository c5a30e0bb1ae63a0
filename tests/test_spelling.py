"""A misspelt name is answered with the right one."""

import string

import pytest

from probe.cli.names import DATASETS, METHODS, RULES
from probe.spelling import explain_unknown, find_similar

NAMES = sorted({*DATASETS, *METHODS, *(name for names in RULES.values() for name in names)})


def misspell(name):
    """Every name with one letter left out, doubled, replaced, or swapped with the next."""
    for i in range(len(name)):
        yield name[:i] + name[i + 1 :]
        yield name[: i + 1] + name[i:]
        yield name[:i] + "x" + name[i + 1 :]
        yield name[:i] + name[i : i + 2][::-1] + name[i + 2 :]


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) > 3])
def test_a_name_with_one_wrong_letter_is_found(name):
    unlike = [other for other in NAMES if find_similar(other, [name]) is None]
    for wrong in misspell(name):
        assert find_similar(wrong, [name, *unlike]) == name


@pytest.mark.parametrize("names", [DATASETS, METHODS, *RULES.values()])
def test_a_name_is_most_like_itself_in_any_case(names):
    for name in names:
        for written in (name, name.upper(), name.lower()):
            assert find_similar(written, names) == name


@pytest.mark.parametrize("name", ["", "???", string.digits, "x" * 10_000])
def test_nothing_is_suggested_for_what_is_like_no_name(name):
    assert find_similar(name, NAMES) is None
    assert "did you mean" not in explain_unknown("method", name, NAMES)


def test_all_names_are_listed_whether_one_is_suggested_or_not():
    for name in ("causl", "guess"):
        said = explain_unknown("method", name, METHODS, also="methods of yours as module:name")
        assert all(known in said for known in METHODS)
        assert said.endswith(", and methods of yours as module:name")

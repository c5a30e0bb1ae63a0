"""Configurations as plain values and back: what goes in comes out, and nothing else is run."""

import json
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from probe.grounding.losses import contrast
from probe.grounding.span_rules import TopHull
from probe.plain import find, from_plain, identity_of, to_plain


@dataclass(frozen=True)
class Nested:
    """A choice with choices in it."""

    rule: object
    numbers: tuple = ()
    where: object = None


def without_address(value):
    """Name a test alike in every process, as parallel workers need it."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))


def there_and_back(value):
    return from_plain(json.loads(json.dumps(to_plain(value))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2.5,
        "text",
        (1, (2, "three"), None),
        TopHull(0.25),
        contrast,
        Nested(TopHull(), (1, 2), Nested(contrast)),
    ],
    ids=without_address,
)
def test_values_come_back_as_they_were(value):
    assert there_and_back(value) == value


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32, torch.float64])
def test_tensors_come_back_to_the_last_bit(dtype):
    tensor = (torch.randn(2, 3, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
    found = there_and_back(tensor)
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


def test_arrays_come_back_as_tensors_and_lists_as_tuples():
    assert torch.equal(there_and_back(np.eye(2, dtype=bool)), torch.eye(2, dtype=torch.bool))
    assert there_and_back([1, [2]]) == (1, (2,))
    assert to_plain(Path("a") / "b") == str(Path("a") / "b")
    assert there_and_back({"a": (1,)}) == {"a": (1,)}


def test_what_is_no_plain_value_is_refused_by_name():
    with pytest.raises(ValueError, match="a complex cannot be written as plain values"):
        to_plain(1j)


def test_a_callable_that_cannot_be_made_again_is_named_and_refused():
    described = to_plain(partial(max, 1))
    assert described == {"is": "(functools:partial)"}
    with pytest.raises(ValueError, match="names no rule that can be found again"):
        from_plain(described)


def test_a_field_of_another_version_is_named():
    record = {**to_plain(TopHull()), "shape": "round"}
    with pytest.raises(ValueError, match=r"span_rules:TopHull' has no field 'shape'"):
        from_plain(record)


@pytest.mark.parametrize("identity", ["os:system", "builtins:exec", "subprocess:Popen"])
def test_what_is_no_dataclass_gets_no_arguments_from_a_file(identity):
    with pytest.raises(ValueError, match="is no rule with the fields args"):
        from_plain({"is": identity, "args": "echo"})


@pytest.mark.parametrize(
    "identity", ["", "os", ":system", "os:", "os:path.", "os:path join", "os:<lambda>", "a b:c"]
)
def test_what_is_no_identity_is_refused(identity):
    with pytest.raises(ValueError, match=r"names no rule|not imported|cannot import"):
        find(identity)


def test_a_module_is_imported_only_where_a_person_asked_for_it(tmp_path, monkeypatch):
    (tmp_path / "unheard_of.py").write_text("def rule():\n    return 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="its module is not imported; import 'unheard_of' first"):
        find("unheard_of:rule")
    assert find("unheard_of:rule", importing=True)() == 3
    assert find(identity_of(Fraction)) is Fraction


@pytest.mark.parametrize(
    "record",
    [
        {"is": 3},
        {"is": {"is": "os:system"}},
        {"is": "torch:Tensor", "dtype": "load", "values": []},
        {"is": "torch:Tensor", "dtype": "float32", "values": "x"},
        {"is": "torch:Tensor", "dtype": "float32", "values": [[1], [2, 3]]},
        {"is": "torch:Tensor"},
    ],
    ids=without_address,
)
def test_a_damaged_record_is_refused_in_one_line(record):
    with pytest.raises(ValueError, match=r"identity|tensor") as refusal:
        from_plain(record)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_mapping_that_looks_like_a_rule_is_refused():
    with pytest.raises(ValueError, match="cannot be told from a rule"):
        to_plain({"is": "os:system"})


def test_copies_differ_only_where_they_were_changed():
    assert there_and_back(replace(TopHull(), share=0.1)) == TopHull(0.1)

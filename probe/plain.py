"""Configurations as plain values for JSON, and back again.

A rule, which is any callable, goes by its identity: `module:qualname`, as entry points of Python
packages do. A dataclass is written as its identity and its fields, so that a user's own rule is
kept exactly as a shipped one is.
"""

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

IDENTITY = "is"
"""The key of the entry that holds an identity: a keyword of Python, so no field has this name."""

TENSOR = "torch:Tensor"
"""The identity of a tensor, whose values and number type follow."""


def identity_of(rule: Any) -> str:
    """Return the `module:qualname` of a function or class.

    >>> from fractions import Fraction
    >>> identity_of(Fraction)
    'fractions:Fraction'
    """
    return f"{rule.__module__}:{rule.__qualname__}"


def find(identity: str, *, importing: bool = False) -> Any:
    """Find what goes by an identity.

    Args:
        identity: Such as "my_rules:first_token".
        importing: Whether a module that is not imported yet may be. An identity that a person typed
            may run code; one out of a file may not.

    Raises:
        ValueError: if there is no such module or nothing of this name in it, or the module would
            have to be imported first.
    """
    module, _, qualname = identity.partition(":")
    if not module or not all(part.isidentifier() for part in qualname.split(".")):
        raise ValueError(
            f"{identity!r} names no rule that can be found again; write the rule as a function or "
            f"a frozen dataclass at the top of a module, and name it as module:name"
        )
    found: Any = _find_module(identity, module, importing)
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{identity!r}: there is no {part!r} in {module!r}; check the name")
        found = getattr(found, part)
    return found


def to_plain(value: Any) -> Any:
    """Convert a configuration to values that JSON can hold.

    Tensors keep their number type; a callable that is neither a function nor a dataclass is named,
    but cannot be made again.

    Raises:
        ValueError: if it holds something that is none of a number, text, path, tensor, sequence,
            mapping, dataclass or callable.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [to_plain(inner) for inner in value]
    if isinstance(value, Mapping):
        return _convert_mapping(value)
    if isinstance(value, torch.Tensor | np.ndarray):
        return _convert_tensor(torch.as_tensor(value))
    return _convert_rule(value)


def _convert_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    if IDENTITY in value:
        raise ValueError(f"a mapping with the key {IDENTITY!r} cannot be told from a rule")
    return {str(key): to_plain(inner) for key, inner in value.items()}


def _convert_tensor(tensor: torch.Tensor) -> dict[str, Any]:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {IDENTITY: TENSOR, "dtype": dtype, "values": tensor.detach().cpu().tolist()}


def _convert_rule(value: Any) -> dict[str, Any]:
    if is_dataclass(value) and not isinstance(value, type):
        content = {
            one.name: to_plain(getattr(value, one.name)) for one in fields(value) if one.init
        }
        return {IDENTITY: identity_of(type(value)), **content}
    if not callable(value):
        raise ValueError(f"a {type(value).__name__} cannot be written as plain values: {value!r}")
    if hasattr(value, "__qualname__") and not isinstance(value, type):
        return {IDENTITY: identity_of(value)}
    # In brackets, it is no identity: a description for people, which `find` refuses.
    return {IDENTITY: f"({identity_of(type(value))})"}


def from_plain(data: Any) -> Any:
    """Make again what `to_plain` converted; sequences come back as tuples.

    Raises:
        ValueError: if a rule cannot be found, or its fields are not those that were written.
    """
    if isinstance(data, list):
        return tuple(from_plain(inner) for inner in data)
    if not isinstance(data, dict):
        return data
    if IDENTITY not in data:
        return {key: from_plain(inner) for key, inner in data.items()}
    identity, content = data[IDENTITY], {k: v for k, v in data.items() if k != IDENTITY}
    if identity == TENSOR:
        return _make_tensor(content)
    if not isinstance(identity, str):
        raise ValueError(f"{identity!r:.60} is no identity of a rule; give what `to_plain` wrote")
    found = find(identity)
    if is_dataclass(found):
        return _make(identity, found, content)
    if content or not callable(found):
        raise ValueError(
            f"{identity!r} is no rule with the fields {', '.join(content) or '(none)'}"
        )
    return found


def _find_module(identity: str, name: str, importing: bool) -> Any:
    # A file may come from anybody, and importing a module runs it.
    if importing or name == "probe" or name.startswith("probe."):
        try:
            return import_module(name)
        except Exception as failure:  # a module of a user may raise anything
            kind, text = type(failure).__name__, " ".join(str(failure).split())
            raise ValueError(f"{identity!r}: cannot import {name!r} ({kind}: {text})") from failure
    if name not in sys.modules:
        raise ValueError(f"{identity!r}: its module is not imported; import {name!r} first")
    return sys.modules[name]


def _make_tensor(content: Mapping[str, Any]) -> torch.Tensor:
    dtype = getattr(torch, str(content.get("dtype")), None)
    try:
        if isinstance(dtype, torch.dtype):
            return torch.tensor(content["values"], dtype=dtype)
    except (KeyError, TypeError, ValueError, RuntimeError) as failure:
        raise ValueError(f"a tensor in a configuration is damaged ({failure})") from failure
    raise ValueError(f"a tensor in a configuration has no number type {content.get('dtype')!r}")


def _make(identity: str, kind: Any, content: Mapping[str, Any]) -> Any:
    known = {one.name for one in fields(kind) if one.init}
    if strange := sorted(set(content) - known):
        raise ValueError(f"{identity!r} has no field {strange[0]!r}; another version wrote it")
    try:
        return kind(**{name: from_plain(inner) for name, inner in content.items()})
    except TypeError as failure:
        raise ValueError(f"{identity!r} cannot be made again ({failure})") from failure

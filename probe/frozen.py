"""Frozen mappings can be pickled and copied, as the values that hold them are.

Python's own read-only mapping cannot: workers of a pool could return no answer.
"""

import copyreg
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


def freeze(content: dict[Any, Any]) -> Mapping[Any, Any]:
    """Make a mapping that cannot be changed."""
    return MappingProxyType(content)


def _take_apart(frozen: MappingProxyType[Any, Any]) -> tuple[Any, tuple[dict[Any, Any]]]:
    return freeze, (dict(frozen),)


copyreg.pickle(MappingProxyType, _take_apart)

"""The help of options: words for values, texts without line breaks, defaults that say something."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from functools import partial
from typing import Annotated, Any, get_args, get_origin

from tyro.conf import arg
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

METAVARS: dict[type, str] = {int: "N", float: "NUMBER", str: "TEXT"}
"""The word for a value of a type, where an option names none of its own."""

SILENT_DEFAULTS = frozenset({"None", "False", ""})
"""Defaults that mean that an option was not given, which nobody has to read."""


def make_registry(others: Mapping[str, Mapping[str, Any]]) -> ConstructorRegistry:
    """Make the parser's rules for what the help says of values, options and defaults.

    Args:
        others: The names of options whose default depends on another option; for each, the values
            by the way to call them, such as "of things".
    """
    registry = ConstructorRegistry()
    asked: list[Any] = []

    @registry.primitive_rule
    def name_value(info: PrimitiveTypeInfo) -> "PrimitiveConstructorSpec[Any] | None":
        # The parser's own rule would call them INT, FLOAT and STR.
        kind: Any = info.type
        if kind not in METAVARS:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=METAVARS[kind],
            instance_from_str=lambda words: kind(words[0]),
            is_instance=lambda value: isinstance(value, kind),
            str_from_instance=lambda value: [str(value)],
        )

    @registry.struct_rule
    def describe_options(info: StructTypeInfo) -> StructConstructorSpec | None:
        # The second time, the question is our own: the parser's rule answers it.
        if not is_dataclass(info.type) or info.type in asked:
            return None
        asked.append(info.type)
        try:
            usual = ConstructorRegistry.get_struct_spec(info)
        finally:
            asked.remove(info.type)
        if not isinstance(usual, StructConstructorSpec):
            return None
        return replace(usual, fields=tuple(_describe(field, others) for field in usual.fields))

    return registry


def _describe(field: StructFieldSpec, others: Mapping[str, Mapping[str, Any]]) -> StructFieldSpec:
    """Describe an option in one paragraph, with its default if that says something."""
    # What an option says of its own default comes later, and counts.
    kind: Any = field.type
    own = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    base = get_args(kind)[0] if own else kind
    hint = partial(_describe_default, others.get(field.name, {}))
    hinted = Annotated[(base, arg(help_behavior_hint=hint), *own)]
    return replace(field, type=hinted, helptext=_join_lines(field.helptext))


def _describe_default(others: Mapping[str, Any], default: str) -> str:
    if default in SILENT_DEFAULTS:
        return ""
    written = {name: _write_as_typed(value) for name, value in others.items()}
    further = [f"; {name}: {value}" for name, value in written.items() if value != default]
    return f"(default: {default}{''.join(further)})"


def _write_as_typed(value: Any) -> str:
    """Write a value as it is typed: several numbers one after another."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _join_lines(text: str | Callable[[], str | None] | None) -> Callable[[], str | None]:
    """Join the lines of a text: they break where the source does, not where a terminal would."""

    def read() -> str | None:
        found = text() if callable(text) else text
        return None if found is None else " ".join(found.split())

    return read

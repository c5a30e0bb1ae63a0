"""Names for the values of options in the help, by the type of the value."""

from typing import Any

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

METAVARS: dict[type, str] = {int: "N", float: "NUMBER", str: "TEXT"}
"""The word for a value of a type, where an option names none of its own."""


def make_registry() -> ConstructorRegistry:
    """Make the parser's rules for numbers and texts: its own would call them INT, FLOAT and STR."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def name_value(info: PrimitiveTypeInfo) -> "PrimitiveConstructorSpec[Any] | None":
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

    return registry

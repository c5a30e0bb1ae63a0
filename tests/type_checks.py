"""Checks of types and shapes that cost little in each call.

`--jaxtyping-packages` decorates every function of the package with `jaxtyping.jaxtyped`, whose
wrapper binds the arguments of each call and checks them twice, for a longer message. Drawing one
clip is thousands of calls of small functions, and took five times as long. Here the checker alone
decorates them; where arrays have shapes, within a call that compares the sizes of its axes.
"""

import inspect
from dataclasses import is_dataclass
from functools import partial, wraps
from types import FunctionType, SimpleNamespace
from typing import Any, ForwardRef, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

CHECK_SHAPES: Any = jaxtyping.jaxtyped

CONSTRUCTOR = "__init__"

CHECK: Any = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
"""The checker; what does not fit is a `TypeError`, as the library's own would be: code that reads
damaged files expects one, from whatever it makes of them."""


def install():
    """Have modules that are imported from now on checked as `check_types` does."""
    jaxtyping.jaxtyped = check_types  # pyright: ignore[reportAttributeAccessIssue]


def check_types(checked: Any = None, *, typechecker) -> Any:
    """Decorate a function, or the constructor of a dataclass, in place of `jaxtyping.jaxtyped`."""
    if checked is None:
        return partial(check_types, typechecker=typechecker)
    if isinstance(checked, type):
        # One that is inherited is checked already.
        if is_dataclass(checked) and CONSTRUCTOR in vars(checked):
            # On the class, as the library does: a subclass would be another type.
            setattr(checked, CONSTRUCTOR, check_types(checked.__init__, typechecker=typechecker))
        return checked
    if not isinstance(checked, FunctionType) or _returns_later(checked):
        return CHECK_SHAPES(checked, typechecker=typechecker)
    hints = {name: _resolve(hint, checked) for name, hint in checked.__annotations__.items()}
    plain = _check_plainly(checked, hints)
    return _compare_sizes(plain) if any(map(_has_shape, hints.values())) else plain


def _returns_later(function):
    """Return whether the value of a call is not the one that its annotation is about."""
    return inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function)


def _check_plainly(function, hints):
    """Decorate a function with the checker alone, which reads names that can be resolved."""
    written = function.__annotations__
    function.__annotations__ = hints
    try:
        wrapper = CHECK(function)
    finally:
        function.__annotations__ = written
    wrapper.__annotations__ = written
    return wrapper


def _compare_sizes(function):
    """Have axes of one name be of one size within a call of a function that checks its types."""

    @wraps(function)
    def compare(*arguments, **options):
        __tracebackhide__ = True
        with CHECK_SHAPES("context"):
            return function(*arguments, **options)

    return compare


def _resolve(hint, function):
    """Replace names of types by the types; one that only type checkers import may be anything."""
    if not _has_names(hint):
        return hint
    holder: Any = SimpleNamespace(__annotations__={"hint": hint})
    try:
        return get_type_hints(holder, function.__globals__, include_extras=True)["hint"]
    except (NameError, TypeError, AttributeError):
        return Any


def _has_names(hint):
    if isinstance(hint, str | ForwardRef):
        return True
    return any(map(_has_names, _list_parts(hint)))


def _has_shape(hint):
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_has_shape, _list_parts(hint)))


def _list_parts(hint):
    """List the types that a type is made of; those of the arguments of a function are in a list."""
    return hint if isinstance(hint, list) else get_args(hint)

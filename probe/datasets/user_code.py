"""Objects of user code, found by the `module:qualname` that a person typed."""

from typing import Any

from probe.plain import find


def find_user_object(identity: str) -> Any:
    """Import the module in `module:qualname` and return the object of that name.

    Raises:
        ValueError: if there is no such module or name, or the module fails when it is imported.
    """
    return find(identity, importing=True)


def make_instance(name: str, found: Any) -> Any:
    """Return an object as it is, or an instance of it if it is a class.

    Raises:
        ValueError: if the class needs arguments.
    """
    if not isinstance(found, type):
        return found
    try:
        return found()
    except TypeError as problem:
        raise ValueError(
            f"{name}: a class that cannot be made without arguments ({problem}); name an instance "
            "of it, as module:name"
        ) from problem

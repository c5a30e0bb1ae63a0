"""`probe --version`: the versions that results depend on, in one line."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("grounding-probe", "torch", "transformers", "nnsight")
"""Packages that are named, as they are called where they are installed from."""


def format_versions() -> str:
    """Format the installed versions of the packages; none of them is imported."""
    return ", ".join(f"{name} {_find_version(name)}" for name in PACKAGES)


def _find_version(name: str) -> str:
    # A checkout that is only on the path has no version, and a damaged installation may lack a
    # library: that is just what somebody who asks for versions wants to know.
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"

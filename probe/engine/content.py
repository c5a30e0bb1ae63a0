"""Results by what they hold: equal if every number is; as arrays with named axes."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch


def same_content(one: Any, other: Any) -> bool:
    """Compare two objects of one dataclass field by field, tensors and arrays number by number."""
    if type(one) is not type(other):
        return False
    return all(
        _same(getattr(one, field.name), getattr(other, field.name))
        for field in fields(one)
        if field.compare
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        alike = one.shape == other.shape and one.dtype == other.dtype
        # On the CPU, since what is loaded again is there.
        return alike and torch.equal(one.detach().cpu(), other.detach().cpu())
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)


def as_xarray(values: np.ndarray, axes: Mapping[str, Sequence[Any] | None]) -> Any:
    """Name the axes of an array, and the places along them where these have names.

    Raises:
        RuntimeError: if xarray is not installed.
    """
    try:
        import xarray  # an extra: the toolkit itself has no use for it
    except ImportError as missing:
        raise RuntimeError(
            "xarray is not installed; install it with: pip install 'grounding-probe[xarray]'"
        ) from missing
    named = {axis: list(places) for axis, places in axes.items() if places is not None}
    return xarray.DataArray(values, coords=named, dims=list(axes))


def as_tensor(what: str, values: Any) -> torch.Tensor:
    """Take a NumPy array, or nested lists, for a tensor of floating-point numbers.

    Raises:
        ValueError: if it is none of them.
    """
    if isinstance(values, torch.Tensor):
        return values
    try:
        return torch.from_numpy(np.asarray(values, dtype=np.float32))
    except (TypeError, ValueError) as failure:
        raise ValueError(
            f"{what} are numbers: a tensor, an array or nested lists; found {values!r:.60}"
        ) from failure

"""Masks of attention: those that a model made for its video, and those of our own passes."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from probe.engine.layer_plan import LayerPlan

Masks = Mapping[str, Bool[Tensor, "position position"]]
"""The positions that each position sees, by kind of layer; a kind that is plain has no entry."""


def found_masks(given: Any, plan: LayerPlan, end: int) -> dict[str, Tensor]:
    """Take the masks with which a model called its decoder, cut to the first positions.

    Most models leave masks to the decoder. Those in which visual tokens see one another in both
    directions make them where they still know which tokens are visual.

    Args:
        given: The argument: nothing, padding, one mask, or one for each kind of layer.
        plan: The layers of the decoder.
        end: The number of positions kept.

    Raises:
        ValueError: if it is of another form, or hides tokens as padding does.
    """
    by_kind = given if isinstance(given, Mapping) else dict.fromkeys(plan.masks, given)
    kept = {kind: _as_bool(by_kind[kind], end) for kind in plan.masks if kind in by_kind}
    return {kind: mask for kind, mask in kept.items() if mask is not None}


def find_end(given: Any, plan: LayerPlan, visual: Int[Tensor, " visual"]) -> int:
    """Find the position after the last token that visual tokens see, or after the last of them.

    Some models close the video with a mark that all of its tokens see, as if it were one of them.
    """
    end = int(visual[-1]) + 1
    by_kind = given if isinstance(given, Mapping) else dict.fromkeys(plan.masks, given)
    for mask in by_kind.values():
        if isinstance(mask, Tensor) and mask.ndim == 4:
            seen = _as_truth(mask[0, 0, :end]).any(dim=0)
            end = max(end, int(seen.nonzero().max()) + 1)
    return end


def as_argument(mask: Bool[Tensor, "*batch token position"], attention: str, dtype: Any) -> Any:
    """Write a mask as an implementation of attention takes it: truth values, or terms of a sum."""
    if attention != "eager":
        return mask
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
        ~mask, torch.finfo(dtype).min
    )


def _as_truth(mask: Tensor) -> Bool[Tensor, "*axes"]:
    """Write a mask as truth values: one of numbers is added to the products, 0 where it is seen."""
    return mask if mask.dtype == torch.bool else mask >= 0


def _as_bool(mask: Any, end: int) -> Tensor | None:
    """Cut a mask, and write it as truth values; None if it hides nothing or is plainly causal."""
    if mask is None:
        return None
    if isinstance(mask, Tensor) and mask.ndim == 2 and bool(mask.bool().all()):
        return None  # padding where nothing is padded
    if not (isinstance(mask, Tensor) and mask.ndim == 4 and mask.shape[:2] == (1, 1)):
        form = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(
            f"the decoder of this checkpoint takes 'attention_mask' ({form}), which the engine "
            f"cannot carry from the video to its questions; its attention would not be exact"
        )
    seen = _as_truth(mask[0, 0, :end, :end])
    plain = torch.ones_like(seen).tril()
    return None if torch.equal(seen, plain) else seen

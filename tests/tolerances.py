"""How far two results of float32 arithmetic may lie apart and still be the same result."""

import numpy as np
import torch

EPSILON = torch.finfo(torch.float32).eps
"""The distance from 1 to the next float32, 1.2e-7: one rounding is wrong by at most half of it."""

ROUNDINGS = 500
"""How many of these a result may have collected, each at the size of the largest value.

Measured on these tests with the kernels of SSE4, AVX2 and AVX-512, with one thread and with two:
up to 35 for attention and logits, up to 90 for gradients. The smallest effect that a test here
takes for a real one measures 500,000.
"""

CLEARLY = 10
"""How many tolerances lie between results that differ for another reason than rounding."""


def assert_equal_up_to_rounding(found, expected, *, scale=None, roundings=ROUNDINGS):
    """Check that two results differ by no more than float32 rounding explains.

    The same computation gives other last digits on another CPU, with another number of threads,
    or when it is packed differently: each kernel adds up in an order of its own, and each sum is
    rounded. This error grows with the values that were added up, not with what is left of them;
    a zero next to large values is off by as much as these. The tolerance is therefore one number
    for all elements, and it is relative to the largest value.

    Args:
        found: What the tested code gives: a tensor, an array, a number or a list of numbers.
        expected: What it should give, in the same shape.
        scale: The values that were added up, where little is left of them (a margin is the
            difference of two logits); by default the expected values.
        roundings: The tolerance, in roundings of a value as large as the largest of `scale`.
    """
    found, expected = to_array(found), to_array(expected)
    assert found.shape == expected.shape
    limit = tolerance(expected if scale is None else scale, roundings)
    error = np.abs(found - expected)
    worst = np.unravel_index(error.argmax(), error.shape)  # the first NaN, where there is one
    assert error[worst] <= limit, (
        f"off by {error[worst]:.2e}, {limit:.2e} allowed, at {tuple(map(int, worst))}: "
        f"found {found[worst]:.8g}, expected {expected[worst]:.8g}"
    )


def assert_differ_beyond_rounding(one, other, *, scale=None):
    """Check that two results differ somewhere by much more than rounding explains."""
    one, other = to_array(one), to_array(other)
    limit = CLEARLY * tolerance(other if scale is None else scale)
    assert np.abs(one - other).max() > limit


def tolerance(scale, roundings=ROUNDINGS):
    """Return the largest difference that so many roundings make at a scale."""
    return roundings * EPSILON * float(np.abs(to_array(scale)).max())


def to_array(values):
    """Return the values in float64, so that comparing them rounds nothing."""
    if isinstance(values, torch.Tensor):
        values = values.detach().double().cpu().numpy()
    return np.asarray(values, dtype=np.float64)

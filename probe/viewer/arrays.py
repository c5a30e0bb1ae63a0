"""Write arrays as JSON: compressed with zlib, their bytes of equal weight together, in base64.

Browsers can undo all of it without a library; `unpack` in maps.js does.
"""

import base64
import zlib
from typing import Any

import numpy as np


def encode_array(array: np.ndarray) -> dict[str, Any]:
    """Write an array as JSON: its number type, and its compressed bytes in base64."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    # High bytes resemble other high bytes: next to one another they compress much better.
    planes = little.view(np.uint8).reshape(-1, array.dtype.itemsize).T
    # Codes hardly repeat themselves: a long search for repetitions takes most of the time that a
    # large page takes, and gains nothing.
    press = zlib.compressobj(level=6, strategy=zlib.Z_FILTERED)
    squeezed = press.compress(planes.tobytes()) + press.flush()
    return {"type": array.dtype.name, "data": base64.b64encode(squeezed).decode()}

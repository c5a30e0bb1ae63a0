"""Make torchvision's published wheel importable with a CPU-only torch.

The wheel on the package index is built for CUDA; with a CPU build of torch its compiled
operators cannot load, and importing it fails because the schema of `nms` is missing. Video
processors need none of those operators, so declaring the schema is enough.
"""

import importlib.util

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: list[torch.library.Library] = []


def declare_missing_operators() -> None:
    """Declare the operators torchvision expects, where its own cannot be loaded.

    Called on `import probe`, before transformers can look for torchvision. Does nothing on a
    machine with a CUDA build of torch, without torchvision, or when called again.
    """
    absent = importlib.util.find_spec("torchvision") is None
    if torch.version.cuda or absent or _library or hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _library.append(library)

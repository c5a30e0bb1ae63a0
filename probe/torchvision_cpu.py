"""Make torchvision's published wheel importable with a CPU-only torch.

The wheel on the package index is built for CUDA; with a CPU build of torch its compiled operators
cannot load, and importing it fails because the schema of `nms` is missing. Video processors need
none of those operators, so declaring the schema is enough.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""The operators that importing torchvision asks for."""


class BeforeTorchvision:
    """Finder of modules that finds none, and declares the operators when torchvision is imported.

    Importing torch takes a second, so it waits until somebody imports torchvision, as transformers
    does when it opens a processor.
    """

    def __init__(self) -> None:
        self._libraries: list[object] = []

    def find_spec(
        self,
        name: str,
        path: Any = None,  # noqa: ARG002  as the import system calls it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> None:
        """Declare the operators if this is torchvision; leave the finding to others."""
        if name == "torchvision" and not self._libraries:
            self._libraries = declare_missing_operators()


def declare_missing_operators() -> list[object]:
    """Declare the operators that torchvision expects, where its own cannot be loaded.

    Does nothing on a machine with a CUDA build of torch. The declarations hold as long as what is
    returned is kept.
    """
    import torch

    if torch.version.cuda or hasattr(torch.ops.torchvision, "nms"):
        return [None]
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    return [library]


def prepare_torchvision() -> None:
    """Have the operators declared as soon as torchvision is imported; nothing if it is absent."""
    installed = importlib.util.find_spec("torchvision") is not None
    if installed and not any(isinstance(one, BeforeTorchvision) for one in sys.meta_path):
        sys.meta_path.insert(0, BeforeTorchvision())

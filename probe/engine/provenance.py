"""Provenance of a reading: the model, the video, what was changed, and the versions of libraries.

Plain values, which are saved with the reading: a file that is found a year later says what it is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from importlib.metadata import version
from inspect import signature
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from probe.engine.checkpoint import Checkpoint
from probe.engine.pixels import choose_pixels
from probe.plain import identity_of
from probe.video import Video
from probe.video.descriptions import describe_video

LIBRARIES = ("grounding-probe", "torch", "transformers", "nnsight", "numpy", "scipy", "av")
"""Packages whose versions are written down with every result."""

LONGEST_VALUE = 200
"""Characters of one value of an edit."""


@cache
def library_versions() -> Mapping[str, str]:
    """Return the installed versions of the packages that results depend on."""
    # Looked up once: it takes 7 ms, a tenth of a whole answer of the shipped model.
    return MappingProxyType({name: version(name) for name in LIBRARIES})


@dataclass(frozen=True)
class Provenance:
    """All that a reading follows from, apart from its question, in plain values."""

    model: Mapping[str, Any]
    """Name, commit on the hub if it is from there, family, number type and layers."""

    video: Mapping[str, Any]
    """File, part, size and sampled frames, as `describe_video` gives them."""

    edits: tuple[str, ...] = ()
    """Latent prompts and interventions on the model, each in one line."""

    versions: Mapping[str, str] = field(default_factory=library_versions)
    """Versions of the libraries."""

    def __post_init__(self) -> None:
        # Shared by all readings of a view, so that nobody may write into it.
        for name in ("model", "video", "versions"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain values."""
        return {
            "model": dict(self.model),
            "video": dict(self.video),
            "edits": list(self.edits),
            "versions": dict(self.versions),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Provenance":
        """Make the provenance that `to_dict` wrote."""
        edits = tuple(str(edit) for edit in record["edits"])
        return cls(dict(record["model"]), dict(record["video"]), edits, dict(record["versions"]))


def trace_provenance(
    name: str, checkpoint: Checkpoint, video: Video, edits: Sequence[Any]
) -> Provenance:
    """Write down what a reading follows from.

    Args:
        name: The name of the model.
        checkpoint: The model.
        video: The video that it was shown.
        edits: Latent prompts and interventions.
    """
    model = {
        "name": name,
        # transformers notes here the commit that a name on the hub was resolved to.
        "commit": getattr(checkpoint.config, "_commit_hash", None),
        "family": checkpoint.family.model_type,
        "dtype": str(checkpoint.dtype).removeprefix("torch."),
        "layers": checkpoint.depth,
        "pixels": choose_pixels(checkpoint.settings, checkpoint.pixels),
    }
    return Provenance(model, describe_video(video), tuple(map(describe_edit, edits)))


def describe_edit(edit: Any) -> str:
    """Describe a latent prompt or an intervention in one line, tensors by size and content.

    What was left at its default is left out.

    >>> from probe.interpret.cuts import Cut
    >>> describe_edit(Cut(tokens=(3,)))
    'Cut(tokens=(3,))'
    """
    if not is_dataclass(edit):
        return identity_of(type(edit))
    given = {one.name: getattr(edit, one.name) for one in fields(edit) if one.repr}
    usual = {name: one.default for name, one in signature(type(edit)).parameters.items()}
    # By identity: a tensor that is compared with a default gives no yes or no.
    shown = {name: one for name, one in given.items() if one is not usual.get(name, edit)}
    values = (f"{name}={_describe(value)}" for name, value in shown.items())
    return f"{type(edit).__name__}({', '.join(values)})"


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        value = value.detach().float().cpu().numpy()
    if isinstance(value, np.ndarray):
        # By a hash: two vectors of one size are two edits, and thousands of numbers tell nobody.
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:8]
        size = " x ".join(map(str, value.shape))
        return f"<{size or 1} numbers, {content}>"
    if callable(value) and hasattr(value, "__qualname__"):
        return identity_of(value)
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"

"""Latent prompts: learnable vectors added to the visual tokens where they enter a decoder layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.content import as_tensor, same_content
from probe.engine.grids import VisualGrid
from probe.files import FileFormat, read_tensors, write_tensors
from probe.video.coercion import describe_given

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LATENT_FORMAT = FileFormat(
    "grounding-probe/latent-prompt", 1, "a latent prompt", "LatentPrompt.save"
)


@dataclass(frozen=True, eq=False)
class LatentPrompt:
    """One vector for each visual token, added to the states that enter a decoder layer.

    Entering layer 0 means the input of the language model; entering layer k, the output of layer
    k - 1. Vectors are kept in float32 and cast where they are added.
    """

    vectors: Float[Tensor, "visual hidden"]
    layer: int
    """The decoder layer they enter, from 0."""
    model: str
    """The name of the model they were learned on."""
    shape: tuple[int, int, int]
    """Frames, rows and columns of the grid they were learned on."""
    question: str = ""
    """The question they were learned for."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", as_tensor("latent vectors", self.vectors))

    def __repr__(self) -> str:
        longest = float(self.vectors.detach().norm(dim=-1).max())
        return (
            f"LatentPrompt({len(self.vectors)} vectors of {self.vectors.shape[1]} entering layer "
            f"{self.layer}, longest {longest:.3g}; {self.model})"
        )

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.layer, self.model, self.shape, self.question))

    def check(self, model: str, grid: VisualGrid, hidden: int) -> None:
        """Refuse a model or grid that the prompt does not fit.

        Args:
            model: The name of the model.
            grid: The visual grid.
            hidden: The width of the model's states.

        Raises:
            ValueError: if it was learned on another model, grid or width.
        """
        if self.model != model:
            raise ValueError(f"a latent prompt learned on {self.model!r} does not fit {model!r}")
        if self.shape != grid.shape:
            raise ValueError(
                f"a latent prompt for {self.shape} frames, rows and columns "
                f"does not fit {grid.shape}"
            )
        if self.vectors.shape != (len(grid), hidden):
            raise ValueError(
                f"latent vectors of {tuple(self.vectors.shape)} do not fit {len(grid)} visual "
                f"tokens of {hidden}"
            )

    def reversed(self) -> "LatentPrompt":
        """Return the same vectors, last frame first."""
        folded = self.vectors.unflatten(0, self.shape)
        return replace(self, vectors=folded.flip(0).flatten(0, 2))

    def to_numpy(self) -> Float[np.ndarray, "visual hidden"]:
        """Return the vectors as an array."""
        return self.vectors.detach().float().cpu().numpy()

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the length of each vector as a map, from black for 0 to yellow for the longest.

        Args:
            ax: The axes to draw on; None for a new figure.

        Raises:
            ValueError: if a vector is not finite.
        """
        # Imported where it is drawn: matplotlib takes long to import.
        from probe.pictures.rows import draw_norms

        norms = np.linalg.norm(self.to_numpy(), axis=-1).reshape(self.shape)
        title = f"length of the vectors at layer {self.layer}, up to {norms.max():.3g}"
        return draw_norms(ax, norms, title)

    def _repr_html_(self) -> str:
        """Draw the length of each vector for Jupyter."""
        from probe.pictures.html import plot_as_html  # see `plot`

        return plot_as_html(self)

    def save(self, path: str | Path) -> None:
        """Write the vectors, and what they belong to, as safetensors."""
        about = {
            **LATENT_FORMAT.header,
            "layer": self.layer,
            "model": self.model,
            "shape": self.shape,
            "question": self.question,
        }
        write_tensors(path, {"vectors": self.vectors.float()}, about)

    @classmethod
    def load(cls, path: str | Path) -> "LatentPrompt":
        """Read the prompt that `save` wrote.

        Raises:
            ValueError: if the file is missing or is not one of a latent prompt, or its vectors are
                not finite or not one for each cell of its grid.
        """
        tensors, about = read_tensors(path)
        with LATENT_FORMAT.reading(path):
            return cls.from_record(tensors["vectors"], LATENT_FORMAT.check(path, about))

    @classmethod
    def from_record(cls, vectors: Tensor, record: Mapping[str, Any]) -> "LatentPrompt":
        """Make the prompt of a file, which may have been written by anybody.

        Raises:
            ValueError: if the vectors are not finite or not one for each cell of the grid, or
                another entry is not what `save` writes.
        """
        shape = _read_shape(record["shape"])
        layer = record["layer"]
        if type(layer) is not int or layer < 0:
            raise ValueError(f"the layer is {describe_given(layer)}; layers count from 0")
        for name in ("model", "question"):
            if not isinstance(record[name], str):
                raise ValueError(f"the {name} is {describe_given(record[name])}; it is a text")
        vectors = _check_vectors(vectors, shape)
        return cls(vectors, layer, record["model"], shape, record["question"])


def _read_shape(value: Any) -> tuple[int, int, int]:
    """Read frames, rows and columns."""
    whole = isinstance(value, list) and all(type(one) is int and one > 0 for one in value)
    if not whole or len(value) != 3:
        raise ValueError(
            f"the shape is {describe_given(value)}; give frames, rows and columns, as [8, 4, 4]"
        )
    frames, rows, columns = value
    return frames, rows, columns


def _check_vectors(vectors: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Check that there is a vector for each cell, and return them as float32."""
    if vectors.dim() != 2 or not vectors.is_floating_point() or len(vectors) != prod(shape):
        raise ValueError(
            f"the vectors are {describe_given(vectors)}; give one of floating-point numbers for "
            f"each of the {prod(shape)} cells of {shape[0]} x {shape[1]} x {shape[2]}"
        )
    if not vectors.isfinite().all():
        # Added to the states, a single one would turn every answer into NaN.
        raise ValueError("a vector is NaN or infinite; learn the prompt again")
    return vectors.float()


def zero_prompt(model: str, grid: VisualGrid, hidden: int, layer: int) -> LatentPrompt:
    """Make the prompt that changes nothing, which learning starts from.

    Args:
        model: The name of the model.
        grid: The visual grid.
        hidden: The width of the model's states.
        layer: The decoder layer that the vectors enter.
    """
    return LatentPrompt(torch.zeros(len(grid), hidden), layer, model, grid.shape)


def sum_latents(
    latents: Sequence[LatentPrompt], embeddings: Float[Tensor, "token hidden"], grid: VisualGrid
) -> dict[int, Float[Tensor, "token hidden"]]:
    """Sum the latent prompts of each layer, with zeros where there is no visual token.

    Args:
        latents: The prompts.
        embeddings: Those of all tokens that the sums are added to.
        grid: The place of each visual token among them.
    """
    added: dict[int, Tensor] = {}
    positions = grid.positions.to(embeddings.device)
    for latent in latents:
        below = added.get(latent.layer, torch.zeros_like(embeddings))
        added[latent.layer] = below.index_add(0, positions, latent.vectors.to(embeddings))
    return added

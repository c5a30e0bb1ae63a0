"""Latent prompts: learnable vectors added to the visual tokens where they enter a decoder layer."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from probe.engine.grids import VisualGrid

FORMAT = "grounding-probe/latent-prompt"


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

    def check(self, model: str, grid: VisualGrid, hidden: int) -> None:
        """Refuse a model or grid that the prompt does not fit.

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
        """The same vectors, last frame first."""
        folded = self.vectors.unflatten(0, self.shape)
        return replace(self, vectors=folded.flip(0).flatten(0, 2))

    def save(self, path: str | Path) -> None:
        """Write vectors and what they belong to as safetensors; nothing is left half-written."""
        path = Path(path)
        header = {"format": FORMAT, "layer": self.layer, "model": self.model, "shape": self.shape}
        about = json.dumps({**header, "question": self.question})
        partial = path.with_name(f".{path.name}.partial")
        vectors = self.vectors.detach().float().cpu().contiguous()
        save_file({"vectors": vectors}, partial, metadata={"about": about})
        partial.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> "LatentPrompt":
        """The prompt that `save` wrote.

        Raises:
            ValueError: if the file is missing or is not one of a latent prompt.
        """
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file; give one that LatentPrompt.save wrote")
        try:
            with safe_open(path, framework="pt") as stored:
                about = json.loads((stored.metadata() or {}).get("about", "{}"))
                vectors = stored.get_tensor("vectors") if about.get("format") == FORMAT else None
        except SafetensorError as failure:
            raise ValueError(f"{path}: not a safetensors file ({failure})") from failure
        if vectors is None:
            raise ValueError(f"{path}: not a latent prompt; give one that LatentPrompt.save wrote")
        frames, rows, columns = about["shape"]
        return cls(
            vectors, about["layer"], about["model"], (frames, rows, columns), about["question"]
        )


def zero_prompt(model: str, grid: VisualGrid, hidden: int, layer: int) -> LatentPrompt:
    """The prompt that changes nothing: where learning starts."""
    return LatentPrompt(torch.zeros(len(grid), hidden), layer, model, grid.shape)

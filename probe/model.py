"""A video language model to ask: `load` opens a checkpoint, `watch` shows it a video."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from probe.families import family_of
from probe.grids import VisualGrid
from probe.network import Network
from probe.video import Video
from probe.view import View

ORGANISM = "organism"
"""What the shipped model is called where a checkpoint's name is asked for."""


@dataclass(frozen=True, eq=False)
class VideoLM:
    """A checkpoint ready to be shown videos."""

    name: str
    """Its identifier or folder."""

    revision: str | None
    """The revision asked for, or the commit that the hub resolved it to."""

    network: Network

    @property
    def is_organism(self) -> bool:
        """Whether this is the shipped model, which knows nothing but coloured shapes."""
        return self.name == ORGANISM

    @property
    def identity(self) -> dict[str, str | int | None]:
        """What an answer says of the model that gave it."""
        return {
            "name": self.name,
            "revision": self.revision,
            "family": self.network.family.model_type,
            "dtype": str(self.network.dtype).removeprefix("torch."),
            "layers": self.depth,
        }

    @property
    def depth(self) -> int:
        """The number of decoder layers."""
        return self.network.depth

    @property
    def preferred_frames(self) -> int:
        """How many frames to sample for this model unless there is a reason for another number."""
        return self.network.preferred_frames

    def watch(self, video: Video) -> View:
        """Show the model a video; the vision tower runs once, here.

        Raises:
            ValueError: if the video has more frames than fit in the model's context, or the
                model's visual tokens are not as many as its family's grid has cells.
        """
        network = self.network
        text = network.writer(before=0).text("?")
        inputs = network.process(video, text)
        length = inputs["input_ids"].shape[1]
        if length > network.context:
            raise ValueError(
                f"{len(video)} frames make {length} tokens but {network.context} fit in the "
                f"context of {self.name}; sample fewer frames"
            )
        entered = network.enter(inputs)
        (positions,) = torch.nonzero(entered.ids == network.placeholder, as_tuple=True)
        cells = network.family.cells(network.config, network.processor, video, inputs)
        grid = VisualGrid(positions.cpu(), cells)
        prefix = entered.embeddings[: int(positions[-1]) + 1]
        return View(network, self.name, video, grid, prefix)


def load(
    checkpoint: str | Path = ORGANISM,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    revision: str | None = None,
) -> VideoLM:
    """Open a checkpoint: the shipped organism, a folder, or a name on the Hugging Face hub.

    Only safetensors weights are read and no code of the checkpoint's is run.

    Args:
        checkpoint: Folder or name; the shipped model by default.
        device: Where the model goes, such as "cpu" or "cuda".
        dtype: "auto" for the type the weights were saved in (float32 for the organism), or
            "float32", "bfloat16", "float16".
        revision: Branch, tag or commit on the hub.

    Raises:
        ValueError: if there is no such checkpoint, its architecture is not supported, its
            weights are not safetensors, or device or dtype are unknown.
    """
    name = str(checkpoint)
    if name == ORGANISM:
        with resources.as_file(resources.files("probe.organism") / "weights") as folder:
            return _open(name, folder, device, "float32" if dtype == "auto" else dtype, None)
    return _open(name, name, device, dtype, revision)


DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def _open(name: str, source: str | Path, device: str, dtype: str, revision: str | None) -> VideoLM:
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; give one of {', '.join(DTYPES)}")
    target = _device(device)
    _check_folder(name, Path(source))
    options = {"revision": revision, "trust_remote_code": False}
    with _explained(name):
        config = AutoConfig.from_pretrained(source, **options)
    family = family_of(config)
    with _explained(name):
        module: Any = AutoModelForImageTextToText.from_pretrained(
            source,
            **options,
            use_safetensors=True,
            dtype=DTYPES[dtype],
            attn_implementation="sdpa",
        )
        processor = AutoProcessor.from_pretrained(source, **options)
    commit = getattr(config, "_commit_hash", None)
    return VideoLM(name, commit or revision, Network(module.to(target), processor, family))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as failure:
        reason = str(failure).splitlines()[0]
        raise ValueError(f"cannot use device {name!r} ({reason}); try 'cpu'") from failure
    return device


def _check_folder(name: str, folder: Path) -> None:
    """Say what is missing in a local checkpoint before transformers guesses at it."""
    if not folder.exists() and (folder.is_absolute() or str(folder).startswith(".")):
        raise ValueError(f"{name}: no such folder; give a checkpoint's folder or its hub name")
    if folder.is_file():
        raise ValueError(f"{name}: a file; give the folder that holds config.json and the weights")
    if not folder.is_dir():
        return
    if not (folder / "config.json").exists():
        raise ValueError(f"{name}: no config.json in this folder; give a checkpoint's folder")
    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"{name}: no safetensors weights in this folder; pickled weights are not read, "
            f"since opening them can run code: convert them to safetensors"
        )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn the many ways in which opening a checkpoint fails into one line."""
    try:
        yield
    except (OSError, ValueError, KeyError) as failure:
        lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
        raise ValueError(
            f"cannot open the checkpoint {name!r}: {lines[0] if lines else type(failure).__name__} "
            f"(check its name, your network and, for a private one, your token; a local folder "
            f"works without a network)"
        ) from failure

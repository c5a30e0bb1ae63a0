"""States of visual tokens, computed once for each video and kept in a folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.grids import Cells
from probe.engine.model import VideoLM
from probe.engine.requests import choose_numbers
from probe.engine.view import View
from probe.files import (
    FileFormat,
    read_json,
    read_tensors,
    remove_partials,
    write_json,
    write_tensors,
)
from probe.progress import make_bar
from probe.trained.responses.examples import Described
from probe.video import Span

STATES_FORMAT = FileFormat(
    "grounding-probe/visual-states", 1, "states of visual tokens", "probe responses train"
)

ABOUT = "about.json"
"""File of a folder of states that says which model and layer they are of."""

LARGEST_HALF = 6e4
"""States above this do not fit in 16 bits; some models have channels that large."""


@dataclass(frozen=True, eq=False)
class FrameStates:
    """The states of all frames of a video, and the cells of its proposals."""

    states: Float[Tensor, "frame cell width"]
    cells: Cells
    proposals: Bool[Tensor, "proposal frame cell"]
    """The cells that each proposal covers; none where none was given."""

    spans: tuple[Span | None, ...]
    """The time in which each sentence holds; None where it is not known."""


@dataclass(frozen=True, eq=False)
class StateStore:
    """A folder with the states of videos, as they enter one layer of one model."""

    folder: Path
    layer: int
    fingerprint: str

    @classmethod
    def open(cls, folder: Path, model: VideoLM, layer: int) -> "StateStore":
        """Open a folder for the states of a model, and make it if it is missing.

        Raises:
            ValueError: if the folder has states of another model or layer, or there is no such
                layer.
        """
        (layer,) = choose_numbers("layer", layer, model.depth)
        found = cls(folder, layer, model.known_fingerprint.read())
        about = {**STATES_FORMAT.header, "layer": layer, "fingerprint": found.fingerprint}
        folder.mkdir(parents=True, exist_ok=True)
        remove_partials(folder)  # of a run that was killed
        path = folder / ABOUT
        if not path.exists():
            write_json(path, about)
        elif STATES_FORMAT.check(path, read_json(path)) != about:
            raise ValueError(
                f"{folder}: states of another model or layer; give another folder for those of "
                f"{model.name} entering layer {layer}"
            )
        return found

    def collect(self, model: VideoLM, videos: Sequence[Described]) -> "StateStore":
        """Compute the states that are not kept yet; a run that was stopped goes on where it was."""
        missing = [one for one in videos if not self._path(one).exists()]
        for one in make_bar(missing, desc="states", total=len(missing)):
            self._compute(model, one)
        return self

    def read(self, one: Described) -> FrameStates:
        """Read the states of a video.

        Raises:
            ValueError: if they are not kept, or the file is damaged.
        """
        path = self._path(one)
        tensors, about = read_tensors(path)
        with STATES_FORMAT.reading(path):
            record = STATES_FORMAT.check(path, about)
            cells = Cells.from_dict(record["cells"])
            spans = tuple(None if one is None else Span(*one) for one in record["spans"])
            return FrameStates(tensors["states"], cells, tensors["proposals"], spans)

    def _path(self, one: Described) -> Path:
        # Names of videos may hold any sign, and be longer than a file's may. With the sentences,
        # since the spans in the file are theirs.
        # With the frames: a run that samples others must not take these for its own.
        frames = (one.frames,) if one.frames else ()
        content = "\0".join((one.name, *one.sentences, *frames)).encode()
        return self.folder / f"{hashlib.sha256(content).hexdigest()[:24]}.safetensors"

    def _compute(self, model: VideoLM, one: Described) -> None:
        material = one.read_checked()
        view = model.watch(material.video)
        found = read_states(view, self.layer)
        # Half of the bytes, where that loses nothing that matters: data sets fill disks.
        fits = float(found.abs().max()) < LARGEST_HALF
        cells = view.grid.cells
        masks = [cells.inside(track).flatten(1) for track in material.proposals]
        spans = material.spans or (None,) * len(one.sentences)
        empty = torch.zeros(0, *found.shape[:2], dtype=torch.bool)
        content = {
            "states": found.half() if fits else found,
            "proposals": torch.stack(masks) if masks else empty,
        }
        about: Any = {
            **STATES_FORMAT.header,
            "name": one.name,
            "cells": cells.to_dict(),
            "spans": [None if span is None else [span.start, span.stop] for span in spans],
        }
        write_tensors(self._path(one), content, about)


@torch.no_grad()
def read_states(view: View, layer: int) -> Float[Tensor, "frame cell width"]:
    """Read the states of a video's visual tokens as they enter a layer, in float32.

    Raises:
        ValueError: if the view has latent prompts, which states leave out, a frame has a single
            cell, or a state is not a finite number.
    """
    if view.latents:
        raise ValueError("visual tokens are read without latent prompts; give the plain view")
    if len(view.grid.positions) < 2 * len(view.grid.cells.frames):
        raise ValueError(
            f"{view.model} sees each frame as a single cell, which has no place in it; give larger "
            f"frames"
        )
    states = view.states(layer)[view.grid.positions].float().cpu()
    # Comparisons with "not a number" are false, so that maps of them would point somewhere.
    if not bool(states.isfinite().all()):
        raise ValueError(
            f"{view.model}: states entering layer {layer} are not finite, as in float16 where they "
            f"grow too large; load it with another number type, such as --dtype bfloat16"
        )
    # Folded by frame alone: the network does not know rows and columns.
    frames = len(view.grid.cells.frames)
    return states.unflatten(0, (frames, len(states) // frames))

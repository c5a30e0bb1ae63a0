"""States of the organism's world as samples: each thing's, in a few frames in which it acts.

The classes are combinations of colour, shape and action; the truth is known exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probe.engine.grids import Cells
from probe.engine.model import VideoLM
from probe.files import FileFormat, read_tensors, write_tensors
from probe.interpret.object_states import states_by_layer
from probe.organism.world import ACTIONS, COLOURS, SHAPES, Clip
from probe.trained.concepts.attributes import name_class
from probe.video import Video

SHAPE_STATES_FORMAT = FileFormat(
    "grounding-probe/shape-states", 1, "states of shapes", "ShapeStates.save"
)

FACTORS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"colour": tuple(COLOURS), "shape": SHAPES, "action": ACTIONS}
)
"""The values of each factor of a thing."""

FACTOR_NAMES = tuple(FACTORS)

FRAMES_A_THING = 2
"""Frames taken of each thing, at random among those in which it acts."""


@dataclass(frozen=True, eq=False)
class ShapeStates:
    """Samples of things: a state at each layer, and what the thing is."""

    layers: tuple[int, ...]
    states: Float[Tensor, "layer sample hidden"]
    factors: Int[Tensor, "sample factor"]
    """Colour, shape and action, as places in `FACTORS`."""

    pixels: Float[Tensor, "sample pixel"]
    """The colours of the cell's own pixels, 0 to 1: what a reader without a model has."""

    clips: Int[Tensor, " sample"]
    """The clip that each sample is of, counted as they came."""

    def __len__(self) -> int:
        return len(self.factors)

    def __repr__(self) -> str:
        layers, samples, hidden = self.states.shape
        return f"ShapeStates({samples} samples of {hidden} numbers at {layers} layers)"

    def at(self, layer: int) -> Float[Tensor, "sample hidden"]:
        """Return the states that enter one layer.

        Raises:
            ValueError: if it was not read.
        """
        if layer not in self.layers:
            raise ValueError(f"layer {layer} was not read; there are {list(self.layers)}")
        return self.states[self.layers.index(layer)]

    def save(self, path: str | Path) -> None:
        """Write the samples as safetensors."""
        tensors = {name: getattr(self, name) for name in SAMPLE_TENSORS}
        write_tensors(path, tensors, {**SHAPE_STATES_FORMAT.header, "layers": list(self.layers)})

    @classmethod
    def load(cls, path: str | Path) -> "ShapeStates":
        """Read the samples that `save` wrote.

        Raises:
            ValueError: if the file is missing or holds none.
        """
        tensors, about = read_tensors(path)
        with SHAPE_STATES_FORMAT.reading(path):
            record = SHAPE_STATES_FORMAT.check(path, about)
            fields = {name: tensors[name] for name in SAMPLE_TENSORS}
            return cls(tuple(record["layers"]), **fields)


SAMPLE_TENSORS = ("states", "factors", "pixels", "clips")
"""The fields that are tensors."""


def collect_shapes(
    model: VideoLM,
    clips: Iterable[Clip],
    layers: Sequence[int] | None = None,
    *,
    seed: int = 0,
) -> ShapeStates:
    """Read states of every thing in some clips, in `FRAMES_A_THING` frames in which it acts.

    Args:
        model: The model.
        clips: The clips; each is watched once.
        layers: Decoder layers that the states enter; all by default.
        seed: Seed of the choice of frames.

    Raises:
        ValueError: if there is no such layer, or no thing acts in any frame.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    numbers: tuple[int, ...] = ()
    for number, clip in enumerate(clips):
        # Each clip is watched once, and its views are let go: states of one token are a
        # hundredth of a clip's.
        video = clip.video()
        view = model.watch(video)
        read = states_by_layer(view, [thing.track() for thing in clip.things], layers)
        numbers = tuple(one.layer for one in read)
        places = [_choose_frames(video, thing.span, rng) for thing in clip.things]
        things = torch.tensor([thing for thing, own in enumerate(places) for _ in own])
        frames = torch.tensor([frame for own in places for frame in own])
        kinds = torch.tensor([_find_factors(thing) for thing in clip.things])
        cells = read[0].places[things, frames]
        found.append(
            (
                torch.stack([one.states[things, frames] for one in read], dim=1),
                kinds[things],
                _cut_pixels(video, view.grid.cells, frames, cells),
                torch.full((len(things),), number),
            )
        )
    if not found:
        raise ValueError("there is no clip to read; give at least one")
    states, factors, pixels, of = (torch.cat(parts) for parts in zip(*found, strict=True))
    return ShapeStates(numbers, states.transpose(0, 1).contiguous(), factors, pixels, of)


def _choose_frames(video: Video, span: object, rng: np.random.Generator) -> list[int]:
    shown = [place for place, frame in enumerate(video.indices) if frame in span]  # type: ignore[operator]
    return rng.permutation(shown)[:FRAMES_A_THING].tolist()


def _find_factors(thing: object) -> list[int]:
    return [FACTORS[name].index(getattr(thing, name)) for name in FACTOR_NAMES]


def _cut_pixels(
    video: Video, cells: Cells, frames: Int[Tensor, " sample"], places: Int[Tensor, "sample 2"]
) -> Float[Tensor, "sample pixel"]:
    """Cut out the pixels of cells, each as large as the first."""
    left, top, right, bottom = map(round, cells.box(0, 0))
    height, width = bottom - top, right - left
    cut = []
    for frame, (row, column) in zip(frames.tolist(), places.tolist(), strict=True):
        x, y = (round(edge) for edge in cells.box(row, column)[:2])
        cut.append(video.frames[frame][y : y + height, x : x + width].reshape(-1) / 255)
    return torch.from_numpy(np.stack(cut)).float()


@dataclass(frozen=True)
class ShapeClasses:
    """The combinations of some factors, and which class each sample is of."""

    factors: tuple[str, ...]
    """Names among those of `FACTORS`."""

    def __post_init__(self) -> None:
        if not self.factors or not set(self.factors) <= set(FACTOR_NAMES):
            raise ValueError(f"factors {self.factors}: give some of {', '.join(FACTOR_NAMES)}")

    @property
    def combinations(self) -> list[tuple[str, ...]]:
        """The values of each class."""
        return list(product(*(FACTORS[name] for name in self.factors)))

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each class."""
        return tuple(map(name_class, self.combinations))

    def label(self, factors: Int[Tensor, "sample factor"]) -> Int[Tensor, " sample"]:
        """Return the class of each sample."""
        label = torch.zeros(len(factors), dtype=torch.long)
        for name in self.factors:
            # As digits of a number, in the order in which `product` counts.
            label = label * len(FACTORS[name]) + factors[:, FACTOR_NAMES.index(name)]
        return label

    def hold_out(self, count: int, rng: np.random.Generator) -> Bool[Tensor, " class"]:
        """Draw classes that are not taught, while each value of each factor is, in another class.

        Returns:
            True for the classes that are seen.

        Raises:
            ValueError: if so many cannot be held out.
        """
        classes = self.combinations
        # A slice would take a number below 0 for all but a few.
        if not 0 < count < len(classes):
            most = len(classes) - 1
            raise ValueError(
                f"{count} of {most + 1} classes cannot be held out; give from 1 to {most}"
            )
        for _ in range(TRIES):
            held = set(rng.permutation(len(classes))[:count].tolist())
            kept = [one for place, one in enumerate(classes) if place not in held]
            values = [set(own) for own in zip(*kept, strict=True)]
            if all(
                len(own) == len(FACTORS[name])
                for own, name in zip(values, self.factors, strict=True)
            ):
                return torch.tensor([place not in held for place in range(len(classes))])
        raise ValueError(
            f"{count} of {len(classes)} classes cannot be held out so that every colour, shape and "
            "action is still taught; give fewer"
        )


TRIES = 1000
"""Draws of classes to hold out, before it is given up."""

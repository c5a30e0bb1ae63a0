"""A model in numbers: its class, its sizes, where it is, and what reading a video with it costs."""

import operator
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from probe.engine.checkpoint import Checkpoint
from probe.engine.costs import check_length, measure_keys, width
from probe.engine.families import Inputs
from probe.engine.sizes import ModelSizes, VisionSizes
from probe.video import Video, count_frames

MIB, GIB, TERA = 2**20, 2**30, 1e12

COLOURS = 3

USUAL_SIZE, USUAL_SECONDS, USUAL_RATE = (360, 640), 10.0, 30.0
"""Height and width in pixels, length, and frames a second of the video that costs are told of if
none is given."""

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
CHOSEN = ("num_experts_per_tok", "moe_k", "moe_topk", "top_k_experts")
"""Entries of a configuration that count experts: all of a layer, and those that a token meets."""


@dataclass(frozen=True)
class ModelDescription:
    """A model in numbers."""

    name: str
    kind: str
    """The name of its class."""

    numbers: int
    """All numbers in its matrices of weights."""

    layers: int
    heads: int
    """Attention heads in a decoder layer."""

    dtype: str
    quantized: str | None
    adapter: str | None

    place: str
    """The devices of its weights, such as "cuda:0"."""

    frames: int
    """Frames of the video that costs are told of."""

    size: tuple[int, int]
    """Height and width of these frames in pixels."""

    grid: tuple[int, int, int]
    """Frames, rows and columns of visual tokens; a model may merge frames."""

    tokens: int
    """Tokens of the video with the text around it."""

    context: int
    """The longest sequence that fits in the model."""

    weights: int
    """Bytes of its weights."""

    keys_and_values: int
    """Bytes that are kept of the video while questions about it are read."""

    flops: int
    """Floating point operations of reading the video once, before any question."""

    def __str__(self) -> str:
        adapter = "" if self.adapter is None else f", with the adapter {self.adapter}"
        bits = self.dtype if self.quantized is None else f"{self.quantized} and {self.dtype}"
        frames, rows, columns = self.grid
        height, width = self.size
        return (
            f"{self.kind} of {_format_count(self.numbers)} weights, {self.layers} layers of "
            f"{self.heads} heads, {bits} on {self.place}{adapter}; {self.frames} frames of "
            f"{width} x {height} pixels make {frames} x {rows} x {columns} visual tokens "
            f"({self.tokens:,} tokens with the text, of {self.context:,}); about "
            f"{_format_bytes(self.weights)} of weights, {_format_bytes(self.keys_and_values)} of "
            f"keys and values, and {self.flops / TERA:.2g} TFLOP to read the video once"
        )

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers in plain values."""
        return {**asdict(self), "size": list(self.size), "grid": list(self.grid)}


def describe_checkpoint(
    checkpoint: Checkpoint, video: Video | None, found: Mapping[str, Any]
) -> ModelDescription:
    """Describe a model, and what it costs to read a video; the model itself does not run.

    FLOPs are those of full attention in every layer, so they are too many for a vision tower that
    sees only windows, and for recurrent layers.

    Args:
        checkpoint: The model with its processor; its weights may be without memory.
        video: The video; None for a blank one of `USUAL_SIZE` with as many frames as the model
            prefers.
        found: The other entries of a `ModelDescription`: `name`, `dtype`, `quantized`, `adapter`,
            `place` and `weights`.

    Raises:
        ValueError: if the processor refuses the video, or it does not fit in the model.
    """
    shown = _make_blank(checkpoint) if video is None else video
    seeing = checkpoint.for_video(shown)
    inputs = seeing.process(shown, seeing.writer(before=0).text("?"))
    tokens = inputs["input_ids"].shape[1]
    if video is not None:
        check_length(found["name"], seeing, video, tokens)
    grid = seeing.grid(shown, inputs).shape
    sizes, text = measure_sizes(checkpoint), checkpoint.config.get_text_config()
    seen = sizes.vision_flops(grid[0], count_patches(seeing, inputs, grid), grid[1] * grid[2])
    return ModelDescription(
        kind=type(checkpoint.module).__name__,
        numbers=sizes.numbers,
        layers=checkpoint.depth,
        heads=checkpoint.heads,
        frames=len(shown),
        size=shown.size,
        grid=grid,
        tokens=tokens,
        context=checkpoint.context,
        keys_and_values=measure_keys(text, checkpoint.dtype, tokens),
        flops=seen + sizes.read_flops(tokens),
        **found,
    )


def _make_blank(checkpoint: Checkpoint) -> Video:
    """Make a blank video of a usual size, with as many frames as the model prefers."""
    times = np.arange(round(USUAL_SECONDS * USUAL_RATE)) / USUAL_RATE
    asked = 1 if checkpoint.medium == "image" else checkpoint.preferred_frames
    count = count_frames(asked, USUAL_SECONDS, len(times))
    indices = np.linspace(0, len(times) - 1, count).round().astype(int)
    return Video(np.zeros((count, *USUAL_SIZE, 3), np.uint8), tuple(indices.tolist()), times)


def count_patches(checkpoint: Checkpoint, inputs: Inputs, grid: tuple[int, int, int]) -> int:
    """Count the patches of a frame that the vision tower sees, by the pixels of its inputs.

    As many as visual tokens, if the configuration does not say how large a patch is.
    """
    eyes = getattr(checkpoint.config, "vision_config", None)
    side = getattr(eyes, "patch_size", None)
    pixels = sum(value.numel() for name, value in inputs.items() if name.startswith("pixel_values"))
    if not isinstance(side, int) or not pixels:
        return grid[1] * grid[2]
    depth = getattr(eyes, "temporal_patch_size", None) or 1
    return round(pixels / (COLOURS * side**2 * depth) / grid[0])


def measure_sizes(checkpoint: Checkpoint) -> ModelSizes:
    """Measure the sizes of a model, as its configuration has them.

    The model is built without memory: one that is loaded may hold its weights in fewer bits, whose
    shapes say nothing.
    """
    with torch.device("meta"):
        module = type(checkpoint.module)(deepcopy(checkpoint.config))
    text = module.config.get_text_config()
    decoder = operator.attrgetter(checkpoint.family.language_model)(module)
    # Of models whose layers differ, the first is taken for all.
    depth, first = len(decoder.layers), text.per_layer_config[0]
    # Experts that a token does not meet take memory and no time.
    met = sum(_count_met(name, weight, text) for name, weight in _matrices(decoder.layers)) // depth
    vision = _measure_vision(module, decoder)
    seen = vision.layers * vision.layer_weights + vision.projector_weights
    everything = sum(weight.numel() for _, weight in _matrices(module))
    return ModelSizes(
        layers=depth,
        hidden=text.hidden_size,
        intermediate=getattr(first, "intermediate_size", None) or text.hidden_size,
        heads=first.num_attention_heads,
        groups=getattr(first, "num_key_value_heads", None) or first.num_attention_heads,
        head_width=width(first),
        layer_weights=met,
        other_weights=everything - depth * met - seen,
        vision=vision,
        number=checkpoint.dtype.itemsize,
    )


def _matrices(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights with more than one axis, with their names; tied ones once."""
    for name, weight in module.named_parameters():
        if weight.ndim > 1:
            yield name, weight


def _count_met(name: str, weight: Tensor, text: Any) -> int:
    """Count the numbers of a weight that one token is multiplied with."""
    if ".experts." not in f".{name}.":
        return weight.numel()
    there = next((n for key in EXPERTS if (n := getattr(text, key, None))), None)
    chosen = next((n for key in CHOSEN if (n := getattr(text, key, None))), None)
    if there is None or chosen is None:
        return weight.numel()
    return weight.numel() * chosen // there


def _measure_vision(module: Any, decoder: nn.Module) -> VisionSizes:
    """Measure the vision tower, and what is between it and the decoder.

    The tower is the largest stack of like layers that is neither in the decoder nor for sounds. Of
    models with two, one for pictures and one for videos, only one runs.
    """
    deaf = [part for name, part in module.named_modules() if name.endswith("audio_tower")]
    inside = {inner for part in (decoder, *deaf) for inner in part.modules()}
    stacks = [
        part
        for part in module.modules()
        if isinstance(part, nn.ModuleList | nn.Sequential)
        and part not in inside
        and len({type(inner) for inner in part}) == 1
    ]
    sizes = [sum(weight.numel() for _, weight in _matrices(part)) for part in stacks]
    stacked = {inner for part in stacks for inner in part.modules()}
    outside = inside | stacked | {module.get_output_embeddings()}
    lines = [part for part in module.modules() if isinstance(part, nn.Linear)]
    between = sum(part.weight.numel() for part in lines if part not in outside)
    if not stacks:  # some decoders take patches themselves
        return VisionSizes(0, 0, 0, between)
    largest = max(range(len(stacks)), key=sizes.__getitem__)
    tower = stacks[largest]
    # The numbers that a patch has are those that enter the first matrix of a layer.
    first = next(part for part in tower.modules() if isinstance(part, nn.Linear))
    return VisionSizes(len(tower), first.in_features, sizes[largest] // len(tower), between)


def _format_count(count: int) -> str:
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return f"{count:,}"


def _format_bytes(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / MIB:.0f} MiB"

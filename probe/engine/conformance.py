"""Proofs on the live model that a checkpoint is read correctly: that its family's entry is true.

Five things must hold: there are as many visual tokens as cells, rows of attention sum to one, a
painted cell changes its own visual token most and no token of another frame, cutting the question
off from the video moves the answer, and rows equal those of eager attention. The first is checked
whenever a model is opened (`Decoder.check`): it needs the processor alone and takes milliseconds
however large the model; the others run the model and are made on request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.cell_places import CellPlaces, count_places
from probe.engine.grids import Cells
from probe.engine.model import VideoLM
from probe.engine.questions import AttentionSelection, QuestionTokens
from probe.engine.view import View
from probe.video import Box, Video

FRAMES = 5
"""Frames of the video that is shown, an odd number: models that merge frames must pad it."""

SPOTS = 5
"""Cells that are painted at least, however few frames there are."""

QUESTION = "Is there a red circle in this video?"

ROWS_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""The most that attention may differ between sdpa and eager, whose kernels add up in another order;
1e-6 is usual in float32, and models with very large logits come to 1e-4."""

SUM_TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""The most that a row may miss one, once it is rounded to the model's type."""

LOGITS_TOLERANCE = {torch.float32: 1e-2, torch.float16: 0.1, torch.bfloat16: 0.5}
"""The most that the logits of an answer may differ, as a share of their spread: a head that is left
out (a scale, a cap) changes them by more, other kernels by 1e-5 in float32."""

LEAK = 1e-3
"""The most that tokens of other frames may have of a change, as a share of all of it."""

LEAK_8BIT = 0.5
"""The most for weights in 8 bits, where the largest features of one frame set the scale of all."""

HITS = 0.6
"""The least share of painted cells that must change their own token most: a vision tower may
spread a cell over its neighbours now and then, but a wrong grid misses nearly all."""

LEAST_MOVE = 1e-3
"""The least change of an answer's logits that counts, as a share of their spread."""


@dataclass(frozen=True)
class Proof:
    """One thing that must hold, and what was measured."""

    name: str
    passed: bool
    found: str
    """In words."""
    numbers: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Conformance:
    """Proofs that a checkpoint is read correctly."""

    model: str
    proofs: tuple[Proof, ...]

    places: CellPlaces | None = None
    """Numbers of the places that cells have in the positional encoding; they prove nothing, since
    some models give several frames of a short clip one place in time. None if nothing was read."""

    @property
    def passed(self) -> bool:
        """True if all of them hold."""
        return all(proof.passed for proof in self.proofs)

    def to_dict(self) -> dict[str, Any]:
        """Return the model's name, whether all proofs hold, and each proof, in plain values."""
        proofs = [
            {
                "name": proof.name,
                "passed": bool(proof.passed),
                "found": proof.found,
                "numbers": {name: _as_plain(number) for name, number in proof.numbers.items()},
            }
            for proof in self.proofs
        ]
        places = None if self.places is None else self.places.to_dict()
        return {
            "model": self.model,
            "passed": self.passed,
            "proofs": proofs,
            "positions": places,
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a proof: `proof`, `passed` and what was `found`."""
        rows = [(proof.name, proof.passed, proof.found) for proof in self.proofs]
        return pd.DataFrame(rows, columns=["proof", "passed", "found"])


def _as_plain(number: int | float) -> int | float | None:
    """Convert a number, which may be one of NumPy, to what JSON has; infinities are no numbers."""
    if not isfinite(number):
        return None
    return int(number) if number == int(number) else float(number)


def check_model(model: VideoLM, video: Video | None = None) -> Conformance:
    """Prove on the live model that its visual grid, attention and positions are read correctly.

    Runs the vision tower once for each frame and the whole model three times, once with eager
    attention.

    Args:
        model: The model.
        video: What to show it; by default a few frames of coloured tiles, wider than tall.
    """
    # One picture of a family of pictures; a family that reads both is shown a video.
    frames = 1 if model.checkpoint.family.medium == "image" else FRAMES
    shown = mosaic(frames) if video is None else video
    grid = grid_proof(model, shown)
    if not grid.passed:
        rest = [Proof(name, False, "not tried: the grid does not fit") for name in PROOFS]
        return Conformance(model.name, (grid, *rest))
    view = model.watch(shown)
    proofs = grid, *(prove(model, view) for prove in PROOFS.values())
    return Conformance(model.name, proofs, count_places(view))


def mosaic(frames: int = FRAMES, tiles: tuple[int, int] = (12, 20), side: int = 16) -> Video:
    """Make frames of coloured tiles."""
    colours = np.random.default_rng(0).integers(0, 256, (frames, *tiles, 3), dtype=np.uint8)
    pictures = colours.repeat(side, axis=1).repeat(side, axis=2)
    return Video(pictures, tuple(range(frames)), np.arange(frames) / 2)


def grid_proof(model: VideoLM, video: Video) -> Proof:
    """Prove that there are as many visual tokens as grid cells."""
    checkpoint = model.checkpoint.for_video(video)
    inputs = checkpoint.process(video, checkpoint.writer(before=0).text(QUESTION))
    try:
        grid = checkpoint.grid(video, inputs)
    except ValueError as failure:
        return Proof("grid", False, str(failure))
    frames, rows, columns = grid.shape
    found = f"{len(grid)} visual tokens, {frames} frames of {rows} x {columns} cells"
    return Proof("grid", True, found, {"tokens": len(grid), "cells": len(grid.cells)})


def sum_proof(model: VideoLM, view: View) -> Proof:  # noqa: ARG001
    """Prove that rows of attention over all positions sum to one."""
    *_, asked = view.reader.pack([QUESTION])
    # All positions, not the visual ones alone: only the whole row has to sum to one.
    everywhere = torch.arange(len(view.prefix) + len(asked.embeddings))
    kept = AttentionSelection(everywhere, view.decoder.plan.attending)
    rows, _ = _forward(view, asked, kept)
    error = max((row.sum(-1) - 1).abs().max().item() for row in rows)
    allowed = SUM_TOLERANCE[view.checkpoint.dtype]
    found = f"rows sum to one within {error:.1e} (allowed: {allowed:.0e})"
    return Proof("rows sum to one", error <= allowed, found, {"error": error})


def paint_proof(model: VideoLM, view: View) -> Proof:
    """Prove that a painted cell changes its own visual token most, and none of another frame."""
    before, cells = _visual_tokens(view), view.grid.cells
    hits, leak, missed = 0, 0.0, ""
    allowed = LEAK_8BIT if model.quantized == "8bit" else LEAK
    count = len(view.video)
    spots = _spots(max(count, SPOTS), cells, view.video.size)
    # One cell in each frame, since a pass of the vision tower is what this costs; several in a
    # picture, of which one cell could be right by chance.
    for number, (row, column) in enumerate(spots):
        place = number % count
        (frame,) = [
            i for i, sources in enumerate(cells.frames) if view.video.indices[place] in sources
        ]
        after = _visual_tokens(model.watch(_painted(view, place, row, column)))
        change = (after - before).norm(dim=-1) / before.norm(dim=-1)
        others = torch.cat([change[:frame], change[frame + 1 :]]).sum()
        leak = max(leak, (others / change.sum()).nan_to_num(1.0).item())
        peak = divmod(int(change[frame].argmax()), cells.columns)
        hits += peak == (row, column)
        if peak != (row, column):
            missed = f"; cell {row}, {column} of frame {place} showed at {peak[0]}, {peak[1]}"
    elsewhere = f"; tokens of other frames had {leak:.1e} of a change (allowed: {allowed:.0e})"
    found = f"{hits} of {len(spots)} painted cells changed their own token most{missed}"
    found += elsewhere if count > 1 else ""
    passed = hits >= HITS * len(spots) and leak <= allowed
    return Proof("painted cells", passed, found, {"hits": hits / len(spots), "leak": leak})


def cut_proof(model: VideoLM, view: View) -> Proof:  # noqa: ARG001
    """Prove that a question that cannot see the video gets another answer."""
    *_, asked = view.reader.pack([QUESTION])
    # Done by the mask of the pass, so that the proof does not rest on our own interventions.
    blind = {kind: mask.clone() for kind, mask in asked.masks.items()}
    for mask in blind.values():
        mask[:, view.grid.positions.to(mask.device)] = False
    nothing = AttentionSelection(view.grid.positions, ())
    answers = []
    for masks in (asked.masks, blind):
        _, hidden = _forward(view, replace(asked, masks=masks), nothing)
        answers.append(view.checkpoint.logits(hidden[-1:]))
    moved = ((answers[0] - answers[1]).abs().max() / answers[0].std()).item()
    found = f"cutting the question off from the video moved the answer by {moved:.2g} of its spread"
    if view.decoder.plan.is_recurrent:
        found += f" ({view.decoder.plan.describe()}; what the others carry is not cut)"
    return Proof("cut edges", moved > LEAST_MOVE, found, {"moved": moved})


def eager_proof(model: VideoLM, view: View) -> Proof:  # noqa: ARG001
    """Prove that rows equal those of a plain pass with eager attention and full matrices."""
    checkpoint = view.checkpoint
    inputs = checkpoint.process(view.video, checkpoint.writer(before=0).text(QUESTION))
    expected, plain = view.decoder.eager_rows(inputs, len(view.prefix), view.grid.positions)
    (reading,) = view.read(QUESTION)
    ours = view.grid.unfold(reading.attention)
    if ours.shape != expected.shape:
        found = f"the question has {ours.shape[2]} tokens, but {expected.shape[2]} in a plain pass"
        return Proof("eager attention", False, found)
    error = (ours - expected).abs().max().item()
    allowed = ROWS_TOLERANCE[checkpoint.dtype]
    # The answer, too: a head of the model may do more than multiply by its matrix.
    missed = ((reading.logits - plain).abs().max() / plain.std()).item()
    most = LOGITS_TOLERANCE[checkpoint.dtype]
    found = (
        f"rows differ by {error:.1e} from eager attention (allowed: {allowed:.0e}), the answer's "
        f"logits by {missed:.1e} of their spread (allowed: {most:.0e})"
    )
    numbers = {"error": error, "logits": missed}
    return Proof("eager attention", error <= allowed and missed <= most, found, numbers)


PROOFS: dict[str, Callable[[VideoLM, View], Proof]] = {
    "rows sum to one": sum_proof,
    "painted cells": paint_proof,
    "cut edges": cut_proof,
    "eager attention": eager_proof,
}
"""The proofs that run the model, by name."""


def _forward(
    view: View, questions: QuestionTokens, selection: AttentionSelection
) -> tuple[list[Tensor], Tensor]:
    past = view.cache.past(view.checkpoint.depth)
    return view.decoder.forward_questions(past, questions, selection)


def _visual_tokens(view: View) -> Float[Tensor, "frame row column hidden"]:
    return (
        view.prefix.embeddings[view.grid.positions.to(view.prefix.embeddings.device)]
        .float()
        .unflatten(0, view.grid.shape)
    )


def _spots(count: int, cells: Cells, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Choose cells to paint, off the diagonal, so that rows taken for columns are noticed."""
    _, rows, columns = cells.shape
    places = [(row, column) for row in range(rows) for column in range(columns)]
    # Those of a processor's own margin around the picture have no pixels to paint.
    places = [place for place in places if _is_within(cells.box(*place), size)] or places
    tilted = [(row, column) for row, column in places if row != column] or places
    chosen = np.linspace(0, len(tilted) - 1, count).round().astype(int)
    return [tilted[index] for index in chosen]


def _is_within(box: Box, size: tuple[int, int]) -> bool:
    """Tell whether the middle of a cell lies in a frame of this height and width."""
    left, top, right, bottom = box
    return 0 <= left + right < 2 * size[1] and 0 <= top + bottom < 2 * size[0]


def _painted(view: View, place: int, row: int, column: int) -> Video:
    """Invert the pixels of one cell of one sampled frame."""
    height, width = view.video.size
    left, top, right, bottom = view.grid.cells.box(row, column)
    rows = slice(max(0, round(top)), min(height, round(bottom)))
    columns = slice(max(0, round(left)), min(width, round(right)))
    frames = view.video.frames.copy()
    frames[place, rows, columns] ^= 255
    return replace(view.video, frames=frames)

"""Write the page of models, from what is found by running them: `python docs/write_models.py`.

Each architecture of the installed transformers that takes videos or single pictures is built with
random weights, as small as it gets, opened like any checkpoint, and proved by `check_model`.
Nothing is downloaded.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import probe  # before transformers: torchvision may need its operators declared

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("models.md")
sys.path.insert(0, str(ROOT / "tests"))  # the tiny checkpoints are those of the tests

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers.models.auto.modeling_auto import (  # noqa: E402
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as CLASSES,
)
from transformers.models.auto.modeling_auto import (  # noqa: E402
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES as MORE_CLASSES,
)
from transformers.models.auto.video_processing_auto import (  # noqa: E402
    VIDEO_PROCESSOR_MAPPING_NAMES as VIDEO_PROCESSORS,
)
from zoo import moving, save_tiny  # noqa: E402

from probe.engine.conformance import check_model, mosaic  # noqa: E402
from probe.engine.families import FAMILIES, PICTURES, Family, family_of  # noqa: E402
from probe.engine.layer_plan import LayerPlan  # noqa: E402
from probe.engine.tower import read_tower  # noqa: E402

OPENING = f"""# Models

Every architecture of transformers {transformers.__version__} that takes videos, and those that are
read when they are shown a picture. Each that is read was built with random weights, as small as it
gets, opened by `probe.load`, and proved by [`check_model`](how-to/add-a-family.md#the-proof) in
float32: five proofs of five. None of them depends on what a model has learned; `probe check-model
NAME` repeats them on a checkpoint of yours.

- `rows`: the most by which attention, which is at most 1, differs from that of a plain pass.
- `logits`: the most by which those of an answer do, as a share of their spread.
- Layers that do not attend have no maps; the others keep their numbers.
- `tower`: which of the layers of the vision tower that attend, up to the one that the decoder is
  given, are read by `probe.tower_attention` and traced through by `probe.tower_rollout`. Tests
  compare their rows with those of each class's own eager attention.
- Models that think before they answer are asked not to (`enable_thinking` is false in the chat
  template), since a yes or a no cannot be read where a thought begins. A template that leaves a
  thought open all the same is refused.

This page is written by `python docs/write_models.py`."""

TILED = "how visual tokens tile what is shown"

HEADS = {
    "read": ("type", "class", TILED, "layers", "tower", "rows", "logits"),
    "refused": ("type", "class", "reason"),
}

RECURRENT = {"linear_attention": "linear attention", "conv": "convolutions"}
"""Layers without attention, in words."""


@dataclass(frozen=True)
class Row:
    """A line of the page: one architecture, as it was found."""

    model_type: str
    kind: str
    """The class of transformers that opens it."""

    cells: str = ""
    layers: str = ""
    tower: str = ""
    rows: float = 0.0
    logits: float = 0.0
    refused: str = ""
    """The reason; empty if it is read."""

    def write(self) -> str:
        """Write the line as Markdown."""
        cells = [f"`{self.model_type}`", f"`{self.kind}`"]
        if self.refused:
            cells += [self.refused]
        else:
            # A power of ten above: the digits before it differ from CPU to CPU.
            cells += [self.cells, self.layers, self.tower]
            cells += map(round_up, (self.rows, self.logits))
        return f"| {' | '.join(cells)} |"


def round_up(error: float) -> str:
    """Write the power of ten above a small number.

    >>> round_up(3.2e-06)
    '< 1e-05'
    """
    power = -8
    while error >= 10.0**power:
        power += 1
    return f"< 1e{power:03d}"


def class_of(model_type: str) -> str:
    """Return the name of the class that opens an architecture; "" if it writes no words."""
    found = CLASSES.get(model_type, MORE_CLASSES.get(model_type, ""))
    return found if isinstance(found, str) else found[0]


def describe_layers(plan: LayerPlan) -> str:
    """Say in words what the layers of a decoder do; their numbers are those of a tiny one."""
    others = {RECURRENT[kind] for kind in plan.kinds if kind in RECURRENT}
    words = f"some attend, others: {', '.join(sorted(others))}" if others else "all attend"
    if plan.window is not None:
        words += ", some within a window"
    if plan.sharing:
        words += ", some with keys of another"
    return words


def describe_tower(model: probe.VideoLM, video: probe.Video) -> str:
    """Say in words which layers of the vision tower are read, or why none is."""
    view = model.watch(video)
    try:
        tower = read_tower(view)
    except ValueError as reason:
        return f"none: {str(reason).partition(': ')[2]}"
    words = "those above the merging of patches" if tower.below else "all"
    frames = min(len(layer) for layer in tower.layers)
    windowed = any(len(layer) > frames for layer in tower.layers)
    return f"{words}, some within windows" if windowed else words


def prove(model_type: str, entry: Family, folder: Path) -> Row:
    """Build a tiny checkpoint of an architecture, open it, and prove that it is read.

    Raises:
        ValueError: if it is not.
    """
    save_tiny(model_type, folder)
    model = probe.load(folder, dtype="float32")
    shown = mosaic(1) if entry.medium == "image" else None
    report = check_model(model, shown)
    if not report.passed:
        raise ValueError(f"{model_type}: {report.to_frame().to_string()}")
    numbers: dict[str, Any] = dict(report.proofs[-1].numbers)
    first, *_ = str(entry.cells.__doc__).splitlines()
    return Row(
        model_type,
        class_of(model_type),
        first.rstrip("."),
        describe_layers(model.decoder.plan),
        describe_tower(model, shown or moving()),
        numbers["error"],
        numbers["logits"],
    )


def find_videos() -> Iterator[Row]:
    """Find what is read of each architecture that takes videos, and writes words."""
    for model_type in sorted({*VIDEO_PROCESSORS, *FAMILIES}):
        if not class_of(model_type):
            continue
        try:
            entry = family_of(model_type)
        except ValueError as reason:
            yield Row(model_type, class_of(model_type), refused=str(reason).partition(": ")[2])
            continue
        with tempfile.TemporaryDirectory() as folder:
            yield prove(model_type, entry, Path(folder))


def find_pictures() -> Iterator[Row]:
    """Find what is read of each architecture that is shown a picture."""
    for model_type, entry in sorted(PICTURES.items()):
        with tempfile.TemporaryDirectory() as folder:
            yield prove(model_type, entry, Path(folder))


def list_names(names: list[str]) -> str:
    """Write names in a row, as code."""
    return ", ".join(f"`{name}`" for name in names)


def write_table(rows: list[Row], heads: tuple[str, ...]) -> str:
    """Write lines under their heads."""
    return "\n".join(
        [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(row.write() for row in rows)]
    )


def make_page(videos: list[Row], pictures: list[Row]) -> str:
    """Make the page of what was found."""
    read = [row for row in videos if not row.refused]
    refused = [row for row in videos if row.refused]
    silent = [name for name in sorted(VIDEO_PROCESSORS) if not class_of(name)]
    known = {row.model_type for row in (*videos, *pictures)}
    without = [name for name in sorted(CLASSES) if name not in known]
    parts = [
        OPENING,
        f"## Videos: {len(read)} architectures are read",
        write_table(read, HEADS["read"]),
        f"## Videos: {len(refused)} are refused, with the reason",
        write_table(refused, HEADS["refused"]),
        "These take videos and write no words, so there is no question to read: "
        f"{list_names(silent)}.",
        f"## Pictures: {len(pictures)} architectures are read",
        write_table(pictures, HEADS["read"]),
        f"These take pictures, and have no entry yet: {list_names(without)}.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    PAGE.write_text(make_page(list(find_videos()), list(find_pictures())), encoding="utf-8")

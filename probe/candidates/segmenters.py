"""Segmenters: SAM gives the mask of the thing at a pixel, or masks of everything in a picture.

The latter is SAM's automatic mask generation: it is asked at a grid of points, and what it is not
sure of, and what it found twice, is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import SamModel, SamProcessor

from probe.candidates.detector_models import DetectorModel, ModelKind, Pixels, open_detector_model
from probe.video import box_iou
from probe.video.masks import Mask

SEGMENTATION = "facebook/sam-vit-huge"
"""The checkpoint that PCNet takes its proposals from."""

SEGMENTERS: Mapping[str, ModelKind] = {"sam": ModelKind("SAM", SamModel, SamProcessor)}
"""The segmenters, by the type that a configuration gives them."""


@dataclass(frozen=True)
class EverythingConfig:
    """The numbers of the mask generation; the defaults are those of PCNet."""

    points: int = 8
    """Points along each side of the grid."""

    quality: float = 0.7
    """The least IoU with the true mask that SAM predicts of a mask."""

    stability: float = 0.7
    """The least IoU of a mask with itself when the threshold of its logits moves by 1."""

    box_overlap: float = 0.7
    """Greatest IoU of the boxes of two masks; above it SAM's less sure one is left out."""


@dataclass(frozen=True, eq=False)
class SeenPicture:
    """A picture that a segmenter has looked at once, to be asked at many points."""

    size: tuple[int, int]
    """Height and width in pixels."""

    embedding: Float[Tensor, "1 channel row column"]
    """SAM's view of it."""


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A model that makes masks of things in pictures."""

    opened: DetectorModel

    def describe(self, config: EverythingConfig) -> dict[str, Any]:
        """Return what the masks depend on besides the picture: the model, and the numbers."""
        return {"segmentation": self.opened.describe(), "numbers": dict(vars(config))}

    @torch.no_grad()
    def look(self, picture: Pixels) -> SeenPicture:
        """Look at a picture."""
        prepared = self.opened.prepare(picture)
        embedding = self.opened.model.get_image_embeddings(prepared["pixel_values"])
        height, width, _ = picture.shape
        return SeenPicture((height, width), embedding)

    def mask_at(self, seen: SeenPicture, row: int, column: int) -> Mask:
        """Make the mask of the thing at a pixel: of SAM's three, the one it is surest of."""
        middle = np.array([[column + 0.5, row + 0.5]])  # x before y, and the middle of the pixel
        masks, quality = self._ask(seen, middle)
        # Without a box, SAM cannot know whether a part or the whole is meant, and makes three.
        best = int(quality[0].argmax())
        return Mask.from_pixels((masks[0, best] > 0).cpu().numpy())

    def find_everything(
        self, picture: Pixels, config: EverythingConfig | None = None
    ) -> tuple[Mask, ...]:
        """Make the masks of everything in a picture, the surest first."""
        config = config or EverythingConfig()
        seen = self.look(picture)
        height, width = seen.size
        # The middles of equal squares, as SAM's authors place them.
        steps = (np.arange(config.points) + 0.5) / config.points
        grid = np.stack(np.meshgrid(steps * width, steps * height), axis=-1).reshape(-1, 2)
        masks, quality = self._ask(seen, grid)
        whole = torch.tensor([0, 0, width, height], device=masks.device)
        runs, sure, boxes = self.opened.processor.image_processor.filter_masks(
            masks, quality, seen.size, whole, config.quality, config.stability
        )
        # The rest of transformers' pipeline is not used: it calls a compiled operator of
        # torchvision, whose published wheel does not load it next to a CPU build of torch.
        kept = drop_repeated(
            boxes.double().cpu().numpy(), sure.float().cpu().numpy(), config.box_overlap
        )
        return tuple(_decode_runs(runs[index]) for index in kept)

    @torch.no_grad()
    def _ask(
        self, seen: SeenPicture, points: Float[np.ndarray, "point 2"]
    ) -> tuple[Float[Tensor, "point 3 height width"], Float[Tensor, "point 3"]]:
        """Ask for the masks at points (x, y in pixels): logits, and their predicted quality."""
        model, processor = self.opened.model, self.opened.processor.image_processor
        # As SAM's processor does for points in a picture's pixels; it is not asked for them, since
        # it would prepare the picture again.
        longest = processor.size["longest_edge"]
        scale = longest / max(seen.size)
        resized = tuple(int(side * scale + 0.5) for side in seen.size)
        shares = points / np.array(seen.size[::-1]) * np.array(resized[::-1])
        asked = torch.tensor(shares, dtype=model.dtype, device=model.device)
        found = model(
            image_embeddings=seen.embedding,
            input_points=asked[None, :, None],
            input_labels=torch.ones(1, len(points), 1, dtype=torch.long, device=model.device),
            multimask_output=True,
        )
        masks = processor.post_process_masks(
            found.pred_masks.float(), [seen.size], [resized], binarize=False
        )
        return masks[0], found.iou_scores[0].float()


def open_segmenter(
    name: str = SEGMENTATION, *, device: str = "cpu", dtype: str = "auto"
) -> Segmenter:
    """Open SAM: a folder of a checkpoint, or its name on the Hugging Face hub.

    Only safetensors weights are read, and no code of a checkpoint is run.

    Args:
        name: The folder or hub name.
        device: Device of the model, such as "cpu" or "cuda".
        dtype: "auto" for the type in which the weights were saved, or "float32", "bfloat16",
            "float16".

    Raises:
        ValueError: if there is no such checkpoint, it is another model, its weights are not
            safetensors, some are missing or not finite, or device or dtype are unknown.
    """
    return Segmenter(open_detector_model(name, SEGMENTERS, device=device, dtype=dtype))


def drop_repeated(
    boxes: Float[np.ndarray, "box 4"], sure: Float[np.ndarray, " box"], overlap: float
) -> list[int]:
    """List the boxes that no surer one overlaps by more than a limit, the surest first.

    This is greedy non-maximum suppression.
    """
    kept: list[int] = []
    for index in np.argsort(-sure, kind="stable").tolist():
        rivals = boxes[kept]
        others = np.broadcast_to(boxes[index], rivals.shape)
        if not (box_iou(others, rivals) > overlap).any():
            kept.append(index)
    return kept


def _decode_runs(record: Mapping[str, Any]) -> Mask:
    """Make a mask of the runs that transformers gives, which go down the columns as COCO's do."""
    height, width = record["size"]
    counts = np.asarray(record["counts"])
    values = np.arange(len(counts)) % 2 == 1
    return Mask.from_pixels(np.repeat(values, counts).reshape(width, height).T)

"""Mask proposals of pictures: the largest things in each, found by a segmenter or given as files.

The rules are those of PCNet: small masks are dropped, of two that are nearly the same the smaller
one is dropped, and the largest are kept. What a segmenter found is kept in a folder, which can be
given instead of the segmenter from then on.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from pycocotools import mask as coco_mask
from torch import Tensor

from probe.candidates.segmenters import EverythingConfig, Segmenter
from probe.files import FileFormat, read_json, write_json
from probe.video.images import image_size, list_images, read_pixels
from probe.video.masks import Mask, read_mask

PROPOSALS_FORMAT = FileFormat(
    "grounding-probe/mask-proposals", 1, contents="mask proposals", writer="SegmentedPictures"
)

HALF = 128
"""The value from which a pixel of a mask picture belongs to the mask."""


@dataclass(frozen=True)
class ProposalConfig:
    """The choice among the masks of a picture; the defaults are those of PCNet."""

    area: int = 1000
    """Pixels of the smallest mask that is kept, at the size of the picture."""

    overlap: float = 0.8
    """Greatest IoU of two masks that are kept; above it the smaller one is dropped."""

    most: int = 40
    """Number of the largest masks that are kept."""


@runtime_checkable
class ProposalSource(Protocol):
    """Gives the masks of everything that may be meant in a picture, before the choice."""

    def find(self, picture: Path) -> tuple[Mask, ...]:
        """Find the masks of a picture.

        Raises:
            ValueError: if there are none, or they cannot be read.
        """
        ...


@dataclass(frozen=True)
class MaskFolder:
    """A folder of masks, for a picture `a.jpg`: `a.json`, or a folder `a` of black and white ones.

    The JSON is a list of masks in COCO's run-length form, each alone or in an object as
    `segmentation`, which is how SAM's own code writes them; or a file of `SegmentedPictures`.
    """

    folder: Path

    def find(self, picture: Path) -> tuple[Mask, ...]:
        """Read the masks of a picture.

        Raises:
            ValueError: if there are none, they cannot be read, or are of another size.
        """
        file, pictures = self.folder / f"{picture.stem}.json", self.folder / picture.stem
        width, height = image_size(picture)
        if file.is_file():
            return _read_masks(file, read_json(file), (height, width))
        if pictures.is_dir():
            return tuple(
                _read_mask_picture(path, (height, width)) for path in list_images(pictures)
            )
        raise ValueError(
            f"{self.folder}: no masks of {picture.name} in it, looked for {file.name} and a folder "
            f"{picture.stem}; make them for all pictures"
        )


@dataclass(frozen=True, eq=False)
class SegmentedPictures:
    """Masks that a segmenter makes of each picture once, and that are kept in a folder."""

    segmenter: Segmenter
    folder: Path
    config: EverythingConfig = field(default_factory=EverythingConfig)

    def find(self, picture: Path) -> tuple[Mask, ...]:
        """Read the kept masks of a picture, or make and keep them.

        A file of another segmenter, of other numbers or of another picture gives a warning, and is
        replaced.

        Raises:
            ValueError: if the picture cannot be read, or the folder cannot be written.
        """
        path = self.folder / f"{picture.stem}.json"
        with picture.open("rb") as stream:
            content = file_digest(stream, "sha256").hexdigest()
        key = {"picture": content, **self.segmenter.describe(self.config)}
        if path.exists():
            try:
                stored = PROPOSALS_FORMAT.check(path, read_json(path))
                if stored.get("key") == key:
                    return _read_masks(path, stored)
                problem = "holds masks of another picture, segmenter or setting"
            except ValueError:
                problem = "is damaged"
            warnings.warn(f"{path} {problem}; they are made again", stacklevel=2)
        masks = self.segmenter.find_everything(read_pixels(picture), self.config)
        self.folder.mkdir(parents=True, exist_ok=True)
        # All of them, before the choice: another choice then needs no segmenter.
        records = [mask.to_dict() for mask in masks]
        write_json(path, {**PROPOSALS_FORMAT.header, "key": key, "masks": records})
        return masks


def choose_proposals(
    masks: Sequence[Mask], config: ProposalConfig | None = None
) -> tuple[Mask, ...]:
    """Choose the masks of a picture that may be meant, the largest first."""
    config = config or ProposalConfig()
    large = [mask for mask in masks if mask.area >= config.area]
    # The larger of two goes first, so that what overlaps it too much is the smaller one.
    large.sort(key=lambda mask: mask.area, reverse=True)
    kept: list[Mask] = []
    for mask in large:
        if len(kept) < config.most and not (_overlap(mask, kept) > config.overlap).any():
            kept.append(mask)
    return tuple(kept)


def shrink_proposals(
    masks: Sequence[Mask], side: int, count: int
) -> Float[Tensor, "proposal cell"]:
    """Shrink masks to squares by nearest neighbour, and fill up with empty ones.

    Args:
        masks: At most `count` masks of one picture.
        side: Rows and columns of the squares.
        count: Number of squares.

    Returns:
        0 and 1, row by row.
    """
    shrunk = torch.zeros(count, side, side)
    # Nearest neighbour, as published: a thin mask may vanish, and none becomes grey. Only pixels
    # that stay are taken, which is ten times faster than to resize 40 pictures.
    for place, mask in enumerate(masks):
        rows, columns = (np.arange(side) * edge // side for edge in mask.size)
        shrunk[place] = torch.from_numpy(mask.to_pixels()[np.ix_(rows, columns)])
    return shrunk.flatten(1)


def _overlap(mask: Mask, others: Sequence[Mask]) -> Float[np.ndarray, " other"]:
    """Compute the IoU of a mask with each of some others."""
    if not others:
        return np.zeros(0)
    records: Any = [other.to_dict() for other in others]
    found = coco_mask.iou([mask.to_dict()], records, [False] * len(others))  # pyright: ignore
    return np.asarray(found)[0]


def _read_masks(path: Path, content: Any, size: tuple[int, int] | None = None) -> tuple[Mask, ...]:
    records = content.get("masks") if isinstance(content, dict) else content
    if not isinstance(records, list):
        raise ValueError(f"{path}: no list of masks; give one of COCO's run-length records")
    return tuple(
        read_mask(f"{path}, mask {number}", _find_record(record), size)
        for number, record in enumerate(records, start=1)
    )


def _find_record(record: Any) -> Any:
    wrapped = isinstance(record, Mapping) and "segmentation" in record
    return record["segmentation"] if wrapped else record


def _read_mask_picture(path: Path, size: tuple[int, int]) -> Mask:
    pixels = read_pixels(path).max(axis=2) >= HALF
    if pixels.shape != size:
        raise ValueError(
            f"{path}: a mask of {pixels.shape}, but its picture is {size} (height, width); give "
            "masks at the picture's size"
        )
    return Mask.from_pixels(pixels)

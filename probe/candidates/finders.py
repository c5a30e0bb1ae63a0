"""Finders: models that find in one picture the things that a phrase names.

Each type is one entry of `FINDERS`. Some read any words, others know a fixed set of classes, of
which the phrase must be one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoModelForObjectDetection,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
)

from probe.candidates.detections import Detection, DetectionConfig
from probe.candidates.detector_models import DetectorModel, ModelKind, Pixels, open_detector_model
from probe.spelling import find_similar

SHOWN_CLASSES = 100
"""Most classes of a closed set that an error lists."""

Boxes: TypeAlias = Float[Tensor, "box 4"]
"""Left, top, right and bottom edges in pixels of the picture."""

Scores: TypeAlias = Float[Tensor, " box"]
"""Certainty of each box, from 0 to 1."""


@dataclass(frozen=True)
class FinderKind(ModelKind):
    """A type of finder: how it is opened, asked, and what it can be asked."""

    search: Callable[[DetectorModel, Pixels, str, DetectionConfig], tuple[Boxes, Scores]]
    """Finds the boxes above the threshold that belong to a phrase."""

    check: Callable[[DetectorModel, str], None]
    """Refuses a phrase that the model cannot read or does not know, with a ValueError."""

    threshold: float
    """Least score of a box, unless another is configured: the one of its authors' examples, as
    scores of different types have different scales."""


@dataclass(frozen=True, eq=False)
class Finder:
    """A model that finds things by a phrase in a picture."""

    opened: DetectorModel
    kind: FinderKind

    @torch.inference_mode()
    def find(self, picture: Pixels, phrase: str, config: DetectionConfig) -> list[Detection]:
        """Find the things that a phrase names in one picture.

        Args:
            picture: Upright RGB pixels.
            phrase: Such as "man", in lower case and without a full stop.
            config: Least scores of a box and of its words.

        Returns:
            The boxes within the picture, in the order of the detector.
        """
        settled = config.with_box_threshold(self.kind.threshold)
        boxes, scores = self.kind.search(self.opened, picture, phrase, settled)
        clipped = _clip_boxes(boxes.double().cpu().numpy(), picture)
        return [
            Detection(box, score, phrase)
            for box, score in zip(clipped, scores.float().tolist(), strict=True)
            if (box[2:] > box[:2]).all()
        ]


def open_finder(name: str, *, device: str, dtype: str) -> Finder:
    """Open a finder; the errors are those of `open_detector_model`."""
    opened = open_detector_model(name, FINDERS, device=device, dtype=dtype)
    return Finder(opened, FINDERS[opened.model.config.model_type])


def find_grounded(
    finder: DetectorModel, picture: Pixels, phrase: str, config: DetectionConfig
) -> tuple[Boxes, Scores]:
    """Find boxes with GroundingDINO or MM-GroundingDINO, which also score the words of a phrase."""
    inputs = finder.prepare(picture, text=f"{phrase}.")
    (found,) = finder.processor.post_process_grounded_object_detection(
        finder.model(**inputs),
        inputs["input_ids"],
        threshold=config.box_threshold,
        text_threshold=config.text_threshold,
        target_sizes=[picture.shape[:2]],
    )
    separator = finder.processor.tokenizer.sep_token
    # A label is made of the words above the threshold, and may be of separators only. There is one
    # label also where there is no box.
    labels = found["text_labels"][: len(found["scores"])]
    named = [bool(words.replace(separator, "").strip(" .")) for words in labels]
    return found["boxes"][named], found["scores"][named]


def find_by_similarity(
    finder: DetectorModel, picture: Pixels, phrase: str, config: DetectionConfig
) -> tuple[Boxes, Scores]:
    """Find boxes with OWLv2, which compares what is in each box with the phrase as a whole."""
    outputs = finder.model(**finder.prepare(picture, text=[[phrase]]))
    (found,) = finder.processor.post_process_grounded_object_detection(
        outputs, threshold=config.box_threshold, target_sizes=[picture.shape[:2]]
    )
    return found["boxes"], found["scores"]


def find_by_task(
    finder: DetectorModel, picture: Pixels, phrase: str, config: DetectionConfig
) -> tuple[Boxes, Scores]:
    """Find boxes with OmDet-Turbo, which reads the phrase as a class and as a task."""
    outputs = finder.model(**finder.prepare(picture, text=[phrase]))
    # Its processor would drop overlapping boxes, by an operator that torchvision lacks next to a
    # CPU build of torch; they are dropped when detections are linked (`select_new`).
    scores = outputs.decoder_class_logits[0, :, 0].sigmoid()
    middle, sides = outputs.decoder_coord_logits[0].split(2, dim=-1)
    height, width = picture.shape[:2]
    shares = torch.cat([middle - sides / 2, middle + sides / 2], dim=-1)
    kept = scores > config.box_threshold
    return (shares * shares.new_tensor([width, height] * 2))[kept], scores[kept]


def find_of_class(
    finder: DetectorModel, picture: Pixels, phrase: str, config: DetectionConfig
) -> tuple[Boxes, Scores]:
    """Find boxes of one class with RF-DETR or D-FINE, which know a fixed set of classes."""
    outputs = finder.model(**finder.prepare(picture))
    (found,) = finder.processor.post_process_object_detection(
        outputs, threshold=config.box_threshold, target_sizes=[picture.shape[:2]]
    )
    numbers = [number for number, name in _list_classes(finder).items() if name == phrase]
    own = torch.isin(found["labels"].cpu(), torch.tensor(numbers)).to(found["scores"].device)
    return found["boxes"][own], found["scores"][own]


def check_length(
    read_limit: Callable[[Any], int], text: str = "{}"
) -> Callable[[DetectorModel, str], None]:
    """Make the check that a phrase has no more tokens than a model reads.

    Args:
        read_limit: Returns the number of tokens, given the configuration of the model.
        text: The text that the processor makes of a phrase.
    """

    def check(finder: DetectorModel, phrase: str) -> None:
        limit = read_limit(finder.model.config)
        count = len(finder.processor.tokenizer(text.format(phrase)).input_ids)
        if count > limit:
            raise ValueError(
                f"the phrase {phrase!r} has {count} tokens, {finder.kind.title} reads {limit}; "
                "name the thing in fewer words"
            )

    return check


def check_class(finder: DetectorModel, phrase: str) -> None:
    """Refuse a phrase that is none of the classes of a closed set.

    Raises:
        ValueError: if it is not.
    """
    names = list(dict.fromkeys(_list_classes(finder).values()))
    if phrase in names:
        return
    similar = find_similar(phrase, names)
    hint = "" if similar is None else f"did you mean {similar!r}? "
    raise ValueError(
        f"{finder.name}: {finder.kind.title} knows no class {phrase!r}; {hint}it knows "
        f"{_shorten(names)}"
    )


def _list_classes(finder: DetectorModel) -> dict[int, str]:
    """Return the names of the classes in lower case, as phrases are, by their numbers."""
    return {number: name.lower() for number, name in finder.model.config.id2label.items()}


def _shorten(names: list[str]) -> str:
    more = len(names) - SHOWN_CLASSES
    return ", ".join(names[:SHOWN_CLASSES]) + (f" and {more} more" if more > 0 else "")


def _clip_boxes(boxes: Float[np.ndarray, "box 4"], picture: Pixels) -> Float[np.ndarray, "box 4"]:
    height, width = picture.shape[:2]
    return np.clip(boxes, 0, np.array([width, height] * 2, dtype=np.float64))


OPEN_SET = (AutoModelForZeroShotObjectDetection, AutoProcessor)
CLOSED_SET = (AutoModelForObjectDetection, AutoImageProcessor)
READS_TEXT_CONFIG = check_length(lambda config: config.text_config.max_position_embeddings)
READS_SENTENCE = check_length(lambda config: config.max_text_len, "{}.")
READS_TASK = check_length(lambda config: config.text_config.max_position_embeddings, "Detect {}.")

FINDERS: Mapping[str, FinderKind] = {
    "grounding-dino": FinderKind("GroundingDINO", *OPEN_SET, find_grounded, READS_SENTENCE, 0.4),
    "mm-grounding-dino": FinderKind(
        "MM-GroundingDINO", *OPEN_SET, find_grounded, READS_SENTENCE, 0.4
    ),
    "owlv2": FinderKind("OWLv2", *OPEN_SET, find_by_similarity, READS_TEXT_CONFIG, 0.1),
    "omdet-turbo": FinderKind("OmDet-Turbo", *OPEN_SET, find_by_task, READS_TASK, 0.3),
    "rf_detr": FinderKind("RF-DETR", *CLOSED_SET, find_of_class, check_class, 0.5),
    "d_fine": FinderKind("D-FINE", *CLOSED_SET, find_of_class, check_class, 0.5),
}
"""The finders, by the type that a configuration gives them."""


def check_phrases(finder: Finder, phrases: Iterable[str]) -> None:
    """Refuse phrases that a finder cannot read or does not know, before it searches.

    Raises:
        ValueError: if there is one.
    """
    for phrase in phrases:
        finder.kind.check(finder.opened, phrase)

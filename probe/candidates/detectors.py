"""Candidate tracks from detectors: GroundingDINO finds what a phrase names, SAM 2 follows it.

The way the paper gets its candidates: boxes at every tenth frame, linked by masks that are
propagated through the clip. What was found can be kept in a folder and is known again by content.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from transformers import (
    AutoConfig,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
    Sam2VideoModel,
    Sam2VideoProcessor,
)

from probe.candidates.detection_cache import content_hash, keep, path_of, recalled
from probe.candidates.detections import (
    PAPER_DETECTION,
    Detection,
    DetectionConfig,
    box_around,
    link,
    tube_of,
)
from probe.engine.model import DTYPES, _check_folder, _device, _explained
from probe.video import Tube, Video, source_frames

DETECTION = "IDEA-Research/grounding-dino-base"
"""The checkpoint that finds objects, unless another is named."""

TRACKING = "facebook/sam2.1-hiera-small"
"""The checkpoint that follows them, unless another is named."""

Picture: TypeAlias = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One model of a detector, ready to run, with its processor."""

    name: str
    model: Any
    processor: Any

    @cached_property
    def fingerprint(self) -> str:
        """A hash of weights and settings: equal for equal results, whatever the name."""
        digest = sha256(self.processor.to_json_string().encode())
        digest.update(self.model.config.to_json_string(use_diff=False).encode())
        for name, weight in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(weight.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Detector:
    """A model that finds what a phrase names in a picture, and one that follows it in a video."""

    finder: Checkpoint
    """GroundingDINO."""

    tracker: Checkpoint
    """SAM 2 for video."""

    @torch.inference_mode()
    def find(self, picture: Picture, phrase: str, config: DetectionConfig) -> list[Detection]:
        """Where in one picture the things are that a phrase names."""
        model, processor = self.finder.model, self.finder.processor
        inputs = processor(images=picture, text=f"{phrase}.", return_tensors="pt")
        outputs = model(**inputs.to(model.device, model.dtype))
        (found,) = processor.post_process_grounded_object_detection(
            outputs,
            inputs["input_ids"],
            threshold=config.box_threshold,
            text_threshold=config.text_threshold,
            target_sizes=[picture.shape[:2]],
        )
        if not len(found["scores"]):  # of no boxes, the processor still decodes one label
            return []
        separator = processor.tokenizer.sep_token
        boxes = _within(found["boxes"].double().cpu().numpy(), picture)
        return [
            Detection(box, score, phrase)
            for box, score, words in zip(
                boxes, found["scores"].tolist(), found["text_labels"], strict=True
            )
            if words.replace(separator, "").strip(" .") and (box[2:] > box[:2]).all()
        ]

    def follow(
        self, pictures: Mapping[int, Picture], start: int, found: Sequence[Detection]
    ) -> list[Tube]:
        """The boxes around the masks of objects, in every picture in which they have one.

        Args:
            pictures: Pictures by source frame, in order.
            start: The source frame in which the objects were found.
            found: The objects.
        """
        seen = {
            frame: [box_around(mask) for mask in masks]
            for frame, masks in self.masks(pictures, start, found)
        }
        return [
            tube_of({frame: seen[frame][number] for frame in pictures}, detection.label)
            for number, detection in enumerate(found)
        ]

    def masks(
        self, pictures: Mapping[int, Picture], start: int, found: Sequence[Detection]
    ) -> Iterator[tuple[int, Bool[np.ndarray, "object height width"]]]:
        """The masks of objects in one picture after the other, each with its source frame.

        They are followed from `start` to the end, then from there back to the beginning. SAM 2's
        session ends with the iteration, and holds one picture at a time.
        """
        model, processor = self.tracker.model, self.tracker.processor
        frames, size = list(pictures), pictures[start].shape[:2]
        origin, reach = frames.index(start), _reach(model.config)
        session = processor.init_video_session(inference_device=model.device, dtype=model.dtype)
        processor.add_inputs_to_inference_session(
            session,
            frame_idx=origin,
            obj_ids=list(range(len(found))),
            input_boxes=[[detection.box.tolist() for detection in found]],
            original_size=size,
        )
        for place in (*range(origin, len(frames)), *range(origin - 1, -1, -1)):
            inputs = processor(images=pictures[frames[place]], return_tensors="pt")
            pixels = inputs["pixel_values"][0].to(model.device, model.dtype)
            output = model(session, place, pixels, reverse=place < origin)
            del session.processed_frames[place]
            _forget(session, {origin, place}, reach)
            (masks,) = processor.post_process_masks([output.pred_masks.float()], [size])
            yield frames[place], masks[:, 0].cpu().numpy()


def _reach(config: Any) -> int:
    """How many steps back SAM 2 looks."""
    return max(config.num_maskmem, config.max_object_pointers_in_encoder)


def _forget(session: Any, near: set[int], reach: int) -> None:
    """Drop what SAM 2 will never look at again, so that memory does not grow with length.

    It looks back from the picture at hand, and on its way back past the picture it started from.
    """
    for outputs in session.output_dict_per_obj.values():
        tracked = outputs["non_cond_frame_outputs"]
        for place in [*tracked]:
            if min(abs(place - other) for other in near) > reach:
                del tracked[place]


def load_detector(
    detection: str | Path = DETECTION,
    tracking: str | Path = TRACKING,
    *,
    device: str = "cpu",
    dtype: str = "auto",
) -> Detector:
    """Open a detector: folders, or names on the Hugging Face hub.

    Only safetensors weights are read and no code of a checkpoint's is run.

    Args:
        detection: A GroundingDINO checkpoint.
        tracking: A SAM 2 checkpoint for video.
        device: Where both go, such as "cpu" or "cuda".
        dtype: "auto" for the types the weights were saved in, or "float32", "bfloat16", "float16".

    Raises:
        ValueError: if there is no such checkpoint, it is of another architecture, its weights are
            not safetensors, or device or dtype are unknown.
    """
    return Detector(
        _opened(
            str(detection),
            ("grounding-dino", "mm-grounding-dino"),
            (AutoModelForZeroShotObjectDetection, AutoProcessor),
            device=device,
            dtype=dtype,
        ),
        _opened(
            str(tracking),
            ("sam2_video",),
            (Sam2VideoModel, Sam2VideoProcessor),
            device=device,
            dtype=dtype,
        ),
    )


def _opened(
    name: str, types: tuple[str, ...], classes: tuple[Any, Any], *, device: str, dtype: str
) -> Checkpoint:
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}; give one of {', '.join(DTYPES)}")
    target = _device(device)
    _check_folder(name, Path(name))
    with _explained(name):
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if config.model_type not in types:
        raise ValueError(
            f"{name}: a checkpoint of type {config.model_type!r}; give one of {' or '.join(types)}"
        )
    with _explained(name):
        model = classes[0].from_pretrained(
            name, trust_remote_code=False, use_safetensors=True, dtype=DTYPES[dtype]
        )
        processor = classes[1].from_pretrained(name, trust_remote_code=False)
    return Checkpoint(name, model.eval().requires_grad_(False).to(target), processor)


def detect_tracks(
    detector: Detector,
    video: Video,
    phrases: Sequence[str],
    *,
    config: DetectionConfig = PAPER_DETECTION,
    cache: Path | None = None,
) -> tuple[Tube, ...]:
    """Tracks of everything in a video that the phrases name, in the order in which it is found.

    The source is searched at every tenth frame and at its last, not only at the sampled frames;
    tracks have their boxes there. All of these pictures are held at once. Nothing found gives no
    tracks.

    Args:
        detector: What searches.
        video: The video; that of an array is searched in its sampled frames.
        phrases: What to look for, such as "man" (`Queries.subject`); tracks are labelled with it.
        config: Thresholds.
        cache: A folder that keeps the tracks of a search, known again by the content of the
            video, the weights, the numbers and the phrases. A file in it that is torn, or holds
            something else, is warned of, and made again.

    Raises:
        ValueError: if there is no phrase or an empty one, or the video cannot be decoded.
    """
    wanted = tuple(dict.fromkeys(_plain(phrase) for phrase in phrases))
    if not wanted:
        raise ValueError("there is no phrase to look for; give at least one, such as 'man'")
    if cache is None:
        return _detected(detector, video, wanted, config)
    cache.mkdir(parents=True, exist_ok=True)
    key = {
        "video": content_hash(video),
        "detection": [detector.finder.name, detector.finder.fingerprint],
        "tracking": [detector.tracker.name, detector.tracker.fingerprint],
        "numbers": asdict(config),
        "phrases": [*wanted],
    }
    path = path_of(cache, key)
    known = recalled(path, key)
    if known is None:
        known = _detected(detector, video, wanted, config)
        keep(path, key, known)
    return known


def _detected(
    detector: Detector, video: Video, phrases: Sequence[str], config: DetectionConfig
) -> tuple[Tube, ...]:
    last = video.source_length - 1
    pictures = {
        frame: picture
        for frame, picture in enumerate(source_frames(video))
        if frame % config.every == 0 or frame == last
    }
    found = {
        frame: [
            detection for phrase in phrases for detection in detector.find(picture, phrase, config)
        ]
        for frame, picture in pictures.items()
    }
    return link(found, partial(detector.follow, pictures), config)


def _within(boxes: Float[np.ndarray, "box 4"], picture: Picture) -> Float[np.ndarray, "box 4"]:
    height, width = picture.shape[:2]
    return np.clip(boxes, 0, np.array([width, height] * 2, dtype=np.float64))


def _plain(phrase: str) -> str:
    """A phrase as GroundingDINO wants it, without its full stop, which `find` adds."""
    plain = " ".join(phrase.lower().split()).rstrip(".?! ")
    if not plain:
        raise ValueError("a phrase to look for is empty; name a thing, such as 'man'")
    return plain

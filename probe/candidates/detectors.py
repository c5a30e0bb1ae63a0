"""Candidate tracks from detectors: GroundingDINO finds things by a phrase, SAM 2 follows them.

The paper gets its candidates in this way: boxes at every tenth frame, linked by masks that are
propagated through the clip. Results can be kept in a folder and are recognised by content.
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

from probe.candidates.detection_cache import hash_content, load_found, save_found, search_path
from probe.candidates.detections import (
    PAPER_DETECTION,
    Detection,
    DetectionConfig,
    box_around,
    link_detections,
    tube_of_boxes,
)
from probe.engine.opening import (
    DTYPES,
    check_dtype,
    check_folder,
    explain_failures,
    find_device,
)
from probe.engine.stored_weights import refuse_broken, refuse_differences
from probe.video import Tube, Video, source_frames

DETECTION = "IDEA-Research/grounding-dino-base"
"""The checkpoint that finds objects, unless another is named."""

TRACKING = "facebook/sam2.1-hiera-small"
"""The checkpoint that follows them, unless another is named."""

Pixels: TypeAlias = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """One of the two models of a detector, ready to run, with its processor."""

    name: str
    model: Any
    processor: Any

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights and settings: equal for equal results, whatever the name."""
        digest = sha256(self.processor.to_json_string().encode())
        # All settings: defaults that are left out may differ from one transformers to the next.
        digest.update(self.model.config.to_json_string(use_diff=False).encode())
        for name, weight in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            # As bytes, since NumPy has no bfloat16.
            digest.update(weight.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Detector:
    """A model that finds things by a phrase in a picture, and one that follows them in a video."""

    finder: DetectorModel
    """GroundingDINO."""

    tracker: DetectorModel
    """SAM 2 for video."""

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
        if not len(found["scores"]):  # the processor gives one label where there is no box
            return []
        separator = processor.tokenizer.sep_token
        boxes = _clip_boxes(found["boxes"].double().cpu().numpy(), picture)
        # A label is made of the words above the threshold, and may be of separators only.
        return [
            Detection(box, score, phrase)
            for box, score, words in zip(
                boxes, found["scores"].tolist(), found["text_labels"], strict=True
            )
            if words.replace(separator, "").strip(" .") and (box[2:] > box[:2]).all()
        ]

    def follow(
        self, pictures: Mapping[int, Pixels], start: int, found: Sequence[Detection]
    ) -> list[Tube]:
        """Follow objects through all pictures, and put boxes around their masks.

        Args:
            pictures: Pictures by source frame, in order.
            start: The source frame in which the objects were found.
            found: The objects.

        Returns:
            One tube for each object, with a box in every picture in which it has a mask.
        """
        seen = {
            frame: [box_around(mask) for mask in masks]
            for frame, masks in self.propagate(pictures, start, found)
        }
        return [
            tube_of_boxes({frame: seen[frame][number] for frame in pictures}, detection.label)
            for number, detection in enumerate(found)
        ]

    def propagate(
        self, pictures: Mapping[int, Pixels], start: int, found: Sequence[Detection]
    ) -> Iterator[tuple[int, Bool[np.ndarray, "object height width"]]]:
        """Propagate the masks of objects from `start` to the end, then back to the beginning.

        SAM 2's session ends with the iteration, and holds one picture at a time.

        Args:
            pictures: Pictures by source frame, in order.
            start: The source frame in which the objects were found.
            found: The objects.

        Returns:
            Pairs of a source frame and the masks in it, in the order in which they are computed.
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
        # SAM 2's own loop wants the whole video in its session; its model takes one picture too.
        for place in (*range(origin, len(frames)), *range(origin - 1, -1, -1)):
            inputs = processor(images=pictures[frames[place]], return_tensors="pt")
            pixels = inputs["pixel_values"][0].to(model.device, model.dtype)
            output = model(session, place, pixels, reverse=place < origin)
            del session.processed_frames[place]
            _forget(session, {origin, place}, reach)
            # Masks are logits at low resolution, which are enlarged before they are cut at 0.
            (masks,) = processor.post_process_masks([output.pred_masks.float()], [size])
            yield frames[place], masks[:, 0].cpu().numpy()


def _reach(config: Any) -> int:
    """Return the number of steps that SAM 2 looks back."""
    return max(config.num_maskmem, config.max_object_pointers_in_encoder)


def _forget(session: Any, near: set[int], reach: int) -> None:
    """Drop results that SAM 2 will never look at again, so that memory does not grow with length.

    SAM 2 looks back from the current picture, and on its way to the beginning also from the picture
    that it started from.
    """
    for outputs in session.output_dict_per_obj.values():
        # Results of pictures with a given box are in another table, which is always looked at.
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
    """Open a detector from two checkpoints: folders, or names on the Hugging Face hub.

    Only safetensors weights are read, and no code of a checkpoint is run.

    Args:
        detection: A GroundingDINO checkpoint.
        tracking: A SAM 2 checkpoint for video.
        device: Device of both models, such as "cpu" or "cuda".
        dtype: "auto" for the types in which the weights were saved, or "float32", "bfloat16",
            "float16".

    Raises:
        ValueError: if there is no such checkpoint, it is of another architecture, its weights are
            not safetensors, some are missing or not finite, or device or dtype are unknown.
    """
    return Detector(
        _open_model(
            str(detection),
            ("grounding-dino", "mm-grounding-dino"),
            (AutoModelForZeroShotObjectDetection, AutoProcessor),
            device=device,
            dtype=dtype,
        ),
        _open_model(
            str(tracking),
            ("sam2_video",),
            (Sam2VideoModel, Sam2VideoProcessor),
            device=device,
            dtype=dtype,
        ),
    )


def _open_model(
    name: str, types: tuple[str, ...], classes: tuple[Any, Any], *, device: str, dtype: str
) -> DetectorModel:
    check_dtype(dtype)
    target = find_device(device)
    check_folder(name, Path(name))
    # The type first: a wrong checkpoint would be downloaded whole, and opened with random weights.
    with explain_failures(name):
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if config.model_type not in types:
        raise ValueError(
            f"{name}: a checkpoint of type {config.model_type!r}; give one of {' or '.join(types)}"
        )
    with explain_failures(name):
        model, differences = classes[0].from_pretrained(
            name,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=DTYPES[dtype],
            ignore_mismatched_sizes=True,  # or the error would not say which
            output_loading_info=True,
        )
        processor = classes[1].from_pretrained(name, trust_remote_code=False)
    # What is left over changes nothing: a checkpoint may hold parts for other uses, too.
    refuse_differences(name, {**differences, "unexpected_keys": ()})
    refuse_broken(name, model)
    return DetectorModel(name, model.eval().requires_grad_(False).to(target), processor)


def detect_tracks(
    detector: Detector,
    video: Video,
    phrases: str | Sequence[str],
    *,
    config: DetectionConfig = PAPER_DETECTION,
    cache: str | Path | None = None,
) -> tuple[Tube, ...]:
    """Find and follow everything in a video that the phrases name.

    The source is searched at every tenth frame and at its last, not only at the sampled frames;
    tracks have their boxes there. All of these pictures are held in memory at once.

    Args:
        detector: The detector that searches.
        video: The video; a video of an array is searched in its sampled frames.
        phrases: A phrase, or several, such as "man" (`Queries.subject`); tracks are labelled with
            them.
        config: Thresholds.
        cache: A folder that keeps the tracks of a search. A search is recognised by the content of
            the video, the weights, the numbers and the phrases. A damaged file in it gives a
            warning, and is replaced.

    Returns:
        The tracks, in the order in which their objects are found; none if nothing is found.

    Raises:
        ValueError: if there is no phrase or an empty one, the video cannot be decoded, or the
            folder cannot be written.
    """
    phrases = (phrases,) if isinstance(phrases, str) else phrases
    wanted = tuple(dict.fromkeys(_normalise_phrase(phrase) for phrase in phrases))
    if not wanted:
        raise ValueError("there is no phrase to look for; give at least one, such as 'man'")
    if cache is None:
        return _search(detector, video, wanted, config)
    cache = _make_folder(Path(cache))
    key = {
        "video": hash_content(video),
        "detection": [detector.finder.name, detector.finder.fingerprint],
        "tracking": [detector.tracker.name, detector.tracker.fingerprint],
        "numbers": asdict(config),
        "phrases": [*wanted],
    }
    path = search_path(cache, key)
    tracks = load_found(path, key)
    if tracks is None:
        tracks = _search(detector, video, wanted, config)
        save_found(path, key, tracks)
    return tracks


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise ValueError(
            f"{folder}: cannot be made ({failure.strerror}); give another folder for the cache"
        ) from failure
    return folder


def _search(
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
    return link_detections(found, partial(detector.follow, pictures), config)


def _clip_boxes(boxes: Float[np.ndarray, "box 4"], picture: Pixels) -> Float[np.ndarray, "box 4"]:
    height, width = picture.shape[:2]
    return np.clip(boxes, 0, np.array([width, height] * 2, dtype=np.float64))


def _normalise_phrase(phrase: str) -> str:
    """Write a phrase as GroundingDINO wants it, without the full stop, which `find` adds."""
    plain = " ".join(phrase.lower().split()).rstrip(".?! ")
    if not plain:
        raise ValueError("a phrase to look for is empty; name a thing, such as 'man'")
    return plain

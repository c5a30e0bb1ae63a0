"""Detectors: all that phrases name is found in a video and followed through it.

There are two kinds: a model that finds things in pictures with one that follows them in between
(`FindAndFollow`: GroundingDINO and SAM 2 in the paper), and a model that does both
(`ConceptTracker`: SAM 3). A class of your own with the two methods of `Detector` does as well.
Results can be kept in a folder and are recognised by content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from probe.candidates.concepts import CONCEPT_TRACKERS, open_concept_tracker
from probe.candidates.detection_cache import hash_content, load_found, save_found, search_path
from probe.candidates.detections import (
    PAPER_DETECTION,
    Detection,
    DetectionConfig,
    link_detections,
)
from probe.candidates.detector_models import Pixels, read_type
from probe.candidates.finders import FINDERS, Finder, check_phrases, open_finder
from probe.candidates.pictures import read_pictures
from probe.candidates.trackers import Tracker, open_tracker
from probe.video import Tube, Video

DETECTION = "IDEA-Research/grounding-dino-base"
"""The checkpoint that finds objects, unless another is named."""

TRACKING = "facebook/sam2.1-hiera-small"
"""The checkpoint that follows them, unless another is named."""


@runtime_checkable
class Detector(Protocol):
    """Finds and follows all that phrases name in a video."""

    def tracks(
        self, video: Video, phrases: Sequence[str], *, config: DetectionConfig
    ) -> tuple[Tube, ...]:
        """Find and follow everything that the phrases name.

        Args:
            video: The video.
            phrases: Such as "man", in lower case; at least one. Tracks are labelled with them.
            config: Thresholds, step and number of objects.

        Returns:
            The tracks, in source frames, in the order in which their objects are found. None is
            empty.

        Raises:
            ValueError: if the detector cannot look for a phrase.
        """
        ...

    def describe(self, config: DetectionConfig) -> dict[str, Any]:
        """Return all that the tracks depend on besides video and phrases, in plain values."""
        ...


@dataclass(frozen=True, eq=False)
class FindAndFollow:
    """A detector of two models: one finds things in pictures, one follows them in between."""

    finder: Finder
    tracker: Tracker

    def tracks(
        self, video: Video, phrases: Sequence[str], *, config: DetectionConfig
    ) -> tuple[Tube, ...]:
        """Find and follow everything that the phrases name.

        Each object is found in the first searched picture in which its box is sure enough, and
        followed from there in both directions.

        Raises:
            ValueError: if the finder cannot look for a phrase.
        """
        check_phrases(self.finder, phrases)
        pictures = read_pictures(video, config.every)
        found = _find_each(self.finder, pictures, phrases, config)
        return link_detections(found, partial(self.tracker.follow, pictures), config)

    def describe(self, config: DetectionConfig) -> dict[str, Any]:
        """Return what the tracks depend on: both models, and the numbers."""
        return {
            "detection": self.finder.opened.describe(),
            "tracking": self.tracker.opened.describe(),
            "numbers": config.with_box_threshold(self.finder.kind.threshold).to_dict(),
        }


@dataclass(frozen=True, eq=False)
class FindInPicture:
    """A detector of a single picture, in which there is nothing to follow."""

    finder: Finder

    def tracks(
        self, video: Video, phrases: Sequence[str], *, config: DetectionConfig
    ) -> tuple[Tube, ...]:
        """Find everything that the phrases name; each track is one box.

        Raises:
            ValueError: if the finder cannot look for a phrase, or the video has several frames.
        """
        if video.source_length > 1:
            raise ValueError(
                f"a video of {video.source_length} frames; this detector is for a single picture, "
                "open one that follows what it finds (load_detector)"
            )
        check_phrases(self.finder, phrases)
        found = _find_each(self.finder, read_pictures(video, config.every), phrases, config)
        return link_detections(found, _make_single_boxes, config)

    def describe(self, config: DetectionConfig) -> dict[str, Any]:
        """Return what the tracks depend on: the model, and the numbers."""
        return {
            "detection": self.finder.opened.describe(),
            "tracking": None,
            "numbers": config.with_box_threshold(self.finder.kind.threshold).to_dict(),
        }


def load_detector(
    detection: str | Path = DETECTION,
    tracking: str | Path | None = None,
    *,
    device: str = "cpu",
    dtype: str = "auto",
) -> Detector:
    """Open a detector: folders of checkpoints, or names on the Hugging Face hub.

    Only safetensors weights are read, and no code of a checkpoint is run.

    Args:
        detection: A checkpoint that finds things by a phrase: GroundingDINO, MM-GroundingDINO,
            OWLv2, OmDet-Turbo; by a class: RF-DETR, D-FINE; or one that also follows them: SAM 3.
        tracking: A checkpoint that follows what is found: SAM 2, SAM 3 or EdgeTAM for video; None
            for `facebook/sam2.1-hiera-small`, where one is needed.
        device: Device of the models, such as "cpu" or "cuda".
        dtype: "auto" for the types in which the weights were saved, or "float32", "bfloat16",
            "float16".

    Raises:
        ValueError: if there is no such checkpoint, it is of another architecture, its weights are
            not safetensors, some are missing or not finite, a package that it needs is not
            installed, device or dtype are unknown, or a tracker is named that would be of no use.
    """
    known = {**FINDERS, **CONCEPT_TRACKERS}
    model_type = read_type(str(detection), known)
    if model_type in CONCEPT_TRACKERS:
        if tracking is not None:
            raise ValueError(
                f"{detection}: {known[model_type].title} follows what it finds by itself; leave "
                f"out the tracker {tracking}"
            )
        return open_concept_tracker(str(detection), device=device, dtype=dtype)
    return FindAndFollow(
        open_finder(str(detection), device=device, dtype=dtype),
        open_tracker(str(tracking or TRACKING), device=device, dtype=dtype),
    )


def load_picture_detector(
    detection: str | Path = DETECTION, *, device: str = "cpu", dtype: str = "auto"
) -> Detector:
    """Open a detector of single pictures, which needs no tracker.

    The arguments and errors are those of `load_detector`.
    """
    known = {**FINDERS, **CONCEPT_TRACKERS}
    if read_type(str(detection), known) in CONCEPT_TRACKERS:
        return open_concept_tracker(str(detection), device=device, dtype=dtype)
    return FindInPicture(open_finder(str(detection), device=device, dtype=dtype))


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
    tracks have their boxes there, and masks where the tracker gives them (`Tube.masks`). All of
    these pictures are held in memory at once.

    Args:
        detector: The detector that searches: of `load_detector`, or your own.
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
        ValueError: if there is no phrase or an empty one, the detector cannot look for one, the
            video cannot be decoded, or the folder cannot be written.
    """
    phrases = (phrases,) if isinstance(phrases, str) else phrases
    wanted = tuple(dict.fromkeys(_normalise_phrase(phrase) for phrase in phrases))
    if not wanted:
        raise ValueError("there is no phrase to look for; give at least one, such as 'man'")
    if cache is None:
        return detector.tracks(video, wanted, config=config)
    cache = _make_folder(Path(cache))
    key = {
        "video": hash_content(video),
        **detector.describe(config),
        "phrases": [*wanted],
    }
    path = search_path(cache, key)
    tracks = load_found(path, key)
    if tracks is None:
        tracks = detector.tracks(video, wanted, config=config)
        save_found(path, key, tracks)
    return tracks


def _find_each(
    finder: Finder, pictures: Mapping[int, Pixels], phrases: Sequence[str], config: DetectionConfig
) -> dict[int, list[Detection]]:
    """Find the things that each phrase names in each picture."""
    return {
        frame: [
            detection for phrase in phrases for detection in finder.find(picture, phrase, config)
        ]
        for frame, picture in pictures.items()
    }


def _make_single_boxes(frame: int, found: Sequence[Detection]) -> list[Tube]:
    return [Tube(frame, detection.box, detection.label) for detection in found]


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise ValueError(
            f"{folder}: cannot be made ({failure.strerror}); give another folder for the cache"
        ) from failure
    return folder


def _normalise_phrase(phrase: str) -> str:
    """Write a phrase as detectors want it: in lower case, on one line, without a full stop."""
    plain = " ".join(phrase.lower().split()).rstrip(".?! ")
    if not plain:
        raise ValueError("a phrase to look for is empty; name a thing, such as 'man'")
    return plain

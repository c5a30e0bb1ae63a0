"""Concept trackers: models that take a phrase and give the tracks of all that it names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Sam3VideoModel, Sam3VideoProcessor

from probe.candidates.detections import DetectionConfig, drop_repeated, tube_of_masks
from probe.candidates.detector_models import DetectorModel, ModelKind, Pixels, open_detector_model
from probe.candidates.finders import check_length
from probe.candidates.pictures import read_pictures
from probe.candidates.trackers import forget_results, read_reach
from probe.video import Tube, Video
from probe.video.masks import Mask

CONCEPT_TRACKERS: Mapping[str, ModelKind] = {
    "sam3_video": ModelKind("SAM 3", Sam3VideoModel, Sam3VideoProcessor),
}
"""The concept trackers, by the type that a configuration gives them."""

check_phrase = check_length(
    # The processor of SAM 3 pads each phrase to so many tokens.
    lambda config: config.detector_config.text_config.max_position_embeddings
)


@dataclass
class Sighting:
    """Masks of one object, gathered as the video is read."""

    phrase: str
    score: float
    """Certainty with which it was first found, from 0 to 1."""

    masks: dict[int, Mask]
    """By source frame."""


@dataclass(frozen=True, eq=False)
class ConceptTracker:
    """A detector that finds and follows by itself: SAM 3 for video.

    It looks for each phrase in every searched picture, and begins a track where nothing is followed
    yet. It reads forwards, so a track starts where its object is first found. Tracks that are not
    confirmed soon after their start are withdrawn, as in its authors' code.
    """

    opened: DetectorModel

    def tracks(
        self, video: Video, phrases: Sequence[str], *, config: DetectionConfig
    ) -> tuple[Tube, ...]:
        """Find and follow everything in a video that the phrases name.

        Args:
            video: The video; one of an array is searched in its sampled frames.
            phrases: Phrases such as "man"; tracks are labelled with them.
            config: The step, the overlap of repeated finds, and the number of tracks. A threshold
                below that of the checkpoint (`new_det_thresh`) begins no further tracks.

        Raises:
            ValueError: if a phrase is too long.
        """
        for phrase in phrases:
            check_phrase(self.opened, phrase)
        pictures = read_pictures(video, config.every)
        sightings = self._gather(pictures, phrases)
        least = self._settle(config).box_threshold or 0.0
        # The first found first, and in one frame the surest, as with other detectors.
        found = sorted(
            (sighting for sighting in sightings if sighting.masks and sighting.score >= least),
            key=lambda sighting: (min(sighting.masks), -sighting.score),
        )
        tracks = [tube_of_masks(sighting.masks, sighting.phrase) for sighting in found]
        return drop_repeated([track for track in tracks if len(track)], config)

    def describe(self, config: DetectionConfig) -> dict[str, Any]:
        """Return what the tracks depend on, in plain values."""
        return {
            "detection": self.opened.describe(),
            "tracking": None,
            "numbers": self._settle(config).to_dict(),
        }

    def _settle(self, config: DetectionConfig) -> DetectionConfig:
        return config.with_box_threshold(self.opened.model.config.new_det_thresh)

    @torch.inference_mode()
    def _gather(self, pictures: Mapping[int, Pixels], phrases: Sequence[str]) -> list[Sighting]:
        """Read all pictures in order, and gather the masks of each object that is not withdrawn."""
        model, processor = self.opened.model, self.opened.processor
        session = processor.init_video_session(inference_device=model.device, dtype=model.dtype)
        processor.add_text_prompt(session, [*phrases])
        reach = read_reach(model.config.tracker_config)
        gathered: dict[int, Sighting] = {}
        for place, (frame, picture) in enumerate(pictures.items()):
            known = set(session.obj_ids)
            pixels = self.opened.prepare(picture)["pixel_values"][0]
            session.add_new_frame(pixels, place)
            # Not as a stream, for which tracks are never withdrawn.
            output = model(session, frame_idx=place)
            del session.processed_frames[place]
            forget_results(session, {place}, reach)
            withdrawn = known - set(session.obj_ids)
            seen = processor.postprocess_outputs(session, output, [[*picture.shape[:2]]])
            for number, phrase, score, mask in _list_seen(seen):
                # Where a track is withdrawn, transformers 5.23 gives masks of other tracks to those
                # that are left (`build_outputs` counts without it): that picture is left out.
                if withdrawn and number in known:
                    continue
                sighting = gathered.setdefault(number, Sighting(phrase, score, {}))
                sighting.masks[frame] = mask
            for number in output.removed_obj_ids:
                gathered.pop(number, None)
        return [*gathered.values()]


def _list_seen(seen: Mapping[str, Any]) -> Iterator[tuple[int, str, float, Mask]]:
    """List number, phrase, score and mask of each object in one picture."""
    phrases = {
        number: phrase
        for phrase, numbers in seen["prompt_to_obj_ids"].items()
        for number in numbers
    }
    numbers, scores = seen["object_ids"].tolist(), seen["scores"].tolist()
    for number, score, pixels in zip(numbers, scores, seen["masks"].cpu().numpy(), strict=True):
        yield number, phrases[number], score, Mask.from_pixels(pixels)


def open_concept_tracker(name: str, *, device: str, dtype: str) -> ConceptTracker:
    """Open a concept tracker; the errors are those of `open_detector_model`."""
    return ConceptTracker(open_detector_model(name, CONCEPT_TRACKERS, device=device, dtype=dtype))

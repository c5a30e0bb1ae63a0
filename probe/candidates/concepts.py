"""Concept trackers: models that take a phrase and give the tracks of all that it names."""

from collections import deque
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
        gathered: dict[int, Sighting] = {}
        for frame, output, confused in self._propagate(session, pictures):
            size = [*pictures[frame].shape[:2]]
            seen = processor.postprocess_outputs(session, output, [size])
            for number, phrase, score, mask in _list_seen(seen):
                if number not in confused:
                    sighting = gathered.setdefault(number, Sighting(phrase, score, {}))
                    sighting.masks[frame] = mask
        return [*gathered.values()]

    def _propagate(
        self, session: Any, pictures: Mapping[int, Pixels]
    ) -> Iterator[tuple[int, Any, set[int]]]:
        """Run the model on one picture after the other, and give its outputs with a delay.

        While outputs are held back, tracks may still be withdrawn. They must be before the masks
        are read, since overlapping objects compete for pixels.

        Returns:
            Source frame, output of the model, and the objects whose masks are confused in it.
        """
        model = self.opened.model
        reach = read_reach(model.config.tracker_config)
        # The number of pictures, without the pictures: how far the tracker looks depends on it.
        session.processed_frames = dict.fromkeys(range(len(pictures)))
        held: deque[tuple[int, Any, set[int]]] = deque()
        for place, (frame, picture) in enumerate(pictures.items()):
            known = set(session.obj_ids)
            session.add_new_frame(self.opened.prepare(picture)["pixel_values"][0], place)
            # Not as a stream, for which tracks are never withdrawn.
            output = model(session, frame_idx=place)
            session.processed_frames[place] = None  # one picture at a time is enough
            forget_results(session, {place}, reach)
            session.hotstart_removed_obj_ids.update(output.removed_obj_ids)
            # When a track is withdrawn, `build_outputs` of transformers 5.23 gives the masks of
            # this picture to the wrong ones of those that were there before.
            withdrawn = known & output.removed_obj_ids
            held.append((frame, output, known if withdrawn else set()))
            if len(held) >= max(1, model.config.hotstart_delay):
                yield held.popleft()
        yield from held


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

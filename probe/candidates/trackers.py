"""Trackers: models that follow things from one picture of a video to all others, as masks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool
from transformers import (
    EdgeTamVideoModel,
    Sam2VideoModel,
    Sam2VideoProcessor,
    Sam3TrackerVideoModel,
    Sam3TrackerVideoProcessor,
)

from probe.candidates.detections import Detection, tube_of_masks
from probe.candidates.detector_models import DetectorModel, ModelKind, Pixels, open_detector_model
from probe.video import Tube
from probe.video.masks import Mask

SAM3_TRACKER = ModelKind("SAM 3 tracker", Sam3TrackerVideoModel, Sam3TrackerVideoProcessor)

TRACKERS: Mapping[str, ModelKind] = {
    "sam2_video": ModelKind("SAM 2", Sam2VideoModel, Sam2VideoProcessor),
    "sam3_tracker_video": SAM3_TRACKER,
    # The published checkpoint holds both parts of SAM 3, of which this opens the tracker.
    "sam3_video": SAM3_TRACKER,
    "edgetam_video": ModelKind("EdgeTAM", EdgeTamVideoModel, Sam2VideoProcessor),
}
"""The trackers, by the type that a configuration gives them. All have the session of SAM 2."""


@dataclass(frozen=True, eq=False)
class Tracker:
    """A model that follows things through a video."""

    opened: DetectorModel

    def follow(
        self, pictures: Mapping[int, Pixels], start: int, found: Sequence[Detection]
    ) -> list[Tube]:
        """Follow objects through all pictures.

        Args:
            pictures: Pictures by source frame, in order.
            start: The source frame in which the objects were found.
            found: The objects.

        Returns:
            One tube for each object, with a mask and the box around it in every picture in which
            the object is seen.
        """
        seen = {
            frame: [Mask.from_pixels(pixels) for pixels in masks]
            for frame, masks in self.propagate(pictures, start, found)
        }
        return [
            tube_of_masks({frame: seen[frame][number] for frame in pictures}, detection.label)
            for number, detection in enumerate(found)
        ]

    def propagate(
        self, pictures: Mapping[int, Pixels], start: int, found: Sequence[Detection]
    ) -> Iterator[tuple[int, Bool[np.ndarray, "object height width"]]]:
        """Propagate the masks of objects from `start` to the end, then back to the beginning.

        The session of the tracker ends with the iteration, and holds one picture at a time.

        Args:
            pictures: Pictures by source frame, in order.
            start: The source frame in which the objects were found.
            found: The objects.

        Returns:
            Pairs of a source frame and the masks in it, in the order in which they are computed.
        """
        model, processor = self.opened.model, self.opened.processor
        frames, size = list(pictures), pictures[start].shape[:2]
        origin, reach = frames.index(start), read_reach(model.config)
        session = processor.init_video_session(inference_device=model.device, dtype=model.dtype)
        processor.add_inputs_to_inference_session(
            session,
            frame_idx=origin,
            obj_ids=list(range(len(found))),
            input_boxes=[[detection.box.tolist() for detection in found]],
            original_size=size,
        )
        # The loop of transformers wants the whole video in its session; the model takes one
        # picture too.
        for place in (*range(origin, len(frames)), *range(origin - 1, -1, -1)):
            pixels = self.opened.prepare(pictures[frames[place]])["pixel_values"][0]
            output = model(session, place, pixels, reverse=place < origin)
            del session.processed_frames[place]
            forget_results(session, {origin, place}, reach)
            # Masks are logits at low resolution, which are enlarged before they are cut at 0.
            (masks,) = processor.post_process_masks([output.pred_masks.float()], [size])
            yield frames[place], masks[:, 0].cpu().numpy()


def open_tracker(name: str, *, device: str, dtype: str) -> Tracker:
    """Open a tracker; the errors are those of `open_detector_model`."""
    return Tracker(open_detector_model(name, TRACKERS, device=device, dtype=dtype))


def read_reach(config: Any) -> int:
    """Return the number of steps that a tracker looks back."""
    return max(config.num_maskmem, config.max_object_pointers_in_encoder)


def forget_results(session: Any, near: set[int], reach: int) -> None:
    """Drop results that a tracker will never look at again: memory does not grow with length.

    A tracker looks back from the current picture, and on its way to the beginning also from the
    picture that it started from.

    Args:
        session: The session, which is changed.
        near: Places from which it looks.
        reach: Number of steps that it looks back.
    """
    for outputs in session.output_dict_per_obj.values():
        # Results of pictures with a given box are in another table, which is always looked at.
        tracked = outputs["non_cond_frame_outputs"]
        for place in [*tracked]:
            if min(abs(place - other) for other in near) > reach:
                del tracked[place]

"""Doubts: sentences for people that say why an answer may be wrong, though it looks like any other.

Each check looks at the evidence of one answer and gives no sentence where it notices nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from probe.candidates.proposals import measure_noise
from probe.engine.cell_places import CellPlaces, count_places
from probe.engine.readings import yes_minus_no
from probe.engine.thoughts import find_open_thought
from probe.engine.view import View
from probe.grounding.lexicon import EDGES
from probe.grounding.looks import Look
from probe.grounding.presence import CALIBRATED, ask_whether, read_answers
from probe.grounding.queries import Queries
from probe.grounding.statements import as_statement
from probe.video import Box, Tube, Video

AskedPart: TypeAlias = Literal["whole", "attribute", "action"]
"""A part of the query that the model was asked about: the query itself, or a sub-query."""

NEARLY_WHOLE = 0.9
"""Share of the frame above which a box says nothing about the place."""

HIDDEN = 0.01
"""Share of the frame that the model must not see to be told of; less is the rounding of pixels."""

PLAIN = 15.0
"""Levels of colour, of 255, by which most of a plain background may vary: the noisy ones of the
shipped model's clips vary by 10, those of photos by 27 and more."""

DISAGREEING = 0.0
"""Correlation of the maps of both frame orders below which they show different things."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the checks look at."""

    video: Video
    queries: Queries
    tokenizer: Any
    margins: Mapping[AskedPart, float]
    """Yes minus no in logits, by the part of the query that was asked about."""

    first_words: Mapping[AskedPart, str] = field(default_factory=dict)
    """The text with which the model would most likely begin its answer, where it begins with
    neither yes nor no; by the part of the query that was asked about."""

    region: Box | None = None
    """The pixels of the source frame that the model sees; None for all of them."""

    places: CellPlaces | None = None
    """Numbers of the places that map frames have in time; None if nobody counted them."""

    tiled: bool = False
    """True if the model is shown parts of the picture again, as tokens that have no cells."""

    threshold: float | None = None
    """The presence, in logits, from which on the thing is there by the model's calibration."""

    proposed: bool = False
    """True if the candidates are whatever differs from its background."""

    candidates: Sequence[Tube] = ()
    track: Tube | None = None
    """The chosen candidate; None if none was looked for."""

    looks: Mapping[str, Look] = field(default_factory=dict)
    """The look that chose the track, and the one that chose the span, by what they chose."""


def ask_parts(view: View, queries: Queries) -> Evidence:
    """Ask whether the queried thing is there at all, by the whole query and by its parts."""
    names: tuple[AskedPart, ...] = ("whole", "attribute", "action")
    asked = ask_whether(view, queries.whole, queries.attribute, queries.action)
    (logits,) = read_answers(view, asked)
    answers, tokenizer = view.checkpoint.answers, view.checkpoint.processor.tokenizer
    likeliest = dict(zip(names, logits.argmax(dim=-1).tolist(), strict=True))
    return Evidence(
        video=view.video,
        queries=queries,
        tokenizer=tokenizer,
        margins=dict(zip(names, yes_minus_no(logits, answers).tolist(), strict=True)),
        first_words={
            name: tokenizer.decode([word])
            for name, word in likeliest.items()
            if word not in (*answers.yes, *answers.no)
        },
        region=view.grid.cells.region,
        places=count_places(view),
        tiled=view.checkpoint.family.tiled,
        threshold=CALIBRATED.get(view.model),
    )


def list_doubts(evidence: Evidence) -> tuple[str, ...]:
    """List what should make a reader doubt an answer; nothing if nothing was noticed."""
    return tuple(sentence for check in CHECKS for sentence in check(evidence))


def find_denied_parts(evidence: Evidence) -> Iterator[str]:
    """Tell which parts of the query the model says no to."""
    names = {"whole": "the whole query", "attribute": "its attributes", "action": "its action"}
    denied = [
        f"{names[part]} ({margin:+.1f})"
        for part, margin in evidence.margins.items()
        if margin <= 0 and not _is_whole_query(part, evidence.queries)
    ]
    if denied:
        listed = " and ".join([", ".join(denied[:-1]), denied[-1]] if denied[1:] else denied)
        yield f"the model says no to {listed}"


def find_other_answers(evidence: Evidence) -> Iterator[str]:
    """Tell whether the model would begin its answer with neither yes nor no."""
    if (said := evidence.first_words.get("whole")) is None:
        return
    # A model may think without being told to: no chat template closes a thought that it opens.
    if find_open_thought(said) is not None:
        yield (
            f"the model would think before it answers ({said!r}): yes and no are read where its "
            f"thought begins"
        )
    else:
        yield f"the model would begin its answer with {said!r}, neither yes nor no"


def find_low_presence(evidence: Evidence) -> Iterator[str]:
    """Tell whether the model says yes less clearly than it does of things that are there."""
    presence, threshold = evidence.margins["whole"], evidence.threshold
    if threshold is not None and 0 < presence < threshold:
        yield (
            f"presence {presence:+.1f} is below {threshold:+.1f}, the threshold of this model: "
            "things that are there are seen more clearly"
        )


def find_missing_parts(evidence: Evidence) -> Iterator[str]:
    """Tell which parts were not found in the query, so that the whole of it was asked."""
    if evidence.video.is_still:  # the whole is asked of every picture, and nothing is amiss
        return
    names = {"attribute": "for the object", "action": "for the action"}
    missing = [names[branch] for branch in evidence.queries.fallbacks]
    if missing:
        yield f"the query could not be split: the whole of it was asked {' and '.join(missing)}"


def find_unknown_words(evidence: Evidence) -> Iterator[str]:
    """Tell which words of the query the tokenizer has no token for."""
    unknown = evidence.tokenizer.unk_token_id
    # As they are asked: capitals that say nothing are gone there.
    words = [word.strip(EDGES) for word in as_statement(evidence.queries.whole).split()]
    ids = {word: evidence.tokenizer(word, add_special_tokens=False).input_ids for word in words}
    # Byte-level tokenizers know every word, and have no token for unknown ones.
    lost = [] if unknown is None else [repr(word) for word in ids if unknown in ids[word]]
    if lost:
        yield f"the model does not know {len(lost)} of {len(ids)} words: {', '.join(lost)}"


def find_hidden_parts(evidence: Evidence) -> Iterator[str]:
    """Tell how much of each frame the processor cuts off before the model sees it."""
    if evidence.region is None:
        return
    height, width = evidence.video.size
    left, top, right, bottom = evidence.region
    # A crop larger than the frame pads it, and hides nothing.
    wide, tall = min(right, width) - max(left, 0), min(bottom, height) - max(top, 0)
    hidden = 1 - wide * tall / (width * height)
    if hidden > HIDDEN:
        yield (
            f"the model does not see {hidden:.0%} of the frame: its processor keeps the middle "
            f"{wide:.0f} x {tall:.0f} of {width} x {height} pixels"
        )


def find_shared_times(evidence: Evidence) -> Iterator[str]:
    """Tell whether the model gives several frames the same place in time."""
    places = evidence.places
    if places is not None and places.moments < places.frames:
        count = "one place" if places.moments == 1 else f"{places.moments} places"
        yield (
            f"the model has {count} in time for the {places.frames} frames of its map: it cannot "
            "tell by their time those that share one"
        )


def find_boxes_of_whole_frame(evidence: Evidence) -> Iterator[str]:
    """Tell whether there was no candidate, or one was chosen that is nearly the whole frame."""
    if evidence.track is None:
        return
    height, width = evidence.video.size
    share = float(_areas(evidence.track).mean()) / (height * width)
    if share <= NEARLY_WHOLE:
        return
    if evidence.proposed and len(evidence.candidates) == 1:
        yield "no object differs from its background: the only candidate is the whole frame"
    else:
        yield f"the chosen candidate is nearly the whole frame ({share:.0%} of it)"


def find_tiles(evidence: Evidence) -> Iterator[str]:
    """Tell whether the model sees more of the picture than its cells."""
    if evidence.tiled:
        yield (
            "the model was shown the picture a second time, in larger tiles: no map has the "
            "attention to them, and what is hidden from it is hidden in the whole picture alone"
        )


def find_busy_picture(evidence: Evidence) -> Iterator[str]:
    """Tell whether boxes were proposed for a picture without a plain background."""
    if evidence.track is None or not (evidence.proposed and evidence.video.is_still):
        return
    # In a video what moves is told from the rest; in a picture nothing else tells it.
    noise = measure_noise(evidence.video.frames[0])
    if noise > PLAIN:
        yield (
            "the boxes are of whatever differs from a plain background, and this picture has none "
            f"(most of it varies by {noise:.0f} levels): give the boxes of a detector"
        )


def find_disagreeing_orders(evidence: Evidence) -> Iterator[str]:
    """Tell whether the maps of both frame orders show different things."""
    for name, look in evidence.looks.items():
        if look.consistency is not None and look.consistency < DISAGREEING:
            yield (
                f"the maps of both frame orders that chose {name} disagree (correlation "
                f"{look.consistency:.2f})"
            )


def find_flat_maps(evidence: Evidence) -> Iterator[str]:
    """Tell whether a map says nothing, so that the first of equal candidates was chosen."""
    for name, look in evidence.looks.items():
        values = look.heatmap.values
        if values.numel() > 1 and float(values.min()) == float(values.max()):
            yield f"the map that chose {name} is the same in all cells, so it says nothing of where"


def find_assumed_rate(evidence: Evidence) -> Iterator[str]:
    """Tell whether the times are a guess: pictures in a row have no clock."""
    if evidence.video.assumed_rate:
        yield (
            f"nobody said how many frames a second there are: the times are those of "
            f"{evidence.video.fps:g} (read_video takes fps)"
        )


CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    find_denied_parts,
    find_other_answers,
    find_low_presence,
    find_missing_parts,
    find_unknown_words,
    find_hidden_parts,
    find_shared_times,
    find_boxes_of_whole_frame,
    find_busy_picture,
    find_tiles,
    find_disagreeing_orders,
    find_flat_maps,
    find_assumed_rate,
)
"""The checks in the order in which their sentences are told."""


def _is_whole_query(part: AskedPart, queries: Queries) -> bool:
    """Tell whether a part was asked about with the words of the whole query."""
    return part in queries.fallbacks


def _areas(track: Tube) -> np.ndarray:
    return (track.boxes[:, 2:] - track.boxes[:, :2]).prod(axis=1)

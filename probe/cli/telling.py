"""Answers on the terminal and in files, as `probe demo` and `probe ground` give them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.cli.console import show, show_progress
from probe.cli.outputs import write_together
from probe.cli.targets import print_targets

if TYPE_CHECKING:
    from probe.grounding.absence import Absence
    from probe.grounding.answers import Answer
    from probe.video import Tube

ANSWER, FIGURE = "answer.json", "answer.png"
"""Files of an answer's folder; its overlay has a name by its kind."""


def write_results(answer: "Answer", out: Path) -> None:
    """Write answer.json, the overlay and answer.png to a folder: all of them, or none."""
    from probe.grounding.answers import OVERLAYS

    with write_together(out) as folder:
        write_files(answer, folder)
        # Before the new files have their names: the overlay of an earlier answer may be of the
        # other kind, and must not lie next to this one.
        _remove_pictures(out, {*OVERLAYS} - {answer.overlay_name})


def write_files(
    answer: "Answer",
    folder: Path,
    *,
    source: Path | None = None,
    truth: "Tube | None" = None,
    agreement: str = "",
) -> None:
    """Write answer.json, the overlay and answer.png, one after the other.

    Args:
        answer: The answer.
        folder: Where to write.
        source: The video's path in answer.json, if the video will lie elsewhere than now.
        truth: The true boxes in the true time, for the pictures.
        agreement: A line for the pictures about answer and truth.
    """
    from probe.pictures.fonts import note_missing_once

    saved = answer
    if source is not None:
        saved = replace(answer, video=replace(answer.video, path=source))
    with note_missing_once(), show_progress("json", "overlay", "figure") as step:
        saved.save(folder / ANSWER)
        step()
        answer.overlay(folder / answer.overlay_name, truth=truth, agreement=agreement)
        step()
        answer.figure(folder / FIGURE, truth=truth, agreement=agreement)
        step()


def write_absence(absence: "Absence", out: Path) -> None:
    """Write answer.json without a tube, and remove the pictures of an earlier answer."""
    from probe.grounding.answers import OVERLAYS

    with write_together(out) as folder:
        absence.save(folder / ANSWER)
        # Before the new file has its name: pictures of another answer must never lie next to it.
        _remove_pictures(out, (*OVERLAYS, FIGURE))


def list_outputs(out: Path) -> list[Path]:
    """List the files of a folder that an answer is written to, or that it may remove."""
    from probe.grounding.answers import OVERLAYS

    return [out / name for name in (ANSWER, *OVERLAYS, FIGURE)]


def _remove_pictures(out: Path, names: Iterable[str]) -> None:
    """Remove pictures of an earlier answer; of a folder without one they are somebody else's."""
    if (out / ANSWER).exists():
        for name in names:
            (out / name).unlink(missing_ok=True)


def print_answer(answer: "Answer", out: Path) -> None:
    """Print what was found, and the files that it was written to."""
    print_presence(answer.queries.whole, answer.presence, answer.model)
    for tell in (print_tube, print_targets, print_looks):
        tell(answer)
    print_doubts(answer.doubts)
    files = (ANSWER, answer.overlay_name, FIGURE)
    show(f"written {', '.join(str(out / name) for name in files)}")


def print_tube(answer: "Answer") -> None:
    """Print the span and some boxes of the tube; of a picture, which has no time, the box."""
    tube, choice = answer.tube, describe_choice(answer)
    corners = ["  ".join(f"{edge:7.1f}" for edge in box) for box in tube.boxes]
    if answer.video.is_still:
        show(f"where   {choice}:", f"        x1 y1 x2 y2 = {corners[0]}")
        return
    start, stop = answer.seconds
    frames = f"frames {answer.span.start} to {answer.span.stop - 1}"
    show(f"when    {start:.2f} to {stop:.2f} s ({frames})")
    if answer.again is not None:
        first = answer.again.first_span
        before, after = (answer.video.time_at(frame) for frame in (first.start, first.stop))
        count = len(answer.again.frames)
        show(f"again   {count} more frames were read; before, it was {before:.2f} to {after:.2f} s")
    show(f"where   {choice}; first, middle and last box:")
    for i in sorted({0, len(tube) // 2, len(tube) - 1}):
        show(f"        frame {tube.frames[i]:5d}   x1 y1 x2 y2 = {corners[i]}")


def print_looks(answer: "Answer") -> None:
    """Print through which tokens the model looked for what was chosen by its attention, and why."""
    from probe.cli.token_words import describe_tokens
    from probe.grounding.track_rules import CausalEffect
    from probe.viewer.answer_words import EFFECT, chose_by_attention

    config = answer.config
    looks = [("when", answer.when, config.token_when or config.token)]
    looks = [] if answer.video.is_still else looks
    if isinstance(config.track, CausalEffect) and not chose_by_attention(answer):
        # The map is drawn all the same, and nobody should take it for the reason.
        show(f"chosen  by {EFFECT}, not by its attention")
    else:
        looks.insert(0, ("where", answer.where, config.token))
    for name, look, rule in looks:
        show(f"looked  through {describe_tokens(look, rule)} for {name}: {look.question}")


def describe_choice(answer: "Answer") -> str:
    """Describe in words which candidate was chosen, by what rule, and how clearly."""
    rule = answer.config.track
    name = getattr(rule, "__name__", type(rule).__name__)
    label = f" ({answer.track.label})" if answer.track.label else ""
    number, best = answer.scores.index(answer.score) + 1, f"{answer.score:.3g}"
    others = sorted(answer.scores, reverse=True)[1:]
    next_best = f", the next {others[0]:.3g}" if others else ""
    chosen = f"candidate {number} of {len(answer.candidates)}{label}"
    return f"{chosen}, by {name}: score {best}{next_best}"


def print_absence(absence: "Absence", out: Path) -> None:
    """Print that there is no tube, and why."""
    print_presence(absence.queries.whole, absence.presence, absence.model)
    show(f"absent  no tube is given: the presence required is {absence.required:+.2f}")
    print_doubts(absence.doubts)
    show(f"written {out / 'answer.json'}")


def print_presence(query: str, presence: float | None, model: Mapping[str, Any]) -> None:
    """Print the query, and how clearly the model says that its object is there."""
    from probe.grounding.presence import CALIBRATED

    show(f"query   {query}")
    if presence is None:
        return
    threshold = CALIBRATED.get(model["name"])
    known = "" if threshold is None else f"; calibrated threshold {threshold:+.2f}"
    show(f"present {presence:+.2f} (yes minus no of the whole query, in logits{known})")


def print_doubts(doubts: Sequence[str]) -> None:
    """Print one line for each doubt."""
    for doubt in doubts:
        show(f"doubt   {doubt}")

"""The best and the worst answers of each run of a report, with pictures."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from probe.datasets import DataSet
from probe.evaluation.answer_pictures import draw_answer, list_spans
from probe.evaluation.page import Case, Cases, Heading, Key, Paragraph, Part
from probe.evaluation.reported_runs import ReportedRun
from probe.evaluation.results import QueryResult

CASES_SHOWN = 3
"""Best answers, and worst answers, shown of each run."""

FRAMES_READ = 24
"""Frames read of a video, from which those of its picture are chosen."""

CASE_KEY = Key((("answer", "answer"), ("truth", "truth")))
"""The meaning of boxes and bars of time."""


def show_cases(run: ReportedRun, trusted: Collection[str]) -> Iterator[Part]:
    """Show the best and the worst answers with pictures; a failed query has no answer."""
    answered = [result for result in run.run.results.values() if result.error is None]
    if not answered:
        return
    # Many answers have a score of 0: the name puts those into one order on every machine.
    scored = [result for result in answered if _rank(result) is not None]
    ordered = sorted(scored or answered, key=lambda one: (-(_rank(one) or 0.0), one.id))
    count = min(CASES_SHOWN, (len(ordered) + 1) // 2)
    try:
        dataset = run.open_dataset(trusted)
    except (ValueError, OSError) as failure:
        yield Heading(f"{run.label}: best and worst answers", level=3)
        yield Paragraph(f"There are no pictures: {failure}")
        return
    worst = ordered[count:][::-1][:count]
    # Without any truth, no answer is better than another: some are shown, in the order of names.
    parts = {"best": ordered[:count], "worst": worst} if scored else {"first": ordered[:count]}
    for name, chosen in parts.items():
        if chosen:
            yield Heading(f"{run.label}: {name} answers", level=3)
            yield CASE_KEY
            yield Cases(tuple(_show_case(result, dataset) for result in chosen))


def _rank(result: QueryResult) -> float | None:
    """Return the figure by which an answer is better than another; None if it has no figure."""
    score = result.score
    if score.viou is not None:
        return score.viou + 1e-3 * (score.gt_viou or 0.0)  # of equal tubes, the better track
    return score.tiou if score.gt_viou is None else score.gt_viou


def _show_case(result: QueryResult, dataset: DataSet) -> Case:
    facts, notes = (*_list_facts(result), result.id), _list_doubts(result.details)
    try:
        sample = dataset[dataset.ids.index(result.id)]
        footage = sample.recording.read(FRAMES_READ)
        sample = sample.settle(footage)
        pictures = draw_answer(footage, result.tube, sample)
        spans = list_spans(footage, result.tube, sample)
    except (ValueError, OSError) as failure:
        return Case(result.query, facts, notes=(f"There is no picture: {failure}", *notes))
    return Case(result.query, facts, pictures, spans, notes)


def _list_facts(result: QueryResult) -> Iterator[str]:
    """List the figures of an answer, and how sure the method was that the thing is there."""
    score = result.score
    figures = {"vIoU": score.viou, "tIoU": score.tiou, "gt_vIoU": score.gt_viou}
    known = [f"{name} {value:.2f}" for name, value in figures.items() if value is not None]
    yield from known or ["no truth is known"]
    if result.presence is not None:
        yield f"margin {result.presence:+.1f}"


def _list_doubts(details: Mapping[str, Any]) -> tuple[str, ...]:
    # A run comes from a file, and its method may be anybody's: details may hold anything.
    doubts = details.get("doubts", ())
    found = doubts if isinstance(doubts, list) else ()
    return tuple(f"doubt: {doubt}" for doubt in found if isinstance(doubt, str))

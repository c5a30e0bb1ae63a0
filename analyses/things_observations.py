"""All that the pages about grounding things tell of a clip, observed on it with one organism.

What both worlds are asked is in `observations.py`; added are true tracks, the ceiling of the
proposer, more maps, and every score of presence of the query and of each absent one.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Numbers
from measurement import Case, Measurement, MeasurementConfig, Records, whole_question
from observations import (
    LENS,
    Chosen,
    list_grounders,
    name_figures,
    observe_looks,
    observe_presence,
    read_lens,
    role_tokens,
)
from organism_runs import CHOOSING_CLIPS, choose_once, read_chosen
from parts import write_part
from presence import PRESENT, Answers, choose_threshold
from tables import answer_by_methods, score_prediction
from things_runs import Runs

from probe.candidates.nested_tracks import propose_nested_tracks
from probe.engine.model import VideoLM
from probe.engine.readings import Reading
from probe.evaluation.methods import METHODS, Grounding, Method, Prediction
from probe.files import read_json, write_json
from probe.grounding.noun_rule import Noun
from probe.grounding.presence import measure_presence
from probe.grounding.presets import BEST
from probe.grounding.queries import decompose
from probe.interpret.grounding_tokens import grounding_token
from probe.metrics import spatial_iou
from probe.organism.things.changes import CHANGES
from probe.video import Tube

ASKED = "CAUSAL"
"""The method that the wanted lines are about."""

CEILING, TRUE_TRACK = "best proposed track", "true track"

OBSERVED = "grounding"
"""Beginning of the names of the organism's parts, which another page takes, too."""

MARGIN = "whole query's margin"
SCORES = (
    MARGIN,
    "lower of both parts' margins",
    "word lens, strongest cell",
    "peak of role tokens' map",
)
"""Scores of how surely a thing is there, by name."""


def list_methods(chosen: Chosen) -> dict[str, Method]:
    """Return all methods of the page, by name."""
    return {
        **list_grounders(chosen),
        "BEST": Grounding(BEST),
        "whole clip": METHODS["whole-clip"],
    }


def observe_clip(
    model: VideoLM, case: Case, chosen: Chosen, protocol: str
) -> dict[str, float | None]:
    """Observe all that the page tells of one clip; None for an absent query that there is not."""
    view = model.watch(case.video)
    (reading,) = view.read(case.question)
    # On things-val it has a right track in more clips than the plain proposer, for grounds have
    # texture and things touch.
    proposed, methods = propose_nested_tracks(case.video), list_methods(chosen)
    answers = answer_by_methods(model, case, methods, proposed, closed=False)
    # `PAPER` takes as long as all others together, and its steps do not depend on the tracks.
    quick = {name: method for name, method in methods.items() if name != "PAPER"}
    known = answer_by_methods(model, case, quick, case.tracks, closed=True)
    scores = {name: score_prediction(case, one, protocol) for name, one in answers.items()}
    true = {name: score_prediction(case, one, protocol) for name, one in known.items()}
    return {
        **name_figures(scores),
        **{f"{name}, right of true": one["right_track"] for name, one in true.items()},
        **{f"{name}, m_tIoU": one["m_tiou"] for name, one in scores.items()},
        **{f"{name}, another": one["another_track"] for name, one in scores.items()},
        **observe_ceiling(case, proposed, answers[ASKED], protocol),
        **observe_presence(model, view, case),
        **observe_looks(reading, case, chosen, read_lens(view, case)),
        **observe_other_looks(reading, case),
        **observe_margins(model, case),
    }


def observe_ceiling(
    case: Case, proposed: Sequence[Tube], answer: Prediction | None, protocol: str
) -> dict[str, float]:
    """Observe what the best proposed track and the true one would score in the same time."""
    frames = case.truth.frames
    best = max(proposed, key=lambda one: spatial_iou(one.interpolated(frames), case.truth))
    ideals = {
        name: None if answer is None else Prediction(answer.span, track)
        for name, track in ((CEILING, best), (TRUE_TRACK, case.track))
    }
    return {
        **{
            f"{name}, m_vIoU": score_prediction(case, one, protocol)["m_viou"]
            for name, one in ideals.items()
        },
        f"{CEILING}, right": float(case.is_right(best)),
    }


def observe_other_looks(reading: Reading, case: Case) -> dict[str, float]:
    """Observe whether strongest cells lie on the track: of the noun, and of role tokens."""
    maps = {
        "noun": reading.heatmap(Noun()(reading)),
        "mean of role tokens": reading.heatmap(role_tokens(reading)),
        "most active": reading.heatmap(grounding_token(reading)),
    }
    return {f"{name}, on track": float(one.points_at(case.track)) for name, one in maps.items()}


def observe_margins(model: VideoLM, case: Case) -> dict[str, float | None]:
    """Observe every score of presence of the query, and of each absent one."""
    view = model.watch(case.video)
    queries = {PRESENT: case.query, **case.absent}
    parts = [decompose(query) for query in queries.values()]
    whole = measure_presence(view, *queries.values())
    both = measure_presence(view, *(text for one in parts for text in (one.attribute, one.action)))
    lens = LENS.measure_presence(model, case.video, tuple(queries.values()))
    readings = view.read(*map(whole_question, queries.values()))
    found: dict[str, float | None] = dict.fromkeys(
        f"{score}: {kind}" for score in SCORES for kind in (PRESENT, *CHANGES)
    )
    for place, kind in enumerate(queries):
        lower = min(both[2 * place : 2 * place + 2])
        peak = float(readings[place].heatmap(role_tokens(readings[place])).values.max())
        for score, value in zip(SCORES, (whole[place], lower, lens[place], peak), strict=True):
            found[f"{score}: {kind}"] = float(value)
    return found


def measure_part(config: MeasurementConfig, chosen_file: Path, file: Path) -> None:
    """Observe some clips, and store what was observed."""
    torch.set_num_threads(1)
    measurement = config.open()
    observe = partial(
        observe_clip, chosen=read_chosen(chosen_file), protocol=measurement.dataset.protocol
    )
    records = measurement.measure_cases(observe)
    store_records(measurement, records, file)


def store_records(measurement: Measurement, records: Records[Any], file: Path) -> None:
    """Store observations; a failed clip is zero in everything, and has no score of presence."""
    nothing = {name: None if ": " in name else 0.0 for name in records.values[0]}
    rows = [*records, *[nothing] * len(records.failed)]
    values = {
        name: [None if row[name] is None else round(float(row[name]), 4) for row in rows]
        for name in nothing
    }
    write_part(file, measurement.provenance(records), values)


def observe_all(runs: Runs, config: MeasurementConfig, name: str) -> Numbers:
    """Observe what is missing of a model's clips; its best fixed token comes first."""
    stem = runs.name_parts(config, name)
    chosen_file = stem.with_name(f"{stem.name}-chosen.json")
    choose_once(config, chosen_file)
    limit_file = stem.with_name(f"{stem.name}-threshold.json")
    if not limit_file.exists():
        write_json(limit_file, choose_limit(config))
    found = runs.measure(config, stem, partial(measure_part, chosen_file=chosen_file))
    return {**found, "chosen": read_json(chosen_file), "threshold": read_json(limit_file)}


def choose_limit(config: MeasurementConfig) -> Numbers:
    """Choose on other clips the margin that tells best what is there from what is not."""
    opened = replace(config.for_choosing(), clips=min(config.clips, CHOOSING_CLIPS)).open()
    records = opened.measure_cases(observe_margins)
    rows = [
        {kind: {MARGIN: one[f"{MARGIN}: {kind}"]} for kind in (PRESENT, *CHANGES)}
        for one in records
    ]
    # A kind of absence that is impossible in a clip has no margin.
    known = [
        {kind: scores for kind, scores in row.items() if scores[MARGIN] is not None} for row in rows
    ]
    threshold = choose_threshold(Answers.collect(Records(tuple(known), records.failed)))
    return {"chosen_on": opened.dataset.version, "clips": len(opened.indices), **threshold}

"""Rows and rivals of `response_maps.py`: maps that are trained, and what is measured of a clip.

A folder keeps states, maps and the figures of each clip, so that a stopped run goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from common import Numbers
from jaxtyping import Float
from measurement import Case
from tables import score_methods
from torch import Tensor

from probe.engine.model import VideoLM, load
from probe.engine.view import View
from probe.evaluation.methods import METHODS, RESPONSES, Grounding, Method, find_content_words
from probe.files import read_json, write_json
from probe.grounder import look
from probe.grounding.cues import split_cues
from probe.grounding.presets import BEST, CAUSAL
from probe.grounding.track_rules import CausalEffect, score_tracks
from probe.interpret.word_lens import word_lens
from probe.organism.network import make_network, save_checkpoint
from probe.trained.responses.drawn import describe_drawn, find_proposed, find_true
from probe.trained.responses.examples import any_frame
from probe.trained.responses.learned import Learned
from probe.trained.responses.losses import (
    Loss,
    anchor_loss,
    normalise_maps,
    shrinking_loss,
)
from probe.trained.responses.presets import RELEASED_CODE, VIDEO, VIDEO_DISAMBIGUATED
from probe.trained.responses.responses import Responses
from probe.trained.responses.training import ResponseRecipe, train_responses

LAYER = 4
TRAINING_CLIPS = 600

FULL, BANKLESS = "preset", "preset, no bank"
TRUE_PROPOSALS, UNTRAINED = "true proposals", "untrained model"
"""Rows of another way to propose, and of another model: the same network with random weights."""

Change: TypeAlias = Callable[[ResponseRecipe], ResponseRecipe]


def _leave_out(*losses: Loss) -> Change:
    """Leave terms out of the loss."""
    terms = tuple(term for term in VIDEO.terms if term.loss not in losses)
    return lambda recipe: replace(recipe, config=replace(recipe.config, terms=terms))


def _disambiguate(recipe: ResponseRecipe) -> ResponseRecipe:
    return replace(recipe, config=VIDEO_DISAMBIGUATED)


def _leave_out_cues(recipe: ResponseRecipe) -> ResponseRecipe:
    # The module stays as it is, and as large; its sentence no longer reads the cues.
    network = replace(recipe.config.network, sentence_update=0.0)
    return replace(recipe, config=replace(recipe.config, network=network))


def _change_nothing(recipe: ResponseRecipe) -> ResponseRecipe:
    return recipe


def _take_released(recipe: ResponseRecipe) -> ResponseRecipe:
    # Of the same size as all rows, so that they differ in form alone.
    network = replace(RELEASED_CODE.network, channels=VIDEO.network.channels)
    return replace(recipe, config=replace(RELEASED_CODE, network=network))


VARIANTS: Mapping[str, Change] = {
    FULL: _change_nothing,
    "without anchor": _leave_out(anchor_loss),
    "without shrinking": _leave_out(shrinking_loss),
    "classification alone": _leave_out(anchor_loss, shrinking_loss),
    "with disambiguation": _disambiguate,
    "without cues": _leave_out_cues,
    TRUE_PROPOSALS: _change_nothing,
    "any frame": lambda recipe: replace(recipe, frames=any_frame),
    "released code": _take_released,
    UNTRAINED: _change_nothing,
}
"""The rows that are trained, and their change of the recipe."""

METHOD_ROWS: Mapping[str, Method] = {
    "CAUSAL": Grounding(CAUSAL),
    "BEST": Grounding(BEST),
    "word lens": METHODS["lens"],
}

STATES = {TRUE_PROPOSALS: "states-true", UNTRAINED: "states-untrained"}
"""Folders of states and masks that are not those of the other rows."""


def open_untrained(folder: Path) -> VideoLM:
    """Open the network of the shipped model with random weights."""
    if not folder.exists():
        save_checkpoint(make_network(0), folder)
    # As the shipped model is opened: its files, too, are in float16.
    return load(str(folder), dtype="float32")


def train(model: VideoLM, name: str, seed: int, keep: Path) -> Responses:
    """Train one row with one seed, unless it is kept."""
    words = name.replace(" ", "-")
    path = keep / f"{words}-{seed}.safetensors"
    if not path.exists():
        rule = find_true if name == TRUE_PROPOSALS else find_proposed
        videos = describe_drawn(TRAINING_CLIPS, proposals=rule)
        recipe = VARIANTS[name](ResponseRecipe(LAYER, cues=split_cues, seed=seed))
        learned = train_responses(
            model,
            videos,
            recipe,
            # Masks are kept with the states, so those of true tracks need a folder of their own.
            states=keep / STATES.get(name, "states"),
            run=keep / f"{words}-{seed}",
            data="shapes",
        )
        learned.save(path)
    return Responses.of(Learned.load(path), path)


def measure_case(
    model: VideoLM,
    untrained: VideoLM,
    case: Case,
    trained: Mapping[str, list[Responses]],
    keep: Path,
) -> Numbers:
    """Measure all rows and rivals on one clip, but for those that a folder keeps."""
    keep.mkdir(parents=True, exist_ok=True)
    view, other = model.watch(case.video), untrained.watch(case.video)
    frame = choose_frame(case)
    methods = {**METHOD_ROWS, **dict(_list_methods(trained[FULL]))}
    rows = {
        name: [
            _keep_or(
                keep / f"{name} {seed}.json",
                lambda maps=maps, seen=other if name == UNTRAINED else view: [
                    point(seen, case, one[frame]) for one in maps.score(seen, case.query)
                ],
            )
            for seed, maps in enumerate(seeds)
        ]
        for name, seeds in trained.items()
    }
    return {
        "rows": rows,
        "rivals": _keep_or(keep / "rivals.json", lambda: measure_rivals(view, case, frame)),
        "methods": {
            name: _keep_or(
                keep / f"method {name}.json",
                lambda name=name, one=one: score_methods(
                    model, case, {name: one}, "hcstvg-official"
                )[name],
            )
            for name, one in methods.items()
        },
    }


def _keep_or(path: Path, compute: Callable[[], Any]) -> Any:
    """Return what is kept in a file, or compute it and keep it."""
    # Read back also when it is new, so that a run that was stopped has the numbers of a whole one.
    if not path.exists():
        write_json(path, compute())
    return read_json(path)


def _list_methods(seeds: list[Responses]) -> Iterator[tuple[str, Method]]:
    for seed, maps in enumerate(seeds):
        yield f"responses {seed}", Grounding(replace(RESPONSES, maps=maps))


def choose_frame(case: Case) -> int:
    """Choose the middle one of the frames that the model sees while the queried thing acts."""
    inside = [place for place, source in enumerate(case.sampled) if source in case.truth.span]
    if not inside:
        raise ValueError(f"{case.name}: no frame of its span is sampled")
    return inside[len(inside) // 2]


def point(view: View, case: Case, scores: Float[Tensor, " cell"]) -> dict[str, float]:
    """Measure where the map of one frame points; scores may have any sign."""
    cells, frame = view.grid.cells, choose_frame(case)
    inside = cells.inside(case.track)[frame].flatten()
    shares = [torch.from_numpy(cells.coverage(one))[frame].flatten() for one in case.tracks]
    heat = normalise_maps(scores)
    # Half the peak: a level that needs no choosing, for maps of any scale.
    bright = heat > heat.max() / 2
    strongest = [float((heat * share).max()) for share in shares]
    return {
        "on_object": float(inside[scores.argmax()]),
        "right": float(int(np.argmax(strongest)) == 0),  # the true track comes first
        "iou": float((bright & inside).sum() / (bright | inside).sum()),
    }


def measure_rivals(view: View, case: Case, frame: int) -> Numbers:
    """Measure the rivals on one clip, and chance."""
    lens = word_lens(view, find_content_words(case.query), LAYER).values[frame].flatten()
    where = look(view, BEST.parts(case.queries)[0], BEST)
    seen = where.heatmap.values[frame].flatten()
    effects = score_tracks(CausalEffect(), view, case.queries, where, case.tracks).values
    share = float(view.grid.cells.inside(case.track)[frame].float().mean())
    return {
        "word lens": point(view, case, lens - lens.min()),
        "attention": point(view, case, seen - seen.min()),
        "cause": {"right": float(int(np.argmax(effects)) == 0)},
        # All cells above half of a flat map are bright: its IoU is the share of the object.
        "chance": {"on_object": share, "right": 1 / len(case.tracks), "iou": share},
    }

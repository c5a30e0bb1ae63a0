"""All that `claims.py` compares, observed on one clip with one organism, as `protocol.md` says.

Each observation is a number a clip, by name. A video is watched once for all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool
from measurement import Case, Measurement
from tables import score_methods
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.prompts import GENERIC
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.evaluation.methods import (
    METHODS,
    Grounding,
    Lens,
    Method,
    find_content_words,
    seed_by_name,
)
from probe.grounding.noun_rule import Noun
from probe.grounding.presence import measure_presence
from probe.grounding.presets import CAUSAL, NOUN, PAPER, PLAIN
from probe.grounding.queries import as_question
from probe.grounding.reattention import Learning
from probe.interpret.grounding_tokens import grounding_token, visual_activation
from probe.interpret.heads import attention_ratio
from probe.interpret.knockouts import Cut, knock_out
from probe.interpret.token_rules import AllOf, Fixed
from probe.interpret.word_lens import word_lens
from probe.metrics import auroc

STRONGEST = 0.02
"""Share of the cells that are cut as a map's strongest."""

ALL = -1
"""Place of the average over all layers among layers."""

LENS = Lens()

Observations = dict[str, float]


@dataclass(frozen=True)
class Chosen:
    """The best fixed token of one organism, chosen on other clips."""

    token: int
    """Role token, counted from the end of the question."""

    layer: int

    shares: Mapping[int, float]
    """Share of clips on which a role token's strongest cell is on the true track, all layers."""


def choose(measurement: Measurement) -> Chosen:
    """Choose the role token and layer whose strongest cell is on the true track most often."""
    records = measurement.measure_cases(_find_on_track)
    places = sorted(records.values[0])
    shares = {place: float(np.mean([record[place] for record in records])) for place in places}
    # The first of equals, in the order of token and layer.
    token, layer = max((place for place in places if place[1] != ALL), key=shares.__getitem__)
    averaged = {token: shares[token, layer] for token, layer in places if layer == ALL}
    return Chosen(token, layer, averaged)


def _find_on_track(model: VideoLM, case: Case) -> dict[tuple[int, int], float]:
    """Tell for each role token whether its strongest cell is on the track, by layer and for all."""
    (reading,) = model.watch(case.video).read(case.question)
    layers = {ALL: None, **{layer: layer for layer in range(model.checkpoint.depth)}}
    return {
        (token, name): float(reading.heatmap(token, layer).points_at(case.track))
        for token in role_tokens(reading)
        for name, layer in layers.items()
    }


def role_tokens(reading: Reading) -> list[int]:
    """Return the places of the role tokens, counted from the end of the question."""
    return [place - reading.prompt.asked for place in reading.prompt.indices("role")]


def list_grounders(chosen: Chosen) -> dict[str, Method]:
    """Return the methods whose choice of a track is compared, by name."""
    fixed = replace(PLAIN, token=Fixed(chosen.token), layers=(chosen.layer,), relative=False)
    return {
        "CAUSAL": Grounding(CAUSAL),
        "NOUN": Grounding(NOUN),
        "PAPER": Grounding(PAPER),
        "word lens": LENS,
        "mean of role tokens": Grounding(replace(PLAIN, token=AllOf(), relative=False)),
        "fixed": Grounding(fixed),
        "random track": METHODS["random-track"],
        "largest track": METHODS["largest-track-middle-half"],
    }


def list_parts(chosen: Chosen) -> dict[str, Method]:
    """Return the fixed token with and without each part of the published method, by name."""
    # With the layers and maps of `PAPER`: all of them, relative.
    fixed, learning = replace(PLAIN, token=Fixed(chosen.token)), Learning()
    return {
        "plain": Grounding(fixed),
        "prompts": Grounding(replace(fixed, learn_where=learning, learn_when=learning)),
        "orders": Grounding(replace(fixed, assembly="mean")),
    }


def observe(model: VideoLM, case: Case, chosen: Chosen, protocol: str) -> Observations:
    """Observe everything on one clip."""
    view = model.watch(case.video)
    (reading,) = view.read(case.question)
    return {
        **name_figures(score_methods(model, case, list_grounders(chosen), protocol)),
        **observe_presence(model, view, case),
        **observe_looks(reading, case, chosen, read_lens(view, case)),
        **observe_mechanisms(model, case, chosen, protocol),
    }


def observe_mechanisms(model: VideoLM, case: Case, chosen: Chosen, protocol: str) -> Observations:
    """Observe parts of the published method, and what tokens, cells and layers carry."""
    view = model.watch(case.video)
    (reading,) = view.read(case.question)
    lens = read_lens(view, case)
    return {
        **name_figures(score_methods(model, case, list_parts(chosen), protocol)),
        **observe_ranks(reading, case, chosen),
        **observe_knock_outs(view, reading, case, chosen, lens),
        **observe_words_said(view, case),
        **observe_layers(view, reading, case, lens),
    }


def name_figures(scores: Mapping[str, Mapping[str, float]]) -> Observations:
    """Name what statements compare of each method: the right track, and m_vIoU."""
    return {
        **{f"{name}, right": found["right_track"] for name, found in scores.items()},
        **{f"{name}, m_vIoU": found["m_viou"] for name, found in scores.items()},
    }


def observe_presence(model: VideoLM, view: View, case: Case) -> Observations:
    """Observe how often the query is surer to be there than one that is true of nothing."""
    queries = (case.query, *case.absent.values())
    margin, *absent = measure_presence(view, *queries)
    strongest, *others = LENS.measure_presence(model, case.video, queries)
    return {
        "presence": auroc([margin], absent),
        "presence, word lens": auroc([strongest], others),
    }


def observe_looks(
    reading: Reading, case: Case, chosen: Chosen, lens: list[Heatmap]
) -> Observations:
    """Observe which maps have their strongest cell on the true track, and rivals of that."""
    fixed = reading.heatmap(chosen.token, chosen.layer)
    others = [float(fixed.points_at(track)) for track in case.tracks[1:]]
    return {
        "fixed, on track": float(fixed.points_at(case.track)),
        "fixed, on another": float(np.mean(others)) if others else 0.0,
        "cells on track": float(case.on_track(reading.grid).float().mean()),
        "all tokens, on track": float(
            reading.heatmap(range(len(reading.tokens))).points_at(case.track)
        ),
        "word lens, on track": float(_average(lens).points_at(case.track)),
    }


def observe_ranks(reading: Reading, case: Case, chosen: Chosen) -> Observations:
    """Observe whether the more active role token is the one that looks at the right place."""
    roles = role_tokens(reading)
    ratios = attention_ratio(reading.mean_attention(), case.on_track(reading.grid))
    superior = max(roles, key=lambda token: float(ratios[token]))
    activation = visual_activation(reading)
    by_activity = sorted(roles, key=lambda token: -float(activation[token]))
    most, least = by_activity[0], by_activity[-1]
    rank = float(
        reading.heatmap(most).points_at(case.track) - reading.heatmap(least).points_at(case.track)
    )
    return {
        "most active is superior": float(most == superior),
        "fixed is superior": float(chosen.token == superior),
        "one of the role tokens": 1 / len(roles),
        "rank": rank,
        # A token that always looks and is always active would make a rank of itself.
        "rank within token": rank - (chosen.shares[most] - chosen.shares[least]),
    }


def observe_knock_outs(
    view: View, reading: Reading, case: Case, chosen: Chosen, lens: list[Heatmap]
) -> Observations:
    """Observe the fall of the margin, in logits, when tokens are blinded or cells are cut."""
    fixed = reading.heatmap(chosen.token, chosen.layer)
    cuts = {
        "role tokens blinded": Cut(tokens=role_tokens(reading)),
        "noun blinded": Cut(tokens=Noun()(reading)),
        "lens cells cut": Cut(cells=_mark_strongest(_average(lens))),
        "fixed token's cells cut": Cut(cells=_mark_strongest(fixed)),
        "random cells cut": Cut(cells=_draw_cells(case, view)),
    }
    effects = knock_out(view, case.question, list(cuts.values()))
    return {
        f"fall, {name}": -effect.margin_change for name, effect in zip(cuts, effects, strict=True)
    }


def observe_words_said(view: View, case: Case) -> Observations:
    """Observe where the last word for the thing looks, said by the model and asked of it."""
    thing = case.queries.attribute
    (said,) = view.read(GENERIC, answer=thing)
    (asked,) = view.read(as_question(thing))
    maps = {
        "word said": said.heatmap(-1),
        "word asked": asked.heatmap(asked.prompt.find(thing)[-1]),
        "most active role token": asked.heatmap(grounding_token(asked)),
    }
    return {f"{name}, on track": float(one.points_at(case.track)) for name, one in maps.items()}


def observe_layers(view: View, reading: Reading, case: Case, lens: list[Heatmap]) -> Observations:
    """Observe layer by layer where attention and lens point, and what a layer's look is worth."""
    layers = range(view.checkpoint.depth)
    roles, noun = reading.prompt.indices("role"), Noun()(reading)
    effects = knock_out(view, case.question, [Cut(layers=layer) for layer in layers])
    found = {}
    for layer, effect in zip(layers, effects, strict=True):
        maps = {
            "role tokens": reading.heatmap(roles, layer),
            "noun": reading.heatmap(noun, layer),
            "word lens": lens[layer],
        }
        for name, one in maps.items():
            found[f"layer {layer}, {name}"] = float(one.points_at(case.track))
        found[f"layer {layer}, fall"] = -effect.margin_change
    return found


def read_lens(view: View, case: Case) -> list[Heatmap]:
    """Read the lens's map of the thing's words at each layer."""
    words = find_content_words(case.queries.attribute)
    return [word_lens(view, words, layer) for layer in range(view.checkpoint.depth)]


def _average(maps: list[Heatmap]) -> Heatmap:
    return Heatmap(torch.stack([one.values for one in maps]).mean(0), maps[0].cells)


def _count_strongest(cells: int) -> int:
    return max(1, round(STRONGEST * cells))


def _mark_strongest(heatmap: Heatmap) -> Bool[Tensor, "frame row column"]:
    values = heatmap.values.flatten()
    marked = torch.zeros(values.shape, dtype=torch.bool)
    marked[values.topk(_count_strongest(len(values))).indices] = True
    return marked.reshape(heatmap.values.shape)


def _draw_cells(case: Case, view: View) -> Bool[Tensor, "frame row column"]:
    """Draw as many cells of the true track as of a map's strongest; all if it has fewer."""
    inside = case.on_track(view.grid)
    places = inside.flatten().nonzero()[:, 0].numpy()
    wanted = min(len(places), _count_strongest(inside.numel()))
    marked = torch.zeros(inside.numel(), dtype=torch.bool)
    marked[seed_by_name(case.name, 0).choice(places, wanted, replace=False)] = True
    return marked.reshape(inside.shape)

"""Targets: all that a query means is given, each thing once, and little besides."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.engine.attention import Heatmap
from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.grounding.config import GrounderConfig
from probe.grounding.looks import Look
from probe.grounding.presets import CAUSAL
from probe.grounding.queries import decompose
from probe.grounding.targets import NearBest, list_others, measure_cover
from probe.grounding.track_rules import CHOSEN_BY_ATTENTION, CausalEffect, TrackScores
from probe.organism.world import make_clip
from probe.video import Tube

ALL = replace(CAUSAL, targets=NearBest())


def box_at(x, y=0.0, side=10.0, frames=(0, 8)):
    return Tube([*frames], [[x, y, x + side, y + side]] * len(frames))


APART = [box_at(0), box_at(20), box_at(40), box_at(60)]


def test_what_has_half_of_the_best_score_is_given_best_first():
    scores = TrackScores((1.0, 0.49, 2.0, 1.7))
    assert NearBest()(APART, scores) == (2, 3, 0)
    assert NearBest(share=0.2)(APART, scores) == (2, 3, 0, 1)
    assert NearBest(share=1.0)(APART, scores) == (2,)


def test_nothing_but_the_best_is_given_where_scores_are_no_effects():
    looked = TrackScores((1.0, 0.9, 0.8, 0.7), (CHOSEN_BY_ATTENTION,))
    assert NearBest()(APART, looked) == (0,)
    assert NearBest()(APART, TrackScores((-2.0, -1.0, -3.0, -1.1))) == (1,)
    assert NearBest()(APART, TrackScores((0.0, -np.inf, 0.0, 0.0))) == (0,)


def test_of_candidates_that_lie_on_each_other_one_is_given():
    within = box_at(22, 2, side=5)
    around = box_at(15, side=30)
    found = [box_at(20), within, around, box_at(60)]
    assert NearBest()(found, TrackScores((2.0, 1.9, 1.8, 1.7))) == (0, 3)
    assert NearBest()(found, TrackScores((1.8, 2.0, 1.9, 1.7))) == (1, 3)
    later = Tube([9, 12], found[0].boxes)
    assert NearBest()([found[0], later], TrackScores((2.0, 1.9))) == (0, 1), "in other frames"


def test_the_cover_of_boxes_is_that_of_their_pixels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn, tubes = np.zeros((2, 3, 30, 30), bool), []
        for one in range(2):
            corners = np.sort(rng.integers(0, 30, (3, 2, 2)), axis=1).reshape(3, 4)
            for frame, (x1, y1, x2, y2) in enumerate(corners):
                drawn[one, frame, y1:y2, x1:x2] = True
            tubes.append(Tube([0, 1, 2], corners))
        smaller = drawn.sum((2, 3)).min(0)
        shared = drawn.all(0).sum((1, 2))
        expected = np.mean([s / n if n else 0.0 for s, n in zip(shared, smaller, strict=True)])
        assert measure_cover(*tubes) == pytest.approx(expected)
        assert measure_cover(*tubes) == measure_cover(*tubes[::-1])


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.5}, {"same": -0.1}])
def test_impossible_shares_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NearBest(**wrong)


def test_the_rule_comes_back_with_the_configuration():
    assert GrounderConfig.from_dict(ALL.to_dict()) == ALL


class Chosen:
    """A track rule that gives the same scores always."""

    def __init__(self, *scores):
        self.scores = scores

    def __call__(self, *_):
        return self.scores


@pytest.fixture(scope="module")
def answer(organism, clip):
    tracks = [thing.track() for thing in clip.things]
    scores = np.linspace(2.0, 1.5, len(tracks)).tolist()
    config = replace(ALL, track=Chosen(*scores))
    return ground(organism, clip.video(), clip.things[0].query, tracks, config=config)


@pytest.mark.slow
def test_each_target_has_the_span_that_its_own_track_would_have(answer, organism, clip):
    assert [target.candidate for target in answer.targets] == [*range(len(clip.things))]
    assert list_others(answer.targets, answer.track) == [*answer.targets[1:]]
    for target in answer.targets:
        single = replace(ALL, targets=None, track=Chosen(1.0))
        alone = ground(organism, clip.video(), clip.things[0].query, [target.track], config=single)
        assert alone.span == target.span
        assert alone.tube == target.tube
        assert alone.targets == ()


@pytest.mark.slow
def test_targets_come_back_and_are_drawn(organism, clip, tmp_path):
    tracks = [thing.track() for thing in clip.things]
    # True of more than one thing.
    ((action, _),) = Counter(thing.action for thing in clip.things).most_common(1)
    video, query = clip.video(), f"something that {action}"
    config = replace(ALL, targets=NearBest())
    answer = ground(organism, video, query, tracks, config=config)
    assert len(answer.targets) > 1
    answer.save(tmp_path / "answer.json")
    record = json.loads((tmp_path / "answer.json").read_text())
    places = [one["candidate"] for one in record["targets"]]
    assert places == [target.candidate for target in answer.targets]
    again = Answer.load(tmp_path / "answer.json", video)
    assert again == answer
    assert [one.span for one in again.targets] == [one.span for one in answer.targets]
    best = ground(organism, video, query, tracks)
    assert "targets" not in best.to_dict()
    for one in (answer, best):
        one.overlay(tmp_path / f"{len(one.targets)}.mp4")
        one.figure(tmp_path / f"{len(one.targets)}.png")
    for kind in ("mp4", "png"):
        written = [(tmp_path / f"{n}.{kind}").read_bytes() for n in (len(answer.targets), 0)]
        assert written[0] != written[1]


def tally(organism, seeds, ask):
    """Count what is given and meant, given, and meant, over the queries that the model affirms."""
    counts = Counter()
    for clip in map(make_clip, seeds):
        view = organism.watch(clip.video())
        tracks = [thing.track() for thing in clip.things]
        for query, meant in ask(clip):
            scores = CausalEffect()(view, decompose(query), look_nowhere(view), tracks)
            if CHOSEN_BY_ATTENTION in scores.doubts:
                continue
            given = {*NearBest()(tracks, scores)}
            counts += Counter(
                both=len(given & meant), given=len(given), meant=len(meant), queries=1
            )
    return counts


def look_nowhere(view):
    """A look whose map is flat: nothing is to be chosen by attention."""
    (reading,) = view.read("Is there a thing in this video?")
    heatmap = reading.heatmap((0,))
    return Look(reading, (0,), Heatmap(torch.ones_like(heatmap.values), heatmap.cells))


@pytest.mark.slow
def test_a_query_that_means_one_thing_gets_it_and_hardly_another(organism):
    counts = tally(
        organism,
        range(5000, 5012),
        lambda clip: [(thing.query, {place}) for place, thing in enumerate(clip.things)],
    )
    assert counts["queries"] > 30
    assert counts["both"] / counts["meant"] > 0.95
    assert counts["both"] / counts["given"] > 0.9


@pytest.mark.slow
def test_a_query_that_means_two_things_gets_more_than_one_of_them(organism):
    def ask(clip):
        actions = Counter(thing.action for thing in clip.things)
        for action, number in actions.items():
            if number > 1:
                yield (
                    f"something that {action}",
                    {place for place, thing in enumerate(clip.things) if thing.action == action},
                )

    counts = tally(organism, range(5000, 5040), ask)
    assert counts["queries"] > 10
    assert counts["both"] > counts["queries"], "more than the best of each"
    assert counts["both"] / counts["given"] > 0.8


@pytest.mark.slow
def test_all_is_printed_and_refused_where_scores_are_no_effects(command, clip, tmp_path):
    clip.write(tmp_path / "clip.mp4", scale=2)
    words = ("ground", tmp_path / "clip.mp4", clip.things[0].query, "--out", tmp_path / "out")
    code, out, _ = command(*words, "--all")
    assert code == 0
    assert "also    no other candidates" in out or "also    1 other candidate" in out
    assert "targets" in json.loads((tmp_path / "out" / "answer.json").read_text())
    code, _, err = command(*words, "--all", "--preset", "plain")
    assert code == 2
    assert "--all: scores of AttentionPeak are no effects" in err

import inspect
import json
from dataclasses import replace

import numpy as np
import pytest
from tolerances import assert_equal_up_to_rounding

from probe.candidates.tracks import best_track
from probe.grounder import ground
from probe.grounding.config import GrounderConfig
from probe.grounding.presets import (
    BEST,
    CAUSAL,
    ENTROPY_GRADIENT,
    NOUN,
    PAPER,
    PLAIN,
    PRESETS,
    RELEASED_CODE,
)
from probe.grounding.queries import Queries
from probe.grounding.span_rules import BestContrast
from probe.interpret.baseline_maps import entropy_gradient
from probe.organism.world import make_clip
from probe.video import Tube, read_video


@pytest.fixture(scope="module")
def answer(organism, video, clip):
    return ground(organism, video, clip.things[0].query, config=PLAIN)


def test_by_default_the_track_is_chosen_by_cause(organism, video, clip):
    query = clip.things[0].query
    assert ground(organism, video, query).config == CAUSAL
    assert ground(organism, video, query, config="causal").config == CAUSAL


def test_an_answer_has_one_box_for_each_source_frame_of_its_span(answer, video):
    frames = answer.tube.frames
    assert frames.tolist() == list(range(answer.span.start, answer.span.stop))
    assert 0 < len(answer.span) <= video.source_length
    height, width = video.size
    assert (answer.tube.boxes >= 0).all()
    assert (answer.tube.boxes <= [width, height, width, height]).all()


def test_the_track_is_the_candidate_that_the_attribute_map_points_at(answer):
    assert answer.track is best_track(answer.candidates, answer.where.heatmap)


def test_given_candidates_are_the_only_ones(organism, video, clip):
    tracks = [thing.track() for thing in clip.things]
    found = ground(organism, video, clip.things[0].query, tracks)
    assert found.candidates == tuple(tracks)
    assert any(found.track is track for track in tracks)


def test_the_branches_ask_their_own_part_of_the_query(answer, clip):
    thing = clip.things[0]
    assert answer.where.question == f"Is there the {thing.attribute} in this video?"
    assert thing.colour not in answer.when.question
    assert thing.action in answer.when.question


@pytest.mark.slow
def test_the_released_code_reads_a_fixed_token(organism, video, clip):
    found = ground(organism, video, clip.things[0].query, config=RELEASED_CODE)
    tokens = found.where.token_texts
    assert found.where.tokens == (len(tokens) - 5,)
    assert tokens[-5] == "A"


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_answers_and_can_be_written_down(organism, video, clip, preset):
    found = ground(organism, video, clip.things[0].query, config=PRESETS[preset])
    content = json.loads(json.dumps(found.to_dict()))
    assert content["config"]["is"] == "probe.grounding.config:GrounderConfig"
    assert 0 < len(found.span) <= video.source_length


@pytest.mark.slow
def test_the_paper_learns_for_the_part_and_reads_with_the_whole_query(organism, video, clip):
    thing = clip.things[0]
    found = ground(organism, video, thing.query, config=PAPER)
    for look in (found.where, found.when):
        assert look.question == f"Is there {thing.query} in this video?"
    assert found.to_dict()["config"]["learn_where"]["loss"] == {
        "is": "probe.grounding.losses:exponential"
    }
    assert found.where.consistency is not None
    assert -1 <= found.where.consistency <= 1
    assert not np.array_equal(found.where.heatmap.values, found.when.heatmap.values)


def test_a_query_can_come_split(organism, video):
    queries = Queries("whole thing", "the red circle", "the circle that jumps", "file")
    found = ground(organism, video, "whole thing", queries=queries)
    assert found.queries is queries
    assert found.where.question == "Is there the red circle in this video?"


def test_without_the_generic_prompt_maps_are_shares_of_attention(organism, video, clip):
    plain = ground(organism, video, clip.things[0].query, config=replace(PLAIN, relative=False))
    assert float(plain.where.heatmap.values.sum()) <= 1
    over = ground(organism, video, clip.things[0].query, config=PLAIN)
    assert float(over.where.heatmap.values.max()) > float(plain.where.heatmap.values.max())


def test_a_word_without_a_like_in_the_generic_prompt_is_refused(organism, video, clip):
    config = replace(PLAIN, token=lambda _: "Is", generic="Please describe this video")
    with pytest.raises(ValueError, match="'Is' has no counterpart in the generic prompt"):
        ground(organism, video, clip.things[0].query, config=config)


def test_a_configuration_of_no_choices_is_the_default_of_the_grounder():
    assert GrounderConfig() == CAUSAL
    assert inspect.signature(ground).parameters["config"].default == CAUSAL


@pytest.mark.parametrize(
    ("track", "said"),
    [
        (Tube(0, [[500, 500, 600, 600]], "cat"), r"candidate 1 \('cat'\): all of its boxes"),
        (
            Tube(999, [[10, 10, 60, 60]]),
            "candidate 1: frame 999 is outside the video, which has 64",
        ),
    ],
)
def test_a_candidate_outside_of_the_video_is_refused(organism, video, clip, track, said):
    thing = clip.things[0]
    with pytest.raises(ValueError, match=said):
        ground(organism, video, thing.query, [thing.track(), track])


def test_pictures_without_a_clock_leave_a_doubt_about_the_times(organism, video, clip):
    guessed = ground(organism, read_video(video.frames, len(video)), clip.things[0].query)
    assert any("nobody said how many frames a second" in doubt for doubt in guessed.doubts)
    told = ground(organism, read_video(video.frames, len(video), fps=2), clip.things[0].query)
    assert not any("frames a second" in doubt for doubt in told.doubts)


def test_the_span_rule_is_a_choice(organism, video, clip):
    query = clip.things[0].query
    short = ground(organism, video, query, config=replace(PLAIN, span=BestContrast()))
    assert short.to_dict()["config"]["span"] == {"is": "probe.grounding.span_rules:BestContrast"}


def test_an_empty_list_of_candidates_is_not_taken_for_none(organism, video, clip):
    with pytest.raises(ValueError, match="no candidate"):
        ground(organism, video, clip.things[0].query, [])


@pytest.mark.parametrize("query", ["", "  "])
def test_an_empty_query_is_refused(organism, video, query):
    with pytest.raises(ValueError, match="query is empty"):
        ground(organism, video, query)


@pytest.mark.parametrize("query", ["the <video> circle", "a cat <image>", "red</s>"])
def test_control_tokens_in_a_query_are_refused(organism, video, query):
    with pytest.raises(ValueError, match="control token"):
        ground(organism, video, query)


@pytest.mark.slow
def test_the_organism_finds_the_right_track_far_above_chance(organism):
    right = chance = 0.0
    for index in range(30):
        clip = make_clip((31, index))
        tracks = [thing.track() for thing in clip.things]
        found = ground(organism, clip.video(), clip.things[0].query, tracks, config=BEST)
        right += found.track is tracks[0]
        chance += 1 / len(tracks)
    assert right > chance + 3 * np.sqrt(30 * 0.25)


@pytest.mark.slow
def test_an_answer_is_written_whole_and_reads_back(answer, tmp_path, clip, video):
    answer.save(tmp_path / "answer.json")
    answer.figure(tmp_path / "answer.png")
    answer.overlay(tmp_path / "answer.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "answer.json", "answer.mp4", "answer.png",
    ]  # fmt: skip
    content = json.loads((tmp_path / "answer.json").read_text())
    assert content["query"] == clip.things[0].query
    assert content["model"]["name"] == "organism"
    assert content["span"]["stop_seconds"] == pytest.approx(video.time_at(answer.span.stop))
    assert len(content["frame_scores"]) == len(video)
    assert {"rank", "token", "kind", "activation"} <= set(content["where"]["tokens"][0])
    assert sum(candidate["chosen"] for candidate in content["candidates"]) == 1
    np.testing.assert_allclose(Tube.from_dict(content["tube"]).boxes, answer.tube.boxes, atol=0.01)
    assert content["versions"]["torch"]


def test_a_fused_map_is_the_product_of_both(organism, video, clip):
    query = clip.things[0].query
    plain, fused = (
        ground(organism, video, query, config=config) for config in (BEST, ENTROPY_GRADIENT)
    )
    other = entropy_gradient(organism.watch(video), fused.where.question)
    expected = plain.where.heatmap.values * other.values
    assert_equal_up_to_rounding(fused.where.heatmap.values, expected)
    assert_equal_up_to_rounding(fused.when.heatmap.values, plain.when.heatmap.values)


def test_the_action_part_may_have_a_token_rule_of_its_own(organism, video, clip):
    found = ground(organism, video, clip.things[0].query, config=NOUN)
    (noun,) = (found.where.token_texts[token] for token in found.where.tokens)
    assert noun == clip.things[0].shape
    assert len(found.when.tokens) == len(found.when.token_texts)
    assert found.where.consistency is not None
    assert found.when.consistency is not None

"""Where and when are read through other heads, and freed of what any prompt looks at."""

from dataclasses import replace

import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.engine.attention import RELATIVE_FLOOR
from probe.engine.prompts import GENERIC
from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.grounding.looks import Look
from probe.grounding.presets import CAUSAL
from probe.grounding.relevance import MinusGeneric, OverGeneric
from probe.grounding.track_rules import AttentionPeak
from probe.interpret.head_rules import GatheredInTime, TheseHeads

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

TIMED = replace(CAUSAL, track=AttentionPeak())
PAIRS = ((2, 0), (3, 1))


@pytest.fixture(scope="module")
def grounded(organism, clip, video):
    tracks = [thing.track() for thing in clip.things]

    def run(config):
        return ground(organism, video, clip.things[0].query, tracks, config=config)

    return run


def average_orders(view, question, read):
    """Read a map in both frame orders, turn the second back and average them."""
    maps = [read(shown, question) for shown in (view, view.reversed())]
    return (maps[0] + maps[1].flip(0)) / 2


def test_heads_for_the_time_leave_the_place_alone_and_all_of_them_change_nothing(grounded):
    plain, chosen = grounded(TIMED), grounded(replace(TIMED, heads_when=TheseHeads(PAIRS)))
    both = grounded(replace(TIMED, layers_heads=PAIRS))
    assert chosen.where == plain.where != both.where
    assert chosen.when == both.when != plain.when
    everything = [(layer, head) for layer in range(5) for head in range(3)]
    same = grounded(replace(TIMED, heads_when=TheseHeads(everything)))
    assert_equal_up_to_rounding(same.when.heatmap.values, plain.when.heatmap.values)


def test_each_frame_order_has_heads_of_its_own(organism, video, grounded):
    rule = GatheredInTime(3)

    def read(view, question):
        (reading,) = view.read(question)
        tokens = range(len(reading.tokens))
        return reading.heatmap(list(tokens), layers_heads=rule(reading)).values

    found = grounded(replace(TIMED, heads_when=rule))
    expected = average_orders(organism.watch(video), found.when.question, read)
    assert_equal_up_to_rounding(found.when.heatmap.values, expected)


def by_hand(view, question, rule):
    """The map of a question freed of the generic prompt's, from attention itself."""
    asked, generic = view.read(question, GENERIC)
    own, other = (
        torch.stack([each.attention[layer, head] for layer, head in PAIRS]).mean((0, 1))
        for each in (asked, generic)
    )
    if isinstance(rule, MinusGeneric):
        return own - other
    return own / (other.sum((1, 2), keepdim=True) + RELATIVE_FLOOR)


@pytest.mark.parametrize("rule", [OverGeneric(), MinusGeneric()])
def test_relevance_is_freed_of_the_generic_prompt_in_both_frame_orders(
    organism, video, grounded, rule, tmp_path
):
    config = replace(TIMED, heads_when=TheseHeads(PAIRS), relevance_when=rule)
    found = grounded(config)
    expected = average_orders(
        organism.watch(video),
        found.when.question,
        lambda view, question: by_hand(view, question, rule),
    )
    assert_equal_up_to_rounding(found.when.heatmap.values, expected)
    # Only the time is freed, and the configuration is found again.
    assert found.where == grounded(TIMED).where
    found.save(tmp_path / "answer.json")
    assert Answer.load(tmp_path / "answer.json", video).config == config


def test_the_generic_prompt_is_free_of_itself(organism, video):
    view = organism.watch(video)
    (reading,) = view.read(GENERIC)
    tokens = tuple(range(len(reading.tokens)))
    look = Look(reading, tokens, reading.heatmap(tokens))
    assert_equal_up_to_rounding(
        MinusGeneric()(view, look).values, 0 * look.heatmap.values, scale=1e-2
    )
    frames = OverGeneric()(view, look).values.sum((1, 2))
    assert ((frames > 0.99) & (frames < 1)).all()  # the floor takes a part of each


def test_a_look_without_its_reading_is_refused(organism, video, grounded, tmp_path):
    found = grounded(TIMED)
    found.save(tmp_path / "answer.json")
    loaded = Answer.load(tmp_path / "answer.json", video).when
    with pytest.raises(ValueError, match="a look that was loaded names no heads"):
        OverGeneric()(organism.watch(video), loaded)

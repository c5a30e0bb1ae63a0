"""The page of an answer says how its time was chosen, and reads it through the same heads."""

from dataclasses import replace

import pytest

from probe.grounder import ground
from probe.grounding.again import ReadAgain
from probe.grounding.presets import CAUSAL
from probe.grounding.relevance import OverGeneric
from probe.interpret.head_rules import GatheredInTime
from probe.viewer.answer_words import describe_use
from probe.viewer.scene_reading import as_scene


@pytest.mark.slow
def test_the_page_says_how_the_time_was_chosen_and_shows_those_heads(organism, clip, video):
    query = clip.things[0].query
    config = replace(
        CAUSAL, heads_when=GatheredInTime(2), relevance_when=OverGeneric(), again=ReadAgain()
    )
    answer = ground(organism, video, query, config=config)
    words = describe_use(answer, "when")
    for said in ("head_rules:GatheredInTime", "relevance:OverGeneric", "of 8 more frames"):
        assert said in words
    plain = ground(organism, video, query, config=CAUSAL)
    assert describe_use(plain, "when").endswith("chosen by this map inside the track.")
    shown = {one.name: one.reading for one in as_scene(answer, model=organism).questions}
    assert answer.when.reading is not None
    assert shown["when"].layers_heads == answer.when.reading.layers_heads
    assert len(shown["when"].layers_heads or ()) == 2
    assert shown["where"].layers_heads is None

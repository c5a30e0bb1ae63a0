"""An answer says how clearly the model sees the thing, and why it may be wrong; or it is no."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.engine.attention import Heatmap
from probe.engine.generation import write_answer
from probe.engine.model_names import SHIPPED
from probe.grounder import ground
from probe.grounding.absence import Absence, AbsenceError
from probe.grounding.answers import Answer
from probe.grounding.doubts import ask_parts, list_doubts
from probe.grounding.presence import CALIBRATED, measure_presence, read_margins
from probe.grounding.presets import BEST, CAUSAL, PLAIN, PRESETS
from probe.grounding.queries import as_question, decompose
from probe.interpret.knockouts import Cut
from probe.organism.world import COLOURS, SHAPES, make_clip
from probe.video import Tube, Video

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds


@pytest.fixture(scope="module")
def absent(clip):
    """A query for a colour and shape that no thing of the clip has."""
    there = {(thing.colour, thing.shape) for thing in clip.things}
    colour, shape = next((c, s) for c in COLOURS for s in SHAPES if (c, s) not in there)
    return f"the {colour} {shape} that {clip.things[0].action}"


@pytest.fixture(scope="module")
def empty():
    """A clip in which nothing differs from its background."""
    grey = np.full((8, 56, 56, 3), 90, dtype=np.uint8)
    noise = np.random.default_rng(0).integers(0, 4, grey.shape, dtype=np.uint8)
    return Video(grey + noise, tuple(range(4, 64, 8)), np.arange(64) / 16)


def find_doubt(answer, words):
    return next((doubt for doubt in answer.doubts if words in doubt), "")


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_presence_is_the_margin_of_the_whole_query_whatever_the_preset(
    organism, video, clip, preset
):
    query = clip.things[0].query
    answer = ground(organism, video, query, config=preset)
    (reading,) = organism.watch(video).read(as_question(query))
    assert_equal_up_to_rounding([answer.presence], [reading.margin])


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_margins_do_not_depend_on_how_questions_are_packed(organism, video, clip, batch_size):
    view = organism.watch(video)
    questions = [as_question(thing.query) for thing in clip.things] * 2
    changes = [[Cut()] if place % 2 else [] for place in range(len(questions))]
    found = read_margins(view, questions, changes, batch_size=batch_size)
    alone = [
        view.under(*done).read(question)[0].margin
        for question, done in zip(questions, changes, strict=True)
    ]
    assert_equal_up_to_rounding(found, alone)


def test_presence_is_higher_for_things_that_are_there(organism):
    there, gone = [], []
    for seed in range(50_000, 50_008):
        clip = make_clip(seed)
        view, (one, *others) = organism.watch(clip.video()), clip.things
        there.append(measure_presence(view, one.query)[0])
        known = {thing.colour for thing in (one, *others)}
        other = next(colour for colour in COLOURS if colour not in known)
        query = f"the {other} {one.shape} that {one.action}"
        gone.append(measure_presence(view, query)[0])
    assert min(there) > max(gone)
    assert np.mean(there) > 2 > 0 > np.mean(gone)


def test_a_thing_that_is_there_leaves_no_doubt(organism, video, clip):
    answer = ground(organism, video, clip.things[0].query)
    assert answer.doubts == ()
    assert answer.presence is not None
    assert answer.presence > CALIBRATED["organism"]


def test_what_the_model_says_no_to_is_told_part_by_part(organism, video, absent):
    for config in (CAUSAL, BEST):
        answer = ground(organism, video, absent, config=config)
        doubt = find_doubt(answer, "says no to the whole query")
        assert doubt
        margins = ask_parts(organism.watch(video), answer.queries).margins
        assert ("its attributes" in doubt) == (margins["attribute"] <= 0)
        assert ("its action" in doubt) == (margins["action"] <= 0)
        assert answer.presence is not None
        assert answer.presence < 0


def test_words_that_the_tokenizer_does_not_know_are_named(organism, video):
    answer = ground(organism, video, "the dog that jumps quickly")
    doubt = find_doubt(answer, "does not know")
    assert doubt
    assert "2 of 5 words" in doubt
    assert "'dog'" in doubt
    assert "'quickly'" in doubt


def test_an_answer_that_begins_with_neither_yes_nor_no_is_a_doubt(organism, video, clip):
    evidence = ask_parts(organism.watch(video), decompose(clip.things[0].query))
    assert not evidence.first_words
    thinking, talking = (
        list_doubts(replace(evidence, first_words={"whole": word})) for word in ("<think>", "The")
    )
    assert "would think before it answers ('<think>')" in thinking[0]
    assert talking == ("the model would begin its answer with 'The', neither yes nor no",)


def test_the_likeliest_first_word_is_that_of_the_written_answer(tiny, video):
    """A model of random weights has no reason to say yes or no."""
    queries = decompose("the red circle that jumps")
    evidence = ask_parts(tiny.watch(video), queries)
    assert evidence.first_words
    for part, word in evidence.first_words.items():
        question = as_question(getattr(queries, part))
        assert write_answer(tiny, question, video=video, max_new_tokens=1) == word.strip()


def test_a_query_that_cannot_be_split_is_a_doubt(organism, video):
    answer = ground(organism, video, "the red circle")
    assert answer.queries.fallbacks == ("action",)
    assert "for the action" in find_doubt(answer, "could not be split")
    # The whole query is asked in its place; its margin is not told twice.
    assert "its action" not in find_doubt(answer, "says no")


def test_without_candidates_the_box_is_the_frame_and_that_is_said(organism, empty):
    answer = ground(organism, empty, "the red circle that jumps")
    assert find_doubt(answer, "the only candidate is the whole frame")


def test_a_chosen_box_that_is_nearly_the_frame_is_a_doubt(organism, video, clip):
    frames = np.arange(video.source_length)
    nearly = Tube(frames, np.tile([1.0, 1.0, 55.0, 55.0], (len(frames), 1)))
    answer = ground(organism, video, clip.things[0].query, nearly)
    assert "93%" in find_doubt(answer, "nearly the whole frame")
    small = Tube(frames, np.tile([1.0, 1.0, 30.0, 55.0], (len(frames), 1)))
    answer = ground(organism, video, clip.things[0].query, small)
    assert not find_doubt(answer, "nearly the whole frame")


def test_maps_of_both_orders_that_disagree_are_a_doubt(organism, video, clip):
    answer = ground(organism, video, clip.things[0].query)
    evidence = replace(
        ask_parts(organism.watch(video), answer.queries),
        looks={"the time": replace(answer.when, consistency=-0.2)},
    )
    (doubt,) = list_doubts(evidence)
    assert "that chose the time disagree (correlation -0.20)" in doubt


def test_a_map_that_is_the_same_everywhere_is_a_doubt(organism, video, clip):
    def say_nothing(view, _):
        return Heatmap(torch.zeros(view.grid.shape), view.grid.cells)

    config = replace(PLAIN, maps=say_nothing, relative=False)
    answer = ground(organism, video, clip.things[0].query, config=config)
    assert [one for one in answer.doubts if "the same in all cells" in one] == [
        "the map that chose the track is the same in all cells, so it says nothing of where",
        "the map that chose the time is the same in all cells, so it says nothing of where",
    ]
    assert not find_doubt(
        ground(organism, video, clip.things[0].query, config=PLAIN), "same in all"
    )


def test_a_yes_below_the_calibrated_threshold_is_a_doubt(organism, video, clip):
    queries = decompose(clip.things[0].query)
    evidence = ask_parts(organism.watch(video), queries)
    surer = replace(evidence, threshold=evidence.margins["whole"] + 1)
    (doubt,) = list_doubts(surer)
    assert "below" in doubt
    assert "threshold" in doubt
    assert list_doubts(replace(evidence, threshold=None)) == ()


def test_no_model_but_the_shipped_ones_has_a_threshold(tiny, video):
    assert set(CALIBRATED) == set(SHIPPED)
    assert ask_parts(tiny.watch(video), decompose("the red circle that jumps")).threshold is None


def test_presence_and_doubts_are_kept_in_the_file(organism, video, absent, tmp_path):
    answer = ground(organism, video, absent)
    answer.save(tmp_path / "answer.json")
    loaded = Answer.load(tmp_path / "answer.json", video)
    assert loaded.presence == pytest.approx(answer.presence, abs=1e-4)
    assert loaded.doubts == answer.doubts
    assert answer.doubts


def test_an_answer_of_an_earlier_version_has_no_presence(organism, video, clip, tmp_path):
    answer = ground(organism, video, clip.things[0].query)
    record = answer.to_dict()
    del record["presence"]
    (tmp_path / "answer.json").write_text(json.dumps(record))
    assert Answer.load(tmp_path / "answer.json", video).presence is None


def test_a_required_presence_that_is_not_reached_gives_no_tube(organism, video, absent, tmp_path):
    config = replace(CAUSAL, require_presence=0.0)
    with pytest.raises(AbsenceError, match=r"presence -\d+\.\d+, required \+0\.00") as refused:
        ground(organism, video, absent, config=config)
    absence = refused.value.absence
    assert absence.presence < absence.required == 0
    assert any("says no" in doubt for doubt in absence.doubts)
    absence.save(tmp_path / "answer.json")
    record = json.loads((tmp_path / "answer.json").read_text())
    assert record["tube"] is None
    assert record["span"] is None
    loaded = Absence.load(tmp_path / "answer.json")
    assert loaded.to_dict() == absence.to_dict()
    with pytest.raises(ValueError, match="not an answer"):
        Answer.load(tmp_path / "answer.json")


def test_a_required_presence_that_is_reached_changes_nothing(organism, video, clip):
    query = clip.things[0].query
    free = ground(organism, video, query)
    held = ground(organism, video, query, config=replace(CAUSAL, require_presence=0.0))
    assert held.span == free.span
    assert held.scores == free.scores


@pytest.mark.parametrize(
    "write",
    [
        str.upper,
        str.title,
        lambda query: f"{query}!",
        lambda query: query.replace(" that", " - that"),
        lambda query: f"Is there {query} in this video?",
    ],
    ids=["upper", "title", "mark", "dash", "question"],
)
def test_the_way_a_query_is_written_makes_no_doubt(organism, video, clip, write):
    answer = ground(organism, video, write(clip.things[0].query))
    assert answer.doubts == ()
    assert answer.queries.action == f"the {clip.things[0].shape} that {clip.things[0].action}"


def test_a_required_presence_of_nan_is_refused():
    """Nothing is below it: it would require nothing, and not say so."""
    with pytest.raises(ValueError, match="give a number of logits"):
        replace(CAUSAL, require_presence=float("nan"))

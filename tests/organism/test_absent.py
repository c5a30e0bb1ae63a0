from dataclasses import fields

import numpy as np
import pytest

from probe.datasets import DataSet, load_dataset
from probe.organism.absent import ABSENT_KINDS, make_absent_queries
from probe.organism.benchmark import SHAPES_REPORT_2, SHAPES_TEST, SHAPES_VAL
from probe.organism.world import Background, Clip, Thing
from probe.video import Span

BACKGROUND = Background((0.0, 0.0, 0.0), (0.0, 0.0), (), 0.0)


def parse(query):
    """The colour, shape and action that a query names."""
    the, colour, shape, that, action = query.split(" ", 4)
    assert (the, that) == ("the", "that")
    return colour, shape, action


def words_of(thing):
    return thing.colour, thing.shape, thing.action


def make_clip_of(*triples):
    things = tuple(
        Thing(colour, shape, action, Span(0, 20), 10.0, 10.0, 5.0)
        for colour, shape, action in triples
    )
    return Clip(things, BACKGROUND, 0)


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", [SHAPES_VAL, SHAPES_TEST, SHAPES_REPORT_2])
def test_no_absent_query_is_true_of_its_clip_and_each_is_wrong_as_its_kind_says(benchmark):
    for case in benchmark.cases(100):
        there = [words_of(thing) for thing in case.clip.things]
        known = [set(words) for words in zip(*there, strict=True)]
        asked = words_of(case.thing)
        assert parse(case.query) == asked
        assert asked in there
        for kind, query in case.absent.items():
            words = parse(query)
            assert words not in there, "an absent query is true of nothing"
            changed = [place for place in range(3) if words[place] != asked[place]]
            strange = [place for place in range(3) if words[place] not in known[place]]
            assert len(changed) == 1, "it differs from the true one in a single word"
            if kind == "binding":
                assert strange == [], "each of its words is true of something"
            else:
                place = ("colour", "shape", "action").index(kind)
                assert changed == strange == [place], "nothing in the clip has its word"


@pytest.mark.slow
def test_kinds_are_missing_only_where_they_are_impossible():
    """All four shapes are in the clip, or every exchange of words is true."""
    missing = dict.fromkeys(ABSENT_KINDS, 0)
    for case in SHAPES_VAL.cases():
        there = {words_of(thing) for thing in case.clip.things}
        colour, shape, action = words_of(case.thing)
        exchanged = {
            triple
            for c, s, a in there
            for triple in ((c, shape, action), (colour, s, action), (colour, shape, a))
        }
        possible = {
            "colour": True,
            "shape": len({s for _, s, _ in there}) < 4,
            "action": True,
            "binding": bool(exchanged - there),
        }
        assert set(case.absent) == {kind for kind in ABSENT_KINDS if possible[kind]}
        for kind in ABSENT_KINDS:
            missing[kind] += kind not in case.absent
    assert missing == {"colour": 0, "shape": 11, "action": 0, "binding": 71}


def test_a_clip_on_which_a_kind_is_impossible_has_none_of_it():
    clip = make_clip_of(("red", "circle", "jumps"), ("blue", "circle", "jumps"))
    assert "binding" not in make_absent_queries(clip, clip.things[0], (1, 2))
    clip = make_clip_of(
        ("red", "circle", "jumps"), ("red", "square", "glows"), ("blue", "cross", "winks"),
        ("red", "triangle", "grows"),
    )  # fmt: skip
    assert set(make_absent_queries(clip, clip.things[0], (1, 2))) == {"colour", "action", "binding"}


def test_every_wrong_word_is_drawn_and_a_wrong_action_is_drawn_twice_as_often():
    clip = make_clip_of(("red", "circle", "jumps"), ("blue", "square", "glows"))
    drawn = [make_absent_queries(clip, clip.things[0], (5, index)) for index in range(600)]
    colours = {parse(one["colour"])[0] for one in drawn}
    assert colours == {"green", "yellow", "purple", "white"}
    assert {parse(one["shape"])[1] for one in drawn} == {"triangle", "cross"}
    bound = [parse(one["binding"]) for one in drawn]
    shares = {words: bound.count(words) / len(bound) for words in bound}
    assert set(shares) == {
        ("red", "circle", "glows"), ("blue", "circle", "jumps"), ("red", "square", "jumps"),
    }  # fmt: skip
    assert abs(shares["red", "circle", "glows"] - 0.5) < 0.08, "four standard errors"


def test_the_queries_of_a_case_are_the_same_forever():
    """A change of one of these needs a new `ABSENT_VERSION`."""
    assert dict(SHAPES_VAL.case(0).absent) == {
        "colour": "the blue triangle that grows",
        "shape": "the red circle that grows",
        "action": "the red triangle that glows",
        "binding": "the red triangle that slides right",
    }
    assert dict(SHAPES_REPORT_2.case(999).absent) == dict(SHAPES_REPORT_2.case(999).absent)


def test_each_kind_is_drawn_independently_of_the_others():
    """One more thing changes the options of the shapes, and no other kind's draw of the same
    options."""
    two = make_clip_of(("red", "circle", "jumps"), ("red", "square", "jumps"))
    three = make_clip_of(*map(words_of, two.things), ("red", "cross", "jumps"))
    for index in range(20):
        few, many = (make_absent_queries(one, two.things[0], (7, index)) for one in (two, three))
        assert few["colour"] == many["colour"]
        assert few["action"] == many["action"]


def test_the_data_set_hands_them_on_with_a_version_of_their_own():
    dataset = load_dataset("shapes-val")
    assert dict(dataset[3].absent) == dict(SHAPES_VAL.case(3).absent)
    assert dataset.absent_version == "shapes-val-v2-absent-v1"
    assert dataset.version == "shapes-val-v2", "figures about tubes do not follow from them"


def test_samples_of_your_own_may_have_absent_queries_which_cannot_be_changed():
    given = {"colour": "the blue dog"}
    plain = load_dataset("shapes-val")[0]
    content = {one.name: getattr(plain, one.name) for one in fields(plain)}
    sample = type(plain)(**{**content, "absent": given})
    given["shape"] = "the red cat"
    assert dict(sample.absent) == {"colour": "the blue dog"}
    with pytest.raises(TypeError):
        sample.absent["colour"] = "the green dog"  # pyright: ignore[reportIndexIssue]
    mine, none = (
        DataSet.from_samples("mine", [type(plain)(**{**content, "absent": absent})])
        for absent in (given, {})
    )
    assert none.absent_version == ""
    assert mine.absent_version not in ("", DataSet.from_samples("m", [plain]).absent_version)
    assert mine.version == none.version
    assert mine[0].truth is not None
    assert plain.truth is not None
    assert np.array_equal(mine[0].truth.boxes, plain.truth.boxes)

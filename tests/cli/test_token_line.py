"""`probe ground` says through which tokens was looked, why, and that it was by cause if it was."""

import re
from dataclasses import replace

import pytest

from probe.cli.token_words import REASONS, describe_tokens
from probe.evaluation.rules import RULE_KINDS
from probe.grounder import ground
from probe.grounding.presets import PLAIN, PRESETS
from probe.organism.world import make_clip

GONE = "the green triangle that winks"


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(7).write(path, scale=1)
    return path


@pytest.fixture
def looked(command, clip_file, tmp_path):
    def run(query, *words):
        code, out, err = command("ground", clip_file, query, "--out", tmp_path, *words)
        assert code == 0, err
        lines = out.splitlines()
        return [line for line in lines if line.startswith(("looked", "chosen"))]

    return run


@pytest.mark.slow
def test_a_track_chosen_by_cause_is_not_said_to_be_chosen_by_attention(looked):
    chosen, when = looked(make_clip(7).things[0].query)
    assert chosen.startswith("chosen  by the effect of the track's cells")
    assert re.fullmatch(r"looked  through all \d+ tokens for when: .*\?", when)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--preset", "plain"), r"'\w+' \(role token with the highest visual activation\)"),
        (("--preset", "best"), r"'\w+' \(always token -3, counted from the end\)"),
        (("--preset", "plain", "--token", "AllOf"), r"('[^']+', )+'[^']+' \(all role tokens\)"),
        (("--preset", "noun"), r"'\w+' \(the noun of the question\)"),
    ],
)
def test_attention_that_chose_is_told_with_its_tokens_and_the_reason(looked, words, reason):
    lines = looked(make_clip(7).things[0].query, "--track", "AttentionPeak", *words)
    assert [part for line in lines for part in re.findall(r" for (\w+): ", line)] == [
        "where",
        "when",
    ]
    assert re.fullmatch(rf"looked  through {reason} for where: .*\?", lines[0])


@pytest.mark.slow
def test_cause_that_falls_back_to_attention_tells_both_looks(looked):
    lines = looked(GONE)
    assert [part for line in lines for part in re.findall(r" for (\w+): ", line)] == [
        "where",
        "when",
    ]


def test_every_shipped_token_rule_has_its_reason():
    used = {type(rule) for one in PRESETS.values() for rule in (one.token, one.token_when) if rule}
    assert {*RULE_KINDS["token"].shipped, *used} <= set(REASONS)


def last_word(reading):
    return (reading.prompt.indices("word")[-1],)


def test_a_rule_of_the_users_is_told_by_its_name(organism, video):
    config = replace(PLAIN, token=last_word, relative=False)
    answer = ground(organism, video, "the red circle", config=config)
    place = answer.where.tokens[0]
    said = describe_tokens(answer.where, last_word)
    assert said == f"{answer.where.token_texts[place]!r} (by {__name__}:last_word)"

import re
from dataclasses import replace

import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.engine.prompts import GENERIC, Token
from probe.interpret.grounding_tokens import grounding_token, rank_tokens, visual_activation
from probe.interpret.token_rules import AllOf, AnswerOpening, Fixed, MostActive


@pytest.fixture(scope="module")
def reading(tiny, video):
    return tiny.watch(video).read("Is there a red circle that jumps in this video?")[0]


def test_visual_activation_is_the_strongest_cell_of_the_mean_map(reading):
    for token, activation in enumerate(visual_activation(reading)):
        strongest = reading.attention[:, :, token].mean(dim=(0, 1)).max()
        assert_equal_up_to_rounding(activation, strongest)


def test_the_grounding_token_is_the_role_token_that_looks_hardest(reading):
    activation = visual_activation(reading)
    roles = reading.prompt.indices("role")
    assert grounding_token(reading) == max(roles, key=lambda token: activation[token])


def test_candidates_can_be_widened(reading):
    activation = visual_activation(reading)
    every = grounding_token(reading, among=("word", "stop", "role"))
    assert every == int(activation.argmax())


def test_there_must_be_a_candidate(tiny, video):
    reading = tiny.watch(video).read("please describe this video")[0]
    with pytest.raises(ValueError, match="no stop token"):
        grounding_token(reading, among=("stop",))


def test_the_table_ranks_every_token_and_says_where_it_looks(reading):
    table = rank_tokens(reading)
    assert len(table) == len(reading.tokens)
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["activation"].is_monotonic_decreasing
    assert (table["on_video"].to_numpy() >= table["activation"].to_numpy()).all()
    first = table.iloc[0]
    heatmap = reading.heatmap(first["index"])
    frame, row, column = heatmap.peak
    assert (first["row"], first["column"]) == (row, column)
    assert first["frame"] == heatmap.cells.frames[frame][0]


def test_layers_can_be_chosen(reading):
    assert_equal_up_to_rounding(
        visual_activation(reading, [0]),
        reading.attention[0].mean(0).amax(dim=(-3, -2, -1)),
    )


def test_the_same_role_token_of_another_prompt_is_as_far_from_the_end(tiny, video):
    asked, generic = tiny.watch(video).read("What jumps?", GENERIC)
    assert asked.tokens[-5:] == generic.tokens[-5:]


def test_one_kind_of_token_may_be_given_in_place_of_several(reading):
    assert grounding_token(reading, among="word") == grounding_token(reading, among=("word",))
    assert MostActive("word") == MostActive(("word",))
    assert AllOf("stop")(reading) == reading.prompt.indices("stop")
    for wrong in (MostActive, AllOf, lambda kind: grounding_token(reading, among=kind)):
        with pytest.raises(ValueError, match="called 'roles'; did you mean role"):
            wrong("roles")


def test_rules_choose_the_tokens_they_say(reading):
    assert MostActive()(reading) == (grounding_token(reading),)
    assert Fixed(-5)(reading) == (len(reading.tokens) - 5,)
    assert AllOf()(reading) == reading.prompt.indices("role")
    with pytest.raises(ValueError, match="no token -99"):
        Fixed(-99)(reading)


def test_the_released_codes_token_opens_the_answers_turn(reading):
    """It is their -5 in the template of LLaVA-NeXT-Video, which is this model's."""
    assert AnswerOpening()(reading) == Fixed(-5)(reading)
    assert reading.tokens[AnswerOpening()(reading)[0]] == "A"


@pytest.mark.parametrize("index", [-6, -7])
def test_a_fixed_token_that_is_no_role_token_is_refused(reading, index):
    named = re.escape(repr(reading.tokens[index]))
    with pytest.raises(
        ValueError, match=rf"token {named} .* no role token.* give -5 to -1"
    ) as refused:
        Fixed(index)(reading)
    assert "\n" not in str(refused.value)


def test_a_fixed_token_is_counted_from_the_end_of_the_question(tiny, video):
    """What is read of an answer after it changes nothing."""
    (asked,) = tiny.watch(video).read("What jumps?")
    with_answer = replace(
        asked,
        prompt=asked.prompt.answered("Yes", [Token(5, "Yes", "answer", (0, 3))]),
        attention=torch.cat([asked.attention, asked.attention[:, :, -1:]], dim=2),
    )
    assert len(with_answer.tokens) == len(asked.tokens) + 1
    for rule in (Fixed(-5), Fixed(-1), AnswerOpening()):
        assert rule(with_answer) == rule(asked)


def test_a_template_that_opens_no_turn_has_no_token_that_opens_one(reading):
    without = replace(reading, prompt=replace(reading.prompt, opening=None))
    with pytest.raises(ValueError, match="opens no turn for the answer"):
        AnswerOpening()(without)


def test_the_map_of_several_tokens_is_the_mean_of_theirs(reading):
    both = reading.heatmap([3, 5]).values
    assert_equal_up_to_rounding(both, (reading.heatmap(3).values + reading.heatmap(5).values) / 2)
    assert torch.equal(reading.heatmap(-1).values, reading.heatmap(len(reading.tokens) - 1).values)

"""A live session: strict messages in, scenes of the toolkit's own values out, little remembered."""

import json

import pytest
import torch
from tolerances import assert_equal_up_to_rounding

import probe
from probe.engine.prompts import GENERIC
from probe.interpret.cuts import Cut, CutVideo
from probe.interpret.shares import Amplify
from probe.interpret.steering import Steer, record_states
from probe.organism.world import make_clip
from probe.viewer.live.messages import KINDS, MOST_NUMBERS, read_message, write_message
from probe.viewer.live.session import MOST_CHANGES, MOST_STEPS, LiveSession

QUESTION, OTHER = "Is there a red circle in this video?", "Is there a green cross in this video?"
RED = 3
"""The place of the word in the question."""


@pytest.fixture(scope="module")
def view():
    return probe.load().watch(make_clip((0, 7)).video(4))


@pytest.fixture
def session(view):
    return LiveSession(view, QUESTION)


def tell(session, type_, **entries):
    """What a session replies to a message, as a page reads it."""
    return json.loads(session.reply(json.dumps({"type": type_, **entries})).text)


@pytest.mark.slow
def test_each_change_is_the_toolkits_own_and_all_of_them_act_together(session, view):
    cells = [0, 5, view.grid.shape[1] * view.grid.shape[2] + 2]
    mask = torch.zeros(view.grid.shape, dtype=torch.bool)
    mask.view(-1)[cells] = True
    own, theirs = (record_states(view, one, [2])[2][-1] for one in (QUESTION, OTHER))
    last = len(view.writer.write(QUESTION)) - 1
    messages = [
        ({"type": "cut", "tokens": [RED], "cells": cells, "heads": [1]},
         Cut([RED], mask, heads=[1])),
        ({"type": "amplify", "factor": 4, "layers": [1, 2]}, Amplify(4.0, layers=[1, 2])),
        ({"type": "steer", "question": OTHER, "layer": 2, "strength": 0.5},
         Steer(theirs - own, [2], [last], strength=0.5)),
        ({"type": "cut_video", "frames": "across"}, CutVideo("across")),
    ]  # fmt: skip
    done = []
    for message, value in messages:
        done.append(value)
        told = json.loads(session.reply(message).text)
        changed = view.under(*done).read(QUESTION)[0]
        plain = view.read(QUESTION)[0]
        # The page has margins to four digits after the point.
        expected = [plain.margin, changed.margin]
        assert told["live"]["margins"] == pytest.approx(expected, abs=2e-4)
        (asked,) = told["scene"]["questions"]
        margins = [told["scene"]["readings"][one["reading"]]["margin"]
                   for one in (asked["before"], asked)]  # fmt: skip
        assert margins == told["live"]["margins"]
    assert [change.intervention for change in session.changes][:2] == done[:2]
    shown = tell(session, "open")["live"]["changes"]
    assert [change["message"]["type"] for change in shown] == [one["type"] for one, _ in messages]


@pytest.mark.slow
def test_steering_all_the_way_puts_the_other_questions_state_in_place(session, view):
    tell(session, "steer", question=OTHER, layer=2, strength=1)
    (change,) = session.changes
    steered = record_states(view.under(change.intervention), QUESTION, [3])[3][-1]
    assert (steered != record_states(view, QUESTION, [3])[3][-1]).any()
    edited = change.intervention.vector + record_states(view, QUESTION, [2])[2][-1]
    assert_equal_up_to_rounding(edited, record_states(view, OTHER, [2])[2][-1])


@pytest.mark.slow
def test_undo_goes_back_step_by_step_also_past_what_is_remembered(session):
    told = [
        tell(session, "open"),
        tell(session, "cut"),
        tell(session, "amplify", factor=2, tokens=[RED]),
        tell(session, "ask", question=OTHER),
    ]
    for step in reversed(told[:-1]):
        back = tell(session, "undo")
        assert back["live"] == step["live"]
        assert back["undo"] == step["undo"]
        assert back["scene"]["questions"] == step["scene"]["questions"]
    assert tell(session, "undo")["message"].startswith("there is nothing to undo")


@pytest.mark.slow
def test_a_slider_moved_again_takes_its_own_place_and_in_the_middle_it_is_no_change(session):
    tell(session, "amplify", factor=2, tokens=[RED])
    tell(session, "amplify", factor=4)
    tell(session, "amplify", factor=8, tokens=[RED])
    assert [one.edit.factor for one in session.changes] == [4, 8]
    told = tell(session, "amplify", factor=1, tokens=[RED])
    assert [one.edit.factor for one in session.changes] == [4]
    tell(session, "amplify", factor=1)
    assert not session.changes
    assert told["undo"] == 4


@pytest.mark.slow
def test_an_answer_in_words_is_told_before_and_after(view):
    session = LiveSession(view, "Describe this video.", max_new_tokens=6)
    plain = probe.generate(view, "Describe this video.", max_new_tokens=6).prompt
    told = tell(session, "open")
    assert told["live"]["answers"] == [plain.answer, plain.answer]
    changed = probe.generate(view.under(Cut()), "Describe this video.", max_new_tokens=6).prompt
    told = tell(session, "cut")
    assert told["live"]["answers"] == [plain.answer, changed.answer]
    assert plain.answer != changed.answer
    (reading, *_) = told["scene"]["readings"]
    assert [one["text"] for one in reading["tokens"]] == [one.text for one in changed.tokens]
    # The tokens of an answer change with what is changed.
    assert "of its" in tell(session, "cut", tokens=[len(plain) - 1])["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "Expecting value"),
        ("[1]", "a message is an object"),
        ('{"type": 3}', "a message is an object with a type"),
        ('{"type": "cutt"}', "did you mean cut?"),
        ('{"type": "ask"}', "has no 'question'"),
        ('{"type": "ask", "type": "cut"}', "twice"),
        ('{"type": "ask", "question": 3}', "give text"),
        ('{"type": "ask", "question": ""}', "is empty"),
        ('{"type": "undo", "steps": 2}', "no entry of 'undo' is called 'steps'"),
        ('{"type": "cut", "tokens": [true]}', "whole numbers"),
        ('{"type": "cut", "tokens": [-1]}', "whole numbers"),
        ('{"type": "cut", "tokens": []}', "empty"),
        ('{"type": "cut", "tokens": [99]}', "no token 99"),
        ('{"type": "cut", "cells": [9999]}', "no cell 9999"),
        ('{"type": "cut", "layers": [9]}', "no layer [9]"),
        ('{"type": "cut_video", "frames": "some"}', "all, within or across"),
        ('{"type": "amplify", "factor": true}', "number from 0 to 1000"),
        ('{"type": "amplify", "factor": NaN}', "number from 0 to 1000"),
        ('{"type": "amplify", "factor": 1e400}', "number from 0 to 1000"),
        ('{"type": "steer", "question": "a", "layer": 9, "strength": 1}', "no layer 9"),
        ('{"type": "steer", "question": "a", "layer": 1, "strength": 99}', "from -10 to 10"),
        (json.dumps({"type": "ask", "question": "dog " * 2000}), "at most 4000"),
        (json.dumps({"type": "cut", "cells": [0] * (MOST_NUMBERS + 1)}), "at most 200000"),
        ("[" * 200 + "]" * 200, "nested too deeply"),
    ],
)
def test_a_wrong_message_is_refused_in_one_line_and_nothing_changes(session, text, said):
    reply = session.reply(text)
    told = json.loads(reply.text)
    assert reply.type == told["type"] == "error"
    assert said in told["message"]
    assert "\n" not in told["message"]
    assert len(told["message"]) < 700
    assert session.question == QUESTION
    assert not session.changes


def test_messages_are_written_as_they_are_read():
    records = [
        {"type": "open"},
        {"type": "undo"},
        {"type": "ask", "question": "a"},
        {"type": "cut", "tokens": [3], "cells": None, "layers": [1], "heads": None},
        {"type": "cut_video", "frames": "within", "cells": [2, 9], "layers": None, "heads": [0]},
        {"type": "amplify", "factor": 2.0, "tokens": None, "cells": [1], "layers": None,
         "heads": None},
        {"type": "steer", "question": "b", "layer": 1, "strength": -0.5},
    ]  # fmt: skip
    assert {record["type"] for record in records} == set(KINDS)
    for record in records:
        assert write_message(read_message(record)) == record


def test_nothing_in_a_reply_ends_a_script_or_moves_a_cursor(session):
    reply = session.reply({"type": "ask", "question": "</script>\u202e<!--\x1b[31m"})
    assert reply.type == "scene"
    assert not set(reply.text) & set("<>&\u202e\u2028\x1b")


def test_what_a_session_remembers_is_bounded(session, monkeypatch):
    # The readings are not looked at here: a hundred of them would take a while.
    monkeypatch.setattr(LiveSession, "_show", lambda _, step: step)
    for place in range(MOST_CHANGES):
        assert session.reply({"type": "cut", "cells": [place]}).type == "scene"
    assert "changes act together" in tell(session, "cut", cells=[99])["message"]
    for number in range(2 * MOST_STEPS):
        session.reply({"type": "ask", "question": f"{GENERIC} {number}"})
    undone = 0
    while session.reply({"type": "undo"}).type == "scene":
        undone += 1
    assert undone == MOST_STEPS - 1

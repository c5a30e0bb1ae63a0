"""The pages about the organism of things: their statistics, their parts and their verdicts."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probe.organism.network import make_network, save_checkpoint
from probe.organism.things.benchmarks import THINGS_VAL
from probe.organism.things.world import THINGS

ANALYSES = Path(__file__).parent.parent / "analyses"

TRUE = "true tracks"


@pytest.fixture(autouse=True, scope="module")
def _beside_its_neighbours():
    """As when a script is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ANALYSES)
        yield


@pytest.fixture(scope="module")
def answers(_beside_its_neighbours):
    return importlib.import_module("things_answers")


@pytest.fixture(scope="module")
def worlds(_beside_its_neighbours):
    return importlib.import_module("two_worlds")


def test_other_wordings_ask_the_same_of_the_same_video_and_others_of_the_clip_before(answers):
    asked = answers.list_questions(THINGS_VAL, 3)
    plain = {number: one for form, number, one in asked if form == answers.PLAIN}
    assert len(plain) > 10
    for form, number, one in asked:
        if form not in (answers.PLAIN, answers.OTHER_VIDEO):
            assert (one.answer, one.kind) == (plain[number].answer, plain[number].kind)
            assert one.text != plain[number].text, form
    before = [one.text for form, _, one in answers.list_questions(THINGS_VAL, 2) if form == "plain"]
    assert [one.text for form, _, one in asked if form == answers.OTHER_VIDEO] == before
    polar = [one.answer for one in plain.values() if one.answer in ("Yes", "No")]
    assert polar.count("Yes") == polar.count("No")


def test_a_form_is_compared_on_its_own_questions_and_a_group_with_all_clips(answers):
    rng = np.random.default_rng(0)
    rows = [
        {"clip": clip, "question": number, "form": form, "answer": "Yes", "light": light}
        | {"right": int(rng.random() < (0.9 if light == "dark" else 0.5)) if form == "plain" else 0}
        for clip, light in enumerate(["dark", "bright"] * 60)
        for number in range(10)
        for form in ("plain", "capitals")[: 1 + (number < 2)]
    ]
    table = pd.DataFrame(rows)
    plain = table[table["form"] == "plain"]
    found = answers.compare_forms(table, "capitals")
    asked_so = plain[plain["question"] < 2]["right"].mean()
    assert (found["questions"], found["form"]) == (240, 0.0)
    assert found["mean"] == pytest.approx(-asked_so)
    dark = answers.compare_group(plain, "light", "dark")
    shares = {light: plain[plain["light"] == light]["right"].mean() for light in ("dark", "bright")}
    assert dark["mean"] == pytest.approx((shares["dark"] - shares["bright"]) / 2)
    low, high = dark["interval"]
    assert 0.1 < low < dark["mean"] < high < 0.3


def test_a_line_is_reached_by_its_mean_and_surely_by_its_interval():
    judge = importlib.import_module("things_runs").judge_line

    def told(mean, interval, wanted, **how):
        found = judge({"mean": mean, "interval": interval}, wanted, **how)
        return found["reached"], found["sure"]

    assert told(0.92, [0.91, 0.93], 0.9) == (True, True)
    assert told(0.91, [0.89, 0.93], 0.9) == (True, False)
    assert told(0.8, [0.7, 0.89], 0.9) == (False, True)
    assert told(-0.02, [-0.04, 0.0], 0.05, most=True) == (True, True)
    assert told(-0.04, [-0.06, -0.02], 0.05, most=True) == (True, False)
    assert told(-0.09, [-0.12, -0.06], 0.05, most=True) == (False, True)


def test_a_finding_is_the_verdict_of_most_organisms_and_has_one_outcome(worlds):
    assert worlds.find_finding({"holds": 3, "opposite": 1}) == "holds"
    assert worlds.find_finding({"holds": 2, "opposite": 1, "not shown": 1}) == worlds.MIXED
    outcomes = {
        ("holds", "holds"): "the same",
        ("not shown", "not shown"): "the same",
        ("holds", "not shown"): "not shown",
        ("holds", "opposite"): "opposite",
        ("not shown", "holds"): "new",
        (worlds.MIXED, "opposite"): "new",
        (worlds.MIXED, "not shown"): "not shown",
    }
    for given, expected in outcomes.items():
        assert worlds.name_outcome(*given) == expected


def test_a_clip_without_an_absent_query_of_a_kind_has_no_score_of_it():
    grounding = importlib.import_module("things_grounding")
    score = grounding.MARGIN
    values = {
        f"{name}: {kind}": [None] * 3 for name in grounding.SCORES for kind in ("", "kind", "order")
    }
    values |= {
        f"{name}: {kind}": [None] * 3 for name in grounding.SCORES for kind in grounding.CHANGES
    }
    for name in grounding.SCORES:
        values |= {f"{name}: ": [3.0, 2.0, None], f"{name}: kind": [1.0, 2.5, None]}
        values[f"{name}: order"] = [None, -1.0, None]
    found = grounding.collect_answers(values)
    assert found.kinds.tolist() == ["", "kind", "", "kind", "order"]
    areas = grounding.measure_areas(values)[score]
    assert (areas["kind"]["mean"], areas["order"]["mean"]) == (0.75, 1.0)
    assert areas["all kinds"]["queries"] == 3


def test_what_the_titles_claim_is_in_the_numbers(answers, worlds):
    numbers = json.loads(answers.CLAIM.numbers_path().read_text())["answers"]
    right, constant = numbers[answers.ORGANISM], numbers[answers.CONSTANT]
    for kind, known in {"look": True, "action": True, "look+action": False}.items():
        assert (right[kind]["mean"] - constant[kind]["mean"] > 0.3) is known, kind
    grounding = importlib.import_module("things_grounding").CLAIM
    tried = json.loads(grounding.numbers_path().read_text())["table"]
    known = {name: one[f"right, {TRUE}"] for name, one in tried.items() if f"right, {TRUE}" in one}
    best = known.pop("CAUSAL")["interval"][0]
    assert all(one["interval"][1] < best for one in known.values())
    low, high = known["mean of role tokens"]["interval"]
    assert low < known["random track"]["mean"] < high
    found = json.loads(worlds.CLAIM.numbers_path().read_text())["statements"]
    fell = [
        name
        for name, one in found.items()
        if one["finding"] != worlds.MIXED and one["outcome"] != "the same"
    ]
    of_role_tokens = {name for name in fell if name.startswith("role-") or name == "rank"}
    assert {*fell} - of_role_tokens == {"cause-over-lens"}
    assert of_role_tokens


@pytest.mark.slow
def test_pages_are_measured_on_any_organism_of_things_and_drawn(
    answers, worlds, tmp_path, monkeypatch
):
    folder = tmp_path / "random"
    save_checkpoint(make_network(0, THINGS), folder, THINGS)
    given = replace(answers.CLAIM.config, model=str(folder), clips=2)
    options = importlib.import_module("things_runs").ThingsOptions(given, True, tmp_path)
    grounding = importlib.import_module("things_grounding")
    for script in (answers, grounding):
        monkeypatch.setattr(script, "UNTRAINED_CLIPS", 1)
        numbers = json.loads(json.dumps(script.measure_all(options)))
        assert str(tmp_path) not in json.dumps(numbers), "a place on this machine tells nobody"
        assert numbers["model"]["name"] == "random"
        assert script.draw(numbers).axes
    observed = worlds.observe_things(options)
    assert observed["threshold"] == numbers["threshold"], "observed once, for both pages"
    first = json.loads((ANALYSES / "numbers/claims.json").read_text())
    compared = json.loads(json.dumps(worlds.compare_worlds(first, observed)))
    assert sum(compared["outcomes"].values()) == len(compared["statements"])
    assert worlds.draw(compared).axes

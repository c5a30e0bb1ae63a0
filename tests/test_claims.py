import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ANALYSES = Path(__file__).parent.parent / "analyses"


@pytest.fixture(autouse=True, scope="module")
def _beside_its_neighbours():
    """As when a script is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ANALYSES)
        yield


@pytest.fixture(scope="module")
def claims(_beside_its_neighbours):
    return importlib.import_module("claims")


@pytest.fixture(scope="module")
def runs(_beside_its_neighbours):
    return importlib.import_module("organism_runs")


def observed(value, rival, clips=60):
    """An organism whose every observation is drawn around a mean."""
    rng = np.random.default_rng(0)
    return {
        value: rng.normal(0.9, 0.1, clips).tolist(),
        rival: rng.normal(0.5, 0.1, clips).tolist(),
    }


def whole(claims, values):
    everything = {one: [0.5, 0.5] for s in claims.STATEMENTS for one in (s.value, s.rival) if one}
    clips = len(next(iter(values.values())))
    about = dict.fromkeys(("dataset", "first", "tracks", "frames", "weights", "versions"))
    return {
        **about,
        "cases": clips,
        "failed": {},
        "recipe": "",
        "chosen": {},
        "values": {**{name: (same * clips)[:clips] for name, same in everything.items()}, **values},
    }


def test_statements_are_those_of_the_protocol(claims, runs):
    protocol = (ANALYSES / "protocol.md").read_text()
    listed = re.findall(r"^\| ([a-z-]+) \| .* \| .* \|$", protocol, re.MULTILINE)
    assert [one for one in listed if one != "name"] == [one.name for one in claims.STATEMENTS]
    for name in runs.ORGANISMS:
        kind, *number = name.split("-")
        assert f"`{kind}-0`" in protocol if number else f"`{name}`" in protocol


def test_verdicts_say_the_sign_of_what_survives(claims):
    value, rival = "CAUSAL, right", "NOUN, right"
    found = {
        "seed-0": whole(claims, observed(value, rival)),
        "seed-1": whole(claims, observed(rival, value)),
        "untrained": whole(claims, observed(value, rival)),
    }
    summed = claims.summarise(found)["statements"]["cause-over-noun"]
    verdicts = {name: test["verdict"] for name, test in summed["organisms"].items()}
    assert verdicts == {"seed-0": "holds", "seed-1": "opposite", "untrained": "holds"}
    assert summed["frozen"] == {"holds": 1, "not shown": 0, "opposite": 1}
    assert summed["trained"] == summed["frozen"]  # random weights are no trained organism
    alike = claims.summarise(found)["statements"]["prompts"]
    assert {test["verdict"] for test in alike["organisms"].values()} == {"not shown"}


def test_seeds_are_drawn_before_clips(claims):
    apart = [np.zeros(200), np.ones(200)]  # clips agree, seeds do not
    interval = claims.resample_seeds(apart)["interval"]
    assert interval == [0.0, 1.0]
    noisy = [np.tile([0.0, 1.0], 100)] * 2  # seeds agree, clips do not
    low, high = claims.resample_seeds(noisy)["interval"]
    assert 0.4 < low < 0.5 < high < 0.6
    assert claims.resample_seeds(apart[:1]) is None


def test_a_recipe_that_changes_nothing_is_not_told_apart(claims):
    rng = np.random.default_rng(1)
    seeds = [rng.normal(0.5, 0.1, 100) for _ in range(4)]
    low, high = claims.compare_recipes(seeds, seeds[:2])["interval"]
    assert low < 0 < high
    assert claims.compare_recipes(seeds, [s - 1 for s in seeds])["interval"][0] > 0.9
    assert claims.compare_recipes(seeds, []) is None


@pytest.mark.slow
def test_a_stopped_run_measures_only_what_is_missing(claims, runs, tmp_path, monkeypatch):
    parts = importlib.import_module("parts")
    monkeypatch.setattr(parts, "PART", 1)
    settings = replace(claims.CLAIM.config, clips=2)
    options = runs.ClaimsOptions(settings, measure=True, out=tmp_path, only=("untrained",))
    working = tmp_path / ".claims" / "2"
    working.mkdir(parents=True)
    config = replace(settings, model=runs.find_organism("untrained", working))
    chosen = working / "untrained-chosen.json"
    roles = {str(-place): 0.5 for place in range(1, 6)}
    chosen.write_text(json.dumps({"token": -1, "layer": 0, "shares": roles}))
    first, *_ = parts.divide(config, working / "untrained").items()
    file, part = first
    runs._measure_part(part, chosen, file)  # the run that was stopped got so far
    marked = json.loads(file.read_text()) | {"failed": {"it": "was not measured again"}}
    file.write_text(json.dumps(marked))
    runs.measure_organisms(options)
    again = json.loads((tmp_path / "claims" / "untrained.json").read_text())
    assert again["failed"] == {"it": "was not measured again"}
    assert again["values"]["rank"][0] == marked["values"]["rank"][0]
    named = {name for one in claims.STATEMENTS for name in (one.value, one.rival) if name}
    assert named <= again["values"].keys()
    assert {len(values) for values in again["values"].values()} == {2}
    numbers = json.loads(json.dumps(claims.summarise({"untrained": again})))
    assert claims.draw(numbers).axes
    more = replace(options, config=replace(settings, clips=3))
    with pytest.raises(ValueError, match="2 clips were measured; delete it, or give --out"):
        runs.measure_organisms(more)


def test_organisms_that_are_not_trained_yet_are_told_and_left_out(
    runs, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(runs, "WEIGHTS", tmp_path)
    (tmp_path / "seed-1").mkdir()
    names = runs.ClaimsOptions(runs.MeasurementConfig()).names()
    assert names == ("83eafb0", "seed-1", "seed-2", "fd3ab77", "942180f", "untrained")
    said = capsys.readouterr().out
    assert "left out: seed-0, seed-3, ablated-0, ablated-1, short-0" in said


def test_an_organism_that_is_not_there_is_said_in_one_line(runs, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no organism 'seed-9'; there are 83eafb0"):
        runs.ClaimsOptions(runs.MeasurementConfig(), only=("seed-9",)).names()
    monkeypatch.setattr(runs, "WEIGHTS", tmp_path)
    with pytest.raises(ValueError, match="no such organism; `probe train-organism` trains it"):
        runs.find_organism("ablated-1", tmp_path)

"""Presence in runs: what a method says of things that are in a clip, and of things that are not."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from published_formats import write_hcstvg
from tolerances import assert_equal_up_to_rounding

from probe.datasets import load_dataset
from probe.evaluation import (
    METHODS,
    EvaluationConfig,
    Evaluator,
    Oracle,
    Prediction,
    QueryResult,
    evaluate,
    read_run,
    write_report,
)
from probe.evaluation.charts import Line
from probe.evaluation.figures import FIGURES
from probe.evaluation.page import Charts, Key
from probe.evaluation.presence import LOGITS, format_presence, summarise_presence
from probe.evaluation.presence_page import show_presence
from probe.evaluation.reported_runs import ReportedRun
from probe.evaluation.runner import format_figures, summarise
from probe.evaluation.runs import StoredRun
from probe.grounding.queries import as_question
from probe.metrics import QueryScore, auroc, brier_score, risk_coverage, to_probability
from probe.organism.absent import ABSENT_KINDS
from probe.video import Span

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

LIMIT = 4


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("shapes-val")


@pytest.fixture(scope="module")
def evaluator(dataset, organism):
    """The cheapest grounder, with the true tracks."""
    config = EvaluationConfig("shapes-val", method="plain", candidates=Oracle())
    return Evaluator(config, dataset, organism)


@pytest.fixture(scope="module")
def whole(evaluator, tmp_path_factory):
    """A run of a few queries that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    evaluate(evaluator, folder, limit=LIMIT)
    return folder


class Teller:
    """A method that answers with the first candidate, and says what it is told to say."""

    def __init__(self, present=1.0, absent=0.0, broken=()):
        self.present, self.absent, self.broken = present, absent, broken
        self.calls = []

    def __call__(self, _, task):
        if task.id in self.broken:
            raise ValueError("broken")
        return Prediction(Span(0, 30), task.candidates[0], presence=self.present)

    def measure_presence(self, _model, _video, queries):
        self.calls.append(tuple(queries))
        return self.absent(queries) if callable(self.absent) else [self.absent] * len(queries)


def tell(evaluator, monkeypatch, method):
    """An evaluator of a method of the user's."""
    monkeypatch.setitem(sys.modules, "telling", SimpleNamespace(method=method))
    config = replace(evaluator.config, method="telling:method")
    return Evaluator(config, evaluator.dataset, evaluator.model)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_bytes().splitlines()]


def test_a_line_holds_the_margin_of_the_query_and_of_each_absent_one(whole, evaluator, dataset):
    """As the model answers when each of them is the only question that it is asked."""
    for place, line in enumerate(lines_of(whole)):
        sample = dataset[place]
        asked = {"present": sample.query, **sample.absent}
        assert list(line["absent"]) == list(sample.absent)
        view = evaluator.model.watch(sample.recording.read(evaluator.frames).video)
        alone = [float(view.read(as_question(query))[0].margin) for query in asked.values()]
        written = [line["presence"], *line["absent"].values()]
        assert_equal_up_to_rounding(np.array(written), np.array(alone).round(6))


def test_all_absent_queries_of_a_clip_are_asked_in_one_call(evaluator, dataset, monkeypatch):
    method = Teller()
    (result,) = tell(evaluator, monkeypatch, method).answer_all([2])
    assert method.calls == [tuple(dataset[2].absent.values())]
    assert result.absent == dict.fromkeys(dataset[2].absent, 0.0)


def test_the_summary_says_what_the_lines_give(whole):
    lines = lines_of(whole)
    summary = json.loads((whole / "summary.json").read_text())["presence"]
    present = [line["presence"] for line in lines]
    absent = {
        kind: [line["absent"][kind] for line in lines if kind in line["absent"]]
        for kind in ABSENT_KINDS
    }
    pooled = [margin for margins in absent.values() for margin in margins]
    assert summary["auroc"]["all"]["value"] == pytest.approx(auroc(present, pooled))
    for kind, margins in absent.items():
        figure = summary["auroc"][kind]
        assert figure["value"] == pytest.approx(auroc(present, margins))
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert summary["absent"] == {kind: len(margins) for kind, margins in absent.items()}
    risks = [1 - line["viou"] for line in lines] + [1.0] * len(pooled)
    curve = risk_coverage(present + pooled, risks)
    assert summary["risk_coverage"]["area"]["value"] == pytest.approx(curve.area)
    assert summary["risk_coverage"]["risk"][-1] == pytest.approx(np.mean(risks))
    assert summary["risk_coverage"]["least_area"] <= curve.area
    stated = to_probability(present + pooled)
    there = [True] * len(present) + [False] * len(pooled)
    brier = summary["calibration"]["brier"]
    assert brier["value"] == pytest.approx(brier_score(stated, there))
    assert sum(one["queries"] for one in summary["calibration"]["bins"]) == len(there)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_the_same_margins(evaluator, whole, tmp_path):
    evaluate(evaluator, tmp_path / "run", limit=1)
    evaluate(evaluator, tmp_path / "run", limit=LIMIT)
    for name in ("results.jsonl", "summary.json", "config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


def test_the_set_of_absent_queries_is_part_of_what_a_run_follows_from(evaluator, whole):
    config = json.loads((whole / "config.json").read_text())
    assert config["dataset"]["absent"] == "shapes-val-v2-absent-v1"
    assert config["method"]["presence"] == LOGITS
    other = replace(evaluator.dataset, absent_version="shapes-val-v2-absent-v2")
    with pytest.raises(ValueError, match=r"dataset\.absent = 'shapes-val-v2-absent-v1'"):
        evaluate(Evaluator(evaluator.config, other, evaluator.model), whole, limit=LIMIT)


def test_a_method_that_cannot_say_no_is_not_asked(evaluator):
    config = replace(evaluator.config, method="random-track")
    (result,) = Evaluator(config, evaluator.dataset, evaluator.model).answer_all([0])
    assert (result.presence, dict(result.absent)) == (None, {})
    assert summarise([result], evaluator.provenance)["presence"] is None


def test_a_query_that_fails_keeps_its_absent_ones_as_failed(evaluator, dataset, monkeypatch):
    failing = tell(evaluator, monkeypatch, Teller(broken=[dataset.ids[1]]))
    fine, failed = failing.answer_all([0, 1])
    assert failed.error == "broken"
    assert failed.absent == dict.fromkeys(dataset[1].absent)
    assert None not in fine.absent.values()
    again = QueryResult.from_line(failed.to_line())
    assert (again.presence, dict(again.absent)) == (None, dict(failed.absent))
    found = summarise_presence([fine, failed], LOGITS)
    assert found is not None
    # Of the present, one wins against the absent ones of its own clip, and the other never.
    assert found["auroc"]["colour"]["value"] == 0.25


@pytest.mark.parametrize(
    ("absent", "reason"),
    [
        (lambda _: [0.0], "measured the presence of 1 things, asked for"),
        (float("nan"), "presence of nan; give a finite number"),
        (lambda queries: ["no"] * len(queries), "could not convert"),
    ],
)
def test_margins_that_are_none_are_a_failure_of_the_query(evaluator, monkeypatch, absent, reason):
    (result,) = tell(evaluator, monkeypatch, Teller(absent=absent)).answer_all([0])
    assert reason in str(result.error)
    assert result.score == QueryScore(0.0, 0.0, 0.0)
    assert set(result.absent.values()) == {None}


def test_a_presence_that_is_no_number_is_a_failure_too(evaluator, monkeypatch):
    (result,) = tell(evaluator, monkeypatch, Teller(present=float("inf"))).answer_all([0])
    assert "presence of inf" in str(result.error)


def make_results(seed, count=40):
    """Results with margins from both sides of 0, and a kind that some clips lack."""
    rng = np.random.default_rng(seed)
    return [
        QueryResult(
            str(number),
            score=QueryScore(0.5, float(rng.random()), float(rng.random())),
            presence=float(rng.normal(1)),
            absent={
                kind: float(rng.normal(-1))
                for kind in ("colour", "binding")
                if kind == "colour" or rng.random() < 0.7
            },
        )
        for number in range(count)
    ]


def fail_result(result):
    absent = dict.fromkeys(result.absent)
    return QueryResult(result.id, error="broken", absent=absent)


@pytest.mark.parametrize("seed", range(6))
def test_no_method_gains_by_failing(seed):
    """Whichever queries fail, and were they those that it is worst at."""
    results = make_results(seed)
    rng = np.random.default_rng(seed)
    hard = sorted(results, key=lambda one: float(one.presence or 0))[:8]
    chosen = [results[place] for place in rng.choice(len(results), 8, replace=False)]
    before = summarise_presence(results, LOGITS)
    assert before is not None
    for broken in (hard, chosen):
        after = summarise_presence(
            [fail_result(one) if one in broken else one for one in results], LOGITS
        )
        assert after is not None
        for kind in ("all", "colour", "binding"):
            assert after["auroc"][kind]["value"] <= before["auroc"][kind]["value"]
        risk = [one["risk_coverage"]["area"]["value"] for one in (before, after)]
        assert risk[0] <= risk[1]
        assert before["calibration"]["brier"]["value"] <= after["calibration"]["brier"]["value"]


def test_a_run_of_which_everything_failed_has_the_worst_figures():
    found = summarise_presence([fail_result(one) for one in make_results(0)], LOGITS)
    assert found is not None
    assert found["auroc"]["all"]["value"] == 0
    assert found["calibration"]["brier"]["value"] == 1
    assert found["risk_coverage"]["area"]["value"] == 1


def test_margins_of_another_scale_have_no_calibration_and_no_yes():
    results = make_results(1)
    found, logits = (summarise_presence(results, scale) for scale in ("its own", LOGITS))
    assert found is not None
    assert logits is not None
    assert found["calibration"] is None
    assert found["risk_coverage"]["model_says_yes"] is None
    assert found["auroc"] == logits["auroc"]
    assert len(list(format_presence(found))) == 2
    assert len(list(format_presence(logits))) == 3
    answered: list[Any] = [one for one in results if float(one.presence or 0) > 0]
    wrong = sum(float(margin or 0) > 0 for one in results for margin in one.absent.values())
    asked = len(results) + sum(len(one.absent) for one in results)
    yes = logits["risk_coverage"]["model_says_yes"]
    assert yes["coverage"] == pytest.approx((len(answered) + wrong) / asked)
    lost = sum(1 - one.score.viou for one in answered) + wrong
    assert yes["risk"] == pytest.approx(lost / (len(answered) + wrong))


def test_an_interval_is_narrower_with_more_clips():
    few, many = (summarise_presence(make_results(2, count), LOGITS) for count in (20, 320))
    assert few is not None
    assert many is not None
    widths = [one["auroc"]["all"]["high"] - one["auroc"]["all"]["low"] for one in (few, many)]
    assert widths[1] < widths[0] / 2


def test_the_share_of_right_tracks_is_a_figure_with_an_interval_of_its_own(whole, evaluator):
    summary = json.loads((whole / "summary.json").read_text())
    scores: list[Any] = [result.score for result in read_run(whole).results.values()]
    figure = summary["figures"]["all"]["right_track"]
    assert figure["mean"] == np.mean([one.gt_viou > 0.5 for one in scores])
    assert FIGURES["right_track"].value(QueryScore(0.0, 0.0, 0.5)) == 0
    right = [QueryResult(str(n), score=QueryScore(1.0, 1.0, 1.0)) for n in range(20)]
    found = summarise(right, evaluator.provenance)["figures"]["all"]
    assert found["right_track"]["low"] == pytest.approx(0.839, abs=1e-3)
    assert found["m_gt_viou"]["low"] == 1, "which the bootstrap says of any figure"


def test_the_terminal_shows_three_lines(whole):
    summary = json.loads((whole / "summary.json").read_text())
    lines = [line for line in format_figures(summary) if line.startswith("presence")]
    assert [line.split()[1] for line in lines] == ["AUROC", "AURC", "ECE"]
    assert all(f"{kind} " in lines[0] for kind in ABSENT_KINDS)
    assert any(line.split()[:2] == ["all", "right_track"] for line in format_figures(summary))


def strip_presence(folder, stripped):
    """Copy a run as a version without presence wrote it."""
    stripped.mkdir()
    for path in folder.iterdir():
        (stripped / path.name).write_bytes(path.read_bytes())
    old = [
        {key: value for key, value in line.items() if key not in ("presence", "absent", "checksum")}
        for line in lines_of(folder)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in old)
    (stripped / "results.jsonl").write_text(text)
    config = json.loads((folder / "config.json").read_text())
    del config["dataset"]["absent"], config["method"]["presence"]
    (stripped / "config.json").write_text(json.dumps(config))
    return stripped


@pytest.mark.slow
def test_a_run_of_an_earlier_version_is_read_and_reported(whole, tmp_path):
    stripped = strip_presence(whole, tmp_path / "old")
    old, new = read_run(stripped), read_run(whole)
    assert [one.score for one in old.results.values()] == [
        one.score for one in new.results.values()
    ]
    assert all(one.presence is None and not one.absent for one in old.results.values())
    page, _ = write_report([stripped], tmp_path / "page.html")
    assert "Is it there?" not in page.read_text()
    assert "right track" in page.read_text()


@pytest.mark.slow
def test_a_report_shows_presence_of_the_runs_that_measured_it(whole, tmp_path):
    stripped = strip_presence(whole, tmp_path / "_old $x")
    _, text = write_report([whole, stripped], tmp_path / "page.html")
    markdown = text.read_text()
    assert markdown.count("Is it there?") == 1
    (header,) = [line for line in markdown.splitlines() if "| AUROC |" in line]
    assert all(kind in header for kind in ABSENT_KINDS)
    area = json.loads((whole / "summary.json").read_text())["presence"]["auroc"]["all"]["value"]
    (row,) = [
        line
        for line in markdown.splitlines()
        if line.startswith("| run (ORACLE) ") and f"| {LIMIT} present" in line
    ]
    assert f"{100 * area:.1f} " in row


def report_on(results, name, scale, provenance):
    config = {**provenance, "method": {**provenance["method"], "presence": scale}}
    run = StoredRun(Path(name), config, {}, {one.id: one for one in results})
    return ReportedRun(run, name, summarise(results, config))


def test_a_report_draws_runs_of_any_name_and_any_scale(evaluator):
    """Each has its line, in the colour that the key gives its name; the first curve is the ROC."""
    results = make_results(3)
    named = [("_odd $x^", LOGITS), ("its own", "own"), ("x" * 90, LOGITS)]
    runs = [report_on(results, *one, evaluator.provenance) for one in named]
    parts = list(show_presence(runs))
    (key,) = [part for part in parts if isinstance(part, Key)]
    assert [text for _, text in key.entries] == [f"{name} (ORACLE)" for name, _ in named]
    (charts,) = [part for part in parts if isinstance(part, Charts)]
    telling, risk, reliability = (
        [mark for mark in chart.marks if isinstance(mark, Line) and mark.series is not None]
        for chart in charts.charts
    )
    assert [len(lines) for lines in (telling, risk, reliability)] == [3, 3, 2]
    absent, present = np.array(telling[0].points).T
    found: Any = summarise_presence(results, LOGITS)
    assert_equal_up_to_rounding(
        np.array(np.trapezoid(present, absent)), np.array(found["auroc"]["all"]["value"])
    )
    assert list(show_presence([])) == []


def test_data_sets_without_absent_queries_stay_as_they_are(organism, tmp_path):
    write_hcstvg(tmp_path / "data", 1, (7,))
    dataset = load_dataset("hcstvg1", tmp_path / "data")
    config = EvaluationConfig("hcstvg1", tmp_path / "data", method="plain", candidates=Oracle())
    outcome = evaluate(Evaluator(config, dataset, organism), tmp_path / "run")
    assert outcome.summary["presence"] is None
    assert outcome.summary["failed"] == []
    (line,) = lines_of(tmp_path / "run")
    assert isinstance(line["presence"], float), "the query's own presence needs no absent one"
    assert line["absent"] == {}


def test_the_grounder_and_a_user_s_method_are_told_apart_by_their_scale(evaluator, monkeypatch):
    assert evaluator.provenance["method"]["presence"] == LOGITS
    assert tell(evaluator, monkeypatch, Teller()).provenance["method"]["presence"] != LOGITS
    silent = Evaluator(
        replace(evaluator.config, method="random-track"), evaluator.dataset, evaluator.model
    )
    assert silent.provenance["method"]["presence"] is None
    assert "random-track" in METHODS

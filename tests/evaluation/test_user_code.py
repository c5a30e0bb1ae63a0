"""Data sets, methods and rules in user code alone, evaluated by their `module:qualname`."""

import inspect
import json
import sys
import uuid
from inspect import signature

import pytest

from probe.evaluation import EvaluationConfig, Evaluator, Oracle, RuleNames, evaluate, read_run
from probe.evaluation.methods import Grounding, find_method
from probe.evaluation.rules import SHIPPED_RULES, find_rule
from probe.grounding import losses, span_rules
from probe.grounding.presets import BEST, PAPER, PLAIN
from probe.interpret import token_rules
from probe.organism.world import make_clip
from probe.plain import IDENTITY

CODE = """
from dataclasses import dataclass, replace

import torch

from probe.datasets import DataSet, Sample, StoredVideo
from probe.evaluation import Prediction
from probe.grounding.presets import BEST
from probe.organism.world import make_clip
from probe.video import Span


def read(root, annotations):
    samples = []
    for seed in (7, 8):
        thing = make_clip(seed).things[0]
        video = StoredVideo.from_path(root / f"{seed}.mp4")
        samples.append(Sample(str(seed), thing.query, video, thing.tube()))
    return DataSet.from_samples("mine", samples)


def first_second(model, task):
    return Prediction(Span(0, 8), task.candidates[0], {"query": task.query})


@dataclass(frozen=True)
class Last:
    frames: int = 8

    def __call__(self, model, task):
        length = task.video.source_length
        return Prediction(Span(length - self.frames, length), task.candidates[-1])


def no_prediction(model, task):
    return "there"


def last_token(reading):
    return [len(reading.tokens) - 1]


def first_frame(scores):
    return range(1)


def last_candidate(view, queries, where, candidates):
    return [float(place) for place in range(len(candidates))]


@dataclass(frozen=True)
class Focus:
    layer: int = 2

    @property
    def attention_layers(self):
        return (self.layer,)

    def __call__(self, asked, generic):
        mass = asked.attention[0].mean(dim=(0, 1)).flatten()
        share = mass / mass.sum()
        return -(share * share.clamp_min(1e-9).log()).sum()


CONFIG = replace(BEST, span=first_frame)
NUMBER = 3


@dataclass(frozen=True)
class Needy:
    share: float

    def __call__(self, scores):
        return range(1)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module of user code in the current folder, which is on no path."""
    name = f"mine_{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # the command adds the folder
    return name


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for seed in (7, 8):
        make_clip(seed).write(folder / f"{seed}.mp4")
    return folder


@pytest.fixture
def imported(module, monkeypatch, tmp_path):
    """The module's name, when its folder is on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    return module


def spans(folder):
    results = read_run(folder).results.values()
    assert [result.error for result in results] == [None] * len(results)
    return [result.span for result in results]


@pytest.mark.slow
def test_a_data_set_of_the_user_is_evaluated_and_reported_from_the_current_folder(
    command, module, root, tmp_path
):
    name = f"{module}:read"
    code, out, err = command("evaluate", name, "--root", root, "--check")
    assert code == 0, err
    assert out == "2 queries: 0 would fail, 0 not as annotated\n"
    code, out, err = command(
        "evaluate", name, "--root", root, "--oracle", "--method", "plain", "--out", "run"
    )
    assert code == 0, err
    assert f"{name}, plain: 2 of 2 queries, 0 failed; ORACLE" in out
    assert json.loads((tmp_path / "run" / "config.json").read_text())["dataset"]["name"] == name
    assert len(spans("run")) == 2
    for words, pictures in ((), 1), (("--dataset", name), 3):
        code, _, err = command("report", "run", "--out", "page.html", *words)
        assert code == 0, err
        page = (tmp_path / "page.html").read_text()
        assert page.count("data:image/png") == pictures, "a scatter, and each query if it may be"
        assert (f"give --dataset {name} to run it" in page) == (pictures == 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["first_second", "Last", "CONFIG"])
def test_a_method_of_the_user_answers_and_goes_by_its_name(command, module, root, tmp_path, method):
    name = f"{module}:{method}"
    code, out, err = command(
        "evaluate", f"{module}:read", "--root", root, "--oracle", "--method", name, "--out", "run"
    )
    assert code == 0, err
    assert f"{module}:read, {name}: 2 of 2 queries, 0 failed" in out
    found = spans("run")
    expected = {"first_second": (0, 8), "Last": (56, 64), "CONFIG": (0, None)}[method]
    assert {span.start for span in found if span is not None} == {expected[0]}
    if method != "CONFIG":
        assert {span.stop for span in found if span is not None} == {expected[1]}
    config = json.loads((tmp_path / "run" / "config.json").read_text())["method"]
    assert config["name"] == name
    assert (config["choices"] is None) == (method == "first_second")


def test_what_a_method_returns_must_be_a_prediction(imported, root, organism, tmp_path):
    config = EvaluationConfig(
        f"{imported}:read", root, method=f"{imported}:no_prediction", candidates=Oracle()
    )
    evaluate(Evaluator(config, config.load_dataset(), organism), tmp_path / "run")
    errors = {result.error for result in read_run(tmp_path / "run").results.values()}
    assert errors == {f"the method {imported}:no_prediction returned a str, not a Prediction"}


def test_rules_of_the_user_take_the_place_of_the_presets(imported):
    rules = RuleNames(
        token=f"{imported}:last_token",
        track=f"{imported}:last_candidate",
        span=f"{imported}:first_frame",
        loss=f"{imported}:Focus",
    )
    config = rules.replace_in(PAPER)
    names = [config.token, config.track, config.span]
    assert [rule.__name__ for rule in names] == ["last_token", "last_candidate", "first_frame"]
    for before, after in (
        (PAPER.learn_where, config.learn_where),
        (PAPER.learn_when, config.learn_when),
    ):
        assert before is not None
        assert after is not None
        assert after.loss == sys.modules[imported].Focus()
        assert (after.layer, after.steps, after.rate) == (before.layer, before.steps, before.rate)
    assert RuleNames().replace_in(PAPER) == PAPER


@pytest.mark.slow
def test_the_command_evaluates_with_rules_of_the_user(command, module, root, tmp_path):
    words = ("--root", root, "--oracle", "--out", "run", "--method", "plain")
    rules = ("--token", f"{module}:last_token", "--span", f"{module}:first_frame")
    code, out, err = command("evaluate", f"{module}:read", *words, *rules)
    assert code == 0, err
    shown = f"plain, token {module}:last_token, span {module}:first_frame"
    assert f"{module}:read, {shown}: 2 of 2" in out
    results = read_run("run").results.values()
    assert {len(result.details["where_tokens"]) for result in results} == {1}
    assert {result.span.start for result in results if result.span is not None} == {0}
    config = json.loads((tmp_path / "run" / "config.json").read_text())["method"]
    assert config["rules"] == {"token": f"{module}:last_token", "span": f"{module}:first_frame"}
    assert config["choices"]["config"]["span"] == {IDENTITY: f"{module}:first_frame"}
    code, _, err = command("evaluate", f"{module}:read", *words)
    assert (code, "was begun with method.rules.token" in err) == (2, True)


@pytest.mark.slow
def test_one_query_is_grounded_with_rules_of_the_user(command, module, root, tmp_path):
    words = ("--span", f"{module}:first_frame", "--track", f"{module}:last_candidate")
    query = make_clip(7).things[0].query
    code, _, err = command("ground", root / "7.mp4", query, "--out", "answer", *words)
    assert code == 0, err
    answer = json.loads((tmp_path / "answer" / "answer.json").read_text())
    assert answer["span"]["start_frame"] == 0
    assert answer["candidates"][-1]["chosen"]
    assert answer["config"]["span"] == {IDENTITY: f"{module}:first_frame"}
    code, _, err = command("ground", root / "7.mp4", query, "--out", "other", "--span", "absent")
    assert (code, "no span rule is called 'absent'" in err) == (2, True)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_loss_on_attention_is_learned_with(imported, root, organism, tmp_path):
    config = EvaluationConfig(
        f"{imported}:read", root, method="paper", candidates=Oracle(),
        rules=RuleNames(loss=f"{imported}:Focus"),
    )  # fmt: skip
    evaluate(Evaluator(config, config.load_dataset(), organism), tmp_path / "run", limit=1)
    assert len(spans(tmp_path / "run")) == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--method", "absent"), "no method is called 'absent'; there are plain, best"),
        (("--method", "absent_module:name"), "cannot import 'absent_module'"),
        (("--method", "{module}:absent"), "no 'absent' in"),
        (("--method", "{module}:NUMBER"), "a int answers no query; give a callable"),
        (("--method", "{module}:Needy"), "cannot be made without arguments"),
        (("--token", "absent"), "no token rule is called 'absent'; there are MostActive"),
        (("--token", "Fixed"), "Fixed: a class that cannot be made without arguments"),
        (("--span", "{module}:NUMBER"), "a int is no span rule; give a callable"),
        (("--span", "{module}:Needy"), "cannot be made without arguments"),
        (("--span", "TopHull", "--method", "centre"), "the method centre is no grounder"),
        (("--loss", "contrast", "--method", "plain"), "learns no latent prompt"),
    ],
)
def test_anything_wrong_with_a_name_is_one_line_and_starts_no_run(
    command, module, tmp_path, words, reason
):
    words = [word.format(module=module) for word in words]
    code, _, err = command("evaluate", "shapes-val", "--limit", 1, "--out", "run", *words)
    assert code == 2
    assert reason in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_shipped_rules_go_by_their_names():
    assert find_rule("span", "GrowFromPeak") == span_rules.GrowFromPeak()
    assert find_rule("token", "AllOf") == token_rules.AllOf()
    assert find_rule("loss", "contrast") is losses.contrast
    assert RuleNames(span="GrowFromPeak").replace_in(BEST).span == span_rules.GrowFromPeak()
    assert find_method("plain") == Grounding(PLAIN)


def test_every_shipped_rule_has_a_name():
    for kind, home in (("token", token_rules), ("span", span_rules)):
        classes = {
            one for one in vars(home).values()
            if inspect.isclass(one) and one.__module__ == home.__name__ and "__call__" in vars(one)
        }  # fmt: skip
        assert set(SHIPPED_RULES[kind]) == classes
    functions = [one for one in vars(losses).values() if inspect.isfunction(one)]
    shipped = [one for one in functions if {"asked", "generic"} == set(signature(one).parameters)]
    assert set(SHIPPED_RULES["loss"]) == set(shipped)

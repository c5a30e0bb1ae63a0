"""Data sets, methods and rules in user code alone, evaluated by their `module:qualname`."""

import inspect
import json
import sys
import uuid
from inspect import signature

import pytest

from probe.evaluation import EvaluationConfig, Evaluator, Oracle, RuleNames, evaluate, read_run
from probe.evaluation.methods import Grounding, find_method
from probe.evaluation.rules import RULE_KINDS, find_rule
from probe.grounding import losses, noun_rule, span_rules, track_rules
from probe.grounding.presets import BEST, ENTROPY_GRADIENT, PAPER, PLAIN
from probe.interpret import token_rules
from probe.interpret.baseline_maps import entropy_gradient
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


def late_frames(view, queries, when, track):
    return torch.arange(len(when.heatmap.values)).float()


def first_head(reading):
    return [(0, 0)]


def halved(view, look):
    return look.heatmap


def as_before(first, read):
    return None


def even(view, question):
    heatmap = view.read(question)[0].heatmap(-1)
    return replace(heatmap, values=torch.ones_like(heatmap.values))


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
    for words in (), ("--dataset", name):
        code, _, err = command("report", "run", "--out", "page.html", *words)
        assert code == 0, err
        page = (tmp_path / "page.html").read_text()
        assert ("data:image/" in page) == bool(words), "answers are shown if code may be run"
        assert (f"give --dataset {name} to run it" in page) == (not words)


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
        token_when=f"{imported}:last_token",
        heads_when=f"{imported}:first_head",
        relevance_when=f"{imported}:halved",
        maps=f"{imported}:even",
        fuse=f"{imported}:even",
        track=f"{imported}:last_candidate",
        frame_scores=f"{imported}:late_frames",
        span=f"{imported}:first_frame",
        again=f"{imported}:as_before",
        loss=f"{imported}:Focus",
    )
    assert set(rules.given) == set(RULE_KINDS), "each kind is tried"
    config = rules.replace_in(PAPER)
    assert [config.token, config.token_when] == [sys.modules[imported].last_token] * 2
    timed = [config.heads_when, config.relevance_when, config.again]
    others = [*timed, config.maps, config.fuse, config.track, config.frames, config.span]
    names = ["first_head", "halved", "as_before"]
    names += ["even", "even", "last_candidate", "late_frames", "first_frame"]
    assert [getattr(rule, "__name__", None) for rule in others] == names
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


FIVE_LINES = """\
def mine(view, queries, where, candidates):
    values = where.heatmap.values - where.heatmap.values.mean()
    inside = [view.grid.cells.inside(track) for track in candidates]
    called.append(queries.whole)
    return [values[own].sum() for own in inside]
"""


@pytest.mark.slow
def test_a_track_rule_of_five_lines_in_the_current_folder_runs_in_evaluate(
    command, tmp_path, monkeypatch
):
    assert len(FIVE_LINES.splitlines()) == 5
    (tmp_path / "my_rule.py").write_text(f"called = []\n\n\n{FIVE_LINES}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # the command adds the folder
    words = ("evaluate", "shapes-val", "--limit", 2, "--track", "my_rule:mine", "--out", "run")
    code, out, err = command(*words, "--cache", "cache")
    rule = sys.modules.pop("my_rule")
    assert code == 0, err
    assert "shapes-val, causal, track my_rule:mine: 2 of 500 queries, 0 failed" in out
    results = read_run("run").results.values()
    assert set(rule.called) == {result.query for result in results}
    config = json.loads((tmp_path / "run" / "config.json").read_text())["method"]
    assert config["rules"] == {"track": "my_rule:mine"}
    assert config["choices"]["config"]["track"] == {IDENTITY: "my_rule:mine"}


@pytest.mark.slow
def test_every_option_for_a_rule_reaches_the_run(command, module, root, tmp_path):
    given = {
        "token": "last_token",
        "token-when": "last_token",
        "fuse": "even",
        "track": "last_candidate",
        "frame-scores": "late_frames",
        "span": "first_frame",
    }
    words = [word for kind, name in given.items() for word in (f"--{kind}", f"{module}:{name}")]
    base = ("--root", root, "--oracle", "--limit", 1, "--out", "run")
    code, _, err = command("evaluate", f"{module}:read", *base, *words)
    assert code == 0, err
    config = json.loads((tmp_path / "run" / "config.json").read_text())["method"]
    assert config["rules"] == {
        kind.replace("-", "_"): f"{module}:{name}" for kind, name in given.items()
    }
    fields = {"frame-scores": "frames"}
    for kind, name in given.items():
        field = fields.get(kind, kind.replace("-", "_"))
        assert config["choices"]["config"][field] == {IDENTITY: f"{module}:{name}"}


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
        (("--method", "absent"), "no method is called 'absent'; there are causal, noun"),
        (("--method", "absent_module:name"), "cannot import 'absent_module'"),
        (("--method", "{module}:absent"), "no 'absent' in"),
        (("--method", "{module}:NUMBER"), "a int answers no query; give a callable"),
        (("--method", "{module}:Needy"), "cannot be made without arguments"),
        (("--token", "absent"), "no token rule is called 'absent'; there are MostActive"),
        (("--token", "Fixed"), "Fixed: a class that cannot be made without arguments"),
        (("--span", "{module}:NUMBER"), "a int is no span rule; give a callable"),
        (("--span", "{module}:Needy"), "cannot be made without arguments"),
        (("--token-when", "absent"), "no token-when rule is called 'absent'; there are MostActive"),
        (("--frame-scores", "absent"), "no frame-scores rule is called 'absent'; there are Peak"),
        (("--track", "{module}:NUMBER"), "a int is no track rule; give a callable"),
        (("--fuse", "absent"), "no fuse rule is called 'absent'; there are entropy_gradient"),
        (
            ("--span", "TopHull", "--frame-scores", "PeakInTrack", "--method", "lens"),
            "the method lens is no grounder and has no rules; leave out --frame-scores and --span",
        ),
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
    assert find_rule("token", "AllOf") == find_rule("token_when", "AllOf") == token_rules.AllOf()
    assert find_rule("frame_scores", "PeakInTrack") == track_rules.PeakInTrack()
    assert find_rule("loss", "contrast") is losses.contrast
    assert RuleNames(span="GrowFromPeak").replace_in(BEST).span == span_rules.GrowFromPeak()
    assert RuleNames(fuse="entropy_gradient").replace_in(BEST) == ENTROPY_GRADIENT
    assert find_method("plain") == Grounding(PLAIN)


def rule_classes(*homes):
    """Classes of callables that are defined in some modules, with the names of their parameters."""
    return {
        one: tuple(signature(one.__call__).parameters)
        for home in homes
        for one in vars(home).values()
        if inspect.isclass(one) and one.__module__ == home.__name__ and "__call__" in vars(one)
    }


def test_every_shipped_rule_has_a_name():
    tokens = set(rule_classes(token_rules, noun_rule))
    assert set(RULE_KINDS["token"].shipped) == set(RULE_KINDS["token_when"].shipped) == tokens
    assert set(RULE_KINDS["span"].shipped) == set(rule_classes(span_rules))
    for kind, last in (("track", "candidates"), ("frame_scores", "track")):
        found = {one for one, names in rule_classes(track_rules).items() if names[-1] == last}
        assert set(RULE_KINDS[kind].shipped) == found
    functions = [one for one in vars(losses).values() if inspect.isfunction(one)]
    shipped = [one for one in functions if {"asked", "generic"} == set(signature(one).parameters)]
    assert set(RULE_KINDS["loss"].shipped) == set(shipped)
    assert RULE_KINDS["fuse"].shipped == (entropy_gradient,)


def test_the_help_lists_the_rules_that_a_name_is_enough_for(command):
    _, out, _ = command("evaluate", "--help")
    text = " ".join(out.replace("│", " ").split())
    for kind in RULE_KINDS.values():
        assert f"(one of: {', '.join(kind.names)}; or module:name of your own)" in text
    assert "Fixed" not in text, "a class that needs arguments"

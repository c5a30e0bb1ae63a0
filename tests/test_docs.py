"""Documentation that leaves nothing out and whose examples run."""

import importlib
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from published_formats import SCALE, write_clip

import probe
from probe.cli.demo import DEMO_CLIPS
from probe.evaluation import EvaluationConfig, RuleNames, evaluate
from probe.files import read_json, write_json
from probe.organism.world import make_clip

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)

SHORT_NAMES = {"model", "tubes"}

NO_ROOMS = SHORT_NAMES | {
    *(
        "__main__",
        "argument_order",
        "progress",
        "public",
        "frozen",
        "paths",
        "spelling",
        "strict_json",
        "torchvision_cpu",
    ),
}
"""The entry point, the old order of arguments, bars of progress, the table of public names,
suggestions for misspelt names, JSON that is checked, a shim for torchvision, and short names."""


def test_every_public_name_is_in_the_reference():
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    assert set(probe.__all__) <= set(re.findall(r"\bprobe(?:\.\w+)*\.(\w+)", text))


def test_every_page_is_reached_from_the_index():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    named = {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES} - {"index"}
    assert named <= set(index.split())


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda path: path.stem)
def test_every_link_to_a_file_leads_to_one(path):
    text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert all((path.parent / link).exists() for link in links), links


# The architecture


def contract():
    """The layers of the import contract, from the top; rooms of one layer together."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [re.split(r" \| ", layer) for layer in layers]


def test_the_architecture_says_the_import_line_of_the_contract():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    line = re.search(r"```\n(cli →.*?)```", text, re.DOTALL)
    assert line is not None
    said = [re.split(r" \| ", layer.strip()) for layer in line[1].split("→")]
    rooms = [[room for room in layer if room not in NO_ROOMS] for layer in contract()]
    assert said == [layer for layer in rooms if layer]


def test_the_picture_shows_every_room_of_the_contract_in_order():
    picture = (DOCS / "rooms.svg").read_text(encoding="utf-8")
    shown = re.findall(r'font-weight="bold">(\w+)<', picture)
    assert shown == [room for layer in contract() for room in layer if room not in NO_ROOMS]


# The examples


def blocks(path):
    """The Python examples of a page, in order."""
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """A working folder that contains two clips, with a query and boxes for each."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "two")):
        thing = write_clip(Path("clips") / f"{name}.mp4", seed).things[0]
        tube = thing.tube()
        boxes = dict(zip(tube.frames.tolist(), (tube.boxes * SCALE).tolist(), strict=True))
        write_json(Path("clips") / f"{name}.json", {"query": thing.query, "boxes": boxes})


@pytest.fixture
def my_rules(tmp_path, monkeypatch):
    """The module of the page about rules of one's own, imported."""
    parts = blocks(DOCS / "how-to/write-your-own-rule.md")
    module = [part for part in parts if part.startswith("# my_rules.py\n")]
    (tmp_path / "my_rules.py").write_text("\n\n".join(module), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("my_rules")
    del sys.modules["my_rules"]


@pytest.mark.slow
@pytest.mark.usefixtures("clips", "my_rules")
def test_the_examples_of_your_own_rules_run_in_the_grounder_and_in_an_evaluation():
    uses = [
        part
        for part in blocks(DOCS / "how-to/write-your-own-rule.md")
        if not part.startswith("# my_rules.py\n")
    ]
    space = {}
    for part in uses:
        exec(part, space)
    assert all(abs(effect.margin_change) > 0 for effect in space["changed"])
    summary = read_json("runs/mine/summary.json")
    assert (summary["queries"], summary["failed"]) == (2, [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"token": probe.AllOf()},
        {"span": probe.TopHull()},
        {"track": probe.PLAIN.track},
        {"frames": probe.PLAIN.frames},
        {"heads_when": None},
        {"relevance_when": None},
        {"again": None},
        {"learn_when": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_rule_of_the_page_has_a_part_in_the_answer(organism, my_rules, change):
    video = make_clip(6).video()
    queries = make_clip(6).things[0].query
    mine = probe.ground(organism, video, queries, config=my_rules.MINE).to_dict()
    shipped = replace(my_rules.MINE, **change)
    other = probe.ground(organism, video, queries, config=shipped).to_dict()
    parts = ("span", "candidates", "frame_scores", "when", "where")
    assert any(mine[part] != other[part] for part in parts)


@pytest.mark.slow
@pytest.mark.usefixtures("clips", "my_rules")
def test_a_single_rule_of_your_own_goes_into_a_preset_by_its_name():
    rules = RuleNames(token="my_rules:active_words")
    config = EvaluationConfig("shapes-val", method="best", rules=rules)
    assert not evaluate(config, "runs/words", limit=1).summary["failed"]


@pytest.mark.slow
def test_the_readmes_example_runs_and_its_answer_is_read_as_the_page_says(tmp_path, monkeypatch):
    (example,) = blocks(ROOT / "README.md")
    (reading,) = blocks(DOCS / "how-to/read-an-answer.md")
    write_clip(tmp_path / "probe-demo/clip.mp4", DEMO_CLIPS["shapes"])
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert all(Path(f"answer.{suffix}").stat().st_size for suffix in ("json", "mp4", "png"))
    exec(reading, space := {})
    assert len(space["box"]) == 4


def test_the_example_of_a_claim_moves_the_margin():
    first, *_ = blocks(DOCS / "how-to/test-a-claim.md")
    exec(first, space := {})
    assert max(space["blind"].margin_change, space["cut"].margin_change) < -5


@pytest.mark.slow
def test_the_example_of_a_threshold_tells_what_is_there_from_what_is_not():
    space = {}
    for part in blocks(DOCS / "how-to/choose-a-preset.md"):
        exec(part, space)
    assert space["balanced_accuracy"](space["threshold"]) > 0.9
    assert space["config"].require_presence == space["threshold"]

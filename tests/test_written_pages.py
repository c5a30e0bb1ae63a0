"""Pages and parts of pages are what the committed numbers say; no figure is copied by hand."""

import re
import runpy
from pathlib import Path

import pytest

from probe.engine.families import FAMILIES, PICTURES
from probe.files import read_json

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")

INTERVAL = re.compile(r"\d\.\d+ \[[+-]?\d")
"""The beginning of a measured figure: a mean with its interval."""

REMEDY = "write it again: python docs/write_found.py"

FIGURE = re.compile(r"(?<!\d)\d\.\d\d")


def load_numbers(name):
    return read_json(ROOT / "analyses/numbers" / f"{name}.json")


@pytest.fixture(scope="module")
def writer():
    return runpy.run_path(str(DOCS / "write_found.py"))


@pytest.fixture
def changed(writer, monkeypatch):
    """The writer, with other numbers of a script in the place of the committed ones."""

    def change(name, edit):
        numbers = writer["load"](name)
        edit(numbers)
        load = writer["load"]
        other = lambda asked: numbers if asked == name else load(asked)  # noqa: E731
        monkeypatch.setitem(writer["open_templates"].__globals__, "load", other)
        return writer

    return change


def own_words(page, writer):
    """The text of a page without the parts that are written from the numbers."""
    text = page.read_text(encoding="utf-8")
    for place, template in writer["PARTS"]:
        if place == page:
            begin = writer["BEGIN"].format(template)
            before, _, rest = text.partition(begin)
            text = before + rest.partition(writer["END"])[2]
    return text


def pages():
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md"), *DOCS.glob("*/*.md")]
    return [*found, *(ROOT / "probe").rglob("*.md")]


def test_no_page_has_a_measured_figure_that_is_not_written_from_the_numbers(writer):
    whole = {page for page, _ in writer["PAGES"]}
    # Each kind of page has figures at all: the pattern finds them.
    assert all(INTERVAL.search(page.read_text(encoding="utf-8")) for page in whole)
    copied = {
        str(page.relative_to(ROOT)): INTERVAL.findall(own_words(page, writer))
        for page in pages()
        if page not in whole
    }
    assert {page: found for page, found in copied.items() if found} == {}


def test_no_template_has_a_figure_of_its_own(writer):
    for template in sorted(DOCS.glob("*.j2")):
        text = re.sub(
            r"\{\{.*?\}\}|\{%.*?%\}", "", template.read_text(encoding="utf-8"), flags=re.S
        )
        assert FIGURE.findall(text) == [], template.name
    used = {template for _, template in (*writer["PAGES"], *writer["PARTS"])}
    included = {
        name
        for template in DOCS.glob("*.j2")
        for name in re.findall(r'include "([^"]+)"', template.read_text(encoding="utf-8"))
    }
    assert {path.name for path in DOCS.glob("*.j2")} == used | included


def test_pages_are_what_the_committed_numbers_say(writer):
    for page, template in writer["PAGES"]:
        made = writer["make_page"](template)
        assert page.read_text(encoding="utf-8") == made, REMEDY


def test_there_are_ten_findings_with_a_picture_each(writer):
    made = writer["make_page"]("found.md.j2")
    findings = re.findall(r"^## \d+\. .*?(?=^## )", made, re.MULTILINE | re.DOTALL)
    assert len(findings) == 10
    assert all(len(re.findall(r"!\[.+?\]\(\S+\.png\)", one)) == 1 for one in findings)


def test_parts_of_other_pages_are_what_the_committed_numbers_say(writer):
    for page, template in writer["PARTS"]:
        assert page.read_text(encoding="utf-8") == writer["replace_part"](page, template), REMEDY
        text = (DOCS / template).read_text(encoding="utf-8")
        assert re.findall(r"\b(?:more|less|better|worse) often", text) == [], template


def test_other_seeds_rows_and_signs_are_told_as_well(changed):
    # No template says one of its own.
    def change(found):
        found["seeds"] = 71
        for rows in found["table"].values():
            rows["a row that is new"] = {**rows["preset"], "mean": 0.4321}
        for test in found["tests"]:
            test |= {"mean": -test["mean"], "survives": False}

    writer = changed("response_maps", change)
    found = load_numbers("response_maps")
    change(found)
    for template in ("found_responses.md.j2", "found_responses_line.md.j2"):
        told = writer["make_page"](template)
        assert "71 seeds" in told
        gains = [
            writer["write_gain"](test) for test in found["tests"] if test["figure"] == "m_viou"
        ]
        assert gains
        assert [gain for gain in gains if gain not in told] == []
    table = writer["make_page"]("found_responses.md.j2")
    assert "| response map, a row that is new | 0.432" in table
    assert table.count("| not shown |") == len(found["tests"])


def test_words_that_say_a_sign_are_refused_when_the_numbers_have_the_other(changed, writer):
    numbers = load_numbers("claims")
    hidden = numbers["statements"]["role-carries"]["organisms"][numbers["shipped"]]
    assert writer["write_size"]("role-carries", -1).startswith(f"{-hidden['mean']:.2f} [")

    def turn(numbers):
        numbers["statements"]["role-carries"]["organisms"][numbers["shipped"]]["mean"] *= -1

    with pytest.raises(ValueError, match="role-carries: the words say another sign"):
        changed("claims", turn)["write_size"]("role-carries", -1)


def test_a_changed_number_changes_each_page_that_tells_it(changed):
    told = {"right_track": {"mean": 0.1234, "interval": [0.12, 0.125]}}
    other = changed("causal_grounding", lambda numbers: numbers["table"]["CAUSAL"].update(told))
    for page, template in other["PAGES"]:
        assert "0.123 [0.120, 0.125]" in other["make_page"](template), page


def test_words_that_the_numbers_do_not_allow_are_refused(changed):
    def lose(numbers):
        numbers["statements"]["role-over-lens"]["trained"]["holds"] = 1

    with pytest.raises(ValueError, match="the words say 'attention does not beat a word lens'"):
        changed("claims", lose)["make_page"]("findings.md.j2")


def test_what_the_recipe_does_is_not_said_of_other_numbers(changed):
    def need_nothing(numbers):
        numbers["statements"]["role-carries"]["organisms"]["ablated-1"]["mean"] = 0.0

    def look_less(numbers):
        numbers["training"]["interval"][0] = 0.01

    for change in (need_nothing, look_less):
        for page in ("found_readme.md.j2", "found.md.j2"):
            with pytest.raises(ValueError, match="the words say"):
                changed("claims", change)["make_page"](page)


def test_the_readme_counts_the_types_that_are_read():
    assert f"{len(FAMILIES)} video and {len(PICTURES)} picture types" in " ".join(README.split())
    assert f"| {len(FAMILIES)} families |" in README


def test_the_clips_are_as_many_as_the_readme_says():
    assert load_numbers("causal_grounding")["cases"] == load_numbers("presence")["cases"] == 400
    assert load_numbers("claims")["cases"] == 400
    assert "400 clips on which nothing was chosen" in " ".join(README.split())


def test_the_organism_that_ships_is_that_of_the_rule(changed):
    found = load_numbers("recipe_quality")
    assert found["verdict"]["equally_good"]["short"] is False
    assert found["verdict"]["ships"] == found["shipped"] == load_numbers("claims")["shipped"]
    writer = changed("recipe_quality", lambda one: one["verdict"].update(ships="seed-7"))
    with pytest.raises(ValueError, match="the rule's organism ships"):
        writer["make_page"]("shapes_card.md.j2")

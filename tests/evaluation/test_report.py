import json
import re
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pages import open_browser
from published_formats import write_hcstvg

from probe.datasets import load_dataset
from probe.evaluation import (
    EvaluationConfig,
    Evaluator,
    Oracle,
    Proposed,
    evaluate,
    read_run,
    write_report,
)
from probe.evaluation.charts import Chart, Dot, Line
from probe.evaluation.page import (
    Case,
    Cases,
    Cell,
    Charts,
    Column,
    Heading,
    Key,
    PageTable,
    Paragraph,
    Row,
    Terms,
    TimeSpan,
)
from probe.evaluation.page_html import write_html
from probe.evaluation.page_markdown import write_markdown
from probe.evaluation.published import PUBLISHED
from probe.evaluation.references import CEILING, GUESSES
from probe.evaluation.runs import open_run
from probe.evaluation.starts import describe_environment
from probe.evaluation.terms import FIGURE_NAMES, FIGURE_TERMS
from probe.metrics import paired_difference

MEASURE = """
const colour = (name) => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number)[1];
const sticksOut = (element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
};
const outside = [...document.querySelectorAll("body *")].filter(sticksOut);
const shown = outside.map((one) => one.outerHTML.slice(0, 80));
return [shown, colour("backgroundColor"), colour("color")];
"""
"""JavaScript that lists what lies outside the window, and the green of the page and of its text."""

EVIL = "<script>alert('x')</script> the [red](http://x) | thing & *that* \"jumps\""


@pytest.fixture(scope="module")
def runs(organism, tmp_path_factory):
    """Two runs on a folder of HC-STVG, one of whose queries is wicked and lacks its video, and one
    on the shapes."""
    base = tmp_path_factory.mktemp("runs")
    path = write_hcstvg(base / "data", 1)
    entries = json.loads(path.read_text())
    first, *_ = entries
    entries[first]["caption"] = EVIL
    path.write_text(json.dumps(entries))
    next((base / "data").rglob(first)).unlink()
    dataset = load_dataset("hcstvg1", base / "data")
    made = EvaluationConfig("hcstvg1", base / "data", method="centre", candidates=Oracle())
    evaluate(Evaluator(made, dataset, organism), base / "centre")
    other = replace(made, method="random-track", candidates=Proposed(base / "cache"))
    evaluate(Evaluator(other, dataset, organism), base / "random")
    shapes = EvaluationConfig("shapes-val", method="centre", candidates=Proposed(base / "cache"))
    evaluate(Evaluator(shapes, load_dataset("shapes-val"), organism), base / "shapes", limit=5)
    return base


@pytest.fixture(scope="module")
def pages(runs):
    """The HTML and the Markdown of all three."""
    folders = [runs / name for name in ("centre", "random", "shapes")]
    return [path.read_text() for path in write_report(folders, runs / "report.html")]


def read_lines(run):
    return [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]


def text_of(html):
    return re.sub(r"<[^>]*>", " ", html.split("<body>")[1])


def test_the_page_stands_alone(pages):
    html, _ = pages
    assert "<script" not in html
    assert not re.search(r"""(src|href)=["'](?!data:image/webp;base64,|#)""", html)
    assert "@import" not in html
    assert "url(" not in html


def test_what_users_and_annotations_write_is_shown_and_never_obeyed(pages):
    html, markdown = pages
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in html
    assert "<script" not in markdown
    assert "[red](" not in markdown
    rows = [line for line in markdown.splitlines() if "no such video" in line]
    assert len(rows) == 2
    assert all("alert" in row for row in rows)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows), "three cells each"


def test_figures_have_intervals_and_stand_beside_published_ones(pages, runs):
    html, markdown = pages
    figures = json.loads((runs / "random" / "summary.json").read_text())["figures"]["all"]
    mean, low, high = (100 * figures["m_tiou"][name] for name in ("mean", "low", "high"))
    assert f"{mean:.1f}<small>[{low:.1f}, {high:.1f}]</small>" in html
    for one in PUBLISHED["hcstvg1"]:
        row = next(line for line in markdown.splitlines() if one.model in line)
        assert "published" in row
        assert f"{one.m_viou:.1f}" in row
    assert "Qwen2-VL-7B" not in markdown.split("shapes-val: figures")[1]


def test_an_oracle_is_called_so_wherever_its_run_is_named(pages):
    _, markdown = pages
    # The method of that name has no oracle in the run on the shapes.
    named = [line for line in markdown.splitlines() if re.search(r"\bcentre\b(?! ·)", line)]
    named = [line for line in named if not line.startswith(("| shapes", "| centre organism"))]
    assert named
    assert all("ORACLE" in line for line in named), named


def test_runs_are_compared_on_the_queries_that_both_answered(pages, runs):
    _, markdown = pages
    a, b = (dict[str, Any](read_run(runs / name).results) for name in ("centre", "random"))
    mean, low, high = (
        100 * value
        for value in paired_difference(
            [one.score.viou for one in b.values()], [one.score.viou for one in a.values()]
        )
    )
    row = next(line for line in markdown.splitlines() if line.startswith("| random over centre"))
    assert [one.strip() for one in row.split("|")[2:4]] == ["hcstvg1", "3"]
    assert f"{mean:+.1f} \\[{low:+.1f}, {high:+.1f}\\]" in row
    assert "shapes over" not in markdown
    assert "over shapes" not in markdown


def test_runs_of_other_queries_are_not_compared_and_the_page_says_so(organism, runs, tmp_path):
    config = EvaluationConfig("shapes-val", method="whole-clip", candidates=Oracle())
    evaluator = Evaluator(config, load_dataset("shapes-val"), organism)
    with open_run(tmp_path / "later", evaluator.provenance, describe_environment(config)) as run:
        for result in evaluator.answer_all([7]):
            run.add(result)
    text = write_report([runs / "shapes", tmp_path / "later"], tmp_path / "page.html")[1]
    assert "shapes and later (ORACLE) are not comparable: other queries." in text.read_text()


def test_failures_are_listed_and_the_best_and_worst_are_pictured(pages):
    html, _ = pages
    text = text_of(html)
    assert text.count("1 failed, each counted as zero") == 2
    assert text.count("no such video under") == 2
    for name in ("best answers", "worst answers"):
        assert text.count(name) == 3
    assert html.count("<article>") == 2 + 2 + 5, "each answered query once"
    for article in html.split("<article>")[1:]:
        pictures = re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", article)
        assert 3 <= len(pictures) <= 6
        assert all(len(picture) > 500 for picture in pictures)
        assert article.count('class="time"') == 2, "the time of the answer, and the true one"


def test_chance_and_the_ceiling_are_rows_of_the_same_queries(pages, runs):
    """As far as each result says what its own candidates give; a failed query counts as zero."""
    _, markdown = pages
    (table,) = re.findall(r"## shapes-val: figures.*?(?=\n## )", markdown, re.DOTALL)
    results = read_lines(runs / "shapes")
    for name, title in {**{one: one for one in GUESSES}, CEILING: f"ceiling: {CEILING}"}.items():
        row = next(line for line in table.splitlines() if title in line)
        shown = [float(cell.split()[0]) for cell in row.split("|")[3:-1]]
        expected = np.mean(
            [[one["references"][name][key] for key in FIGURE_NAMES] for one in results], axis=0
        )
        assert shown == pytest.approx((100 * expected).tolist(), abs=0.06)
    best = [one["references"][CEILING] for one in results]
    assert all(one["m_viou"] >= result["viou"] for one, result in zip(best, results, strict=True))
    failed = next(one for one in read_lines(runs / "centre") if one["error"])
    assert {value for one in failed["references"].values() for value in one.values()} == {0.0}


def test_a_run_of_a_version_without_references_has_a_report_without_them(runs, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(runs / "shapes", old)
    lines = read_lines(old)
    for line in lines:
        del line["references"], line["checksum"]
    (old / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write_report([old], tmp_path / "page.html")[1].read_text()
    assert "ceiling:" not in text
    assert "right track" in text


def test_each_figure_is_explained_where_it_is_and_in_the_legend(pages):
    html, markdown = pages
    for name in FIGURE_NAMES.values():
        note = re.escape(FIGURE_TERMS[name][:40])
        head = rf'<th[^>]* title="{note}[^"]*"><a href="#([^"]+)">{name}</a>'
        (place,) = set(re.findall(head, html))
        assert f'<div id="{place}"><dt>{name}</dt>' in html
        assert f"- **{name.replace('_', chr(92) + '_')}**: " in markdown
    links = re.findall(r'href="#([^"]+)"', html)
    assert links
    assert all(html.count(f'id="{link}"') == 1 for link in links)


def test_methods_are_compared_over_benchmarks(pages, runs):
    _, markdown = pages
    (table,) = re.findall(r"## Methods by benchmark.*?(?=\n## )", markdown, re.DOTALL)
    assert "| method | hcstvg1 | shapes-val |" in table
    (row,) = [line for line in table.splitlines() if line.startswith("| random-track")]
    figures = json.loads((runs / "random" / "summary.json").read_text())["figures"]["all"]
    assert row.split("|")[2].split()[0] == f"{100 * figures['m_viou']['mean']:.1f}"
    assert row.split("|")[3].strip() == "-"


def test_without_the_videos_there_is_a_page_that_says_so(runs, tmp_path):
    moved = runs / "elsewhere"
    (runs / "data").rename(moved)
    try:
        html, _ = write_report([runs / "centre"], tmp_path / "report.html")
    finally:
        moved.rename(runs / "data")
    assert "There are no pictures" in html.read_text()
    assert "m_vIoU" in html.read_text()


def test_a_report_needs_runs_with_results(runs, tmp_path):
    with pytest.raises(ValueError, match="not the folder of a run"):
        write_report([runs / "data"], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_the_command_writes_both_pages(command, runs, tmp_path):
    page = tmp_path / "new" / "page.html"
    code, out, err = command("report", runs / "shapes", "--out", page)
    assert code == 0, err
    assert "page.md" in out
    assert page.exists()


def test_a_page_escapes_everything_it_is_given():
    marks = (Line(((0.0, 0.0), (1.0, 1.0)), 0, EVIL), Dot((0.0, 1.0), 1, EVIL))
    parts = [
        Heading(EVIL),
        Paragraph(EVIL),
        PageTable((Column(EVIL, EVIL),), (Row((Cell(EVIL, EVIL),)), Row((EVIL,), quiet=True))),
        Terms(((EVIL, EVIL),)),
        Key((("s0", EVIL),)),
        Charts((Chart(EVIL, EVIL, EVIL, marks),)),
        Cases((Case(EVIL, (EVIL,), spans=(TimeSpan(EVIL, 0.0, 1.0),), notes=(EVIL,)),)),
    ]
    html, markdown = write_html(EVIL, parts), write_markdown(EVIL, parts)
    assert "<script" not in html + markdown
    assert html.count("&lt;script&gt;") > 20
    assert not re.search(r"<[^>]*alert", html.replace('="&lt;', "").split("<body>")[0])
    assert "[red](" not in markdown


@pytest.fixture(scope="module")
def browser():
    with open_browser() as running:
        yield running


@pytest.mark.usefixtures("pages")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 800, 390])
def test_nothing_sticks_out_of_the_page(browser, runs, width, theme):
    """And texts are told from the page: dark on light, or light on dark."""
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": theme}]},
    )
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((runs / "report.html").as_uri())
    outside, paper, ink = browser.execute_script(MEASURE)
    assert outside == []
    assert (paper < ink) == (theme == "dark")
    assert abs(paper - ink) > 150

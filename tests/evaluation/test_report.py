import json
import re
from dataclasses import replace
from typing import Any

import pytest
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
from probe.evaluation.page import Heading, PageTable, Paragraph, Row, write_html, write_markdown
from probe.evaluation.published import PUBLISHED
from probe.metrics import paired_difference

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


def text_of(html):
    return re.sub(r"<[^>]*>", " ", html.split("<body>")[1])


def test_the_page_stands_alone(pages):
    html, _ = pages
    assert "<script" not in html
    assert not re.search(r"""(src|href)=["'](?!data:image/png;base64,)""", html)
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
    assert f"{mean:.1f} [{low:.1f}, {high:.1f}]" in html
    for one in PUBLISHED["hcstvg1"]:
        row = next(line for line in markdown.splitlines() if one.model in line)
        assert "published" in row
        assert f"{one.m_viou:.1f}" in row
    assert "Qwen2-VL-7B" not in markdown.split("shapes-val: figures")[1]


def test_an_oracle_is_called_so_wherever_its_run_is_named(pages):
    _, markdown = pages
    named = [line for line in markdown.splitlines() if re.search(r"\bcentre\b(?! \|)", line)]
    named = [line for line in named if not line.startswith("| shapes")]
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
    row = next(line for line in markdown.splitlines() if line.startswith("| random | over centre"))
    assert row.split("|")[3].strip() == "3"
    assert f"{mean:+.1f} \\[{low:+.1f}, {high:+.1f}\\]" in row
    shapes = [line for line in markdown.splitlines() if line.startswith("| shapes | over")]
    assert len(shapes) == 2
    assert all("not comparable" in line for line in shapes)


def test_failures_are_listed_and_the_best_and_worst_are_pictured(pages):
    html, _ = pages
    text = text_of(html)
    assert text.count("1 failed, each counted as zero") == 2
    assert text.count("no such video under") == 2
    for name in ("best answers", "worst answers"):
        assert text.count(name) == 3
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", html)
    assert len(pictures) == 1 + 2 + 2 + 5, "a scatter, and each answered query once"
    assert all(len(picture) > 2000 for picture in pictures)


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
    parts = [
        Heading(EVIL),
        Paragraph(EVIL),
        PageTable((EVIL,), (Row((EVIL,)), Row((EVIL,), quiet=True))),
    ]
    html, markdown = write_html(EVIL, parts), write_markdown(EVIL, parts)
    assert "<script" not in html + markdown
    assert html.count("&lt;script&gt;") == 7

"""Runs on data of which the truth is known in part: figures where they can be, else none."""

import json
from typing import Any

import pytest
from published_formats import write_clip

from probe.cli.console import ExitCode
from probe.evaluation import EvaluationConfig, Evaluator, Proposed, evaluate, read_run, write_report
from probe.evaluation.chance import format_chance, measure_chance
from probe.evaluation.results import QueryResult
from probe.evaluation.runner import format_figures, summarise
from probe.metrics import QueryScore, score_place, score_time
from probe.organism.world import RATE, SIDE

SEEDS = (7, 8)
PARTS = {
    "both": ("span", "boxes"),
    "time": ("span",),
    "place": ("boxes",),
    "neither": (),
}
"""The parts of the truth that a line has, by the name of the line."""

FIGURES_OF = {
    "both": {"tiou", "viou", "gt_viou"},
    "time": {"tiou"},
    "place": {"gt_viou"},
    "neither": set(),
}


def make_lines(folder):
    """Write two clips, and a line for each with every part of its truth; seconds and shares."""
    for seed in SEEDS:
        thing = write_clip(folder / f"{seed}.mp4", seed).things[0]
        tube = thing.tube()
        boxes = {
            str(frame / RATE): (box / SIDE).tolist()
            for frame, box in zip(tube.frames.tolist(), tube.boxes, strict=True)
        }
        known = {"span": [tube.span.start / RATE, tube.span.stop / RATE], "boxes": boxes}
        for name, parts in PARTS.items():
            about = {"id": f"{name}-{seed}", "video": f"{seed}.mp4", "query": thing.query}
            yield {**about, **{part: known[part] for part in parts}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("partial")
    header = {"format": "grounding-probe/queries", "time": "seconds", "box": "xyxy"}
    lines = [{**header, "unit": "shares"}, *make_lines(root)]
    (root / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return root


def configure(folder, method="whole-clip", **options):
    cache = Proposed(folder / "cache")
    return EvaluationConfig(str(folder / "mine.jsonl"), method=method, candidates=cache, **options)


@pytest.fixture(scope="module")
def runs(folder, organism):
    """The folder of two runs, of two guesses."""
    for name in ("whole-clip", "largest-track-middle-half"):
        config = configure(folder, name)
        evaluate(Evaluator(config, config.load_dataset(), organism), folder / name)
    return folder


@pytest.fixture(scope="module")
def results(runs) -> dict[str, Any]:
    return dict(read_run(runs / "whole-clip").results)


def test_each_query_has_the_figures_that_its_truth_allows(results):
    for name, result in results.items():
        score = vars(result.score)
        known = {figure for figure, value in score.items() if value is not None}
        assert known == FIGURES_OF[name.split("-")[0]]
        assert result.error is None
        assert len(result.tube), "there is an answer, scored or not"


def test_a_part_is_scored_as_it_is_in_the_whole_truth(results):
    for seed in SEEDS:
        whole = results[f"both-{seed}"].score
        assert results[f"time-{seed}"].score.tiou == whole.tiou
        assert results[f"place-{seed}"].score.gt_viou == whole.gt_viou


@pytest.mark.parametrize("protocol", ["stcat", "released-code", "tubedetr"])
def test_other_protocols_score_parts_by_their_own_rules(folder, organism, protocol):
    config = configure(folder, protocol=protocol)
    evaluator = Evaluator(config, config.load_dataset(), organism)
    for index, name in enumerate(evaluator.ids[:4]):
        sample = evaluator.prepare(evaluator.ask(index)).sample
        result = evaluator.answer(evaluator.prepare(evaluator.ask(index)))
        assert sample is not None
        if name.startswith("time"):
            assert sample.time is not None
            wanted = score_time(result.tube, sample.time, protocol, result.sampled).tiou
            assert result.score.tiou == pytest.approx(wanted, abs=1e-6)
        if name.startswith("place"):
            assert sample.place is not None
            assert result.track is not None
            track = result.track.interpolated(range(64))
            wanted = score_place(track, sample.place).gt_viou
            assert result.score.gt_viou == pytest.approx(wanted, abs=1e-6)


def test_means_are_over_the_queries_that_have_the_figure(runs, results):
    figures = json.loads((runs / "whole-clip" / "summary.json").read_text())["figures"]["all"]
    assert figures["queries"] == 8
    for name, field, count in (
        ("m_tiou", "tiou", 4),
        ("m_viou", "viou", 2),
        ("viou_at_03", "viou", 2),
        ("m_gt_viou", "gt_viou", 4),
        ("right_track", "gt_viou", 4),
    ):
        values = [value for one in results.values() if (value := getattr(one.score, field))]
        assert figures[name]["queries"] == count
        if name.startswith("m_"):
            assert figures[name]["mean"] == pytest.approx(sum(values) / count, abs=1e-6)


def test_the_terminal_says_of_how_many_queries_a_figure_is(runs):
    summary = json.loads((runs / "whole-clip" / "summary.json").read_text())
    lines = list(format_figures(summary))
    assert sum("over 4 of 8" in line for line in lines) == 3
    assert sum("over 2 of 8" in line for line in lines) == 3
    assert "the time is known of 4, the place of 4, both of 2" in lines[-1]


def test_figures_that_no_query_has_are_none_and_shown_as_such(runs):
    run = read_run(runs / "whole-clip")
    bare = [one for name, one in run.results.items() if name.startswith("neither")]
    summary = summarise(bare, run.config)
    assert set(summary["figures"]["all"].values()) == {2, None}
    lines = list(format_figures(summary))
    assert sum(line.endswith(" -") for line in lines) == 6
    assert not any("nan" in line or " 0.0" in line for line in lines)


def test_a_failed_query_counts_as_zero_only_in_what_is_known(folder, organism, tmp_path):
    lines = (folder / "mine.jsonl").read_text().replace("7.mp4", "absent.mp4")
    (tmp_path / "mine.jsonl").write_text(lines)
    config = EvaluationConfig(str(tmp_path / "mine.jsonl"), root=folder, method="whole-clip")
    evaluator = Evaluator(config, config.load_dataset(), organism)
    for index in range(4):
        result = evaluator.answer(evaluator.prepare(evaluator.ask(index)))
        assert "no such video" in (result.error or "")
        kind = result.id.split("-")[0]
        assert vars(result.score) == {
            name: 0.0 if name in FIGURES_OF[kind] else None for name in ("tiou", "viou", "gt_viou")
        }
        assert QueryResult.from_line(result.to_line()).score == result.score


def test_the_page_shows_what_is_known_and_says_what_is_not(runs):
    names = ("whole-clip", "largest-track-middle-half")
    html, markdown = write_report([runs / name for name in names], runs / "report.html")
    text = markdown.read_text()
    assert text.count("the time is known of 4, the place of 4, both of 2") == 2
    compared = next(line for line in text.splitlines() if "over whole-clip" in line)
    cells = [cell.strip() for cell in compared.split("|")]
    assert cells[3] == "8"
    assert [cell.rsplit(" ", 1)[-1] for cell in cells[4:10]] == ["4", "2", "2", "2", "4", "4"]
    assert "There is no picture" not in text
    assert "There are no pictures" not in text
    assert html.read_text().count("data:image/") > 4


def test_a_page_of_answers_without_any_truth_compares_nothing(folder, organism, tmp_path):
    lines = (folder / "mine.jsonl").read_text().splitlines()
    kept = [line for line in lines if "neither" in line]
    (tmp_path / "bare.jsonl").write_text("\n".join(kept))
    cache = Proposed(folder / "cache")
    config = EvaluationConfig(
        str(tmp_path / "bare.jsonl"), root=folder, method="whole-clip", candidates=cache
    )
    evaluate(Evaluator(config, config.load_dataset(), organism), tmp_path / "run")
    _, markdown = write_report([tmp_path / "run"], tmp_path / "report.html")
    text = markdown.read_text()
    assert "time or space" not in text
    assert "first answers" in text
    assert "best answers" not in text
    assert "no truth is known" in text


def test_chance_leaves_out_what_is_not_known_too(folder):
    chance = measure_chance(configure(folder), limit=4)
    figures: Any = chance.figures["any track, whole clip"]
    counts = [figures[name] and figures[name]["queries"] for name in ("m_tiou", "m_viou")]
    assert counts == [2, 1]
    assert "the time is known of 2, the place of 2, both of 1" in "\n".join(format_chance(chance))


def test_an_oracle_of_queries_without_boxes_is_refused_in_one_line(command, folder, tmp_path):
    code, _, err = command(
        "evaluate", folder / "mine.jsonl", "--oracle", "--method", "whole-clip", "--limit", "2",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == ExitCode.FAILED_QUERIES, err
    (failed,) = [one for one in read_run(tmp_path / "run").results.values() if one.error]
    assert failed.error == "time-7: no true boxes are known; leave out --oracle"
    assert failed.score == QueryScore(0.0, None, None)


def test_check_lists_the_problems_of_all_lines(command, folder, tmp_path):
    code, out, err = command("evaluate", folder / "mine.jsonl", "--check")
    assert (code, err) == (0, "")
    assert "8 queries: 0 would fail" in out
    (tmp_path / "bad.jsonl").write_text('{"video": "7.mp4"}\nx\n')
    code, out, err = command("evaluate", tmp_path / "bad.jsonl", "--check")
    assert code != 0
    first, second = out.splitlines()
    assert "bad.jsonl, line 1: query: it is missing" in first
    assert "bad.jsonl, line 2: not JSON" in second
    assert "bad.jsonl: 2 problems; correct them" in err
    code, out, _ = command("evaluate", tmp_path / "bad.jsonl", "--check", "--json")
    assert len(json.loads(out)["findings"]) == 2


def test_a_run_of_a_file_goes_on_from_another_folder(folder, organism, monkeypatch, tmp_path):
    cache = Proposed(folder / "cache")

    def start(name, limit):
        config = EvaluationConfig(name, method="whole-clip", candidates=cache)
        return evaluate(
            Evaluator(config, config.load_dataset(), organism), tmp_path / "run", limit=limit
        )

    start(str(folder / "mine.jsonl"), 1)
    monkeypatch.chdir(folder)
    assert start("mine.jsonl", 2).summary["queries"] == 2

"""`probe ground --batch`, and a folder of videos with one query."""

import json

import pytest

import probe
from probe.candidates.proposers import PROPOSERS
from probe.organism.world import make_clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for seed in (7, 10):
        make_clip(seed).write(folder / f"{seed}.mp4")
    return folder


@pytest.fixture(scope="module")
def queries(clips):
    path = clips / "queries.jsonl"
    asked = [("7.mp4", "the red circle"), ("gone.mp4", "a dog"), ("7.mp4", "the circle")]
    lines = [json.dumps({"video": video, "query": query}) for video, query in asked]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_file_of_queries_gives_a_line_and_an_answer_each_and_goes_on(command, queries, tmp_path):
    out = tmp_path / "run"
    words = ("ground", "--batch", queries, "--preset", "best", "--out", out)
    code, printed, err = command(*words)
    assert code == 4, err
    assert [line.split()[0] for line in printed.splitlines()] == [
        "found", "found", "failed", "3", "written",
    ]  # fmt: skip
    assert "1 of 3 queries failed" in err
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["query"] for line in lines] == ["the red circle", "a dog", "the circle"]
    answer = json.loads((out / lines[0]["answer"]).read_text())
    assert answer["query"] == "the red circle"
    assert not list(out.rglob("*.png"))
    code, printed, _ = command(*words, "--json")
    assert json.loads(printed) == {
        "queries": 3, "of": 3, "found": 2, "absent": [], "failed": [lines[1]["id"]],
    }  # fmt: skip


def test_a_folder_of_videos_is_asked_one_query(command, clips, tmp_path):
    out = tmp_path / "run"
    code, printed, err = command(
        "ground", clips, "the red circle", "--preset", "best", "--out", out, "--pictures"
    )
    assert code == 0, err
    assert "2 of 2 queries: 2 found" in printed
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["7.mp4", "10.mp4"], "in natural order"
    assert len(list(out.rglob("answer.mp4"))) == 2


@pytest.mark.usefixtures("queries")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("clip.mp4", "--batch", "queries.jsonl"), "leave out VIDEO and QUERY"),
        (("--batch", "absent.jsonl"), "absent.jsonl"),
        (("--batch", "queries.jsonl", "--tracks", "absent"), "no such folder"),
        (("7.mp4", "x", "--pictures"), "--pictures is for many queries"),
        ((), "which video? Give VIDEO and QUERY, or --batch FILE"),
    ],
)
def test_what_cannot_be_done_is_one_line(command, clips, monkeypatch, words, reason):
    monkeypatch.chdir(clips)
    code, _, err = command("ground", *words)
    assert code == 2
    assert reason in err
    assert err.count("probe: ") - err.count("probe: note") == 1


def test_another_proposer_is_another_run(command, queries, tmp_path):
    out = tmp_path / "run"
    words = ("ground", "--batch", queries, "--preset", "plain", "--out", out, "--proposer")
    code, _, err = command(*words, "nested")
    assert code == 4, err
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    found = json.loads((out / lines[0]["answer"]).read_text())["candidates"]
    video = probe.read_video(queries.parent / "7.mp4", 8)
    nested, plain = (PROPOSERS[name].propose(video) for name in ("nested", "plain"))
    # The strongest cell may be one more candidate, after those that were proposed.
    boxes = [one["boxes"] for one in found[: len(nested)]]
    assert boxes == [one.boxes.tolist() for one in nested]
    assert boxes != [one.boxes.tolist() for one in plain]
    code, _, err = command(*words, "plain")
    assert code == 2
    assert "candidates" in err

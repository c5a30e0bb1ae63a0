import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

from probe.organism.world import make_clip
from probe.video.encoding import write_video


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(7).write(path, scale=2)
    return path


@pytest.fixture
def run(command):
    return command


def complaint(err):
    """The one line of an error, progress bars and notes aside."""
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("probe: ")]
    assert "Traceback" not in err
    return [line for line in lines if not line.startswith("probe: note")]


@pytest.mark.slow
def test_help_names_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "probe", "--help"], capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in ("demo", "ground", "tokens"))


@pytest.mark.slow
def test_grounding_any_video_gives_a_well_formed_answer_and_a_warning(run, tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (30, 90, 160, 3), dtype=np.uint8)
    write_video(tmp_path / "noise.mp4", pictures, 10.0)
    code, _, err = run(
        "ground",
        tmp_path / "noise.mp4",
        "the man in purple takes a step",
        "--out",
        tmp_path / "out",
    )
    assert code == 0, err
    assert "knows nothing but coloured shapes" in err
    content = json.loads((tmp_path / "out" / "answer.json").read_text())
    span, tube = content["span"], content["tube"]
    assert tube["frames"] == list(range(span["start_frame"], span["stop_frame"]))


@pytest.mark.slow
def test_any_query_is_drawn_printed_and_kept_as_it_is(run, tmp_path, clip_file):
    """One with mathematics, with signs that control a terminal, and in other alphabets."""
    query = "the $ \\frac{1}{2} \x1b[31mred\x07 circle\u202e 男人 رجل 👩\u200d💻 </script>"
    printed = "the $ \\frac{1}{2} \\x1b[31mred\\x07 circle\\u202e 男人 رجل 👩\u200d💻 </script>"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        code, out, err = run("ground", clip_file, query, "--out", tmp_path)
    assert (code, complaint(err)) == (0, [])
    assert out.splitlines()[0] == f"query   {printed}"
    assert not set(out + err) & set("\x1b\x07\u202e")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["answer.json", "answer.mp4", "answer.png"]
    assert json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))["query"] == query
    assert not [one for one in said if "Glyph" in str(one.message)]
    assert err.count("no font on this machine") <= 1


@pytest.mark.slow
def test_a_failure_while_writing_leaves_the_files_of_the_answer_before(
    run, tmp_path, clip_file, monkeypatch
):
    assert run("ground", clip_file, "the red circle", "--out", tmp_path)[0] == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def refuse(*_, **__):
        raise ValueError("no room")

    for writer in ("write_json", "overlay", "save_figure"):
        with monkeypatch.context() as patch:
            patch.setattr(f"probe.grounding.answers.{writer}", refuse)
            code, _, err = run("ground", clip_file, "the blue square", "--out", tmp_path)
        assert (code, complaint(err)) == (2, ["probe: no room"]), writer
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before, writer


@pytest.mark.slow
def test_tokens_writes_a_table_and_a_figure(run, tmp_path, clip_file):
    code, out, err = run("tokens", clip_file, "Is there a red circle?", "--out", tmp_path / "t")
    assert code == 0, err
    assert "grounding token" in out
    assert (tmp_path / "t" / "tokens.csv").read_text().count("\n") == len(
        [line for line in out.splitlines() if line.strip()[:1].isdigit()]
    ) + 1
    assert (tmp_path / "t" / "tokens.png").stat().st_size > 10_000


@pytest.mark.slow
def test_tokens_of_a_saved_reading_are_drawn_without_the_model(run, tmp_path, clip_file):
    kept, out = tmp_path / "kept.safetensors", ("--out", tmp_path / "t")
    asked = ("tokens", clip_file, "Is there a red circle?", *out, "--json")
    code, first, err = run(*asked, "--save", kept)
    assert code == 0, err
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()}
    code, again, err = run("tokens", kept, "--out", tmp_path / "again", "--json")
    assert code == 0, err
    assert json.loads(again) == json.loads(first)
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == drawn
    for words, reason in [
        ((kept, "Is there a dog?"), "brings its own question"),
        ((clip_file, "x", "--save", tmp_path / "kept.pt"), "ends in .safetensors"),
        ((clip_file,), "the question is empty"),
    ]:
        code, _, err = run("tokens", *words)
        assert code == 2
        assert reason in err


@pytest.mark.slow
def test_tokens_of_the_models_own_answer_are_in_the_table(run, tmp_path, clip_file):
    words = ("tokens", clip_file, "What jumps?", "--generate", "6", "--out", tmp_path / "t")
    code, out, _ = run(*words)
    assert code == 0
    rows = [line.split(",") for line in (tmp_path / "t" / "tokens.csv").read_text().splitlines()]
    said = sorted((int(row[1]), row[2]) for row in rows if row[3] == "answer")
    assert f"answer: {' '.join(text for _, text in said)!r}" in out.replace(" .", ".").splitlines()
    record = json.loads(run(*words, "--json")[1])
    assert [one["token"] for one in record["tokens"] if one["kind"] == "answer"]
    assert record["answer"] in out


@pytest.mark.slow
def test_the_organism_is_raised_from_the_command_line(run, tmp_path, clip_file):
    small = ("--frame-clips", "2", "--clip-clips", "2", "--clips", "1")
    steps = ("--frame-steps", "1", "--clip-steps", "1", "--steps", "2", "--threads", "1", *small)
    code, out, err = run("train-organism", "--out", tmp_path / "run", *steps)
    assert code == 0, err
    assert "checkpoint" in out
    checkpoint = tmp_path / "run" / "checkpoint"
    code, _, err = run(
        "tokens", clip_file, "What jumps?", "--model", checkpoint, "--out", tmp_path / "t"
    )
    assert code == 0, err
    code, _, err = run("train-organism", "--out", tmp_path / "run", "--cut-first.local", "0.1")
    assert code == 2
    assert "another recipe" in complaint(err)[0]


def make_bad_inputs(folder, clip_file):
    """Every kind of bad input, by the words that its error must hold."""
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a video")
    (folder / "cut.mp4").write_bytes(clip_file.read_bytes()[:3000])
    (folder / "bare").mkdir()
    (folder / "file").write_text("")
    (folder / "run").mkdir()
    (folder / "run/results.jsonl").write_text("")
    tracks = {"format": "grounding-probe/tracks", "version": 1, "size": [1, 1], "frames": 64}
    (folder / "tracks.json").write_text(json.dumps({**tracks, "tracks": []}))
    out = ("--out", folder / "out")
    return [
        ("absent.mp4", ("ground", folder / "absent.mp4", "x", *out)),
        ("empty.mp4", ("ground", folder / "empty.mp4", "x", *out)),
        ("text.mp4", ("ground", folder / "text.mp4", "x", *out)),
        ("cut.mp4", ("tokens", folder / "cut.mp4", "x", *out)),
        ("bare", ("ground", folder / "bare", "x", *out)),
        ("query is empty", ("ground", clip_file, " ", *out)),
        ("'<video>'", ("tokens", clip_file, "is <video> here?", *out)),
        ("at most 200 words", ("ground", clip_file, "red " * 3000, *out)),
        ("tokens but", ("tokens", clip_file, "red " * 3000, *out)),
        ("tracks.json", ("ground", clip_file, "x", "--tracks", folder / "tracks.json", *out)),
        ("no such folder", ("ground", clip_file, "x", "--model", folder / "no", *out)),
        ("cannot use device", ("ground", clip_file, "x", "--device", "nowhere", *out)),
        ("frames", ("ground", clip_file, "x", "--frames", "0", *out)),
        ("cannot write there", ("ground", clip_file, "x", "--out", folder / "file" / "out")),
        ("show it with: probe report", ("view", folder / "run", "--html", folder / "out/a.html")),
    ]


@pytest.mark.slow
def test_bad_input_is_one_line_and_leaves_nothing(run, tmp_path, clip_file):
    for words, command in make_bad_inputs(tmp_path, clip_file):
        code, _, err = run(*command)
        assert code == 2, (words, err)
        assert len(complaint(err)) == 1, (words, err)
        assert words in complaint(err)[0]
        assert not (tmp_path / "out").exists(), words


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("ground",), "which video? Give VIDEO and QUERY, or --batch FILE"),
        (("fly",), "no command is called 'fly'; there are demo, ground, "),
        (("evaluate", "shapes-val", "--method", "guess"), "no method is called 'guess'"),
        (("evaluate", "kinetics"), "no data set is called 'kinetics'"),
        (("evaluate", "shapes-val", "--limit", "few"), "--limit: 'few' is no whole number"),
        (("evaluate", "shapes-val", "--out"), "--out: a value is missing"),
        (
            ("evaluate", "shapes-val", "--quick"),
            "--quick has its place after the command",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exits_with_two(run, words, named):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("probe: ")
    assert err.count("\n") == 1
    assert named in err


def test_debug_shows_where_an_error_comes_from(run, tmp_path):
    code, _, err = run("ground", tmp_path / "absent.mp4", "x", "--debug")
    assert code == 2
    assert "Traceback (most recent call last):" in err
    assert "absent.mp4" in err.splitlines()[-1]


@pytest.mark.slow
def test_a_run_over_the_shapes_ends_with_the_exam_if_it_is_asked_for(run, tmp_path):
    def printed(*words):
        code, out, err = run("evaluate", "shapes-test", "--out", tmp_path / "run", *words)
        assert code == 0, err
        return out

    exam = tmp_path / "run" / "exam.json"
    assert "colour+shape+action" not in printed("--limit", 3)
    assert not exam.exists()
    first = printed("--limit", 3, "--exam")
    kept = json.loads(exam.read_text())
    answered = kept["accuracy"]["colour+shape+action"]
    assert kept["clips"] == 3
    assert answered["questions"] == 18
    assert f"colour+shape+action                {answered['share']:.2f}" in first
    exam.write_text(json.dumps({**kept, "accuracy": {}}))
    again = printed("--limit", 3, "--exam")
    assert "colour+shape+action" not in again  # what is kept is not made again


def test_an_exam_that_there_is_none_of_is_refused_before_the_run(run, tmp_path):
    words = ("--limit", 1, "--out", tmp_path / "run", "--exam", "--method", "centre")
    code, _, err = run("evaluate", "shapes-test", *words)
    assert (code, complaint(err)) == (
        2,
        ["probe: --exam: only for a preset, not the method centre; leave out --exam"],
    )
    assert not (tmp_path / "run").exists()

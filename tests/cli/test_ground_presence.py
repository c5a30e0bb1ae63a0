"""`probe ground` says how sure it is, why it may be wrong, and that a thing is not there."""

import json

import pytest

from probe.organism.world import make_clip

THERE = make_clip(7).things[0].query
GONE = "the green triangle that winks"


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(7).write(path, scale=2)
    return path


@pytest.mark.slow
def test_an_absent_thing_is_answered_with_its_doubts(command, clip_file, tmp_path):
    code, out, _ = command("ground", clip_file, GONE, "--out", tmp_path)
    assert code == 0
    assert "present -" in out
    assert "doubt   the model says no to the whole query" in out
    record = json.loads((tmp_path / "answer.json").read_text())
    assert record["presence"] < 0
    assert any("says no" in doubt for doubt in record["doubts"])
    assert record["tube"] is not None


@pytest.mark.slow
def test_below_the_required_presence_there_is_no_tube(command, clip_file, tmp_path):
    for name in ("answer.json", "answer.mp4", "answer.png"):
        (tmp_path / name).write_text("of another answer")
    code, out, err = command("ground", clip_file, GONE, "--require-presence", 0, "--out", tmp_path)
    assert code == 3
    assert "Traceback" not in err
    assert "absent  no tube is given" in out
    assert "when" not in out
    # The pictures of the answer before do not lie next to an answer that has none.
    assert [path.name for path in tmp_path.iterdir()] == ["answer.json"]
    record = json.loads((tmp_path / "answer.json").read_text())
    assert record["tube"] is None
    assert record["required_presence"] == 0


@pytest.mark.slow
def test_a_thing_that_is_there_is_found_though_presence_is_required(command, clip_file, tmp_path):
    code, out, _ = command("ground", clip_file, THERE, "--require-presence", 0, "--out", tmp_path)
    assert code == 0
    assert "doubt" not in out
    assert "by CausalEffect: score" in out
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["answer.json", "answer.mp4", "answer.png"]


def test_a_margin_is_a_number(command, clip_file):
    code, _, err = command("ground", clip_file, GONE, "--require-presence", "much")
    assert code == 2
    assert err == "probe: --require-presence: 'much' is no number (see --help)\n"


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--frames", "--require-presence"])
def test_a_number_that_is_none_is_named_in_one_line(command, clip_file, option):
    code, _, err = command("ground", clip_file, GONE, option, "many")
    assert code == 2
    assert f"{option}: 'many' is no " in err
    assert "NoneType" not in err

"""The proposers: by name on the command line, as a callable in Python, kept for each apart."""

import inspect
import json

import pytest

import probe
from probe.candidates.given import find_proposer
from probe.candidates.proposers import NESTED, PROPOSERS
from probe.evaluation.candidates import Proposed
from probe.organism.world import make_clip


@pytest.fixture(scope="module")
def video():
    return make_clip(3).video()


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(3).write(path)
    return path


def test_what_proposes_the_candidates_may_be_a_function_of_yours(organism, video):
    seen = []

    def propose(shown):
        seen.append(shown)
        return probe.propose_tracks(shown)[:1]

    query = make_clip(3).things[0].query
    answer = probe.ground(organism, video, query, propose)
    assert len(seen) == 1
    assert answer.candidates[0] == probe.propose_tracks(video)[0]
    usual = probe.ground(organism, video, query)
    named = probe.ground(organism, video, query, probe.propose_tracks)
    assert [one.to_dict() for one in named.candidates] == [
        one.to_dict() for one in usual.candidates
    ]


def test_what_is_neither_tracks_nor_a_proposer_is_refused_in_one_line():
    # By the code without its checks of types, which users do not have.
    refused = inspect.unwrap(find_proposer)
    with pytest.raises(ValueError, match="candidates are dict; give a list of tracks"):
        refused({"tracks": []})


def test_each_proposer_is_described_and_kept_apart(video, tmp_path):
    plain, nested = Proposed(tmp_path), Proposed(tmp_path, NESTED)
    assert plain.describe() != nested.describe()
    assert plain._hash(video) != nested._hash(video)
    assert nested.describe()["from"] == "the nested proposer"


def test_the_command_takes_the_nested_proposer(command, clip_file, tmp_path):
    query = make_clip(3).things[0].query
    out = tmp_path / "out"
    code, _, err = command(
        "ground", clip_file, query, "--proposer", "nested", "--out", out, "--quiet"
    )
    assert code == 0, err
    found = json.loads((out / "answer.json").read_text())["candidates"]
    assert len(found) >= 1
    code, _, err = command("ground", clip_file, query, "--proposer", "best")
    assert code == 2
    assert "plain" in err
    assert "nested" in err
    tracks = tmp_path / "tracks.json"
    code, _, err = command("ground", clip_file, query, "--proposer", "nested", "--tracks", tracks)
    assert code == 2
    assert "--proposer and --tracks both give candidates" in err
    assert set(PROPOSERS) == {"plain", "nested"}

import json

import pytest
from published_formats import write_xlsa17

from probe.trained.concepts.concept_probe import ConceptProbe


@pytest.fixture
def xlsa17(tmp_path):
    """A small data set in the published form."""
    write_xlsa17(tmp_path / "AWA2")
    return tmp_path


@pytest.mark.slow
def test_concepts_of_the_shapes_are_read_at_one_layer(command, tmp_path):
    words = ("--data", "shapes", "--layer", 2, "--clips", 30, "--mixing", "none", "--calibrate")
    code, out, _ = command("concepts", *words, "--out", tmp_path / "new" / "probe.safetensors")
    assert code == 0
    assert "24 classes, 6 of them never taught; one-hot factors" in out
    rows = [line for line in out.splitlines() if line.startswith("layer 2, ")]
    assert [row.split("T1")[0].strip() for row in rows] == [
        "layer 2, attributes alone",
        "layer 2, none",
    ]
    assert "AUSUC" in rows[1]
    found = ConceptProbe.load(tmp_path / "new" / "probe.safetensors")
    assert found.about["layer"] == 2
    assert found.about["model"]["name"] == "organism"


@pytest.mark.slow
def test_published_features_are_read_and_what_stands_for_the_tuning_is_said(command, xlsa17):
    # Seconds, where the recipe of AWA2 has 10,000 steps.
    code, out, err = command("concepts", "awa2", "--root", xlsa17, "--recipe", "states", "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert set(rows) == {"attributes alone", "placeholders"}
    assert all(0 <= row[name] <= 1 for row in rows.values() for name in ("t1", "unseen", "seen"))
    assert "awa2: 24 images, where 37322 are reported" in err
    assert "a linear map takes the place of tuning the ResNet-101" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("awa2",), "awa2: give --root its folder"),
        (("shapes", "--root", "."), "--root: shapes are drawn from a seed; leave it out"),
        (("awa2", "--root", ".", "--layer", "4"), "--layer: only of shapes, and not of awa2"),
        (("awa2", "--data", "cub", "--root", "."), "give one of them"),
        (("--data", "awa"), "did you mean awa2"),
        (("--clips", "0"), "--clips 0: give at least 1"),
        (("--seed", "-1"), "--seed -1: give 0 or more"),
    ],
)
def test_wrong_use_is_one_line(command, words, problem):
    code, _, err = command("concepts", *words)
    assert code == 2
    assert problem in err
    assert len(err.splitlines()) == 1

"""The page of models says what is found: of every video class of transformers, and every family."""

import pytest

from docs import write_models
from probe.engine.families import FAMILIES, PICTURES
from probe.engine.families.refused import REFUSED

PAGE = write_models.PAGE.read_text(encoding="utf-8")
VIDEOS, PICTURED = PAGE.split("## Pictures")
ENTRIES = [("video", name) for name in FAMILIES] + [("image", name) for name in PICTURES]


def line_of(part, model_type):
    """The cells of an architecture's line in a part of the page."""
    (line,) = [line for line in part.splitlines() if line.startswith(f"| `{model_type}` ")]
    return line.split(" | ")


def test_every_architecture_that_takes_videos_is_on_the_page():
    for model_type in {*write_models.VIDEO_PROCESSORS, *FAMILIES}:
        assert f"`{model_type}`" in VIDEOS
    for model_type in PICTURES:
        assert line_of(PICTURED, model_type)


def test_whoever_is_refused_is_told_the_reason_of_the_page():
    for model_type, reason in REFUSED.items():
        assert reason in " ".join(line_of(VIDEOS, model_type))
    assert not REFUSED.keys() & FAMILIES.keys()


def test_as_many_are_read_as_the_heads_say():
    assert f"## Videos: {len(FAMILIES)} architectures are read" in PAGE
    assert f"## Pictures: {len(PICTURES)} architectures are read" in PAGE


@pytest.mark.slow
@pytest.mark.parametrize(("medium", "model_type"), ENTRIES)
def test_a_line_of_the_page_is_what_is_found(medium, model_type, tmp_path):
    entry, part = (FAMILIES, VIDEOS) if medium == "video" else (PICTURES, PICTURED)
    found = write_models.prove(model_type, entry[model_type], tmp_path)
    # Not the numbers: their size differs from CPU to CPU, and the proofs hold all the same.
    assert found.write().split(" | ")[:5] == line_of(part, model_type)[:5]
    assert found.rows <= 1e-4

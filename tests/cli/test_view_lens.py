"""`probe view --lens`: the page holds the words of cells."""

import json
import re

import pytest

pytestmark = pytest.mark.slow


def test_the_page_holds_the_words_of_cells_if_they_are_asked_for(command, clip, tmp_path):
    clip.write(tmp_path / "clip.mp4")
    page = tmp_path / "page.html"
    options = ("--frames", 4, "--lens", "--html", page)
    code, _, errors = command("view", tmp_path / "clip.mp4", "What jumps?", *options)
    assert code == 0, errors
    (text,) = re.findall('id="scene">(.*?)</script>', page.read_text(encoding="utf-8"))
    lens = json.loads(text)["lens"]
    assert lens["layers"] == [0, 1, 2, 3, 4]
    assert lens["mapFrames"] == [0, 1, 2, 3]

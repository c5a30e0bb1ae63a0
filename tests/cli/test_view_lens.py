"""`probe view --lens`: the page holds the words of cells, of a video as of an answer."""

import json
import re

import pytest

pytestmark = pytest.mark.slow


def test_the_page_of_a_question_holds_the_words_of_cells_if_they_are_asked_for(
    command, clip, tmp_path
):
    clip.write(tmp_path / "clip.mp4")
    asked = ("view", tmp_path / "clip.mp4", "What jumps?", "--frames", 4)
    for options, wanted in ((("--lens",), True), ((), False)):
        page = tmp_path / "page.html"
        code, _, errors = command(*asked, *options, "--html", page)
        assert code == 0, errors
        (text,) = re.findall('id="scene">(.*?)</script>', page.read_text(encoding="utf-8"))
        lens = json.loads(text)["lens"]
        assert (lens is not None) == wanted
        if wanted:
            assert lens["layers"] == [0, 1, 2, 3, 4]
            assert set(lens["mapFrames"]) == {0, 1, 2, 3}

"""`probe ground --again`: the file is read again, and the terminal says so."""

import pytest

from probe.grounding.answers import Answer
from probe.organism.world import make_clip


@pytest.mark.slow
def test_a_second_reading_is_told_with_the_span_before_it(command, tmp_path):
    clip = make_clip(7)
    clip.write(tmp_path / "clip.mp4")
    query, out = clip.things[0].query, tmp_path / "out"
    words = ("--frames", "8", "--again", "ReadAgain", "--out", out)
    code, said, _ = command("ground", tmp_path / "clip.mp4", query, *words)
    assert code == 0
    answer = Answer.load(out / "answer.json")
    assert answer.again is not None
    start, stop = (
        frame / 16 for frame in (answer.again.first_span.start, answer.again.first_span.stop)
    )
    assert f"again   8 more frames were read; before, it was {start:.2f} to {stop:.2f} s" in said

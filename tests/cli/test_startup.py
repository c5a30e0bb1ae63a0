"""What needs no model is said before torch is imported, which takes seconds."""

import subprocess
import sys

import pytest

from probe.organism.world import make_clip

HEAVY = ("torch", "transformers", "torchvision", "nnsight", "matplotlib", "pandas")

RUN = f"""
import sys
sys.argv = ["probe", *sys.argv[1:]]
from probe.cli import main
try:
    main()
finally:
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    print("loaded:", *loaded, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "text.mp4").write_text("this is no video")
    (folder / "empty").mkdir()
    make_clip(7).write(folder / "clip.mp4", scale=1)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, ""),
        (["--version"], 0, ""),
        (["grond", "clip.mp4", "x"], 2, "did you mean ground?"),
        (["ground", "--help"], 0, ""),
        (["evaluate", "--help"], 0, ""),
        (["ground", "nosuch.mp4", "a dog"], 2, "no such file"),
        (["ground", "text.mp4", "a dog"], 2, "text.mp4"),
        (["ground", "empty", "a dog"], 2, "empty"),
        (["ground", "clip.mp4", " "], 2, "the query is empty"),
        (["ground", "clip.mp4", "dog " * 300], 2, "300 words"),
        (["tokens", "nosuch.mp4", "Is there a dog?"], 2, "no such file"),
        (["tokens", "clip.mp4", " "], 2, "the question is empty"),
        (["view", "nosuch"], 2, "no such file"),
        (["view", "text.mp4", "Is there a dog?"], 2, "text.mp4"),
        (["ground", "clip.mp4", "a dog", "--model", "organisn"], 2, "did you mean organism?"),
        (["check-model", "./nosuch"], 2, "./nosuch: no such folder"),
        (["evaluate", "shapes-vla"], 2, "did you mean shapes-val?"),
        (["evaluate", "shapes-val", "--method", "causl"], 2, "did you mean causal?"),
        (["evaluate", "shapes-val", "--span", "TopHul"], 2, "did you mean TopHull?"),
    ],
)
def test_what_is_wrong_is_said_before_torch_is_loaded(folder, words, code, said):
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    *messages, loaded = done.stderr.splitlines()
    assert said in "\n".join(messages)
    assert len(messages) <= 1
    assert loaded.strip() == "loaded:"

"""What needs no model is said before torch is imported, which takes seconds."""

import json
import subprocess
import sys

import pytest

from probe.organism.world import make_clip

HEAVY = ("torch", "transformers", "torchvision", "nnsight", "matplotlib", "pandas")

RUN = f"""
import json, os, sys
import probe.cli

def run(words):
    sys.argv = ["probe", *words]
    try:
        probe.cli.main()
    finally:
        loaded = [name for name in {HEAVY!r} if name in sys.modules]
        print("loaded:", *loaded, file=sys.stderr)

for number, words in enumerate(json.loads(sys.argv[1])):
    # A copy that has imported the command line, and nothing else yet.
    if not os.fork():
        with open(f"{{number}}.txt", "w", encoding="utf-8") as told:
            os.dup2(told.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            run(words)
        sys.exit()
    code = os.waitstatus_to_exitcode(os.wait()[1])
    with open(f"{{number}}.txt", "a", encoding="utf-8") as told:
        print(code, file=told)
"""

CASES = [
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
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "text.mp4").write_text("this is no video")
    (folder / "empty").mkdir()
    make_clip(7).write(folder / "clip.mp4", scale=1)
    return folder


@pytest.mark.slow
def test_what_is_wrong_is_said_before_torch_is_loaded(folder):
    commands = json.dumps([words for words, _, _ in CASES])
    subprocess.run([sys.executable, "-c", RUN, commands], cwd=folder, check=True)
    for number, (words, code, said) in enumerate(CASES):
        *messages, loaded, ended = (folder / f"{number}.txt").read_text("utf-8").splitlines()
        assert int(ended) == code, words
        assert said in "\n".join(messages), words
        assert len(messages) <= 1, words
        assert loaded.strip() == "loaded:", words

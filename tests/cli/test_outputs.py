"""Files of one command: all of them, or those that were there before."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import wait_for

from probe.cli.outputs import ABANDONED, UNFINISHED, write_together
from probe.cli.telling import write_results
from probe.files import write_text
from probe.grounder import ground

NAMES = ("answer.json", "answer.mp4", "answer.png")


def write_all(folder, content):
    for name in NAMES:
        write_text(folder / name, f"{content} {name}")


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_appear_together_when_the_block_has_ended(tmp_path):
    with write_together(tmp_path / "new" / "out") as folder:
        write_all(folder, "first")
        assert not [name for name in NAMES if (tmp_path / "new" / "out" / name).exists()]
    assert contents(tmp_path / "new" / "out") == {name: f"first {name}" for name in NAMES}


@pytest.mark.parametrize("written", range(4))
@pytest.mark.parametrize("failure", [ValueError, KeyError, KeyboardInterrupt])
def test_after_a_failure_an_older_set_is_there_whole(tmp_path, written, failure):
    with write_together(tmp_path) as folder:
        write_all(folder, "old")
    with pytest.raises(failure), write_together(tmp_path) as folder:  # noqa: PT012
        for name in NAMES[:written]:
            write_text(folder / name, "new")
        raise failure
    assert contents(tmp_path) == {name: f"old {name}" for name in NAMES}


def test_a_failure_leaves_no_folder_that_was_not_there(tmp_path):
    with pytest.raises(ValueError, match="odd"), write_together(tmp_path / "out") as folder:  # noqa: PT012
        write_all(folder, "new")
        raise ValueError("odd")
    assert not list(tmp_path.iterdir())


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "clip.mp4").write_text("a clip")
    with write_together(tmp_path) as folder:
        write_all(folder, "new")
    assert (tmp_path / "clip.mp4").read_text() == "a clip"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_replaced_if_one_of_the_files_cannot_be(tmp_path, name):
    with write_together(tmp_path) as folder:
        write_all(folder, "old")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="a folder"), write_together(tmp_path) as folder:
        write_all(folder, "new")
    others = [other for other in NAMES if other != name]
    assert all((tmp_path / other).read_text() == f"old {other}" for other in others)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_errors_name_the_folder_that_was_given(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ValueError, match="No space left") as caught, write_together(tmp_path) as f:  # noqa: PT012
        monkeypatch.setattr(os, "fsync", refuse)
        write_text(f / "answer.json", "{}")
    assert str(caught.value).startswith(f"{tmp_path / 'answer.json'}: ")


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with write_together(tmp_path) as folder:
        write_text(folder / "answer.json", "{}")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


WRITER = """
import sys
from pathlib import Path
from probe.cli.outputs import ABANDONED, UNFINISHED, write_together
from probe.cli.telling import write_results
from probe.files import write_text
from probe.grounder import ground

folder, number = Path(sys.argv[1]), int(sys.argv[2])
while True:
    number += 1
    with write_together(folder) as temporary:
        for name in ("answer.json", "answer.mp4", "answer.png"):
            write_text(temporary / name, f"{number}\\n" * 5000)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_files_and_a_new_answer_with_its_pictures(tmp_path):
    rng, seen = np.random.default_rng(0), 0
    for _ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(seen)])
        newest = tmp_path / "answer.json"
        wait_for(lambda: newest.exists() and int(newest.read_text().split()[0]) > seen)  # noqa: B023
        time.sleep(rng.uniform(0, 0.05))
        writer.kill()
        writer.wait()
        texts = [(tmp_path / name).read_text() for name in NAMES]
        numbers = [int(text.split()[0]) for text in texts]
        assert texts == [f"{number}\n" * 5000 for number in numbers]
        answer, *pictures = numbers
        assert all(answer <= picture <= answer + 1 for picture in pictures)
        seen = answer
    visible = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert visible == set(NAMES)


def test_what_a_killed_program_left_is_swept_and_what_another_writes_is_not(tmp_path):
    left, current = tmp_path / f"{UNFINISHED}left", tmp_path / f"{UNFINISHED}current"
    for folder in (left, current):
        folder.mkdir()
        (folder / "answer.json").write_text("{}")
    long_ago = time.time() - ABANDONED - 60
    os.utime(left, (long_ago, long_ago))
    with write_together(tmp_path) as folder:
        (folder / "answer.json").write_text("{}")
    assert {path.name for path in tmp_path.iterdir()} == {"answer.json", current.name}


@pytest.mark.parametrize(
    "line",
    [
        "concepts --model nowhere --out taken.safetensors",
        "responses train --model nowhere --out taken.safetensors",
        "responses train refcoco --root nowhere --out taken.safetensors",
        "responses evaluate refcoco --root nowhere --maps nowhere --out taken.json",
        "view nowhere.mp4 What? --html taken.html",
        "convert nowhere.json --out taken.jsonl",
    ],
)
def test_a_folder_in_the_place_of_a_file_is_told_before_any_work(command, tmp_path, line):
    *words, name = line.split()
    taken = tmp_path / name
    taken.mkdir()
    code, _, err = command(*words, taken)
    assert code == 2
    assert err == f"probe: {taken}: a folder; give the name of a file\n"
    assert list(tmp_path.iterdir()) == [taken]


def write_input(path, clip):
    """A video, a picture, a folder of frames, or annotations, by the name."""
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".mp4":
        clip.write(path)
    elif path.suffix == ".png":
        Image.fromarray(clip.video(1).frames[0]).save(path)
    elif path.suffix == ".jsonl":
        path.write_text("{}\n")
    else:
        path.mkdir()
        for number in range(3):
            Image.fromarray(clip.video(3).frames[number]).save(path / f"{number}.png")
    return path


@pytest.mark.parametrize(
    "line",
    [
        "ground in/answer.mp4 circle --out in",
        "ground in/answer.png circle --out in --require-presence 1e9",
        "ground in/overlay.png circle --out in",
        "ground in/frames circle --out in/frames",
        "tokens in/tokens.png Circle? --out in",
        "tokens in/frames Circle? --out in/frames",
        "convert in/mine.jsonl --out in/mine.jsonl",
        "convert in/mine.jsonl --to hcstvg2 --out in/mine.jsonl",
    ],
)
def test_what_is_read_is_not_replaced_and_gets_no_results_among_its_frames(
    command, tmp_path, monkeypatch, clip, line
):
    monkeypatch.chdir(tmp_path)
    name, source, *words = line.split()
    path = write_input(Path(source), clip)
    files = [path] if path.is_file() else sorted(path.iterdir())
    before = {file: file.read_bytes() for file in files}
    code, _, err = command(name, source, *words)
    assert code == 2
    assert err.startswith(f"probe: {source}: is read, and --out would ")
    assert err.count("\n") == 1
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == before


def test_pictures_of_a_folder_without_an_answer_are_somebody_elses(organism, video, clip, tmp_path):
    answer = ground(organism, video, clip.things[0].query)
    for answered in (False, True):
        (tmp_path / "overlay.png").write_bytes(b"mine")
        write_results(answer, tmp_path)
        assert (tmp_path / "overlay.png").exists() is not answered


def test_a_link_that_leads_nowhere_is_told_before_any_work(command, tmp_path):
    link = tmp_path / "out"
    link.symlink_to(tmp_path / "gone")
    for out in (link, link / "deeper"):
        code, _, err = command("ground", "nowhere.mp4", "circle", "--out", out)
        assert code == 2
        assert err.startswith(f"probe: {out}: {link} is a symbolic link that leads nowhere")

"""The pages that a newcomer reads first: their commands and lines run, their pictures are there."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageSequence
from published_formats import write_clip

from probe.cli.commands import parse_command
from probe.cli.demo import DEMO_CLIPS, Demo
from probe.cli.examples import EXAMPLES
from probe.engine.model_names import ORGANISM, SHIPPED

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("index", "install", "quickstart", "own_video")


def read(page):
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", read(page), re.DOTALL)


def commands(page):
    """The command lines of a page, without what is said of them."""
    joined = "\n".join(blocks(page, "(?:text)?")).replace("\\\n", " ")
    lines = joined.splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("probe ")]


@pytest.mark.parametrize("page", ["install", "quickstart", "own_video"])
def test_every_command_is_understood(monkeypatch, page):
    found = commands(page)
    assert found
    for line in found:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        assert callable(parse_command().run), line


def test_the_commands_of_the_quickstart_are_examples_which_run_one_after_the_other():
    assert set(commands("quickstart")) <= set(EXAMPLES.values())


@pytest.mark.slow
def test_every_python_line_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "probe-demo/clip.mp4", DEMO_CLIPS["shapes"])
    (tmp_path / "clip.mp4").write_bytes((tmp_path / "probe-demo/clip.mp4").read_bytes())
    spaces = {}
    for page in PAGES:
        for block in blocks(page, "python"):
            exec(block, spaces.setdefault(page, {}))
    # Cutting the look of the noun takes from the yes: the page says that it is worth something.
    assert spaces["quickstart"]["cut"].margin_change < 0
    assert (tmp_path / "answer.png").stat().st_size > 1000


def test_the_gallery_is_what_the_scripts_of_the_figures_say():
    made = runpy.run_path(str(DOCS / "write_gallery.py"))["make_page"]()
    assert read("gallery") == made, "write it again: python docs/write_gallery.py"


def test_the_first_pages_show_the_world_that_the_stated_rule_chooses():
    world = runpy.run_path(str(DOCS / "write_found.py"))["find_first_world"]()
    assert SHIPPED[Demo().model].world == SHIPPED[ORGANISM].world == world


def test_every_picture_is_shown_and_all_of_them_are_small():
    writer = runpy.run_path(str(DOCS / "write_pictures.py"))
    kept = sorted(path for path in (DOCS / "pictures").iterdir())
    shown = re.findall(r"\]\((pictures/[^)]+)\)", read("looks"))
    assert sorted(shown) == [f"pictures/{path.name}" for path in kept]
    assert sum(path.stat().st_size for path in kept) <= writer["MOST_BYTES"]
    with Image.open(DOCS / "pictures/page.webp") as walk:
        assert len(list(ImageSequence.Iterator(walk))) == len(writer["TOUR"])
    for width in writer["SIZES"]:
        for theme in ("light", "dark"):
            with Image.open(DOCS / f"pictures/page-{width}-{theme}.webp") as picture:
                assert picture.size == (width, writer["SIZES"][width])

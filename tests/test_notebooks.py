"""Notebooks whose committed outputs are current and fit to be read; the check that says so."""

import base64
import importlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))

LARGEST = 600_000
"""Bytes of a notebook."""

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True, scope="module")
def _next_to_the_notebooks():
    """As when the script is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield


def outputs_module():
    return importlib.import_module("outputs")


@pytest.fixture(scope="module")
def v4():
    """The form of notebooks. Importing it takes two seconds, which only one worker spends."""
    return importlib.import_module("nbformat.v4")


def read(path):
    return importlib.import_module("nbformat").read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shows_picture(cell):
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


# The committed notebooks


@each
def test_a_notebook_has_a_title_an_install_cell_and_sections(path):
    first, install, *rest = read(path).cells
    assert re.match(r"# .+\n\n.+", first.source)
    assert install.source == read(NOTEBOOKS[0]).cells[1].source
    assert not install.outputs  # it does nothing where the package is there
    headings = [cell.source for cell in rest if cell.source.startswith("## ")]
    assert len(headings) >= 3


@each
def test_after_each_picture_comes_a_sentence_that_its_cell_has_checked(path):
    cells = read(path).cells
    pictures = [place for place, cell in enumerate(cells) if shows_picture(cell)]
    assert pictures
    for place in pictures:
        after = cells[place + 1]
        assert after.cell_type == "markdown", cells[place].id
        assert not after.source.startswith("#"), cells[place].id
        assert re.search(r"^assert ", cells[place].source, re.MULTILINE), cells[place].id


@each
def test_outputs_are_in_the_form_that_the_command_writes(path):
    outputs = outputs_module()
    committed = read(path)
    assert outputs.clean(committed) == committed
    assert not list(outputs.list_faults(committed))
    counts = [cell.execution_count for cell in code_cells(committed)]
    assert counts == list(range(1, len(counts) + 1))
    assert path.stat().st_size < LARGEST


@each
def test_links_of_a_notebook_lead_to_files(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert all((HERE / link).exists() for link in links), links


# What counts as the same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("margin +7.3", "margin +7.4", True),
        ("margin +7.3", "margin +7.5", False),
        ("margin +7.3", "margin -7.3", False),
        ("margin 0.0", "margin -0.0", True),
        ("p 1.2e-05", "p 1.3e-05", True),
        ("p 1.2e-05", "p 1.2e-04", False),
        ("24 of 30", "25 of 30", False),
        ("7.30", "7.3", False),
        ("yes", "no", False),
        ("yes 1.0", "yes", False),
    ],
)
def test_texts_are_the_same_up_to_the_last_digit_of_numbers_with_decimals(one, other, same):
    compare = outputs_module().compare_texts
    assert (compare(one, other) == "", compare(other, one) == "") == (same, same)


def draw(*heights, shift=0):
    """Draw bars on white, with a line of small marks below them, like letters."""
    picture = np.full((300, 400, 3), 255, np.uint8)
    for place, height in enumerate(heights):
        picture[250 - height : 250, 40 + 60 * place : 80 + 60 * place] = (0, 114, 178)
    picture[260:270, 40 + shift : 380 + shift : 6] = 0
    return Image.fromarray(picture)


def test_pictures_are_the_same_up_to_a_pixel_and_some_levels():
    compare = outputs_module().compare_pictures
    noise = np.random.default_rng(0).integers(-20, 21, (300, 400, 3))
    noisy = Image.fromarray(np.clip(np.asarray(draw(50, 90)) + noise, 0, 255).astype(np.uint8))
    for same in (draw(50, 90), draw(50, 90, shift=1), draw(51, 90), noisy):
        assert not compare(draw(50, 90), same)
        assert not compare(same, draw(50, 90))


def test_pictures_of_other_numbers_differ():
    compare = outputs_module().compare_pictures
    for other in (draw(50, 86), draw(50, 90, 12), draw(50), draw(50, 90, shift=3)):
        assert compare(draw(50, 90), other)
        assert compare(other, draw(50, 90))
    assert "(400, 300)" in compare(draw(1), draw(1).resize((380, 300)))


def test_what_changes_from_run_to_run_is_not_committed(v4):
    outputs = outputs_module()
    png = io.BytesIO()
    draw(50, 90).save(png, "PNG")
    embedded = f"<img src='data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}'>"

    def notebook(number):
        table = f'<table id="T_0000{number}"><td id="T_0000{number}_row0">1</td></table>'
        shown = [
            {"text/plain": f"<Thing object at 0x7f{number}d7e3d50>"},
            {"text/html": table},
            {outputs.WIDGET: {"model_id": str(number)}, "text/plain": "Loading weights: 0%"},
            {"text/html": embedded},
        ]
        cell = v4.new_code_cell(
            "x", id="a", execution_count=1, metadata={"execution": {"started": str(number)}}
        )
        cell.outputs = [v4.new_output("display_data", data) for data in shown]
        return v4.new_notebook(cells=[cell], metadata={"widgets": {str(number): 1}})

    one, other = (outputs.clean(notebook(number)) for number in (1, 2))
    assert one == other == outputs.clean(one)
    assert [list(output.data) for output in one.cells[0].outputs] == [
        ["text/plain"],
        ["text/html"],
        ["image/png"],
    ]
    assert "<table" in one.cells[0].outputs[1].data["text/html"]


# The command


@pytest.mark.slow
def test_the_command_writes_outputs_and_finds_those_that_are_stale(tmp_path, capfd, v4):
    run = importlib.import_module("run")
    path = tmp_path / "one.ipynb"

    def store(*sources, outputs_of=None):
        cells = [v4.new_code_cell(source, id=f"c{n}") for n, source in enumerate(sources)]
        for cell, done in zip(cells, code_cells(outputs_of) if outputs_of else (), strict=False):
            cell.update(outputs=done.outputs, execution_count=done.execution_count)
        path.write_text(v4.writes(v4.new_notebook(cells=cells)))

    def check(**options):
        failed = run.main(run.Options(folder=tmp_path, **options))
        return failed, capfd.readouterr().out

    store("value = 1.25", "print(value, object())")
    assert check(write=True)[0] == 0
    written = path.read_bytes()
    assert check()[0] == 0
    assert path.read_bytes() == written

    store("value = 1.75", "print(value, object())", outputs_of=read(path))
    failed, said = check()
    assert failed == 1
    assert "one.ipynb: In [2] (cell 2): 1.25 in '1.25 <object object>' is committed" in said
    assert "make notebooks WRITE=1" in said

    store("import sys; print('careful', file=sys.stderr)", "1 / 0")
    kept = path.read_bytes()
    failed, said = check(write=True)
    assert failed == 1
    assert "In [1] (cell 1) writes to stderr: 'careful'" in said
    assert "In [2] (cell 2) fails: ZeroDivisionError: division by zero" in said
    assert path.read_bytes() == kept

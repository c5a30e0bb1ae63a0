"""Documentation that leaves nothing out, and notebooks whose changes can be read."""

import json
import re
from pathlib import Path

import pytest

import probe

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_every_public_name_is_in_the_reference():
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/api").glob("*.md"))
    assert set(probe.__all__) <= set(re.findall(r"\bprobe(?:\.\w+)*\.(\w+)", text))


def test_every_page_is_reached_from_the_index():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pages = [*(ROOT / "docs/api").glob("*.md"), *(ROOT / "docs/how-to").glob("*.md")]
    named = {str(page.relative_to(ROOT / "docs").with_suffix("")) for page in pages}
    assert named <= set(index.split())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_is_stored_without_what_it_printed(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)

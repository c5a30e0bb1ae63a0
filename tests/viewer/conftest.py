"""A real headless browser for the tests of pages."""

import pytest
from pages import open_browser, open_file

from probe.viewer import save_page


@pytest.fixture(scope="module")
def browser():
    with open_browser() as running:
        yield running


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page and wait until its maps are there; gives a function that runs JavaScript."""

    def open_page(text):
        path = tmp_path / "page.html"
        save_page(text, path)
        return open_file(browser, path)

    return open_page

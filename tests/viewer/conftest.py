"""A real headless browser for the tests of pages."""

import shutil

import pytest
from pages import open_file
from selenium import webdriver

from probe.viewer import save_page

INSTALL = "the page is tested in a real browser; apt-get install -y chromium chromium-driver"


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail(INSTALL)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1366,900"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    running = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield running
    running.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page and wait until its maps are there; gives a function that runs JavaScript."""

    def open_page(text):
        path = tmp_path / "page.html"
        save_page(text, path)
        return open_file(browser, path)

    return open_page

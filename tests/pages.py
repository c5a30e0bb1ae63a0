"""Pages in a browser: opened, and asked by JavaScript what they show."""

import shutil
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

INSTALL = "the page is tested in a real browser; apt-get install -y chromium chromium-driver"


@contextmanager
def open_browser():
    """Start a real headless browser, and end it."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail(INSTALL)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1366,900"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    running = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield running
    finally:
        running.quit()


def open_file(browser, path):
    browser.get_log("performance")
    browser.get(path.as_uri())
    run = browser.execute_script
    ready = "return Boolean(document.querySelector('.gp')?.viewer)"
    WebDriverWait(browser, 60).until(lambda _: run(ready))
    return lambda text, *values: run(
        f"const viewer = document.querySelector('.gp').viewer, state = viewer.state; {text}",
        *values,
    )

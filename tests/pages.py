"""Pages in a browser: opened, and asked by JavaScript what they show."""

from selenium.webdriver.support.ui import WebDriverWait


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

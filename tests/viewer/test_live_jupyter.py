"""The live widget in a real JupyterLab: a kernel, a notebook, and a browser that uses them."""

import json
import os
import subprocess
import sys

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from waiting import LONGEST_WAIT, wait_for

CELL = """
import probe
from probe.organism.world import make_clip

view = probe.load().watch(make_clip((0, 7)).video(4))
widget = probe.ask_live(view, "Is there a red circle in this video?")
widget
"""

NO_NEWS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
"""Without this JupyterLab asks whether it may ask for news."""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The address of a notebook in a JupyterLab of its own."""
    import nbformat  # which takes two seconds, of one worker only

    root = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(CELL)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), root / "live.ipynb")
    settings = root / "config" / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(NO_NEWS))
    # Nothing of the person who runs the tests is read or written.
    folders = {f"JUPYTER_{name.upper()}_DIR": str(root / name) for name in ("config", "runtime")}
    own = {"JUPYTER_DATA_DIR": str(root / "data"), "IPYTHONDIR": str(root / "ipython")}
    options = {
        "ServerApp.port": 0,
        "ServerApp.root_dir": root,
        "LabApp.expose_app_in_browser": True,
        "ServerApp.allow_root": True,
        "ServerApp.open_browser": False,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]
    with (root / "log.txt").open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **folders, **own}, stdout=log, stderr=log
        )
        try:
            # The file that JupyterLab writes of itself, which is empty for a moment.
            told = (root / "runtime").glob
            wait_for(lambda: server.poll() is not None or written(told("jpserver-*.json")))
            assert server.poll() is None, (root / "log.txt").read_text()
            about = json.loads(written(told("jpserver-*.json")))
            yield f"{about['url']}doc/tree/live.ipynb?token={about['token']}"
        finally:
            end(server)


def end(server):
    """End a JupyterLab: politely, so that its kernel ends too; on a busy machine some never do."""
    server.terminate()
    try:
        server.wait(LONGEST_WAIT / 4)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(LONGEST_WAIT)


def written(files):
    """The text of the first file, if it is all there."""
    text = next((file.read_text() for file in files), "")
    return text if text.rstrip().endswith("}") else ""


def test_in_jupyterlab_the_widget_asks_cuts_and_undoes_through_the_kernel(browser, notebook):
    def wait(condition):
        found = WebDriverWait(browser, LONGEST_WAIT).until
        found(lambda _: browser.execute_script(f"return Boolean({condition});"))

    def find(style):
        return browser.find_element(By.CSS_SELECTOR, f".gp {style}")

    def told_by(act, serial):
        """What the page says of the answer, when the reply to an act is on show."""
        act()
        wait(f"document.querySelector('.gp').live.serial === {serial}")
        assert not find(".gp-problem").is_displayed(), find(".gp-problem").text
        return find(".gp-reply").text

    browser.get(notebook)
    kernel = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
    wait(f"{kernel}?.status === 'idle'")
    browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    wait("document.querySelector('.gp')?.live?.serial === 1")
    box = find(".gp-ask input")
    question = "Is there a <b>green</b> cross in this video?"
    asked = told_by(lambda: box.send_keys(Keys.CONTROL, "a", Keys.NULL, question, Keys.ENTER), 2)
    assert find("h1").text == question  # as text, and every key went into the box
    browser.execute_script(
        "document.querySelector('.gp-change .gp-choice button:last-child').click()"
    )
    cut = told_by(lambda: find(".gp-change .gp-do").click(), 3)
    assert find(".gp-changes").text == "No token looks at the whole video"
    assert "moved from" in cut
    assert told_by(lambda: find(".gp-versions .gp-quiet").click(), 4) == asked
    # A line that is wrong is told as an error, and the page stays.
    browser.execute_script(
        "document.querySelector('.gp').live.send({ type: 'cut', tokens: [999] })"
    )
    wait("!document.querySelector('.gp .gp-problem').hidden")
    assert "there is no token 999" in find(".gp-problem").text
    assert find(".gp-reply").text == asked

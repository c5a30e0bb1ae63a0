"""Write the pictures of these pages from the real program: `python docs/write_pictures.py`.

It runs the demos, an evaluation and the build of these pages in a folder of its own, and takes
pictures of what they print and write, in headless Chromium. `--only NAME ...` writes some of them:
demo, things, page, live, report, docs. All together they stay below `MOST_BYTES`.
"""

import argparse
import html
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

import probe

DOCS = Path(__file__).parent
PICTURES = DOCS / "pictures"

MOST_BYTES = 2_500_000
"""Bytes of all pictures together: whoever clones the repository has to load them."""

SIZES = {1400: 1000, 800: 1100, 390: 844}
"""Widths of windows, and their heights: a desk, a tablet, a phone."""

QUALITY = 82
"""Of WebP: text stays sharp, and a page takes less than 100 kB."""

TOLD = 0x010E
"""The number of the description in Exif: the picture of the demo keeps there what it printed."""

SHARP = 92
"""Of the demo's figure, which has small text in many colours."""

TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #14161a; color: #e6e6e6; }}
pre {{ margin: 0; padding: 18px 22px; font: 14px/1.45 "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; }}
b {{ color: #8fd18f; font-weight: 600; }}
</style><pre><b>$ probe demo</b>
{}</pre>"""

TOUR = (
    ("", 1400),
    ("viewer.pickToken(viewer.state.reading.tokens.findIndex((t) => t.text === 'white'))", 900),
    ("viewer.pickToken(viewer.state.reading.tokens.findIndex((t) => t.text === 'cross'))", 900),
    *((f"viewer.stage.goTo({frame})", 350) for frame in (0, 1, 2, 3, 4)),
    ("viewer.stage.goTo(2)", 500),
    *((f"viewer.select([{layer}], [0, 1, 2])", 800) for layer in (0, 2, 4)),
    ("viewer.select([2], [1])", 900),
    ("viewer.turnTheme()", 1400),
)
"""Steps of the animated picture: JavaScript for the page, and milliseconds that each is shown."""


LIVE_QUESTION = "Is there a white cross in this video?"

LIVE_STEPS = (
    "live.panel.whom.buttons[1].click(); live.panel.paint.turn(true);"
    "const peak = viewer.state.peakCell(viewer.state.frame);"
    "for (const place of live.panel.paint.placesOf(peak, true)) live.panel.paint.cells.add(place);"
    "live.panel.paint.turn(false); live.panel.cut.click();",
    "live.panel.element.querySelectorAll('summary')[1].click();"
    "live.panel.towards.value = 'Is there a red circle in this video?';"
    "live.send({ type: 'steer', question: live.panel.towards.value, layer: 3, strength: 1 });"
    "live.panel.steerLayer.show(3)",
)
"""Steps of the live page: the cells of a token's peak are cut, then the answer is steered."""

LIVE_ERROR = "live.send({ type: 'ask', question: '' })"


class Browser:
    """A headless Chromium."""

    def __init__(self) -> None:
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            sys.exit("a browser is needed; apt-get install -y chromium chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
            options.add_argument(word)
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(driver))

    def open(self, page: Path | str, width: int, height: int, *, dark: bool = False) -> None:
        """Open a file or an address in a window of a size, in light or dark colours."""
        self.resize(width, height)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(page if isinstance(page, str) else page.as_uri())

    def resize(self, width: int, height: int) -> None:
        """Give the window a size in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def wait_for_viewer(self) -> None:
        """Wait until the page of an answer has its maps and has drawn them."""
        ready = "return Boolean(document.querySelector('.gp')?.viewer)"
        WebDriverWait(self.driver, 60).until(lambda driver: driver.execute_script(ready))
        self.settle()

    def settle(self) -> None:
        """Wait until what follows a change a moment later, such as activations, is drawn."""
        wait = "setTimeout(arguments[arguments.length - 1], 400)"
        self.driver.execute_async_script(wait)

    def act(self, words: str) -> None:
        """Run JavaScript on the page of an answer."""
        self.driver.execute_script(
            f"const viewer = document.querySelector('.gp').viewer; {words}; viewer.show();"
        )
        self.settle()

    def act_live(self, words: str = "") -> None:
        """Run JavaScript on a live page, and wait for what comes of it."""
        start = "const live = document.querySelector('.gp').live, viewer = live.viewer;"
        rest = "const live = document.querySelector('.gp')?.live; return live?.viewer && !live.busy"
        for _ in range(2):  # one step is asked, and what it asks for is waited for
            WebDriverWait(self.driver, 60).until(lambda driver: driver.execute_script(rest))
            self.driver.execute_script(f"{start} {words}")
            words = ""
        self.settle()

    def capture(self) -> Image.Image:
        """Take a picture of the window."""
        picture = Image.open(io.BytesIO(self.driver.get_screenshot_as_png()))
        return picture.convert("RGB")

    def capture_whole(self, width: int, most: int) -> Image.Image:
        """Take a picture of the page down to its end, or to so many pixels."""
        height = self.driver.execute_script("return document.body.scrollHeight")
        self.resize(width, min(most, height))
        return self.capture()


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Start a browser, and end it."""
    browser = Browser()
    try:
        yield browser
    finally:
        browser.driver.quit()


def run_program(folder: Path, *words: str) -> str:
    """Run the program in a folder; return what it prints."""
    environment = {**os.environ, "COLUMNS": "110", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "probe", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def save_webp(picture: Image.Image, name: str) -> None:
    """Write a picture as WebP."""
    picture.save(PICTURES / f"{name}.webp", quality=QUALITY, method=6)


def make_demo(browser: Browser, folder: Path) -> None:
    """Take pictures of the demo's terminal, its figure and three frames of its overlay."""
    told = run_program(folder, "demo")
    terminal = folder / "terminal.html"
    terminal.write_text(TERMINAL.format(html.escape(told)), encoding="utf-8")
    browser.open(terminal, 1100, 300)
    save_webp(browser.capture_whole(1100, 900), "terminal")
    save_figure(folder / "probe-demo/answer.png", "demo", told)
    save_webp(join_frames(folder / "probe-demo/answer.mp4"), "answer-frames")


def make_things(_: Browser, folder: Path) -> None:
    """Write the pictures of the demo of things: its figure, and three frames of its overlay."""
    told = run_program(folder, "demo", "--model", "things", "--out", "things-demo")
    save_figure(folder / "things-demo/answer.png", "things", told)
    save_webp(join_frames(folder / "things-demo/answer.mp4"), "things-frames")


def save_figure(figure: Path, name: str, told: str) -> None:
    """Write the figure of a demo, with what that printed in it."""
    about = Image.Exif()
    about[TOLD] = told
    picture = Image.open(figure).convert("RGB")
    picture.save(PICTURES / f"{name}.webp", quality=SHARP, method=6, exif=about)


def join_frames(overlay: Path) -> Image.Image:
    """Put three frames of a video next to each other, a quarter of its length apart."""
    video = probe.read_video(overlay, 4)
    gap = np.full((video.size[0], 12, 3), 255, np.uint8)
    first, *others = video.frames[:3]
    return Image.fromarray(np.hstack([first, *(part for one in others for part in (gap, one))]))


def make_page(browser: Browser, folder: Path) -> None:
    """Take pictures of the page of the demo's answer, at three widths, and of a walk through it."""
    if not (folder / "probe-demo").exists():
        run_program(folder, "demo")
    run_program(folder, "view", "probe-demo", "--truth", "probe-demo/truth.json")
    page = folder / "probe-view.html"
    for width, height in SIZES.items():
        for theme in ("light", "dark"):
            browser.open(page, width, height, dark=theme == "dark")
            browser.wait_for_viewer()
            save_webp(browser.capture(), f"page-{width}-{theme}")
    browser.open(page, 1000, 760)
    browser.wait_for_viewer()
    pictures = []
    for words, _ in TOUR:
        browser.act(words)
        pictures.append(browser.capture())
    first, *others = pictures
    first.save(
        PICTURES / "page.webp",
        save_all=True,
        append_images=others,
        duration=[shown for _, shown in TOUR],
        loop=0,
        quality=QUALITY,
        method=6,
    )


def make_live(browser: Browser, folder: Path) -> None:
    """Take pictures of the live page: cut and steered on a desk, and with an error on a phone."""
    if not (folder / "probe-demo").exists():
        run_program(folder, "demo")
    command = [sys.executable, "-m", "probe", "serve", "probe-demo/clip.mp4", LIVE_QUESTION]
    with subprocess.Popen(
        [*command, "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None  # as asked for
        address = server.stdout.readline().split()[1]
        browser.open(address, 1400, 1000)
        for step in LIVE_STEPS:
            browser.act_live(step)
        save_webp(browser.capture(), "live-1400-light")
        browser.open(address, 390, 844, dark=True)
        browser.act_live(LIVE_ERROR)
        save_webp(browser.capture(), "live-390-dark")
        server.terminate()


def make_report(browser: Browser, folder: Path) -> None:
    """Take a picture of the report of two small runs."""
    for method in ("causal", "noun"):
        words = ("--method", method, "--limit", "20", "--out", f"runs/{method}")
        run_program(folder, "evaluate", "shapes-val", *words)
    run_program(folder, "report", "runs/causal", "runs/noun")
    for theme in ("light", "dark"):
        browser.open(folder / "report.html", 1400, 1000, dark=theme == "dark")
        browser.settle()
        save_webp(browser.capture_whole(1400, 2000), f"report-{theme}")


def make_docs(browser: Browser, folder: Path) -> None:
    """Take a picture of the front page of these pages."""
    built = folder / "built"
    subprocess.run([sys.executable, "-m", "sphinx", "-q", str(DOCS), str(built)], check=True)
    browser.open(built / "index.html", 1400, 1000)
    browser.settle()
    save_webp(browser.capture(), "docs")


MAKERS: dict[str, Callable[[Browser, Path], Any]] = {
    "demo": make_demo,
    "things": make_things,
    "page": make_page,
    "live": make_live,
    "report": make_report,
    "docs": make_docs,
}
"""Functions that write pictures, by name, in the order in which they need each other."""


def main() -> None:
    """Write the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description="Write the pictures of these pages.")
    parser.add_argument("--only", nargs="+", choices=MAKERS, default=list(MAKERS))
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, start_browser() as browser:
        for name in parser.parse_args().only:
            MAKERS[name](browser, Path(folder))
    total = sum(path.stat().st_size for path in PICTURES.iterdir())
    if total > MOST_BYTES:
        sys.exit(f"the pictures take {total:,} bytes, more than {MOST_BYTES:,}")


if __name__ == "__main__":
    main()

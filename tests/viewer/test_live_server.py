"""`probe serve`: the page in a real browser, what is refused, the line in which questions wait."""

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from probe.organism.world import make_clip
from probe.viewer.live.session import Reply
from probe.viewer.live.waiting_line import LineFullError, WaitingLine

QUESTION, OTHER = "Is there a red circle in this video?", "Is there a green cross in this video?"
PATIENCE = 60


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip((0, 7)).write(path, scale=1)
    return path


@pytest.fixture(scope="module")
def address(clip):
    """The address of a server of its own, which is stopped by Ctrl-C as a person stops it."""
    command = [sys.executable, "-m", "probe", "serve", clip, QUESTION, "--frames", "4"]
    server = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    said = server.stdout.readline()
    assert said.startswith("open http://127.0.0.1:"), said or server.communicate()[1]
    yield said.split()[1]
    server.send_signal(signal.SIGINT)
    _, told = server.communicate(timeout=PATIENCE)
    assert server.returncode == 130
    assert told.splitlines()[-1] == "probe: stopped"
    assert "Traceback" not in told


@pytest.fixture
def live(browser, address):
    """The page, when it is at rest; gives a function that finds elements."""
    browser.get(address)
    wait_for_rest(browser)
    return lambda style: browser.find_element(By.CSS_SELECTOR, style)


def wait_for_rest(browser):
    at_rest = "const live = document.querySelector('.gp')?.live; return live?.viewer && !live.busy;"
    WebDriverWait(browser, PATIENCE).until(lambda _: browser.execute_script(at_rest))


def ask(browser, live, question):
    box = live(".gp-ask input")
    box.clear()
    box.send_keys(question, Keys.ENTER)
    wait_for_rest(browser)


def test_ask_cut_undo_and_the_page_changes_with_them(browser, live):
    assert live("h1").text == QUESTION
    ask(browser, live, OTHER)
    asked = live(".gp-reply").text
    assert live("h1").text == OTHER
    assert "Yes" in asked
    map_of = "return Array.from(document.querySelector('.gp').viewer.state.map.values)"
    before = browser.execute_script(map_of)
    word = next(c for c in browser.find_elements(By.CSS_SELECTOR, ".gp-chip") if c.text == "green")
    word.click()
    of_word = browser.execute_script(map_of)
    assert sum(of_word) > 0
    live(".gp-change .gp-do").click()
    wait_for_rest(browser)
    assert live(".gp-changes").text == "'green' no longer looks at the whole video"
    assert "moved from" in live(".gp-reply").text
    # The same token is on show, and looks at nothing.
    assert sum(browser.execute_script(map_of)) == 0
    live("[data-name=before]").click()
    assert browser.execute_script(map_of) == of_word
    for _ in range(2):
        assert live(".gp-versions .gp-quiet").text == "Undo"
        live(".gp-change .gp-versions .gp-quiet").click()
        wait_for_rest(browser)
    assert live("h1").text == QUESTION
    assert browser.execute_script(map_of) != before
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_painted_part_of_the_video_is_cut_from_all_tokens_and_a_slider_changes_it(browser, live):
    live(".gp-paintline button").click()
    picture = live(".gp-picture")
    width, height = picture.size["width"], picture.size["height"]
    stroke = webdriver.ActionChains(browser)
    stroke.move_to_element_with_offset(picture, -0.4 * width, -0.4 * height).click_and_hold()
    stroke.move_to_element_with_offset(picture, -0.25 * width, -0.4 * height).release().perform()
    live(".gp-change .gp-choice button:last-child").click()
    live(".gp-change .gp-do").click()
    wait_for_rest(browser)
    assert live(".gp-changes").text == "No token looks at 8 cells in 4 frames"
    seen = "const s = document.querySelector('.gp').viewer.state; return [0, 1, 2].map("
    assert browser.execute_script(f"{seen}(i) => s.frameValues(0)[i])")[:2] == [0, 0]
    live("input[data-name=factor]").send_keys(Keys.ARROW_RIGHT * 2)
    WebDriverWait(browser, PATIENCE).until(lambda _: "2 times" in live(".gp-changes").text)
    wait_for_rest(browser)
    assert live("input[data-name=factor]").get_attribute("value") == "1"


def test_while_the_model_reads_the_page_says_so_and_sends_nothing_else(browser, live):
    box = live(".gp-ask input")
    box.clear()
    box.send_keys(OTHER)
    busy = browser.execute_script(
        "const find = (style) => document.querySelector(style);"
        "find('.gp-ask button').click();"
        "return [find('.gp-status').textContent, find('.gp-ask button').disabled,"
        " find('.gp-change .gp-do').disabled, find('.gp-status').hidden];"
    )
    assert busy == ["Waiting for the server …", True, True, False]
    wait_for_rest(browser)
    assert not live(".gp-status").is_displayed()
    assert browser.switch_to.active_element.tag_name in ("input", "body")


def test_an_error_is_one_line_and_what_is_on_show_stays(browser, live):
    title = live("h1").text
    ask(browser, live, " ")
    assert live(".gp-problem").text.endswith("is empty; ask something in words")
    assert live("h1").text == title
    ask(browser, live, OTHER)
    assert not live(".gp-problem").is_displayed()


def test_what_is_typed_stays_text_and_its_keys_move_nothing(browser, live):
    text = "<script>document.title = 'gone'</script><img src=x onerror=alert(1)>"
    ask(browser, live, text)
    assert live("h1").text == text
    assert browser.title == "clip.mp4"
    made = "return document.querySelectorAll('.gp script, .gp img').length"
    assert browser.execute_script(made) == 0
    frame = "return document.querySelector('.gp').viewer.state.frame"
    before = browser.execute_script(frame)
    live(".gp-ask input").send_keys(" a", Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert browser.execute_script(frame) == before
    assert live(".gp-ask input").get_attribute("value") == f"{text} a"


def test_with_the_server_gone_the_page_says_so(browser, live):
    browser.set_network_conditions(offline=True, latency=0, throughput=0)
    try:
        ask(browser, live, OTHER)
        assert "is `probe serve` still running?" in live(".gp-problem").text
    finally:
        browser.delete_network_conditions()


def request(address, method="POST", path=None, body=b'{"type": "undo"}', **headers):
    """Send a request as no browser would, and return the status and text of the reply."""
    place = urlsplit(address)
    given = {"Origin": f"http://{place.netloc}", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(place.netloc, timeout=PATIENCE)
    sent = {name: value for name, value in given.items() if value is not None}
    connection.request(method, path or f"{place.path}session", body, sent)
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"Origin": "http://evil.example"}, 403, "only pages of this server"),
        ({"Origin": "null"}, 403, "only pages of this server"),
        ({"Origin": None}, 403, "only pages of this server"),
        ({"Origin": "http://127.0.0.1:1"}, 403, "only pages of this server"),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403, "another name"),
        ({"path": "/wrong/session"}, 403, "token"),
        ({"path": "/", "method": "GET"}, 403, "token"),
        ({"path": "/wrong/", "method": "GET"}, 403, "token"),
        ({"path": "/", "method": "GET", "Host": "evil.example"}, 403, "another name"),
        ({"method": "GET"}, 405, "Method Not Allowed"),
        ({"Content_Type": "text/plain"}, 415, "application/json"),
        ({}, 404, "reload it"),  # a session that is not there
        ({"Content_Length": "2000001"}, 400, ""),
    ],
)
def test_what_is_no_page_of_this_server_is_refused_in_one_line(address, change, status, said):
    got, text = request(address, **change)
    assert got == status
    assert said in text
    assert text.count("\n") <= 1


def test_another_page_in_the_same_browser_reaches_nothing(browser, address, tmp_path):
    page = tmp_path / "other.html"
    page.write_text("<p>another page</p>")
    browser.get(page.as_uri())
    tried = browser.execute_async_script(
        "const [address, done] = arguments;"
        "const tries = [fetch(address, {mode: 'cors'}), fetch(address + 'session',"
        " {method: 'POST', mode: 'no-cors', body: '{\"type\": \"open\"}'})];"
        "Promise.allSettled(tries).then((all) => done(all.map("
        " (one) => one.value ? [one.value.status, one.value.type] : 'refused')));",
        address,
    )
    # What is opaque has neither status nor text for the page that asked.
    assert tried == ["refused", [0, "opaque"]] or tried == ["refused", "refused"]


# The line


class Gates:
    """Passes of a model that each end when somebody opens their gate."""

    def __init__(self, count):
        self.gates = [threading.Event() for _ in range(count)]
        self.began = threading.Event()
        self.running, self.most, self.done = 0, 0, []

    def act(self, number):
        self.running += 1
        self.most = max(self.most, self.running)
        self.began.set()
        self.gates[number].wait(PATIENCE)
        self.running -= 1
        self.done.append(number)
        return Reply("scene", str(number))

    async def queue(self, line):
        """Queue a question for each pass; what each hears is listed as it comes."""
        heard = [[] for _ in self.gates]

        async def ask_one(number):
            async for news in line.answer(lambda: self.act(number)):
                heard[number].append(news.text if isinstance(news, Reply) else news)

        tasks = []
        for number in range(len(self.gates)):
            tasks.append(asyncio.create_task(ask_one(number)))
            await asyncio.sleep(0)  # so that it is in the line before the next
        await asyncio.to_thread(self.began.wait, PATIENCE)
        return tasks, heard


def test_questions_are_answered_one_at_a_time_and_who_waits_hears_how_many_come_first():
    passes = Gates(3)

    async def run():
        line = WaitingLine(most=2)
        tasks, heard = await passes.queue(line)
        with pytest.raises(LineFullError, match="2 questions wait already"):
            await anext(line.answer(lambda: passes.act(0)))
        for gate, task in zip(passes.gates, tasks, strict=True):
            gate.set()
            await task
        line.stop(1.0)
        return heard

    assert asyncio.run(run()) == [[0, "0"], [1, 0, "1"], [2, 1, 0, "2"]]
    assert passes.most == 1


def test_who_leaves_the_line_is_not_answered_and_a_pass_that_was_begun_is_not_overtaken():
    passes = Gates(3)

    async def run():
        line = WaitingLine(most=2)
        tasks, heard = await passes.queue(line)
        tasks[0].cancel()  # its pass goes on
        tasks[1].cancel()  # it waits, and leaves
        await asyncio.wait(tasks[:2])
        assert len(line) == 2
        assert passes.running == 1
        for gate in passes.gates:
            gate.set()
        await tasks[2]
        line.stop(1.0)
        return heard

    assert asyncio.run(run())[2] == [2, 1, 0, "2"]
    assert passes.done == [0, 2]
    assert passes.most == 1


def test_a_fault_in_a_pass_reaches_who_asked_and_the_next_is_answered():
    def fail():
        raise ZeroDivisionError

    async def run():
        line = WaitingLine()
        with pytest.raises(ZeroDivisionError):
            [news async for news in line.answer(fail)]
        reply = [news async for news in line.answer(lambda: Reply("scene", "next"))]
        line.stop(1.0)
        return reply

    assert asyncio.run(run()) == [0, Reply("scene", "next")]


# The command


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch.mp4"], "no such file"),
        (["clip.mp4", "--model", "nosuch"], "nosuch"),
        (["clip.mp4", "--host", "0.0.0.0"], "is no name of this machine"),
        (["clip.mp4", "--host", "nosuch.invalid"], "not an address of this machine"),
        (["clip.mp4", "--port", "99999"], "from 0"),
        (["clip.mp4", "--generate", "0"], "--generate 0: give at least 1"),
        (["clip.mp4", " "], "is empty"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(command, clip, monkeypatch, words, said):
    monkeypatch.chdir(clip.parent)
    code, out, told = command("serve", *words, *(() if "--port" in words else ("--port", "0")))
    assert (code, out) == (2, "")
    assert said in told.splitlines()[-1]


def test_a_port_in_use_is_told_before_the_model_is_opened(command, clip, monkeypatch):
    monkeypatch.setattr("probe.cli.serving.find_model_and_video", pytest.fail)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, told = command("serve", clip, "--port", taken.getsockname()[1])
    assert code == 2
    assert "is in use; give another with --port" in told

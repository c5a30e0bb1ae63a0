"""A local web server for live pages: who may ask, and how messages get to the model.

Needs the package of the extra `serve`. A page is had by its address alone, which holds a secret
token. Whatever comes from another origin, or is meant for another host, is refused before it is
read: any page in the same browser can send requests here, and any name may be made to lead to this
machine (DNS rebinding).
"""

# tornado and not one of the frameworks on anyio: nnsight gives every object a method `save`, and
# classes of anyio that are first imported after that refuse it.

import asyncio
import json
import logging
import secrets
import signal
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing, suppress
from functools import partial
from http import HTTPStatus

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from probe.viewer.live.live_page import ServedPage, make_served_page
from probe.viewer.live.session import LiveSession, Reply, describe_failure
from probe.viewer.live.waiting_line import LineFullError, WaitingLine

LARGEST_MESSAGE = 2_000_000
"""Bytes of a message: as many cells as the longest videos have, with room."""

BODY_TIMEOUT = 20
"""Seconds within which a message must have arrived."""

MOST_SESSIONS = 8
"""Pages whose questions and changes are remembered; with another, the one unused for longest is
forgotten."""

TOKEN_BYTES = 24
"""Bytes of chance in the address; nobody guesses them."""

PATIENCE = 3.0
"""Seconds that a stopped server waits for the pass under way, which cannot be interrupted."""

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The address holds the token, so no page elsewhere is told of it.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every reply."""


class LiveServer:
    """Live pages about one video: their sessions, and the line in which their questions wait."""

    def __init__(
        self,
        make_session: Callable[[], LiveSession],
        *,
        names: frozenset[str],
        title: str = "Grounding Probe",
    ) -> None:
        """Make a server that nobody has asked yet.

        Args:
            make_session: Makes the session of a page that is opened.
            names: Names and addresses by which this machine may be called, without a port.
            title: The title of pages.
        """
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.line = WaitingLine()
        self._make_session = make_session
        self._names = names
        self._title = title
        self._sessions: OrderedDict[str, LiveSession] = OrderedDict()

    def check(self, headers: HTTPHeaders, method: str, token: str) -> None:
        """Let through what this server's own pages send, and refuse all else.

        Raises:
            HTTPError: if the request is for another host, of another origin, or without the token.
        """
        host = headers.get("Host", "")
        if strip_port(host) not in self._names:
            raise _refuse(HTTPStatus.FORBIDDEN, "this server has another name")
        # Browsers name the origin of all that changes something, and of what other pages ask.
        origin = headers.get("Origin")
        if origin != f"http://{host}" and (origin is not None or method == "POST"):
            raise _refuse(HTTPStatus.FORBIDDEN, "only pages of this server may ask")
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            reason = "the token is missing or wrong; open the address that probe serve printed"
            raise _refuse(HTTPStatus.FORBIDDEN, reason)

    def open_page(self) -> ServedPage:
        """Make a page with a session of its own; too old a session is forgotten."""
        name = secrets.token_urlsafe(TOKEN_BYTES)
        self._sessions[name] = self._make_session()
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return make_served_page(name, self._title)

    def find_session(self, name: str) -> LiveSession:
        """Find the session of a page.

        Raises:
            HTTPError: if it was forgotten, or never there.
        """
        if name not in self._sessions:
            reason = f"this page was forgotten after {MOST_SESSIONS} others were opened; reload it"
            raise _refuse(HTTPStatus.NOT_FOUND, reason)
        self._sessions.move_to_end(name)
        return self._sessions[name]

    def make_app(self) -> Application:
        """Make the application that the web server runs."""
        given = {"server": self}
        return Application(
            [
                (r"/([^/]*)/", PageHandler, given),
                (r"/([^/]*)/([^/]+)", MessageHandler, given),
                (r"/([^/]*).*", PageHandler, given),  # without the token, so that it is refused
            ],
            log_function=lambda _: None,  # the address holds the token
        )


class Handler(RequestHandler):
    """A request of a page, checked before anything is done."""

    def initialize(self, server: LiveServer) -> None:
        """Take the server that it is a request to."""
        self.server = server

    def set_default_headers(self) -> None:
        """Set the headers that every reply has."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse what is not of one of the server's own pages."""
        method = self.request.method or ""
        self.server.check(self.request.headers, method, self.path_args[0])

    def write_error(self, status_code: int, **given: object) -> None:
        """Say in one line of text why something is refused."""
        problem = given.get("exc_info", (None, None))
        said = problem[1] if isinstance(problem, tuple) else None
        reason = said.log_message if isinstance(said, HTTPError) else None
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{reason or HTTPStatus(status_code).phrase}\n")


class PageHandler(Handler):
    """The request of a page."""

    def get(self, *_: str) -> None:
        """Give the page, with a policy that allows no script or style but its own."""
        if not self.request.path.endswith("/"):
            raise _refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        page = self.server.open_page()
        self.set_header("Content-Security-Policy", page.policy)
        self.write(page.text)


class MessageHandler(Handler):
    """A message of a page, whose replies are lines of JSON."""

    async def post(self, _: str, session: str) -> None:
        """Answer a message when it is its turn, and say meanwhile how many come first."""
        kind = self.request.headers.get("Content-Type", "").partition(";")[0]
        if kind != "application/json":  # a form of another page can send only something else
            raise _refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "messages are application/json")
        act = partial(self.server.find_session(session).reply, self.request.body)
        self.set_header("Content-Type", "application/x-ndjson")
        # A task of its own, which can be stopped when whoever asked has gone.
        self.telling = asyncio.create_task(self._tell(act))
        with suppress(asyncio.CancelledError, StreamClosedError):
            await self.telling

    def on_connection_close(self) -> None:
        """Leave the line: whoever asked has gone."""
        if hasattr(self, "telling"):
            self.telling.cancel()

    async def _tell(self, act: Callable[[], Reply]) -> None:
        try:
            async with aclosing(self.server.line.answer(act)) as progress:
                async for news in progress:
                    await self._write(news.text if isinstance(news, Reply) else _tell_place(news))
        except LineFullError as full:
            await self._write(describe_failure(full).text)
        except StreamClosedError:
            raise
        except Exception:
            # A fault of ours: the page hears that, and the terminal what it was.
            told = RuntimeError("a fault of the program; the terminal of probe serve says where")
            await self._write(describe_failure(told).text)
            raise

    async def _write(self, line: str) -> None:
        self.write(f"{line}\n")
        await self.flush()


def run_server(server: LiveServer, taken: socket.socket) -> None:
    """Serve pages at a socket that is bound and listens, until Ctrl-C.

    Raises:
        KeyboardInterrupt: when it was stopped.
    """
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)  # it would tell addresses
    logging.getLogger("tornado.general").setLevel(logging.ERROR)
    asyncio.run(_serve(server, taken))
    raise KeyboardInterrupt


async def _serve(server: LiveServer, taken: socket.socket) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    # As an event of the loop: raised in the middle of it, it would leave replies half written.
    for kind in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(kind, stopped.set)
    taken.setblocking(False)
    web = HTTPServer(
        server.make_app(),
        max_body_size=LARGEST_MESSAGE,
        body_timeout=BODY_TIMEOUT,
        idle_connection_timeout=BODY_TIMEOUT,
    )
    web.add_socket(taken)
    await stopped.wait()
    web.stop()
    server.line.stop(PATIENCE)


def strip_port(host: str) -> str:
    """Return the name of a host without its port, in small letters.

    >>> strip_port("LocalHost:8787"), strip_port("[::1]:80"), strip_port("127.0.0.1")
    ('localhost', '[::1]', '127.0.0.1')
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _refuse(status: HTTPStatus, reason: str) -> HTTPError:
    # A percent sign would be taken for a place to fill in.
    return HTTPError(status, reason.replace("%", "%%"))


def _tell_place(ahead: int) -> str:
    return json.dumps({"type": "waiting", "ahead": ahead} if ahead else {"type": "reading"})

"""`probe serve`: a local web page that asks a model about one video, again and again."""

import warnings
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from probe.cli.console import flush_output, show, show_progress
from probe.cli.model_options import VideoOptions, find_model_and_video, open_model
from probe.cli.numbers import check_numbers

if TYPE_CHECKING:
    import socket

    from probe.engine.view import View

PORT = 8787
"""The usual port: the same each time, so that a tunnel to another machine can be set up once."""

NEEDED = ("tornado",)
"""Packages of the extra `serve`."""


@dataclass(frozen=True)
class Serve:
    """Serve a local web page that asks again: another question, a cut, a slider; Ctrl-C ends it."""

    video: Positional[Path]
    """A video file or a picture, or a folder of frames."""

    question: Annotated[Positional[str | None], arg(metavar="[QUESTION]")] = None
    """The question that a page opens with; by default the generic prompt."""

    options: Annotated[VideoOptions, arg(name="")] = field(default_factory=VideoOptions)

    port: Annotated[int, arg(metavar="N")] = PORT
    """The port of the address; 0 for any that is free."""

    host: Annotated[str, arg(metavar="HOST")] = "127.0.0.1"
    """The name or address of this machine at which it is served. Anything but the default lets
    others on the network ask, if they have the address; nothing is encrypted."""

    generate: Annotated[int | None, arg(metavar="TOKENS")] = None
    """Let the model answer in at most so many tokens, and show where the tokens of its answer look,
    too."""

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Open the model and the video, print the address, and serve until Ctrl-C."""
        from probe.video.checking import check_source

        check_source(self.video)  # at once: torch takes seconds to load
        _check_packages()
        check_numbers(self, generate=1)
        from probe.viewer.live.address import is_loopback, open_socket

        # Taken before the weights are read, which may take minutes: a port in use is told at once.
        taken = open_socket(self.host, self.port)
        if not is_loopback(self.host):
            warnings.warn(
                f"others can reach {self.host}: whoever has the address can ask, and it goes over "
                f"the network unencrypted",
                stacklevel=2,
            )
        with taken:
            self._serve(taken)

    def _serve(self, taken: "socket.socket") -> None:
        from probe.engine.prompts import GENERIC
        from probe.viewer.live import LiveSession
        from probe.viewer.live.address import list_names, write_host
        from probe.viewer.live.server import LiveServer, run_server

        with show_progress("load", "read") as step:
            view = self._watch()
            step()
            question = GENERIC if self.question is None else self.question
            view.writer.write(question)  # a question that cannot be asked is told before a page is
            step()

        def make_session() -> LiveSession:
            return LiveSession(view, question, max_new_tokens=self.generate)

        server = LiveServer(make_session, names=list_names(self.host), title=self.video.name)
        port = taken.getsockname()[1]
        show(f"open http://{write_host(self.host)}:{port}/{server.token}/ in a browser")
        show("Ctrl-C ends it")
        flush_output()  # also to a program that waits for the address
        run_server(server, taken)

    def _watch(self) -> "View":
        files, video = find_model_and_video(self.video, self.options)
        return open_model(files, video).watch(video)


def _check_packages() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"{' and '.join(missing)}: not installed; probe serve needs the packages of "
            f"pip install 'grounding-probe[serve]'"
        )

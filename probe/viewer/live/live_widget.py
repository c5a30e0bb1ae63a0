"""A live page in a notebook: what is asked in the cell goes to the kernel, through anywidget."""

import json
from typing import Any

import anywidget
import traitlets

from probe.engine.prompts import GENERIC
from probe.engine.view import View
from probe.viewer.compression import Budget
from probe.viewer.live.live_page import load_live_script, load_live_style
from probe.viewer.live.session import LIVE_BUDGET, LiveSession, describe_failure


class LiveViewer(anywidget.AnyWidget):
    """One live session in a notebook."""

    # anywidget wants these on the class.
    _esm = load_live_script("live_widget.js")
    _css = load_live_style()
    shown = traitlets.Unicode().tag(sync=True)
    """The reply with the scene on show, which a notebook saves; without a kernel it stays."""

    def __init__(self, session: LiveSession) -> None:
        """Read the first question of a session, and show it.

        Raises:
            ValueError: if the question cannot be asked.
        """
        super().__init__(shown=session.open())
        self.session = session
        self.on_msg(self._answer)

    def _answer(self, _: Any, message: Any, __: Any) -> None:
        """Answer a message of the page; the kernel calls this for one after another."""
        self.send({"type": "reading"})
        try:
            reply = self.session.reply(message)
        except Exception as fault:
            # Jupyter hides tracebacks of messages in its log, and the page would wait for ever.
            self.send(json.loads(describe_failure(fault).text))
            raise
        if reply.type == "scene":
            self.shown = reply.text
        else:
            self.send(json.loads(reply.text))


def ask_live(
    view: View,
    question: str = GENERIC,
    *,
    max_new_tokens: int | None = None,
    budget: Budget = LIVE_BUDGET,
) -> LiveViewer:
    """Show a video in a notebook, to be asked and changed again and again.

    In the cell: type another question, cut the look of a token or of all of them at the video or
    at painted cells, cut edges while the video is read, make a look stronger or weaker, steer
    towards another question, and undo. Maps, margin and answer change with it.

    Args:
        view: The video as the model sees it.
        question: The question that the page opens with.
        max_new_tokens: Most tokens of the answer that the model writes to each question; None for
            the first token of its answer alone.
        budget: How much of the attention is kept.

    Returns:
        The widget; `widget.session` has the question on show and what is changed.

    Raises:
        ValueError: if the question is empty, too long or unsafe.
    """
    session = LiveSession(view, question, max_new_tokens=max_new_tokens, budget=budget)
    return LiveViewer(session)

"""The page that asks again: another question, a cut, a slider, through a kernel or a local server.

A page sends messages, and a `LiveSession` answers each with a scene or with one line that says what
is wrong. It is the same session for a notebook's widget and for `probe serve`, which only carry
messages. This part of the room may use the rest of it; only `server` needs the packages of the
extra `serve`.
"""

from probe.viewer.live.session import LiveSession, Reply

__all__ = ["LiveSession", "Reply"]

"""The files of a live page: those of the offline page, and the parts that ask again."""

import html
import re
from dataclasses import dataclass

from probe.pictures.escapes import escape
from probe.viewer.page import hash_for_policy, load_asset, load_script, load_style

LIVE_PARTS = ("paint.js", "live_words.js", "ask_bar.js", "change_panel.js", "live.js")
"""Parts of the script that a live page has in addition, in order."""

REST_OF_POLICY = (
    "default-src 'none'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Rules of what a served page may load, apart from its own script and style: nothing but messages.
No other page shows it in a frame."""


def load_live_script(end: str) -> str:
    """Read the script of a live page, with what carries its messages at the end.

    Args:
        end: The file of that part.
    """
    return load_script(*LIVE_PARTS, end)


def load_live_style() -> str:
    """Read the style sheet of a live page."""
    return load_style() + load_asset("live.css")


@dataclass(frozen=True)
class ServedPage:
    """A page as it is served, and the content policy that goes with it."""

    text: str
    policy: str


def make_served_page(session: str, title: str) -> ServedPage:
    """Make the page that a server gives to a browser; the page then asks for its scene.

    Args:
        session: The name of the session that the page's messages go to.
        title: The title of its tab.
    """
    style, script = load_live_style(), load_live_script("served.js")
    parts = {
        "@TITLE@": html.escape(escape(title)),
        "@SESSION@": html.escape(session),
        "@STYLE@": style,
        "@SCRIPT@": script,
    }
    # Split once: a title may contain the name of another part.
    pieces = re.split("(@[A-Z]+@)", load_asset("live.html"))
    hashes = f"script-src '{hash_for_policy(script)}'; style-src '{hash_for_policy(style)}'"
    text = "".join(parts.get(piece, piece) for piece in pieces)
    return ServedPage(text, f"{REST_OF_POLICY}; {hashes}")

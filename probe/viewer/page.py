"""One HTML file that holds everything: it opens from disk, offline, and asks no network."""

import base64
import hashlib
import html
import re
from importlib import resources
from pathlib import Path

from probe.engine.readings import Reading
from probe.grounding.answers import Answer
from probe.video import Video
from probe.viewer.content import content
from probe.viewer.scene import Scene, as_scene
from probe.viewer.strongest import Budget

SCRIPTS = (
    "maps.js",
    "state.js",
    "words.js",
    "drawing.js",
    "parts.js",
    "grid.js",
    "timeline.js",
    "viewer.js",
    "mount.js",
)
"""Parts of one script, in order; plain JavaScript that browsers read as it is."""

PAGE = Budget()
"""What a page holds unless asked otherwise: under 15 MB for 20 frames of 12 x 12 cells, 32 layers
of 32 heads, and a question of 40 tokens beside the generic prompt."""

START = 'mount(document.getElementById("viewer"), document.getElementById("scene").textContent);\n'


def page(
    seen: Scene | Answer | Reading,
    video: Video | None = None,
    *,
    generic: Reading | None = None,
    before: Reading | None = None,
    budget: Budget = PAGE,
) -> str:
    """The interactive page of anything that can be looked at, as HTML.

    Nothing in a question, a label or a file name can become code: they travel as JSON and are
    shown as text, and the page allows no script, style or address but its own.

    Args:
        seen: A scene, an answer, or a reading.
        video: What a reading was read from; scenes and answers bring their own.
        generic: The generic prompt's reading, for relative attention.
        before: The reading before re-attention.
        budget: How much of the attention is kept.

    Raises:
        ValueError: if a reading comes without its video, the readings do not fit together, or
            attention is not finite.
    """
    scene = as_scene(seen, video, generic=generic, before=before)
    parts = {
        "@TITLE@": html.escape(scene.title or "Grounding Probe"),
        "@STYLE@": style(),
        "@STYLE_HASH@": _hash(style()),
        "@SCRIPT@": script() + START,
        "@SCRIPT_HASH@": _hash(script() + START),
        "@SCENE@": content(scene, budget),
    }
    # Split, not replaced one after another: a title may hold the name of another part.
    pieces = re.split("(@[A-Z_]+@)", _asset("page.html"))
    return "".join(parts.get(piece, piece) for piece in pieces)


def save_page(path: str | Path, text: str) -> None:
    """Write a page under its name only once it is complete.

    Raises:
        ValueError: if the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist; make it first")
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def script() -> str:
    """The page's JavaScript, which the notebook's widget runs too."""
    return "\n".join(_asset(name) for name in SCRIPTS)


def style() -> str:
    """The page's style sheet."""
    return _asset("viewer.css")


def _asset(name: str) -> str:
    return (resources.files("probe.viewer") / "static" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy knows an inline script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

"""Write one HTML file that holds everything: it opens from disk, offline, and asks no network."""

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from probe.argument_order import accept_path_first
from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.readings import Reading
from probe.files import write_text
from probe.grounding.answers import Answer
from probe.interpret.logit_lens import LogitLens
from probe.pictures.escapes import escape
from probe.video import Tube, Video
from probe.viewer.compression import Budget
from probe.viewer.scene import Scene
from probe.viewer.scene_json import encode_scene
from probe.viewer.scene_reading import as_scene

SCRIPT_PARTS = (
    "maps.js",
    "state.js",
    "words.js",
    "drawing.js",
    "parts.js",
    "grid.js",
    "timeline.js",
    "stage.js",
    "panels.js",
    "lens.js",
    "viewer.js",
    "mount.js",
)
"""Parts of one script, in order; plain JavaScript that browsers read as it is."""

PAGE_BUDGET = Budget()
"""The usual content of a page: under 15 MB for 20 frames of 12 x 12 cells, 32 layers of 32 heads, a
question of 40 tokens and the generic prompt; and for a question of 606 tokens over 980 cells."""

START_SCRIPT = """\
const scene = JSON.parse(document.getElementById("scene").textContent);
mount(document.getElementById("viewer"), scene);
"""
"""The last line of a page's script; a notebook's widget mounts the page itself."""


def page(  # noqa: PLR0913  the choices of as_scene, and the budget
    seen: Scene | Answer | Reading,
    video: Video | None = None,
    *,
    generic: Reading | None = None,
    before: Reading | None = None,
    model: VideoLM | None = None,
    truth: Tube | None = None,
    lens: LogitLens | None = None,
    maps: Mapping[str, Heatmap] | None = None,
    budget: Budget = PAGE_BUDGET,
) -> str:
    """Write the interactive page of anything that can be looked at, as HTML.

    Nothing in a question, a label or a file name can become code: they travel as JSON and are
    shown as text, and the page allows no script, style or address but its own.

    Args:
        seen: A scene, an answer, or a reading.
        video: The video that a reading was read from; scenes and answers bring their own.
        generic: The generic prompt's reading, for relative attention.
        before: The reading before re-attention.
        model: The model of an answer, to read it again at every layer, with the generic prompt.
        truth: The true place of the thing, if that is known.
        lens: The words that each cell would say (`probe.logit_lens`), to click a cell and see them.
        maps: Further maps of the same cells by their names, such as a word lens.
        budget: How much of the attention is kept.

    Raises:
        ValueError: if a reading comes without its video or a loaded answer without its model, the
            readings do not fit together, the lens or a map is of other cells, or attention is not
            finite.
    """
    scene = as_scene(
        seen,
        video,
        generic=generic,
        before=before,
        model=model,
        truth=truth,
        lens=lens,
        maps=maps,
    )
    parts = {
        "@TITLE@": html.escape(escape(scene.title or "Grounding Probe")),
        "@STYLE@": load_style(),
        "@STYLE_HASH@": hash_for_policy(load_style()),
        "@SCRIPT@": load_script() + START_SCRIPT,
        "@SCRIPT_HASH@": hash_for_policy(load_script() + START_SCRIPT),
        "@SCENE@": encode_scene(scene, budget),
    }
    # The template is split once. Replacing one name after another would also replace the names of
    # parts that a title or a question contains.
    pieces = re.split("(@[A-Z_]+@)", load_asset("page.html"))
    return "".join(parts.get(piece, piece) for piece in pieces)


def _is_path_first(args: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    """Tell whether the path of `save_page` comes first; both may be text, but a page is HTML."""
    if isinstance(args[0], PathLike) or "text" in named:
        return True
    return len(args) > 1 and isinstance(args[1], str) and args[1].lstrip().startswith("<")


@accept_path_first(_is_path_first)
def save_page(text: str, path: str | Path) -> None:
    """Write a page to a file, which is there whole or not at all.

    Args:
        text: The page, as `page` gives it.
        path: The file.

    Raises:
        ValueError: if the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist; make it first")
    write_text(path, text)


def load_script(*more: str) -> str:
    """Read the page's JavaScript, and further parts after it."""
    return "\n".join(load_asset(name) for name in (*SCRIPT_PARTS, *more))


def load_style() -> str:
    """Read the page's style sheet."""
    return load_asset("viewer.css")


def load_asset(name: str) -> str:
    """Read a file of the page's parts."""
    # Through importlib: an installed package may be inside an archive.
    return (resources.files("probe.viewer") / "static" / name).read_text(encoding="utf-8")


def hash_for_policy(text: str) -> str:
    """Compute the hash by which a content security policy allows one inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

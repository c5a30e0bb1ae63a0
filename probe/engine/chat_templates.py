"""Chat templates: the text that a checkpoint writes before and after the user's words.

A template is a program in a file that anybody wrote. It is rendered once, in a process of its own
with little time and memory, and only its text is used afterwards.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from probe.engine import render_template
from probe.engine.thoughts import find_open_thought
from probe.files import read_text

WORDS = "\ue000"
"""Takes the place of the user's words in a template; a character that nobody writes."""

SECONDS = 1
"""Most seconds of work for a template; those of published checkpoints take a few milliseconds."""

PATIENCE = 20
"""Most seconds to wait, on a machine that is busy with other work."""

MEMORY = 2**29
"""Most bytes of memory for a template; the process itself takes a tenth of it."""

LENGTH = 100_000
"""Most characters that a template may write around one question."""

REMEDY = "give another with chat_template=... or --chat-template FILE"


@dataclass(frozen=True)
class TurnText:
    """The text that a chat template writes around the user's words."""

    before: str
    """Everything before the words: other turns, the opening of the user's, the mark of a video."""

    ending: str
    """The end of the user's turn."""

    opening: str
    """The opening of the answer's turn; empty where the template writes none."""

    @property
    def after(self) -> str:
        """Everything after the words."""
        return self.ending + self.opening

    def write(self, words: str) -> str:
        """Write words of the user in their place."""
        return self.before + words + self.after


def read_template(given: str | Path) -> str:
    """Return a chat template that is given as text or as a file.

    Text holds a brace, as every template does; anything else is a path.

    Raises:
        ValueError: if the file cannot be read.
    """
    if isinstance(given, str) and "{" in given:
        return given
    return read_text(given)


def set_template(processor: Any, given: str | Path | None) -> None:
    """Give a processor another chat template in the place of its own, if there is one.

    Args:
        processor: The checkpoint's processor.
        given: The template that a user gives; None for the checkpoint's own, or the one by which
            transformers replaces it.
    """
    # Checkpoints of SmolVLM come with a template for pictures alone, and `apply_chat_template` of
    # their processor writes videos by a default of its module.
    default = getattr(sys.modules[type(processor).__module__], "DEFAULT_CHAT_TEMPLATE", None)
    template = default if given is None else read_template(given)
    if template is not None:
        processor.chat_template = template


def write_around(
    processor: Any, *before: Mapping[str, str], variables: Mapping[str, Any]
) -> TurnText:
    """Write the text of the chat template before and after the user's words.

    Args:
        processor: The checkpoint's processor, with template and tokenizer.
        before: Parts of the user's message before the words, such as `{"type": "video"}`.
        variables: What the template is told besides the message, such as `enable_thinking`.

    Raises:
        ValueError: if there is no template, it cannot be rendered, it runs away, it does not write
            the user's words, or it leaves a thought open.
    """
    # The template is rendered once with a mark for the words, and split there: rendering and
    # searching for the words themselves would find them in a system prompt, too.
    content = [*before, {"type": "text", "text": WORDS}]
    known = {
        **processor.tokenizer.special_tokens_map,
        "messages": [{"role": "user", "content": content}],
        "tools": None,
        "documents": None,
        **variables,
    }
    # Written with and without the opening of the answer's turn: what differs is that opening.
    cases = [{**known, "add_generation_prompt": asks} for asks in (True, False)]
    whole, ended = _render(find_template(processor), json.dumps(cases))
    opening, mark, closing = whole.partition(WORDS)
    if not mark:
        raise ValueError(
            f"the chat template of this checkpoint writes {whole[:200]!r}, without the user's "
            f"words; {REMEDY}"
        )
    if (thought := find_open_thought(closing)) is not None:
        raise ValueError(
            f"the chat template of this checkpoint ends in an open thought, {closing[-60:]!r}: the "
            f"model would go on with it, and answer neither yes nor no; {REMEDY} that closes "
            f"{thought} before the answer"
        )
    pairs = zip(closing, ended.partition(WORDS)[2], strict=False)
    alike = takewhile(lambda pair: pair[0] == pair[1], pairs)
    ending = len(list(alike))
    return TurnText(opening, closing[:ending], closing[ending:])


def choose_specials(processor: Any, text: str) -> dict[str, Any]:
    """Choose whether the tokenizer adds its special tokens to a text in a chat template.

    A text that already begins with the tokenizer's own first token gets no second one, as in
    `apply_chat_template` of transformers.
    """
    first = processor.tokenizer.bos_token
    return {"add_special_tokens": False} if first and text.startswith(first) else {}


def find_template(processor: Any) -> str:
    """Return the template of a processor, or else of its tokenizer.

    Raises:
        ValueError: if there is none, or it is no text.
    """
    found = processor.chat_template
    if found is None:
        found = processor.tokenizer.chat_template
    if isinstance(found, Mapping):  # several, by name
        found = found.get("default")
    if found is None:
        raise ValueError(
            "this checkpoint has no chat template, so a question cannot be written as the model "
            "was taught; give the one that it was trained with by chat_template=... or "
            "--chat-template FILE"
        )
    if not isinstance(found, str):
        raise ValueError(
            f"the chat template of this checkpoint is of type {type(found).__name__}, not a text; "
            f"{REMEDY}"
        )
    return found


# Kept, because a process takes a tenth of a second to start, and one checkpoint is often asked for
# the same text: once when it is opened, and once for each view.
@lru_cache(maxsize=64)
def _render(template: str, cases: str) -> Sequence[str]:
    """Render a template in a process of its own, once for each case of variables; as JSON."""
    asked = {
        "template": template,
        "cases": json.loads(cases),
        "seconds": SECONDS,
        "memory": MEMORY,
        "length": LENGTH,
    }
    # A thread cannot be stopped, and one operation of a template (a power, a repeated text) can
    # take hours or all memory. The child's folder is not searched for modules (-P), and it finds
    # Jinja where this process does.
    command = [sys.executable, "-P", "-B", render_template.__file__]
    places = os.pathsep.join(path for path in sys.path if path)
    try:
        child = subprocess.run(
            command,
            input=json.dumps(asked),
            env={**os.environ, "PYTHONPATH": places, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(_explain_runaway()) from None
    if child.returncode < 0:  # ended by the system
        raise ValueError(_explain_runaway())
    # Nothing is written if there is no memory left for an error.
    answer = json.loads(child.stdout or '{"error": "no text"}')
    if "error" in answer:
        reason = " ".join(answer["error"].split())[:200]
        raise ValueError(
            f"the chat template of this checkpoint cannot be rendered ({reason}); {REMEDY}"
        )
    return tuple(answer["texts"])


def _explain_runaway() -> str:
    return (
        f"the chat template of this checkpoint runs away: it was stopped after {SECONDS} s of "
        f"work; {REMEDY}"
    )

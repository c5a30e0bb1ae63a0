"""A live session: a video that is asked and changed again and again, each time shown as a scene."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from probe.engine.answering import write_tokens
from probe.engine.prompts import GENERIC
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.interpret.effects import Effect, compare_readings
from probe.strict_json import parse_json
from probe.viewer.compression import Budget
from probe.viewer.live.changes import Change, does_nothing, make_change, same_target
from probe.viewer.live.messages import Ask, Edit, Message, Open, Undo, read_message
from probe.viewer.scene import Scene, ShownQuestion, choose_grounding_token
from probe.viewer.scene_json import ESCAPES, encode_pictures, encode_scene, make_visible

LIVE_BUDGET = Budget(layer_cells=600_000, head_cells=1_500_000, picture_bytes=800_000)
"""Half as much as a page on disk holds: it goes over the line for every change."""

MOST_CHANGES = 16
"""Changes of one question that act together; a list of more is not understood by anybody."""

MOST_STEPS = 32
"""Steps that can be taken back; older ones are forgotten."""

MOST_SCENES = 2
"""Encoded scenes that are remembered, of a few megabytes each: what is on show, and the one before
it. An older step that is gone back to is read again."""

REFUSALS = (ValueError, RuntimeError, OSError, MemoryError)
"""Errors by which a message, or what it asks of the device, is refused; all else is a fault."""

LONGEST_PROBLEM = 600
"""Characters of an error on the page; libraries may write pages of them."""


@dataclass(frozen=True)
class Reply:
    """A reply to a message, as the JSON text that a page reads."""

    type: Literal["scene", "error"]
    text: str


@dataclass(frozen=True, eq=False)
class Step:
    """A question with changes: one state of a session."""

    question: str
    changes: tuple[Change, ...] = ()
    scene: str | None = None
    """The entries of its reply, as JSON; None where it has to be read again."""


class LiveSession:
    """One video that is asked and changed; what it remembers of that is bounded, and changes.

    Messages come from a page, through whatever carries them, one at a time: a session does not
    lock itself, and a model computes one pass at a time anyway.
    """

    def __init__(
        self,
        view: View,
        question: str = GENERIC,
        *,
        max_new_tokens: int | None = None,
        budget: Budget = LIVE_BUDGET,
    ) -> None:
        """Start with a question, which is read when a page first asks for it.

        Args:
            view: The video as the model sees it.
            question: The question that the page opens with.
            max_new_tokens: Most tokens of the answer that the model writes to each question; None
                for the first token of its answer alone.
            budget: How much of the attention is kept.
        """
        self._view = view
        self._max_new_tokens = max_new_tokens
        self._budget = budget
        self._steps = [Step(question)]
        self._said: tuple[str, list[int]] | None = None
        self._serial = 0

    @property
    def question(self) -> str:
        """The question on show."""
        return self._steps[-1].question

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that act on the question on show."""
        return self._steps[-1].changes

    def open(self) -> str:
        """Return the reply with the scene on show, which is read if it was not.

        Raises:
            ValueError: if the question cannot be asked.
        """
        return self.handle(Open())

    def reply(self, given: Any) -> Reply:
        """Do what a message says, and reply with the scene, or with one line about what is wrong.

        After an error everything is as it was before.

        Args:
            given: The message: JSON text, or the values that it was read to.
        """
        try:
            record = parse_json(given) if isinstance(given, str | bytes) else given
            return Reply("scene", self.handle(read_message(record)))
        except REFUSALS as failure:
            return describe_failure(failure)

    def handle(self, message: Message) -> str:
        """Do what a message says, and return what is then on show, as JSON.

        Raises:
            ValueError: if the question is empty, too long or unsafe, a change is of something that
                does not exist, or there is nothing to take back.
        """
        match message:
            case Open():
                steps = self._steps
            case Undo():
                steps = self._go_back()
            case Ask(question):
                steps = [*self._steps, Step(question)]
            case _:
                steps = [*self._steps, self._change(message)]
        shown = self._show(steps[-1])
        # Only now, when nothing can fail any more, the session changes.
        older = [replace(step, scene=None) for step in steps[:-MOST_SCENES]]
        self._steps = [*older, *steps[-MOST_SCENES:-1], shown][-MOST_STEPS:]
        return self._write(shown)

    def _go_back(self) -> list[Step]:
        if len(self._steps) == 1:
            raise ValueError("there is nothing to undo; the page is as it was opened")
        return self._steps[:-1]

    def _change(self, edit: Edit) -> Step:
        """Add a change to those of the question; one of the same target takes its place."""
        kept = tuple(one for one in self.changes if not same_target(one.edit, edit))
        if does_nothing(edit):
            return Step(self.question, kept)
        if len(kept) == MOST_CHANGES:
            raise ValueError(f"{MOST_CHANGES} changes act together already; undo one, or ask anew")
        prompt = self._view.writer.write(self.question)
        return Step(self.question, (*kept, make_change(edit, self._view, prompt)))

    def _show(self, step: Step) -> Step:
        """Read a step, unless its scene is remembered."""
        if step.scene is not None:
            return step
        before, after, base = self._read(step)
        effect = compare_readings(self._view, before, after)
        scene = self._make_scene(step, effect, base)
        text = encode_scene(scene, self._budget, self._pictures)
        about = self._describe(step, effect)
        return replace(step, scene=f'"scene":{text},"live":{about}')

    def _read(self, step: Step) -> tuple[Reading, Reading, Reading]:
        """Read a question unchanged and changed, and the generic prompt."""
        view, question = self._view, step.question
        plain = self._write_answer(question)
        if not step.changes:
            reading, base = view.read([question, GENERIC], answer=[plain, plain])
            return reading, reading, base
        changed = view.under(*(change.intervention for change in step.changes))
        said = self._generate(changed, question)
        # After both the same answer is read, so that its tokens can be compared.
        before, base = view.read([question, GENERIC], answer=[said, said])
        (after,) = changed.read(question, answer=said)
        return before, after, base

    def _generate(self, view: View, question: str) -> list[int] | None:
        if self._max_new_tokens is None:
            return None
        return write_tokens(view, question, max_new_tokens=self._max_new_tokens) or None

    def _write_answer(self, question: str) -> list[int] | None:
        """Write the answer to a question with nothing changed; that of the last is remembered."""
        if self._said is None or self._said[0] != question:
            self._said = (question, self._generate(self._view, question) or [])
        return self._said[1] or None

    def _make_scene(self, step: Step, effect: Effect, base: Reading) -> Scene:
        asked, changed = (
            ShownQuestion(reading, base, chosen=choose_grounding_token(reading))
            for reading in (effect.before, effect.after)
        )
        shown = replace(changed, before=asked, change="edits") if step.changes else asked
        view = self._view
        return Scene(view.video, (shown,), title=step.question, model=view.model)

    def _describe(self, step: Step, effect: Effect) -> str:
        """Write the margins, answers and changes of a step as JSON."""
        said = (self._write_answer(step.question) or [], effect.after.prompt.answer_ids)
        written = self._max_new_tokens is not None
        answers = [self._decode(ids) for ids in said] if written else list(effect.answers)
        record = {
            "question": step.question,
            "margins": [round(one.margin, 4) for one in (effect.before, effect.after)],
            "answers": answers,
            "written": written,
            "changes": [change.to_dict() for change in step.changes],
            "depth": self._view.checkpoint.depth,
        }
        return _write_json(record)

    def _decode(self, ids: Sequence[int]) -> str:
        text = self._view.writer.tokenizer.decode(list(ids), skip_special_tokens=True)
        return str(text).strip()

    def _write(self, step: Step) -> str:
        """Write the reply of a step that is on show."""
        # A notebook's widget sends nothing to its page when a text stays the same.
        self._serial += 1
        undo = len(self._steps) - 1
        return f'{{"type":"scene","serial":{self._serial},"undo":{undo},{step.scene}}}'

    @cached_property
    def _pictures(self) -> Sequence[str]:
        """The video's pictures, encoded once for all scenes."""
        return encode_pictures(self._view.video, self._budget)


def describe_failure(failure: BaseException) -> Reply:
    """Make the reply that says in one line what is wrong."""
    lines = [line.strip() for line in str(failure).split("\n") if line.strip()]
    line = lines[0] if lines else type(failure).__name__
    if isinstance(failure, MemoryError) or "out of memory" in line.lower():
        line = f"not enough memory ({line}); ask a shorter question, or open fewer frames"
    line = line if len(line) <= LONGEST_PROBLEM else f"{line[:LONGEST_PROBLEM]}…"
    return Reply("error", _write_json({"type": "error", "message": line}))


def _write_json(record: dict[str, Any]) -> str:
    """Write a record as JSON in which nothing ends a script element or moves a cursor."""
    text = json.dumps(make_visible(record), allow_nan=False, separators=(",", ":"))
    for sign, escaped in ESCAPES.items():
        text = text.replace(sign, escaped)
    return text

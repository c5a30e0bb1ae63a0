"""Presence: does the model itself say that the queried thing is in the video, and how clearly?"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch

from probe.engine.interventions import Intervention
from probe.engine.readings import yes_minus_no
from probe.engine.view import View
from probe.grounding.queries import as_question

QUESTIONS_A_PASS = 16
"""Questions packed in one pass. A packed row costs its length squared, so memory does not grow with
the number of questions."""


CALIBRATED: Mapping[str, float] = MappingProxyType({"organism": 1.21})
"""Thresholds by model: the presence, in logits, that tells best what is there from what is not.
That of the shipped model is the one of greatest balanced accuracy on `shapes-val`, with one hard
absent query of each kind a clip (`analyses/presence.py`). No other model has one: margins only."""


def measure_presence(view: View, *queries: str) -> tuple[float, ...]:
    """Compute how clearly the model says that each queried thing is in the video.

    Returns:
        One margin for each query: yes minus no, in logits, of the question whether it is there.
        Above 0 the model says yes.

    Raises:
        ValueError: if a query is empty or too long, or holds control tokens.
    """
    medium = view.checkpoint.medium
    return read_margins(view, [as_question(query, medium) for query in queries])


@torch.no_grad()
def read_margins(
    view: View,
    questions: Sequence[str],
    interventions: Sequence[Sequence[Intervention]] | None = None,
    *,
    batch_size: int = QUESTIONS_A_PASS,
) -> tuple[float, ...]:
    """Compute the yes margin of each question, in passes of bounded size.

    Args:
        view: The video as the model sees it.
        questions: Yes-or-no questions; the same one may be given many times.
        interventions: What is done to the model while it reads each of them; nothing by default.
        batch_size: Most questions in one pass.

    Returns:
        One margin for each question: yes minus no, in logits.
    """
    margins: list[float] = []
    for start in range(0, len(questions), batch_size):
        part = slice(start, start + batch_size)
        done = None if interventions is None else interventions[part]
        logits = view.answer_logits(*questions[part], interventions_per_question=done)
        margins += yes_minus_no(logits, view.checkpoint.answers).tolist()
    return tuple(margins)

"""Presence: does the model itself say that the queried thing is in the video, and how clearly?"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.interventions import Intervention
from probe.engine.reader import A_PASS
from probe.engine.readings import yes_minus_no
from probe.engine.view import View
from probe.grounding.queries import as_question

QUESTIONS_A_PASS = A_PASS
"""Questions packed in one pass, so that memory does not grow with the number of questions."""


CALIBRATED: Mapping[str, float] = MappingProxyType({"organism": -0.04, "things": 0.07})
"""Thresholds by model: the presence, in logits, that tells best what is there from what is not.
Those of the shipped models are of greatest balanced accuracy on `shapes-val` and `things-val`, with
one hard absent query of each kind a clip (`analyses/presence.py`, `analyses/things_grounding.py`).
No other model has one: margins only."""


def measure_presence(view: View, *queries: str) -> tuple[float, ...]:
    """Compute how clearly the model says that each queried thing is in the video.

    Returns:
        One margin for each query: yes minus no, in logits, of the question whether it is there.
        Above 0 the model says yes.

    Raises:
        ValueError: if a query is empty or too long, or holds control tokens.
    """
    return read_margins(view, ask_whether(view, *queries))


def ask_whether(view: View, *queries: str) -> list[str]:
    """Write the question whether each queried thing is there, in the video or the picture."""
    return [as_question(query, view.checkpoint.medium) for query in queries]


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
    # Margins are taken from each pass by itself: a vocabulary is long, and questions may be many.
    for logits in read_answers(view, questions, interventions, batch_size=batch_size):
        margins += yes_minus_no(logits, view.checkpoint.answers).tolist()
    return tuple(margins)


def read_answers(
    view: View,
    questions: Sequence[str],
    interventions: Sequence[Sequence[Intervention]] | None = None,
    *,
    batch_size: int = QUESTIONS_A_PASS,
) -> Iterator[Float[Tensor, "question word"]]:
    """Compute the logits of the first token of each answer, in passes of bounded size.

    Args:
        view: The video as the model sees it.
        questions: What to ask; the same question may be given many times.
        interventions: What is done to the model while it reads each of them; nothing by default.
        batch_size: Most questions in one pass.

    Yields:
        The logits of one pass.
    """
    for start in range(0, len(questions), batch_size):
        part = slice(start, start + batch_size)
        done = None if interventions is None else interventions[part]
        with torch.no_grad():
            logits = view.answer_logits(*questions[part], interventions_per_question=done)
        yield logits

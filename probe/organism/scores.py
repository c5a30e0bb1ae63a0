"""Scores of an organism: are its answers right, and does it look at what it answers about?"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch

from probe.engine.attention import ON_TUBE
from probe.engine.model import VideoLM
from probe.engine.view import Reading
from probe.organism.batches import (
    IGNORED_LABEL,
    QuestionBatch,
    collate_questions,
    make_clip_questions,
    pack_questions,
)
from probe.organism.benchmark import Case
from probe.organism.questions import QuestionAnswer
from probe.organism.recipe import CutShares
from probe.organism.shapes import SHAPES
from probe.organism.training import compute_answer_logits
from probe.organism.worlds import Clip, World
from probe.progress import make_bar

Window: TypeAlias = tuple[int, ...]
"""Layers whose attention is averaged."""

NO_CUTS = CutShares(local=0.0, partial=0.0, words=0.0, role=0.0)
"""No edge cut: the causal mask with which the checkpoint is used after training."""


def measure_looks(
    model: VideoLM,
    asked: Sequence[Case],
    shown: Sequence[Case] | None = None,
    windows: Sequence[Window] | None = None,
) -> pd.DataFrame:
    """Measure where each token looks, averaged over heads.

    Args:
        model: The organism.
        asked: Questions, and the truths that the looks are compared with.
        shown: Cases whose clips are shown in place of those of `asked`, as a control.
        windows: Sets of layers to average; by default each layer is one.

    Returns:
        One row for each case, token and window, with the columns `case`, `action`, `token`, `kind`,
        `name`, `layers`; `on_track` and `in_span`: whether the strongest cell is on the true track
        and in the true span; `track`: whether the true track is the best of the clip's true tracks;
        `activation`: the weight of the strongest cell; `right`: whether the answer was yes; and,
        as `chance_...`, the chance that a random cell or track is right.
    """
    windows = windows or [(layer,) for layer in range(model.depth)]
    pairs = list(zip(asked, shown or asked, strict=True))
    return pd.concat(
        [
            _measure_case(model, case, seen, windows)
            for case, seen in make_bar(pairs, desc="looks", unit="clip", leave=False)
        ]
    )


def _measure_case(
    model: VideoLM, case: Case, seen: Case, windows: Sequence[Window]
) -> pd.DataFrame:
    reading = model.watch(seen.clip.video()).read(case.question)[0]
    by_layer = reading.attention.mean(1).flatten(2).numpy()
    maps = np.stack([by_layer[list(window)].mean(0) for window in windows])
    cells = reading.grid.cells
    shares = np.stack([cells.coverage(track).ravel() for track in case.tracks])
    inside = np.array([frames[0] in case.thing.span for frames in cells.frames])
    peak = maps.argmax(-1)
    # The rule of `best_track`, for all tokens at once, which is many times faster. Of equal tracks
    # the first one wins, which is the true one.
    pointed_at = (maps[:, :, None] * shares).max(-1).argmax(-1)
    tokens = range(len(reading.tokens))
    return pd.DataFrame(
        {
            "case": case.name,
            "action": case.thing.action,
            "right": reading.margin > 0,
            "chance_on_track": float((shares[0] > ON_TUBE).mean()),
            "chance_in_span": float(inside.mean()),
            "chance_track": 1 / len(case.tracks),
            "token": np.tile(tokens, len(windows)),
            "kind": [token.kind for token in reading.prompt.tokens] * len(windows),
            "name": [name_token(reading, token, case) for token in tokens] * len(windows),
            "layers": [window for window in windows for _ in tokens],
            "on_track": (shares[0][peak] > ON_TUBE).ravel(),
            "in_span": inside[peak // (cells.rows * cells.columns)].ravel(),
            "track": (pointed_at == 0).ravel(),
            "activation": maps.max(-1).ravel(),
        }
    )


def name_token(reading: Reading, token: int, case: Case) -> str:
    """Name a token by its part in the question, so that questions about other things compare."""
    text = reading.tokens[token]
    if reading.prompt.tokens[token].kind == "role":
        return text
    parts = (name for name, words in case.thing.words.items() if text in words.split())
    return next(parts, text)


def measure_answers(model: VideoLM, seed: int, clips: int, world: World = SHAPES) -> pd.DataFrame:
    """Measure whether questions about clips are answered right, to the letter.

    Args:
        model: The organism.
        seed: Seed of the clips and questions.
        clips: Number of clips.
        world: The world of the clips.

    Returns:
        One row for each question: `clip`, `kind`, `style`, `answer`, `action` and `right`, and the
        world's groups of clips.
    """
    rows = []
    for index in make_bar(range(clips), desc="answers", unit="clip", leave=False):
        questions = make_clip_questions(seed, index, world=world)
        clip = world.make_clip((seed, index))
        rows += [
            {
                "clip": index,
                "kind": question.kind,
                "style": question.style,
                "answer": question.answer,
                "action": question.about.action if question.about else None,
                "right": right,
                **world.group(clip),
            }
            for question, right in zip(
                questions, check_answers(model, clip, questions, world), strict=True
            )
        ]
    return pd.DataFrame(rows)


def check_answers(
    model: VideoLM, clip: Clip, questions: Sequence[QuestionAnswer], world: World = SHAPES
) -> list[bool]:
    """Tell for each question whether an organism's answer is right, to the letter.

    Args:
        model: The organism.
        clip: The clip that it is shown.
        questions: Questions and the right answers; all are asked in one pass.
        world: The world of the clip.
    """
    batch = QuestionBatch(**collate_questions([pack_questions(clip, questions, world)]))
    network, generator = model.checkpoint.module, torch.Generator()
    with torch.no_grad():
        logits = compute_answer_logits(network, batch, NO_CUTS, generator, world)
    # Each word is compared with the first choice after the right words before it. If all are
    # equal, the model would have written this answer by first choices; if one is not, another.
    right = (logits[0].argmax(-1) == batch.labels[0]) | (batch.labels[0] == IGNORED_LABEL)
    return [bool(right[batch.questions[0] == number].all()) for number in range(len(questions))]

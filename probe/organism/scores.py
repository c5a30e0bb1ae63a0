"""How good an organism is: are its answers right, and does it look where it answers about?"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from probe.engine.attention import ON_TUBE
from probe.engine.model import VideoLM
from probe.engine.view import Reading
from probe.organism.benchmark import Case
from probe.organism.lessons import (
    IGNORED,
    QuestionBatch,
    asked_in,
    collate_questions,
    packed,
)
from probe.organism.recipe import Shares
from probe.organism.training import answer_logits
from probe.organism.world import make_clip

Window: TypeAlias = tuple[int, ...]
"""Layers whose attention is averaged."""

NO_CUTS = Shares(local=0.0, partial=0.0, words=0.0, role=0.0)
"""The plain class with its plain causal mask."""


def looks(
    model: VideoLM,
    asked: Sequence[Case],
    shown: Sequence[Case] | None = None,
    windows: Sequence[Window] | None = None,
) -> pd.DataFrame:
    """Where each token looks, one row for each case, token and window of layers (heads averaged).

    Columns: `case`, `token`, `kind`, `name`, `layers`; `on_track` and `in_span`: whether the
    strongest cell lies on the true track and in the true span; `track`: whether the true track
    wins among the true tracks of the clip; `activation`; `right`: whether the answer was yes; and
    the chances of the same by a cell, or a track, drawn at random.

    Args:
        model: The organism.
        asked: The questions, and the truths the looks are compared with.
        shown: Whose clips are shown instead of each case's own: the control.
        windows: Sets of layers to average; by default each layer on its own.
    """
    windows = windows or [(layer,) for layer in range(model.depth)]
    pairs = list(zip(asked, shown or asked, strict=True))
    return pd.concat(
        [
            _looks(model, case, seen, windows)
            for case, seen in tqdm(pairs, desc="looks", unit="clip", leave=False)
        ]
    )


def _looks(model: VideoLM, case: Case, seen: Case, windows: Sequence[Window]) -> pd.DataFrame:
    reading = model.watch(seen.clip.video()).read(case.question)[0]
    by_layer = reading.attention.mean(1).flatten(2).numpy()
    maps = np.stack([by_layer[list(window)].mean(0) for window in windows])
    cells = reading.grid.cells
    shares = np.stack([cells.coverage(track).ravel() for track in case.tracks])
    inside = np.array([frames[0] in case.thing.span for frames in cells.frames])
    peak = maps.argmax(-1)
    # `best_track`, for all tokens at once: of equals the first, which is the true one
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
            "name": [part_played(reading, token, case) for token in tokens] * len(windows),
            "layers": [window for window in windows for _ in tokens],
            "on_track": (shares[0][peak] > ON_TUBE).ravel(),
            "in_span": inside[peak // (cells.rows * cells.columns)].ravel(),
            "track": (pointed_at == 0).ravel(),
            "activation": maps.max(-1).ravel(),
        }
    )


def part_played(reading: Reading, token: int, case: Case) -> str:
    """The part a token plays in the question, the same for all questions of a form."""
    text = reading.tokens[token]
    if reading.prompt.tokens[token].kind == "role":
        return text
    if text in (case.thing.colour, case.thing.shape):
        return "COLOUR" if text == case.thing.colour else "SHAPE"
    return "ACTION" if text in case.thing.action.split() else text


def answers(model: VideoLM, seed: int, clips: int) -> pd.DataFrame:
    """Whether questions about fresh clips are answered right, to the letter: one row a question.

    Every word of an answer is compared with the model's first choice given the right words
    before it, which is the same as letting it write the whole answer by first choices.
    """
    network = model.network.module
    rows = []
    for index in tqdm(range(clips), desc="answers", unit="clip", leave=False):
        questions = asked_in(seed, index)
        clip = make_clip((seed, index))
        batch = QuestionBatch(**collate_questions([packed(clip, questions)]))
        with torch.no_grad():
            logits = answer_logits(network, batch, NO_CUTS, torch.Generator())
        counted = batch.labels[0] != IGNORED
        right = logits[0].argmax(-1) == batch.labels[0]
        for number, question in enumerate(questions):
            words = counted & (batch.questions[0] == number)
            rows.append(
                {
                    "clip": index,
                    "kind": question.kind,
                    "answer": question.answer,
                    "action": question.about.action if question.about else None,
                    "right": bool(right[words].all()),
                }
            )
    return pd.DataFrame(rows)

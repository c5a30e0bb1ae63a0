"""How good an organism is: are its answers right, and does it look where it answers about?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from probe.attention import Heatmap
from probe.model import VideoLM
from probe.organism.lessons import (
    IGNORED,
    QuestionBatch,
    QuestionLesson,
    asked_in,
    collate_questions,
)
from probe.organism.questions import existence
from probe.organism.recipe import Shares
from probe.organism.training import answer_logits
from probe.organism.world import Clip, Thing, make_clip
from probe.tracks import best_track
from probe.view import Reading

ON_TRACK = 0.1
"""Least share of a cell that the true box must cover for the cell to lie on the track."""

NO_CUTS = Shares(local=0.0, partial=0.0, words=0.0, role=0.0)
"""The plain class with its plain causal mask."""


@dataclass(frozen=True)
class Case:
    """A clip and the thing in it that is asked about."""

    clip: Clip
    thing: Thing

    @property
    def question(self) -> str:
        """Whether the thing is there and does what it does."""
        return existence(f"{self.thing.attribute} that {self.thing.action}", "the")


def cases(seed: int, count: int) -> Iterator[Case]:
    """One thing of each of `count` clips that belong to a seed."""
    for index in range(count):
        clip = make_clip((seed, index))
        which = int(np.random.default_rng((seed, index, 2)).integers(len(clip.things)))
        yield Case(clip, clip.things[which])


def looks(model: VideoLM, asked: Iterable[Case]) -> pd.DataFrame:
    """Where each token looks at each layer (heads averaged), one row a case, token and layer.

    Columns: `case`, `token`, `kind`, `layer`; `on_track` and `in_span`: whether the strongest
    cell lies on the true track and in the true span; `track`: whether the true track wins among
    the true tracks of the clip; `activation`; `right`: whether the answer was yes; and the
    chances of the same by a cell, or a track, drawn at random.
    """
    rows = []
    for number, case in enumerate(asked):
        reading = model.watch(case.clip.video()).read(case.question)[0]
        truths = [thing.track() for thing in case.clip.things]
        truth = truths[case.clip.things.index(case.thing)]
        share = reading.grid.cells.coverage(truth)
        inside = np.array([f[0] in case.thing.span for f in reading.grid.cells.frames])
        common = {
            "case": number,
            "action": case.thing.action,
            "right": reading.margin > 0,
            "chance_on_track": float((share > ON_TRACK).mean()),
            "chance_in_span": float(inside.mean()),
            "chance_track": 1 / len(truths),
        }
        for token, layer, heatmap in _maps(reading):
            frame, row, column = heatmap.peak
            rows.append(
                {
                    **common,
                    "token": token,
                    "kind": reading.prompt.tokens[token].kind,
                    "name": _name(reading, token, case),
                    "layer": layer,
                    "on_track": share[frame, row, column] > ON_TRACK,
                    "in_span": bool(inside[frame]),
                    "track": best_track(truths, heatmap) is truth,
                    "activation": float(heatmap.values.max()),
                }
            )
    return pd.DataFrame(rows)


def _maps(reading: Reading) -> Iterator[tuple[int, int, Heatmap]]:
    for token in range(len(reading.tokens)):
        for layer in reading.layers:
            yield token, layer, reading.heatmap(token, [layer])


def _name(reading: Reading, token: int, case: Case) -> str:
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
    for index in range(clips):
        lesson = QuestionLesson(seed, clips)[index]
        batch = QuestionBatch(**collate_questions([lesson]))
        with torch.no_grad():
            logits = answer_logits(network, batch, NO_CUTS, torch.Generator())
        counted = batch.labels[0] != IGNORED
        right = logits[0].argmax(-1) == batch.labels[0]
        for number, question in enumerate(asked_in(seed, index)):
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


def interval(values: Sequence[float], seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean."""
    array = np.asarray(values, dtype=np.float64)
    chosen = np.random.default_rng(seed).integers(len(array), size=(draws, len(array)))
    low, high = np.quantile(array[chosen].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)

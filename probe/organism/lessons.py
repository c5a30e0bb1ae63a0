"""Batches to learn from: frames with their tags, and clips with their questions packed behind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from probe.organism.network import make_tokenizer, token_ids
from probe.organism.questions import HARD, Question, ask
from probe.organism.world import ACTIONS, COLOURS, LENGTH, SHAPES, STATES, Clip, Thing, make_clip

BEFORE = ("<s>", "USER", ":")
"""The tokens before the video."""

ROLE = ("A", "##SS", "##IST", "##ANT", ":")
"""The tokens between a question and its answer."""

IGNORED = -100
"""The label of tokens whose prediction does not count."""

RESTS = "rests"
"""What a thing does in a frame in which it does nothing that the frame shows."""

EASIEST = 0.4
"""Share of hard negatives at the start of a lesson."""

FRAMES_A_CLIP = 3
"""Frames taken from each clip for learning tags of frames."""

FRAME_TAGS = tuple(product(COLOURS, SHAPES, (RESTS, *STATES)))
"""Every tag a frame can carry: what is in it and how it looks, never where."""

CLIP_TAGS = tuple(product(COLOURS, SHAPES, ACTIONS))
"""Every tag a clip can carry: what is in it and what it does, never where or when."""


@dataclass(frozen=True)
class TagBatch:
    """Frames, or clips of several, and which tags each of them carries."""

    frames: UInt8[Tensor, "item *frame height width 3"]
    tags: Float[Tensor, "item tag"]


@dataclass(frozen=True)
class QuestionBatch:
    """Clips, each with all its questions and answers in one row behind it."""

    videos: UInt8[Tensor, "clip frame height width 3"]
    ids: Int[Tensor, "clip token"]
    places: Int[Tensor, "clip token"]
    """How far behind the video a token stands; every question starts at 0."""
    questions: Int[Tensor, "clip token"]
    """Which question a token belongs to; -1 for padding."""
    roles: Int[Tensor, "clip token"]
    """0 for words of the question, 1 for role tokens, 2 for words of the answer."""
    labels: Int[Tensor, "clip token"]
    tags: Float[Tensor, "clip tag"]
    """What each clip carries, as in `CLIP_TAGS`."""


def visible_state(thing: Thing, frame: int) -> str:
    """How a thing looks in one frame."""
    return thing.action if thing.action in STATES and frame in thing.span else RESTS


def frame_tags(clip: Clip, frame: int) -> Float[np.ndarray, " tag"]:
    """1 for every tag that some thing in the frame carries."""
    shown = {(one.colour, one.shape, visible_state(one, frame)) for one in clip.things}
    return np.array([tag in shown for tag in FRAME_TAGS], dtype=np.float32)


def clip_tags(clip: Clip) -> Float[np.ndarray, " tag"]:
    """1 for every tag that some thing in the clip carries."""
    shown = {(one.colour, one.shape, one.action) for one in clip.things}
    return np.array([tag in shown for tag in CLIP_TAGS], dtype=np.float32)


class Lesson(Dataset[Any]):
    """Things to learn from, one a clip; the same for the same seed."""

    def __init__(self, seed: int, length: int) -> None:
        self.seed, self.length = seed, length

    def __len__(self) -> int:
        return self.length


class FrameLesson(Lesson):
    """Frames of the `index`-th clip and their tags."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        clip = make_clip((self.seed, index))
        rng = np.random.default_rng((self.seed, index, 1))
        chosen = [int(frame) for frame in rng.integers(0, LENGTH, size=FRAMES_A_CLIP)]
        frames = np.stack([clip.frame(frame) for frame in chosen])
        return frames, np.stack([frame_tags(clip, frame) for frame in chosen])


class ClipLesson(Lesson):
    """The `index`-th clip, sampled, and its tags."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        clip = make_clip((self.seed, index))
        return clip.video().frames[None], clip_tags(clip)[None]


def hardness(done: float) -> float:
    """Share of hard negatives after a share of the lesson: all easy at first, or nothing sticks.

    >>> hardness(0.0), round(hardness(0.25), 3), hardness(1.0)
    (0.4, 0.6, 0.8)
    """
    return min(HARD, EASIEST + 2 * done * (HARD - EASIEST))


class QuestionLesson(Lesson):
    """The `index`-th clip and its packed questions, harder towards the end."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        questions = asked_in(self.seed, index, hardness(index / self.length))
        return packed(make_clip((self.seed, index)), questions)


def packed(clip: Clip, questions: Sequence[Question]) -> dict[str, Any]:
    """A clip and the row of its questions and answers."""
    row: dict[str, list[int]] = {name: [] for name in _ROWS}
    for number, question in enumerate(questions):
        _pack(row, number, encode(question.text), encode(question.answer))
    return {"videos": clip.video().frames, "tags": clip_tags(clip), **row}


def asked_in(seed: int, index: int, hard: float = HARD) -> list[Question]:
    """The questions of the `index`-th clip of a lesson."""
    return ask(make_clip((seed, index)), np.random.default_rng((seed, index, 1)), hard)


_ROWS = ("ids", "places", "questions", "roles", "labels")
_PADDING = {"ids": 0, "places": 0, "questions": -1, "roles": 0, "labels": IGNORED}


def _pack(row: dict[str, list[int]], number: int, asked: list[int], answer: list[int]) -> None:
    """Append a question and its answer to a row; each token's label is the next token."""
    role, answer = token_ids(ROLE), [*answer, *token_ids(["</s>"])]
    ids = [*asked, *role, *answer]
    silent = len(asked) + len(role) - 1
    row["ids"] += ids
    row["places"] += range(len(ids))
    row["questions"] += [number] * len(ids)
    row["roles"] += [0] * len(asked) + [1] * len(role) + [2] * len(answer)
    row["labels"] += [IGNORED] * silent + answer + [IGNORED]


@lru_cache(maxsize=100_000)
def _encoded(text: str) -> tuple[int, ...]:
    return tuple(_tokenizer().encode(text, add_special_tokens=False))


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    return make_tokenizer()


def encode(text: str) -> list[int]:
    """The ids of a question or an answer.

    Raises:
        ValueError: if it holds a word the organism does not know.
    """
    ids = list(_encoded(text))
    if token_ids(["<unk>"])[0] in ids:
        raise ValueError(f"the organism has no word for something in {text!r}")
    return ids


def frame_batches(seed: int, batches: int, clips: int) -> Iterator[TagBatch]:
    """Batches of frames with their tags, made in a process of their own."""
    for frames, tags in _load(FrameLesson(seed, batches * clips), clips, _collate_tags):
        yield TagBatch(frames, tags)


def clip_batches(seed: int, batches: int, clips: int) -> Iterator[TagBatch]:
    """Batches of clips with their tags, made in a process of their own."""
    for frames, tags in _load(ClipLesson(seed, batches * clips), clips, _collate_tags):
        yield TagBatch(frames, tags)


def question_batches(seed: int, first: int, last: int, clips: int) -> Iterator[QuestionBatch]:
    """Batches `first` to `last` of clips with questions, made in a process of their own."""
    lesson = QuestionLesson(seed, last * clips)
    wanted = torch.utils.data.Subset(lesson, range(first * clips, last * clips))
    for fields_ in _load(wanted, clips, collate_questions):
        yield QuestionBatch(**fields_)


def _load(lesson: Dataset[Any], clips: int, collate: Any) -> DataLoader[Any]:
    return DataLoader(
        lesson, batch_size=clips, collate_fn=collate, num_workers=1, prefetch_factor=8
    )


def _collate_tags(items: list[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
    frames, tags = (np.concatenate(part) for part in zip(*items, strict=True))
    return torch.from_numpy(frames), torch.from_numpy(tags)


def collate_questions(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Rows of one batch, padded at the end to the longest."""
    length = max(len(item["ids"]) for item in items)
    batch = {
        name: torch.from_numpy(np.stack([item[name] for item in items]))
        for name in ("videos", "tags")
    }
    for name in _ROWS:
        padded = [item[name] + [_PADDING[name]] * (length - len(item[name])) for item in items]
        batch[name] = torch.tensor(padded)
    return batch


def moved(batch: Any, device: torch.device) -> Any:
    """The same batch on another device."""
    return type(batch)(**{f.name: getattr(batch, f.name).to(device) for f in fields(batch)})

"""Training batches: frames with their tags, and clips with their questions packed into a row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from probe.organism.questions import HARD_SHARE, QuestionAnswer
from probe.organism.shapes import SHAPES
from probe.organism.statements import STATEMENT_PADDING, UNKNOWN_TRUTH, pack_statements
from probe.organism.tokens import encode, get_token_ids
from probe.organism.worlds import Clip, World

QUESTION_PART, ROLE_PART, ANSWER_PART, STATEMENT_PART = 0, 1, 2, 3
"""Parts of a row of tokens: the words of a question, its role tokens, the words of its answer, and
the words of statements, which come after all questions."""

IGNORED_LABEL = -100
"""Label of a token whose prediction does not count; the value that `cross_entropy` ignores."""

FIRST_HARD_SHARE = 0.4
"""Share of hard questions among those to be denied, at the start of training."""


@dataclass(frozen=True)
class TagBatch:
    """Frames, or clips of several frames, and the tags that each of them carries."""

    frames: UInt8[Tensor, "item *frame height width 3"]
    tags: Float[Tensor, "item tag"]


@dataclass(frozen=True)
class StatementBatch(TagBatch):
    """Parts of clips with their tags, each with a row of statements (`statements`)."""

    ids: Int[Tensor, "item word"]
    places: Int[Tensor, "item word"]
    """Position of a word within its statement."""
    statements: Int[Tensor, "item word"]
    """Number of the statement that a word belongs to; -1 for padding."""
    truth: Int[Tensor, "item word"]
    """1 or 0 at the last word of each statement, elsewhere `UNKNOWN_TRUTH`."""

    def shorten(self, *, stated: bool) -> "StatementBatch":
        """Return the batch without statements, or without padding that none of its rows needs."""
        longest = int((self.statements >= 0).sum(1).max()) if stated else 0
        return replace(
            self, **{name: getattr(self, name)[:, :longest] for name in STATEMENT_PADDING}
        )


@dataclass(frozen=True)
class QuestionBatch:
    """Clips, each with a row of tokens that contains all its questions and answers."""

    videos: UInt8[Tensor, "clip frame height width 3"]
    ids: Int[Tensor, "clip token"]
    places: Int[Tensor, "clip token"]
    """Position of a token within its question, counted from the end of the video."""
    questions: Int[Tensor, "clip token"]
    """Number of the question or statement that a token belongs to; -1 for padding."""
    parts: Int[Tensor, "clip token"]
    """`QUESTION_PART`, `ROLE_PART`, `ANSWER_PART` or `STATEMENT_PART`."""
    labels: Int[Tensor, "clip token"]
    """The next token where it is one of the answer, elsewhere `IGNORED_LABEL`."""
    truth: Int[Tensor, "clip token"]
    """1 or 0 at the last word of each statement, elsewhere `UNKNOWN_TRUTH`."""
    tags: Float[Tensor, "clip tag"]
    """1 for each of the world's `clip_tags` that a clip carries."""

    def shorten(self, length: int) -> "QuestionBatch":
        """Return the batch with the first `length` tokens of each row."""
        rows = {name: getattr(self, name)[:, :length] for name in _QUESTION_PADDING}
        return replace(self, **rows)


class SeededDataset(Dataset[Any]):
    """Training items, one for each clip; the same seed gives the same items."""

    def __init__(self, seed: int, length: int, world: World = SHAPES) -> None:
        self.seed, self.length, self.world = seed, length, world

    def __len__(self) -> int:
        return self.length


class FrameDataset(SeededDataset):
    """Some frames of each clip, and their tags."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        world = self.world
        clip = world.make_clip((self.seed, index))
        rng = np.random.default_rng((self.seed, index, 1))
        chosen = [int(frame) for frame in rng.integers(0, world.length, size=world.frames_a_clip)]
        tags = [world.frame_tags.mark(world.list_frame_tags(clip, frame)) for frame in chosen]
        return clip.frames(chosen), np.stack(tags)


class StatedDataset(SeededDataset):
    """Clips about which there may be statements."""

    def __init__(
        self, seed: int, length: int, world: World = SHAPES, *, stated: bool = False
    ) -> None:
        super().__init__(seed, length, world)
        self.stated = stated


class ClipDataset(StatedDataset):
    """The sampled frames of each clip, or of a part of it, its tags, and statements about it."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        world, sampled = self.world, self.world.sample()
        clip = world.make_clip((self.seed, index))
        length = world.tagged_frames or len(sampled)
        rng = np.random.default_rng((self.seed, index, 1))
        first = int(rng.integers(len(sampled) - length + 1))
        frames = list(sampled[first : first + length])
        marks = world.clip_tags.mark(world.list_clip_tags(clip, world.span_of(frames)))
        row: dict[str, list[int]] = {name: [] for name in STATEMENT_PADDING}
        if self.stated:
            row = pack_statements(world.clip_tags, marks, rng, world)
        return {"frames": clip.frames(frames), "tags": marks, **row}


def schedule_hard_share(done: float) -> float:
    """Compute the share of hard questions to be denied after a share of the training.

    It starts low, since from hard questions alone nothing is learned at first.

    >>> schedule_hard_share(0.0), round(schedule_hard_share(0.25), 3), schedule_hard_share(1.0)
    (0.4, 0.6, 0.8)
    """
    return min(HARD_SHARE, FIRST_HARD_SHARE + 2 * done * (HARD_SHARE - FIRST_HARD_SHARE))


class QuestionDataset(StatedDataset):
    """Each clip, its packed questions, which get harder with the index, and statements about it."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        hard = schedule_hard_share(index / self.length)
        clip = self.world.make_clip((self.seed, index))
        questions = make_clip_questions(self.seed, index, hard, self.world)
        packed = pack_questions(clip, questions, self.world)
        if self.stated:
            rng = np.random.default_rng((self.seed, index, 2))
            _append_statements(packed, len(questions), rng, self.world)
        return packed


def pack_questions(
    clip: Clip, questions: Sequence[QuestionAnswer], world: World = SHAPES
) -> dict[str, Any]:
    """Return the frames and tags of a clip, and one row with all its questions and answers."""
    # A video has 392 tokens, a question about fifteen. Packed, the video is read once for all its
    # questions; the attention mask keeps these apart, so that each is learned as if it were alone.
    row: dict[str, list[int]] = {name: [] for name in _QUESTION_PADDING}
    for number, question in enumerate(questions):
        _append_question(row, number, question, world)
    tags = world.clip_tags.mark(world.list_clip_tags(clip, world.whole))
    return {"videos": clip.video().frames, "tags": tags, **row}


def make_clip_questions(
    seed: int, index: int, hard: float = HARD_SHARE, world: World = SHAPES
) -> list[QuestionAnswer]:
    """Make the questions about one clip of a `QuestionDataset`.

    Args:
        seed: Seed of the data set.
        index: Number of the clip.
        hard: Share of hard questions among those to be denied.
        world: The world of the clip.
    """
    rng = np.random.default_rng((seed, index, 1))
    return world.make_questions(world.make_clip((seed, index)), rng, hard)


_QUESTION_PADDING = {
    "ids": 0,
    "places": 0,
    "questions": -1,
    "parts": QUESTION_PART,
    "labels": IGNORED_LABEL,
    "truth": UNKNOWN_TRUTH,
}
"""Fields of `QuestionBatch` with one value a token, and the value that padding has in each."""


def _append_question(
    row: dict[str, list[int]], number: int, question: QuestionAnswer, world: World
) -> None:
    """Append a question and its answer to a row; the label of each token is the next token."""
    asked, role = encode(question.text, world), get_token_ids(world.body.before_answer, world)
    answer = [*encode(question.answer, world), *get_token_ids([world.body.end], world)]
    ids = [*asked, *role, *answer]
    # Only the answer is learned: a question cannot be predicted from the video.
    unlabelled = len(asked) + len(role) - 1
    row["ids"] += ids
    # Positions start again at each question, as if it were the only one after the video.
    row["places"] += range(len(ids))
    row["questions"] += [number] * len(ids)
    row["parts"] += (
        [QUESTION_PART] * len(asked) + [ROLE_PART] * len(role) + [ANSWER_PART] * len(answer)
    )
    row["labels"] += [IGNORED_LABEL] * unlabelled + answer + [IGNORED_LABEL]
    row["truth"] += [UNKNOWN_TRUTH] * len(ids)


def _append_statements(
    packed: dict[str, Any], questions: int, rng: np.random.Generator, world: World
) -> None:
    """Append statements to a row of questions; their numbers follow those of these."""
    row = pack_statements(world.clip_tags, packed["tags"], rng, world)
    for name in ("ids", "places", "truth"):
        packed[name] += row[name]
    packed["questions"] += [questions + number for number in row["statements"]]
    packed["parts"] += [STATEMENT_PART] * len(row["ids"])
    packed["labels"] += [IGNORED_LABEL] * len(row["ids"])


def make_frame_batches(
    seed: int, first: int, last: int, clips: int, world: World = SHAPES
) -> Iterator[TagBatch]:
    """Yield batches `first` to `last` of frames with their tags; `last` is not among them.

    Args:
        seed: Seed of the clips.
        first: Number of the first batch; a continued run leaves out those it has learned from.
        last: Number of batches of the whole stage.
        clips: Clips in a batch, each with the world's `frames_a_clip` frames.
        world: The world of the clips.
    """
    dataset = FrameDataset(seed, last * clips, world)
    for frames, tags in _load(dataset, first, last, clips, _collate_tags):
        yield TagBatch(frames, tags)


def make_clip_batches(
    seed: int, first: int, last: int, clips: int, world: World = SHAPES, *, stated: bool = False
) -> Iterator[StatementBatch]:
    """Yield batches `first` to `last` of clips with their tags; `last` is not among them.

    Args:
        seed: Seed of the clips.
        first: Number of the first batch; a continued run leaves out those it has learned from.
        last: Number of batches of the whole stage.
        clips: Clips in a batch.
        world: The world of the clips.
        stated: Whether there are statements about each clip; else its row of them is empty.
    """
    dataset = ClipDataset(seed, last * clips, world, stated=stated)
    for tensors in _load(dataset, first, last, clips, _collate_clips):
        yield StatementBatch(**tensors)


def make_question_batches(
    seed: int, first: int, last: int, clips: int, world: World = SHAPES, *, stated: bool = False
) -> Iterator[QuestionBatch]:
    """Yield batches `first` to `last` of clips with questions; `last` is not among them.

    Args:
        seed: Seed of the clips and questions.
        first: Number of the first batch; a continued run leaves out those it has learned from.
        last: Number of batches of the whole stage, over which the questions get harder.
        clips: Clips in a batch.
        world: The world of the clips.
        stated: Whether there are statements about each clip, too.
    """
    dataset = QuestionDataset(seed, last * clips, world, stated=stated)
    for tensors in _load(dataset, first, last, clips, collate_questions):
        yield QuestionBatch(**tensors)


def _load(
    dataset: Dataset[Any], first: int, last: int, clips: int, collate: Any
) -> DataLoader[Any]:
    wanted = Subset(dataset, range(first * clips, last * clips))
    # Clips are drawn in a process of their own, while the network learns from earlier batches.
    return DataLoader(
        wanted, batch_size=clips, collate_fn=collate, num_workers=1, prefetch_factor=8
    )


def _collate_tags(items: list[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
    frames, tags = (np.concatenate(part) for part in zip(*items, strict=True))
    return torch.from_numpy(frames), torch.from_numpy(tags)


def collate_questions(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Stack clips and their rows of questions."""
    return _stack(items, ("videos", "tags"), _QUESTION_PADDING)


def _collate_clips(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    return _stack(items, ("frames", "tags"), STATEMENT_PADDING)


def _stack(
    items: Sequence[dict[str, Any]], arrays: Sequence[str], rows: Mapping[str, int]
) -> dict[str, Tensor]:
    """Stack the arrays of a batch, and its rows, padded at the end to the longest."""
    length = max(len(item["ids"]) for item in items)
    batch = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in arrays}
    for name, padding in rows.items():
        padded = [item[name] + [padding] * (length - len(item[name])) for item in items]
        batch[name] = torch.tensor(padded, dtype=torch.long)
    return batch


Batch = TypeVar("Batch", bound=TagBatch | QuestionBatch)


def split_batch(batch: Batch, size: int) -> list[Batch]:
    """Divide a batch into parts of up to `size` items, in their order."""
    parts = zip(*(getattr(batch, f.name).split(size) for f in fields(batch)), strict=True)
    return [type(batch)(*part) for part in parts]


def move_batch(batch: Batch, device: torch.device) -> Batch:
    """Copy a batch to another device."""
    return type(batch)(**{f.name: getattr(batch, f.name).to(device) for f in fields(batch)})

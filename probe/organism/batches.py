"""Training batches: frames with their tags, and clips with their questions packed into a row."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from probe.organism.network import get_token_ids, make_tokenizer
from probe.organism.questions import HARD_SHARE, QuestionAnswer, make_questions
from probe.organism.world import (
    ACTIONS,
    COLOURS,
    LENGTH,
    SHAPES,
    STATES,
    Clip,
    Pair,
    Thing,
    make_clip,
)

TOKENS_BEFORE_VIDEO = ("<s>", "USER", ":")

TOKENS_BEFORE_ANSWER = ("A", "##SS", "##IST", "##ANT", ":")
"""The tokens between a question and its answer."""

QUESTION_PART, ROLE_PART, ANSWER_PART = 0, 1, 2
"""Parts of a question's row of tokens: its words, the role tokens, the words of the answer."""

IGNORED_LABEL = -100
"""Label of a token whose prediction does not count; the value that `cross_entropy` ignores."""

RESTS = "rests"
"""Name for the state of a thing that does nothing a single frame shows."""

FIRST_HARD_SHARE = 0.4
"""Share of hard questions among those to be denied, at the start of training."""

FRAMES_A_CLIP = 3
"""Frames taken from each clip to learn tags of frames."""

FRAME_TAGS = tuple(product(COLOURS, SHAPES, (RESTS, *STATES)))
"""Every tag a frame can carry: what is in it and how that looks, never where it is."""

CLIP_TAGS = tuple(product(COLOURS, SHAPES, ACTIONS))
"""Every tag a clip can carry: what is in it and what that does, never where or when."""


@dataclass(frozen=True)
class TagBatch:
    """Frames, or clips of several frames, and the tags that each of them carries."""

    frames: UInt8[Tensor, "item *frame height width 3"]
    tags: Float[Tensor, "item tag"]


@dataclass(frozen=True)
class QuestionBatch:
    """Clips, each with a row of tokens that contains all its questions and answers."""

    videos: UInt8[Tensor, "clip frame height width 3"]
    ids: Int[Tensor, "clip token"]
    places: Int[Tensor, "clip token"]
    """Position of a token within its question, counted from the end of the video."""
    questions: Int[Tensor, "clip token"]
    """Number of the question that a token belongs to; -1 for padding."""
    parts: Int[Tensor, "clip token"]
    """`QUESTION_PART`, `ROLE_PART` or `ANSWER_PART`."""
    labels: Int[Tensor, "clip token"]
    """The next token where it is one of the answer, elsewhere `IGNORED_LABEL`."""
    tags: Float[Tensor, "clip tag"]
    """1 for each of `CLIP_TAGS` that a clip carries."""


def get_visible_state(thing: Thing, frame: int) -> str:
    """Name the state of a thing that can be seen in one frame."""
    return thing.action if thing.action in STATES and frame in thing.span else RESTS


def tag_frame(clip: Clip, frame: int) -> Float[np.ndarray, " tag"]:
    """Return 1 for every tag that some thing in the frame carries, else 0."""
    shown = {(one.colour, one.shape, get_visible_state(one, frame)) for one in clip.things}
    return np.array([tag in shown for tag in FRAME_TAGS], dtype=np.float32)


def tag_clip(clip: Clip) -> Float[np.ndarray, " tag"]:
    """Return 1 for every tag that some thing in the clip carries, else 0."""
    shown = {(one.colour, one.shape, one.action) for one in clip.things}
    return np.array([tag in shown for tag in CLIP_TAGS], dtype=np.float32)


class SeededDataset(Dataset[Any]):
    """Training items, one for each clip; the same seed gives the same items."""

    def __init__(self, seed: int, length: int, without: Collection[Pair] = ()) -> None:
        self.seed, self.length, self.without = seed, length, without

    def __len__(self) -> int:
        return self.length

    def make_clip(self, index: int) -> Clip:
        """Make the clip of one item, without the pairs of colour and shape that are left out."""
        return make_clip((self.seed, index), self.without)


class FrameDataset(SeededDataset):
    """Some frames of each clip, and their tags."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        clip = self.make_clip(index)
        rng = np.random.default_rng((self.seed, index, 1))
        chosen = [int(frame) for frame in rng.integers(0, LENGTH, size=FRAMES_A_CLIP)]
        frames = np.stack([clip.frame(frame) for frame in chosen])
        return frames, np.stack([tag_frame(clip, frame) for frame in chosen])


class ClipDataset(SeededDataset):
    """The sampled frames of each clip, and its tags."""

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        clip = self.make_clip(index)
        return clip.video().frames[None], tag_clip(clip)[None]


def schedule_hard_share(done: float) -> float:
    """Compute the share of hard questions to be denied after a share of the training.

    It starts low, since from hard questions alone nothing is learned at first.

    >>> schedule_hard_share(0.0), round(schedule_hard_share(0.25), 3), schedule_hard_share(1.0)
    (0.4, 0.6, 0.8)
    """
    return min(HARD_SHARE, FIRST_HARD_SHARE + 2 * done * (HARD_SHARE - FIRST_HARD_SHARE))


class QuestionDataset(SeededDataset):
    """Each clip and its packed questions, which get harder with the index."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        hard = schedule_hard_share(index / self.length)
        clip = self.make_clip(index)
        return pack_questions(clip, _ask_about(clip, self.seed, index, hard))


def pack_questions(clip: Clip, questions: Sequence[QuestionAnswer]) -> dict[str, Any]:
    """Return the frames and tags of a clip, and one row with all its questions and answers."""
    # A video has 392 tokens, a question about fifteen. Packed, the video is read once for all its
    # questions; the attention mask keeps these apart, so that each is learned as if it were alone.
    row: dict[str, list[int]] = {name: [] for name in _ROW_PADDING}
    for number, question in enumerate(questions):
        _append_question(row, number, encode(question.text), encode(question.answer))
    return {"videos": clip.video().frames, "tags": tag_clip(clip), **row}


def make_clip_questions(seed: int, index: int, hard: float = HARD_SHARE) -> list[QuestionAnswer]:
    """Make the questions about one clip of a `QuestionDataset`.

    Args:
        seed: Seed of the data set.
        index: Number of the clip.
        hard: Share of hard questions among those to be denied.
    """
    return _ask_about(make_clip((seed, index)), seed, index, hard)


def _ask_about(clip: Clip, seed: int, index: int, hard: float) -> list[QuestionAnswer]:
    return make_questions(clip, np.random.default_rng((seed, index, 1)), hard)


_ROW_PADDING = {
    "ids": 0,
    "places": 0,
    "questions": -1,
    "parts": QUESTION_PART,
    "labels": IGNORED_LABEL,
}
"""Fields of `QuestionBatch` with one value a token, and the value that padding has in each."""


def _append_question(
    row: dict[str, list[int]], number: int, asked: list[int], answer: list[int]
) -> None:
    """Append a question and its answer to a row; the label of each token is the next token."""
    role, answer = get_token_ids(TOKENS_BEFORE_ANSWER), [*answer, *get_token_ids(["</s>"])]
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


# The same texts come again and again: each batch has about 150 questions and as many answers.
@lru_cache(maxsize=100_000)
def _encode_cached(text: str) -> tuple[int, ...]:
    return tuple(_get_tokenizer().encode(text, add_special_tokens=False))


@lru_cache(maxsize=1)
def _get_tokenizer() -> Any:
    return make_tokenizer()


def encode(text: str) -> list[int]:
    """Return the token ids of a question or an answer.

    Raises:
        ValueError: if it contains a word that the organism does not know.
    """
    ids = list(_encode_cached(text))
    if get_token_ids(["<unk>"])[0] in ids:
        raise ValueError(f"the organism has no word for something in {text!r}")
    return ids


def make_frame_batches(
    seed: int, batches: int, clips: int, without: Collection[Pair] = ()
) -> Iterator[TagBatch]:
    """Yield batches of frames with their tags.

    Args:
        seed: Seed of the clips.
        batches: Number of batches.
        clips: Clips in a batch, each with `FRAMES_A_CLIP` frames.
        without: Colours with shapes that no clip shows together.
    """
    for frames, tags in _load(FrameDataset(seed, batches * clips, without), clips, _collate_tags):
        yield TagBatch(frames, tags)


def make_clip_batches(
    seed: int, batches: int, clips: int, without: Collection[Pair] = ()
) -> Iterator[TagBatch]:
    """Yield batches of clips with their tags.

    Args:
        seed: Seed of the clips.
        batches: Number of batches.
        clips: Clips in a batch.
        without: Colours with shapes that no clip shows together.
    """
    for frames, tags in _load(ClipDataset(seed, batches * clips, without), clips, _collate_tags):
        yield TagBatch(frames, tags)


def make_question_batches(
    seed: int, first: int, last: int, clips: int, without: Collection[Pair] = ()
) -> Iterator[QuestionBatch]:
    """Yield batches `first` to `last` of clips with questions; `last` is not among them.

    Args:
        seed: Seed of the clips and questions.
        first: Number of the first batch; a continued run leaves out those it has learned from.
        last: Number of batches of the whole stage, over which the questions get harder.
        clips: Clips in a batch.
        without: Colours with shapes that no clip shows together.
    """
    dataset = QuestionDataset(seed, last * clips, without)
    wanted = torch.utils.data.Subset(dataset, range(first * clips, last * clips))
    for tensors in _load(wanted, clips, collate_questions):
        yield QuestionBatch(**tensors)


def _load(dataset: Dataset[Any], clips: int, collate: Any) -> DataLoader[Any]:
    # Clips are drawn in a process of their own, while the network learns from earlier batches.
    return DataLoader(
        dataset, batch_size=clips, collate_fn=collate, num_workers=1, prefetch_factor=8
    )


def _collate_tags(items: list[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
    frames, tags = (np.concatenate(part) for part in zip(*items, strict=True))
    return torch.from_numpy(frames), torch.from_numpy(tags)


def collate_questions(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Stack the rows of a batch, padded at the end to the longest."""
    length = max(len(item["ids"]) for item in items)
    batch = {
        name: torch.from_numpy(np.stack([item[name] for item in items]))
        for name in ("videos", "tags")
    }
    for name, padding in _ROW_PADDING.items():
        padded = [item[name] + [padding] * (length - len(item[name])) for item in items]
        batch[name] = torch.tensor(padded)
    return batch


def move_batch(batch: Any, device: torch.device) -> Any:
    """Copy a batch to another device."""
    return type(batch)(**{f.name: getattr(batch, f.name).to(device) for f in fields(batch)})

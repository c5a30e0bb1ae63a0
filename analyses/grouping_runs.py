"""Rows of `grouping.py`: their world, their towers, and what each has learned, seed by seed.

A run that was stopped goes on where it was, and one that has ended is not made again.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Numbers
from torch import Tensor, nn
from torch.nn.functional import normalize

import probe
from probe.files import read_json, read_tensors, write_json
from probe.organism.tokens import get_token_ids
from probe.organism.world import COLOURS, SHAPES, STATES, Clip, Thing, make_clip
from probe.pretraining.learner import PairLearner, Towers
from probe.pretraining.losses import compute_gap, reduce_teacher
from probe.pretraining.recipe import PairRecipe
from probe.pretraining.runs import PairRun, learn_pairs
from probe.pretraining.scores import (
    LinearProbeRecipe,
    average_templates,
    classify_by_names,
    compare_grouping,
    probe_linearly,
)

TRAIN_PAIRS, TEST_FRAMES = 4_000, 1_000
TRAIN_SEED, TEST_SEED = 7_000_003, 8_000_003

WIDTH = 128
"""Width of the embeddings."""

SHIFT = 1.0
"""Distance by which unit vectors are moved to widen the gap; two means are then about 1.4 apart."""

EVERY = 6
"""Episodes between two measurements."""

INFONCE = PairRecipe(
    episodes=24,
    episode_pairs=2_000,
    batch=100,
    rate=1e-3,
    warm_steps=50,
    decay=0.1,
    warm_episodes=2,
    locked_episodes=2,
    prototypes=80,  # captions are of 160 kinds: as many prototypes would group none of them
    prototype_weight=0.0,
    head_hidden=256,
    head_width=64,
    cluster_restarts=1,
)
"""The recipe of all rows, without their losses."""

LONGER = 1.5
"""Episodes of InfoNCE for the seconds of back translation, relative to its own."""

PROBE = LinearProbeRecipe(batch=500, epochs=40, standardise=True)

CLASSES = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]

TEMPLATES = ("a {} in this video", "the {}")

CAPTIONS = (
    "the {colour} {shape} that {state}",
    "a {colour} {shape} in this video",
    "the {shape} {state}",
    "a {colour} object that {state}",
)


@dataclass(frozen=True)
class Row:
    """A way to learn, and whether the gap is widened."""

    changes: Mapping[str, Any]
    shift: float = 0.0

    @property
    def recipe(self) -> PairRecipe:
        """The recipe, of seed 0."""
        return replace(INFONCE, **self.changes)


WAYS: Mapping[str, Mapping[str, Any]] = {
    "InfoNCE": {},
    "+ prototypes": {"prototype_weight": 1.0, "translate": False},
    "+ back translation": {"prototype_weight": 1.0},
    "+ teacher": {"prototype_weight": 1.0, "teacher_weight": 1.0},
}

EQUAL_SECONDS = "InfoNCE, equal seconds"

WIDER = ", wider gap"
"""End of the names of rows whose gap is widened."""

ROWS: Mapping[str, Row] = {
    **{name: Row(changes) for name, changes in WAYS.items()},
    # A teacher's prototypes are always translated back, so that the gap says nothing about them.
    **{f"{name}{WIDER}": Row(WAYS[name], SHIFT) for name in list(WAYS)[:3]},
    EQUAL_SECONDS: Row({"episodes": round(LONGER * INFONCE.episodes)}),
}


# The world


@dataclass(frozen=True)
class Frames:
    """Frames with captions as token ids, padded with 0, and classes."""

    images: Tensor
    captions: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int, seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return a frame, shifted by up to two pixels and perhaps turned over, and its caption."""
        rng = np.random.default_rng(seed)
        down, across, turned = rng.integers((5, 5, 2))
        image = torch.roll(self.images[index], (int(down) - 2, int(across) - 2), dims=(1, 2))
        return (image.flip(2) if turned else image), self.captions[index]


def draw_frames(count: int, seed: int) -> Frames:
    """Draw frames with one thing each, while it does what its caption says."""
    rng = np.random.default_rng(seed)
    images, captions, labels = [], [], []
    index = 0
    while len(images) < count:
        clip = make_clip((seed, index))
        index += 1
        for thing in clip.things:
            if thing.action in STATES and len(images) < count:
                frame = int(rng.integers(thing.span.start, thing.span.stop))
                images.append(_shrink(Clip((thing,), clip.background, clip.seed).frame(frame)))
                captions.append(_describe(thing, rng))
                labels.append(CLASSES.index(thing.attribute))
    return Frames(torch.from_numpy(np.stack(images)), _pad(captions), torch.tensor(labels))


def _shrink(frame: np.ndarray) -> np.ndarray:
    """Average each two by two pixels, and put channels first."""
    rows, columns = (side // 2 for side in frame.shape[:2])
    small = frame.reshape(rows, 2, columns, 2, 3).mean((1, 3)) / 255
    return small.transpose(2, 0, 1).astype(np.float32)


def _describe(thing: Thing, rng: np.random.Generator) -> str:
    form = CAPTIONS[rng.integers(len(CAPTIONS))]
    return form.format(colour=thing.colour, shape=thing.shape, state=thing.action)


def _pad(texts: list[str]) -> Tensor:
    ids = [get_token_ids(text.split()) for text in texts]
    longest = max(map(len, ids))
    return torch.tensor([one + [0] * (longest - len(one)) for one in ids])


@cache
def load_world() -> tuple[Frames, Frames]:
    """Draw the frames to learn from, and those to test on."""
    return draw_frames(TRAIN_PAIRS, TRAIN_SEED), draw_frames(TEST_FRAMES, TEST_SEED)


@cache
def load_teacher() -> Tensor:
    """Read what the teacher says of each caption: the mean of its word embeddings, reduced."""
    path = Path(probe.__file__).parent / "organism/weights/model.safetensors"
    weights, _ = read_tensors(path)
    words = normalize(weights["language_model.model.embed_tokens.weight"].float(), dim=-1)
    captions = load_world()[0].captions
    return reduce_teacher(_average_words(words[captions], captions), 64)


def _average_words(vectors: Tensor, captions: Tensor) -> Tensor:
    said = (captions != 0)[..., None].float()
    return (vectors * said).sum(1) / said.sum(1)


# The towers


class WordTower(nn.Module):
    """Mean of word embeddings through two layers."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 64)
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, WIDTH))

    def forward(self, captions: Tensor) -> Tensor:
        """Compute the embeddings of captions."""
        return self.layers(_average_words(self.words(captions), captions))


def make_image_tower() -> nn.Sequential:
    """Make a small convolutional tower for frames of 28 pixels."""
    layers: list[nn.Module] = []
    for before, after, stride in ((3, 16, 1), (16, 32, 2), (32, 64, 2), (64, 96, 2)):
        layers += [
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    tower = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, WIDTH))
    # A fifth less time on a CPU.
    return tower.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


class ShiftedLearner(PairLearner):
    """A learner whose two sides are moved apart along a fixed direction, to widen the gap."""

    def __init__(self, towers: Towers, recipe: PairRecipe, shift: float) -> None:
        super().__init__(towers, recipe)
        self.shift = shift

    def bring_to_unit(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Bring vectors to unit length, move both sides apart, and bring them there again."""
        images, texts = super().bring_to_unit(images, texts)
        if not self.shift:
            return images, texts
        # The diagonal, since no single dimension should carry all of it.
        away = torch.full_like(images[0], self.shift / images.shape[-1] ** 0.5)
        return normalize(images + away, dim=-1), normalize(texts - away, dim=-1)


def make_learner(row: Row, seed: int) -> ShiftedLearner:
    """Make the untrained learner of a seed, which is the same in all rows."""
    torch.manual_seed(seed)
    words = 1 + max(int(frames.captions.max()) for frames in load_world())
    towers = Towers(make_image_tower(), WordTower(words), WIDTH)
    return ShiftedLearner(towers, row.recipe, row.shift)


# Measuring


@torch.no_grad()
def _embed(learner: PairLearner) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    train, test = load_world()
    return (
        learner.embed_images(train.images),
        learner.embed_images(test.images),
        learner.embed_texts(test.captions),
        torch.stack(
            [
                learner.embed_texts(_pad([form.format(name) for name in CLASSES]))
                for form in TEMPLATES
            ]
        ),
    )


def score(learner: ShiftedLearner) -> Numbers:
    """Measure what a learner's embeddings say about the classes."""
    train, test = load_world()
    known, images, texts, names = _embed(learner)
    linear = probe_linearly((known, train.labels), (images, test.labels), PROBE)
    unit_images, unit_texts = learner.bring_to_unit(images, texts)
    _, unit_names = learner.bring_to_unit(images[:1], names.flatten(0, 1))
    named = classify_by_names(
        unit_images, average_templates(unit_names.unflatten(0, names.shape[:2]))
    )
    right = named == test.labels
    return {
        "linear": linear.last,
        "linear_best_epoch": {"accuracy": linear.best, "epoch": linear.best_epoch},
        "zero_shot": float(right.float().mean()),
        **compare_grouping(images, test.labels),
        "gap": float(compute_gap(unit_images, unit_texts)),
        # One sign a test frame, since differences are paired over frames.
        "right": {"linear": _write_signs(linear.right), "zero_shot": _write_signs(right)},
    }


def _write_signs(right: Tensor) -> str:
    return "".join(str(int(one)) for one in right)


def train_row(name: str, seed: int, folder: Path) -> list[Numbers]:
    """Train a row on a seed, from where an earlier run stopped; return its measurements."""
    row = ROWS[name]
    recipe = replace(row.recipe, seed=seed)
    learner = make_learner(row, seed)
    teacher = load_teacher() if recipe.teacher_weight > 0 else None
    clock = Clock()
    run = PairRun(
        folder,
        teacher=teacher,
        after_episode=lambda learner, episode: clock.measure(learner, episode, recipe.episodes),
    )
    log = learn_pairs(learner, load_world()[0], recipe, run)
    seconds = np.cumsum([entry["seconds"] for entry in log])
    return [
        {"episode": entry["episode"], "seconds": float(spent), **entry["scores"]}
        for entry, spent in zip(log, seconds, strict=True)
        if "scores" in entry
    ]


class Clock:
    """Counts the CPU seconds of learning, without those of measuring; it changes."""

    def __init__(self) -> None:
        self.start = time.process_time()

    def measure(self, learner: Any, episode: int, last: int) -> Numbers:
        """Return the seconds of an episode, and its scores if they are wanted after it."""
        found: Numbers = {"seconds": time.process_time() - self.start}
        if episode % EVERY == 0 or episode == last:
            found["scores"] = score(learner)
        self.start = time.process_time()
        return found


def measure_row(name: str, seed: int, folder: Path) -> list[Numbers]:
    """Return the measurements of a row and a seed, stored by an earlier call or made now."""
    place = folder / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
    stored = place / "measured.json"
    if not stored.exists():
        points = train_row(name, seed, place)
        write_json(stored, points)
    return read_json(stored)

"""On frames of shapes, prototypes teach a tower less than pairs alone, however wide the gap.

    python analyses/grouping.py                       draw from the stored numbers (seconds)
    python analyses/grouping.py --measure --runs DIR  train what is missing in DIR, and measure

ProtoCLIP's losses on a world whose classes are known. At equal pairs they end below InfoNCE, in
linear probe and zero-shot; at equal CPU seconds, further below. Widening the gap changes neither.
Back translation ends a little above plain prototypes, and no more so where the gap is wide. The
towers are small, their captions of 160 kinds, and learning was stopped long before its end; with
millions of pairs the authors report the opposite. One run takes a core a minute, all 24 twenty.

The protocol, written before a number of a reported run was looked at:

- *World.* One coloured shape in a state, on a varied background, drawn at half size (28 pixels). 24
  classes: colour x shape. A caption names both in half of the pairs, else one of the two. 4,000
  pairs to learn from, 1,000 frames to test on, never shared; the same for all seeds.
- *Rows.* InfoNCE; + prototypes of the other side; + back translation; + an external teacher (mean
  of the shipped model's word embeddings over the caption, as ProtoCLIP takes RoBERTa's). All else
  is the same in all rows: weights at the start, draws, augmentation, schedule, locked ending. In
  the published comparison augmentation and schedule differ, too.
- *Equal pairs* for all rows; *equal seconds*: InfoNCE once more, with as many more episodes as make
  its CPU seconds those of back translation, by a factor measured on seed 100 beforehand.
- *Gap*: as it is, and widened on purpose: all unit vectors of pictures are moved along a fixed
  direction, those of sentences against it, by 1 (unit length again), in embeddings and heads.
  Learning may undo a part of that.
- *Statistics*: linear probe after its last epoch, zero-shot by names in two sentences, ARI of
  k-means, modality gap; after every sixth episode. Tested: a row minus InfoNCE at equal pairs, same
  gap, on the same test frames. Expected: above 0. The interval draws seeds, then frames.
- Chosen beforehand on seed 100, from InfoNCE's curve alone: image tower and number of episodes.
  The factor was measured with 40 episodes and 200 prototypes; these became 80 when captions turned
  out to be of 160 kinds, before any score of a row with prototypes was looked at.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from claims import resample_seeds
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Claim,
    ClaimOptions,
    Numbers,
    create_figure,
    draw_level,
    errors_in_one_line,
    read_command_line,
    style_axes,
)
from common import (
    summary as summarise,
)
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import normalize
from tyro.conf import arg

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

SEEDS = (0, 1, 2)

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

COLOUR_OF = dict(zip((*WAYS, EQUAL_SECONDS), (GREY, ORANGE, BLUE, GREEN, PURPLE), strict=True))


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


def measure_rows(folder: Path, seeds: int) -> Numbers:
    """Train every row on the first seeds, where that is missing, and compare them."""
    # All rows of a seed before the next one: a run that is stopped has whole seeds.
    by_seed = [{name: measure_row(name, seed, folder) for name in ROWS} for seed in SEEDS[:seeds]]
    found = {name: [one[name] for one in by_seed] for name in ROWS}
    return {
        "recipes": {name: asdict(row.recipe) for name, row in ROWS.items()},
        "seeds": list(SEEDS[:seeds]),
        "pairs": TRAIN_PAIRS,
        "frames": TEST_FRAMES,
        "versions": {name: version(name) for name in ("torch", "scikit-learn")},
        "rows": {
            name: [[_leave_out_signs(one) for one in points] for points in seeds]
            for name, seeds in found.items()
        },
        "differences": list_differences(found),
    }


def measure_row(name: str, seed: int, folder: Path) -> list[Numbers]:
    """Return the measurements of a row and a seed, stored by an earlier call or made now."""
    place = folder / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
    stored = place / "measured.json"
    if not stored.exists():
        points = train_row(name, seed, place)
        write_json(stored, points)
    return read_json(stored)


def _leave_out_signs(point: Numbers) -> Numbers:
    return {name: value for name, value in point.items() if name != "right"}


def list_differences(found: Mapping[str, Sequence[Sequence[Numbers]]]) -> list[Numbers]:
    """Compare the last scores of each row with those of InfoNCE of the same gap."""
    tests = []
    for name, seeds in found.items():
        base = f"InfoNCE{WIDER}" if name.endswith(WIDER) else "InfoNCE"
        if name == base:
            continue
        for figure in ("linear", "zero_shot"):
            differences = [
                _read_signs(over[-1], figure) - _read_signs(under[-1], figure)
                for over, under in zip(seeds, found[base], strict=True)
            ]
            # Of one seed, the interval is over frames alone.
            summary = resample_seeds(differences) or summarise(differences[0].tolist())
            by_seed = [float(one.mean()) for one in differences]
            tests.append(
                {"figure": figure, "over": name, "under": base, **summary, "seeds": by_seed}
            )
    return tests


def _read_signs(point: Numbers, figure: str) -> np.ndarray:
    return np.array([float(sign) for sign in point["right"][figure]])


# The figure

PANELS = {"linear": "linear probe", "zero_shot": "zero-shot by names", "ari": "ARI", "gap": "gap"}


def draw(numbers: Numbers) -> Figure:
    """Draw scores through learning, and last differences; upper row as it is, lower one widened."""
    figure = create_figure(10.4, 5.6)
    grid = figure.subplots(2, len(PANELS) + 1, width_ratios=[*(1 for _ in PANELS), 1.6])
    for line, wider in zip(grid, ("", WIDER), strict=True):
        for axes, (name, label) in zip(line, PANELS.items(), strict=False):
            for way, colour in COLOUR_OF.items():
                _draw_seeds(axes, numbers["rows"].get(f"{way}{wider}", []), name, colour, way)
            axes.set(xlabel="pairs, thousands", title=label, xlim=(0, None))
            axes.set_ylim(0, 2 if name == "gap" else 1)
        line[0].set_ylabel("gap widened" if wider else "gap as it is")
        _draw_differences(line[-1], numbers["differences"], wider)
    grid[1, -1].sharex(grid[0, -1])
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, frameon=False, ncols=5, loc="outside upper center")
    count = len(numbers["seeds"])
    figure.supxlabel(
        f"{count} {'seed' if count == 1 else 'seeds'}, {numbers['frames']} test frames; "
        f"{len(numbers['differences'])} intervals, "
        f"over {'frames' if count == 1 else 'seeds and frames'}, none of them corrected",
        fontsize=6,
        color="#6a6a6a",
        x=0.99,
        ha="right",
    )
    return style_axes(figure)


def _draw_seeds(axes: Any, seeds: Sequence[Any], name: str, colour: str, way: str) -> None:
    """Draw a thin line for each seed, and their mean."""
    if not seeds:
        return
    pairs = [point["episode"] * INFONCE.episode_pairs / 1000 for point in seeds[0]]
    values = np.array([[point[name] for point in points] for points in seeds])
    axes.plot(pairs, values.T, color=colour, lw=0.5, alpha=0.5)
    axes.plot(pairs, values.mean(0), color=colour, lw=1.5, label=way)


def _draw_differences(axes: Any, tests: Sequence[Numbers], wider: str) -> None:
    """Draw each row minus InfoNCE: an interval over seeds and frames, and a dot a seed."""
    shown = [one for one in tests if one["over"].endswith(WIDER) == bool(wider)]
    for place, test in enumerate(shown):
        colour = COLOUR_OF[test["over"].removesuffix(WIDER)]
        axes.plot(test["interval"], [place, place], color=colour, lw=2)
        axes.plot(test["seeds"], [place] * len(test["seeds"]), "o", color=colour, ms=3)
    labels = [
        f"{test['over'].removesuffix(WIDER)}, {PANELS[test['figure']].split()[0]}" for test in shown
    ]
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.yaxis.tick_right()
    axes.set(xlabel="difference from InfoNCE", title="at the end")
    axes.locator_params(axis="x", nbins=4)
    draw_level(axes)


CLAIM = Claim(__file__, draw, only_shapes="its towers are trained on frames of the shapes")


@dataclass(frozen=True)
class GroupingOptions(ClaimOptions):
    """Draw the figure from the stored numbers, or train and measure first."""

    runs: Annotated[Path, arg(metavar="DIR")] = Path("grouping-runs")
    """Folder of the runs; one that was stopped continues."""

    seeds: int = len(SEEDS)
    """Number of seeds, from the first one on."""


def main() -> None:
    """Train and measure if the command line asks for it, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(GroupingOptions(CLAIM.config), CLAIM.name)
        if not CLAIM.accepts(options.config):
            raise ValueError(f"{CLAIM.only_shapes}; leave out --data and what belongs to it")
        if options.measure:
            torch.set_num_threads(1)  # CPU seconds of several threads would count waiting
            CLAIM.store(measure_rows(options.runs, options.seeds), options.out)
        CLAIM.redraw(options.out)


if __name__ == "__main__":
    main()

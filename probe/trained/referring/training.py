"""Training of the whole model on pictures with sentences, by the published schedule.

It runs on CPU and CUDA, writes a state every few hundred steps, and goes on from there when it was
stopped, with the result that it would have had.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from probe.candidates.mask_proposals import ProposalConfig, ProposalSource
from probe.engine.opening import find_device
from probe.engine.provenance import library_versions
from probe.organism.log import append_log_entry, enumerate_with_progress
from probe.plain import to_plain
from probe.pretraining.run_folders import Claim, claim_folder
from probe.pretraining.run_states import STATE_FILE, load_state, save_state
from probe.trained.referring.encoders import ClipEncoders
from probe.trained.referring.model import ReferringMaps, ReferringModel, compute_losses
from probe.trained.referring.things import BatchConfig, DescribedThing, PictureBatch, ThingBatches
from probe.trained.responses.presets import PAPER, ResponseConfig, Schedule

EPOCHS = 15
"""Epochs of the published schedule."""

LOGGED_STEPS = 25
"""Steps between two lines of the log."""

SAVED_STEPS = 500
"""Steps between two states of a run, each of which is three times the size of the model."""

PARTS_OF_RUN = {
    "recipe": "other choices",
    "clip": "another CLIP",
    "inputs": "other sizes of pictures and texts",
    "things": "other things",
}
"""Entries of a run's `recipe.json`, and the way to call a run that differs in one."""

EpochRule: TypeAlias = Callable[[ReferringMaps], float]
"""Gives a model a score on things that are not trained on; the epoch of the highest is kept."""


@dataclass(frozen=True)
class ReferringRecipe:
    """All choices of a training run, apart from the encoders and the data."""

    config: ResponseConfig = PAPER
    epochs: int = EPOCHS
    batch: int = Schedule.batch
    rate: float = Schedule.rate
    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    seed: int = 0

    def make_schedule(self, batches: int) -> Schedule:
        """Return length and rates, given the number of batches of an epoch."""
        return Schedule(self.epochs * batches, self.batch, self.rate)


@dataclass(eq=False)
class _Run:
    """A run as it goes on: what learns, and how far it is. It changes with every step."""

    model: ReferringModel
    optimiser: torch.optim.AdamW
    folder: Path
    done: int = 0
    curve: list[list[float]] = field(default_factory=list)
    """Step and loss, every `LOGGED_STEPS` steps."""

    scores: list[float] = field(default_factory=list)
    """The judge's score of each epoch."""

    def save(self) -> None:
        """Write all that a stopped run needs to continue."""
        about = {"done": self.done, "curve": self.curve, "scores": self.scores}
        save_state(self.folder / STATE_FILE, self.model, [self.optimiser], about)

    def resume(self) -> None:
        """Continue from what `save` wrote, if anything."""
        about = load_state(self.folder / STATE_FILE, self.model, [self.optimiser])
        if about is None:
            return
        self.done, self.curve = int(about["done"]), list(about["curve"])
        self.scores = list(about["scores"])


@dataclass(frozen=True, eq=False)
class RunOptions:
    """The options of a run that do not change its result."""

    device: str = "cpu"
    """Device of the model, such as "cpu" or "cuda"."""

    readers: int = 1
    """Threads that read pictures ahead of training."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The data that a model is trained on."""

    things: tuple[DescribedThing, ...]
    """Things in pictures and sentences that mean them, without their truth."""

    proposals: ProposalSource | None = None
    """Masks of everything in a picture; None where no loss needs them."""

    name: str = ""
    """The name of the data, for the file."""


def train_referring(
    encoders: ClipEncoders,
    data: TrainingSet,
    recipe: ReferringRecipe,
    folder: Path,
    *,
    judge: EpochRule | None = None,
    options: RunOptions | None = None,
) -> ReferringMaps:
    """Train response maps on things in pictures and sentences that mean them.

    Args:
        encoders: The encoders that training begins with; they are changed.
        data: The things, and their proposals.
        recipe: The choices.
        folder: The folder of the run: `recipe.json`, `log.jsonl`, the state of a stopped run, and
            `best.safetensors`, the maps of the best epoch.
        judge: Scores a model after each epoch; None to keep the last epoch.
        options: Device and threads.

    Raises:
        ValueError: if there are fewer than two things, one has a truth, a picture or its masks
            cannot be read, or the folder holds a run of other choices or things.
    """
    options = options or RunOptions()
    device = find_device(options.device)
    config = recipe.config.network
    drawing = BatchConfig(recipe.batch, config.stages, recipe.seed, recipe.proposals)
    batches = ThingBatches(data.things, encoders, data.proposals, drawing)
    with claim_folder(folder, _make_claim(recipe, encoders, data.things)):
        torch.manual_seed(recipe.seed)
        model = ReferringModel(encoders, config).to(device)
        run = _Run(model, make_optimiser(model, recipe), folder)
        run.resume()
        schedule = recipe.make_schedule(batches.per_epoch)
        for _ in _train(run, batches, recipe, schedule, options.readers):
            # The bank is of a batch that no step has seen.
            found = _finish(run, batches.load(schedule.steps), recipe, data.name)
            score = 0.0 if judge is None else judge(found)
            if judge is None or score > max(run.scores, default=-1.0):
                found.save(folder / "best.safetensors")
            run.scores.append(score)
            append_log_entry(folder, step=run.done, score=score)
            run.save()
    best = ReferringMaps.load(folder / "best.safetensors", options.device)
    # The file was written before its own epoch had a score, and knows nothing of those after it.
    return replace(best, about={**best.about, "curve": run.curve, "scores": run.scores})


def make_optimiser(model: ReferringModel, recipe: ReferringRecipe) -> torch.optim.AdamW:
    """Make AdamW for the network, and at a tenth of its rate for both encoders."""
    schedule = recipe.make_schedule(1)
    groups = [
        {"params": list(model.network.parameters()), "rate_scale": 1.0},
        {"params": list(model.encoders.parameters()), "rate_scale": schedule.encoder_rate},
    ]
    return torch.optim.AdamW(groups, lr=schedule.rate, weight_decay=schedule.decay)


def _train(
    run: _Run, batches: ThingBatches, recipe: ReferringRecipe, schedule: Schedule, readers: int
) -> Iterator[None]:
    """Take all steps that are left, and stop at the end of each epoch."""
    loaded = read_ahead(batches.load, range(run.done, schedule.steps), readers)
    named = enumerate_with_progress(loaded, schedule.steps, "responses", run.done)
    for step, batch in named:
        run.model.train()
        losses = _take_step(run, batch, recipe, schedule)
        if step % LOGGED_STEPS == 0:
            total = sum(losses.values())
            run.curve.append([step, round(total, 4)])
            append_log_entry(run.folder, step=step, loss=total, **losses)
        run.done = step + 1
        if run.done % batches.per_epoch == 0:
            yield
        # At the end of an epoch, the state is saved with its score, so that both are there or none.
        elif run.done % SAVED_STEPS == 0:
            run.save()


def _take_step(
    run: _Run, batch: PictureBatch, recipe: ReferringRecipe, schedule: Schedule
) -> dict[str, float]:
    """Take one step; return the terms of its loss."""
    # The pair of stages is drawn anew for each step, from a generator of its own.
    rng = np.random.default_rng((recipe.seed, 2, run.done))
    pair = int(rng.integers(max(1, recipe.config.network.stages - 1)))
    losses = compute_losses(run.model, batch.to(run.model.device), recipe.config, pair)
    falling = (1 - run.done / schedule.steps) ** schedule.power
    for group in run.optimiser.param_groups:
        group["lr"] = group["rate_scale"] * schedule.rate * falling
    run.optimiser.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    run.optimiser.step()
    return {name: float(one.detach()) for name, one in losses.items()}


def _finish(run: _Run, last: PictureBatch, recipe: ReferringRecipe, data: str) -> ReferringMaps:
    """Make maps of what has been learned so far."""
    run.model.eval()  # the next step of training sets it back
    with torch.no_grad():
        own, _ = run.model.read_batch(last.to(run.model.device))
    about = {
        "data": data,
        "recipe": to_plain(recipe),
        "steps": run.done,
        "versions": dict(library_versions()),
    }
    return ReferringMaps(run.model, run.model.network.fill_bank(own), about)


def read_ahead(
    load: Callable[[int], PictureBatch], steps: Sequence[int], readers: int
) -> Iterator[PictureBatch]:
    """Read batches in their order, some of them ahead of time in threads."""
    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[Future[PictureBatch]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(load, step))
                if len(waiting) > readers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Or an error would be told only after all that was asked for has been read.
            for one in waiting:
                one.cancel()


def _make_claim(
    recipe: ReferringRecipe, encoders: ClipEncoders, things: Sequence[DescribedThing]
) -> Claim:
    """Make the claim of a run to its folder."""
    digest = hashlib.sha256()
    for one in things:
        digest.update(json.dumps([one.name, one.sentences, one.cues]).encode())
    content = {
        "recipe": to_plain(recipe),
        "clip": encoders.architecture,
        "inputs": to_plain(encoders.inputs),
        "things": [len(things), digest.hexdigest()],
    }
    return Claim(content, PARTS_OF_RUN)

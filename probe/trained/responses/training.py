"""Training of response maps on a frozen video model's states; a run that was stopped goes on.

No box and no mask of what a sentence means is used. Proposals are things that may be meant, and the
time of a sentence is used only if the frame rule does.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.model import VideoLM
from probe.engine.provenance import library_versions
from probe.organism.log import append_log_entry, enumerate_with_progress
from probe.plain import to_plain
from probe.pretraining.run_folders import Claim, claim_folder
from probe.pretraining.run_states import STATE_FILE, load_state, save_state
from probe.pretraining.threads import use_few_threads
from probe.trained.responses.examples import Described, FrameRule, frames_of_span
from probe.trained.responses.learned import Learned
from probe.trained.responses.losses import StageMaps
from probe.trained.responses.network import ReferringBatch, ResponseNetwork
from probe.trained.responses.pictures import DrawnBatch, Pictures, Scaling
from probe.trained.responses.presets import VIDEO, VIDEO_SCHEDULE, ResponseConfig, Schedule
from probe.trained.responses.states import StateStore
from probe.trained.responses.texts import CueRule, TextRule, embed_texts, fit_cues, no_cues

SCALING_VIDEOS = 200
"""Videos over whose cells the mean and the spread of states are measured."""

PARTS_OF_RUN = {"fingerprint": "another model", "recipe": "other choices", "videos": "other videos"}
"""Entries of a run's `recipe.json`, and the way to call a run that differs in one."""

LOGGED_STEPS = 25
"""Steps between two lines of the log."""

SAVED_STEPS = 500
"""Steps between two states of a run, from which it goes on."""


@dataclass(frozen=True)
class ResponseRecipe:
    """All choices of a training run, apart from the model and the data."""

    layer: int
    """The decoder layer whose states are read, where they enter it."""

    config: ResponseConfig = VIDEO
    schedule: Schedule = VIDEO_SCHEDULE
    cues: CueRule = no_cues
    text: TextRule = embed_texts
    frames: FrameRule = frames_of_span
    most_proposals: int = 40
    """The largest proposals that are kept of each frame, as in the paper."""

    seed: int = 0


@dataclass(eq=False)
class _Run:
    """A run as it goes on: what learns, and how far it is. It changes with every step."""

    network: ResponseNetwork
    optimiser: torch.optim.AdamW
    folder: Path
    done: int = 0
    curve: list[list[float]] = field(default_factory=list)
    """Step and loss, every `LOGGED_STEPS` steps."""

    def save(self) -> None:
        """Write all that a stopped run needs to continue."""
        about = {"done": self.done, "curve": self.curve}
        save_state(self.folder / STATE_FILE, self.network, [self.optimiser], about)

    def resume(self) -> None:
        """Continue from what `save` wrote, if anything."""
        about = load_state(self.folder / STATE_FILE, self.network, [self.optimiser])
        if about is None:
            return
        self.done, self.curve = int(about["done"]), list(about["curve"])


def train_responses(
    model: VideoLM,
    videos: Sequence[Described],
    recipe: ResponseRecipe,
    *,
    states: Path,
    run: Path,
    data: str = "",
) -> Learned:
    """Train response maps on videos with sentences about them.

    Args:
        model: The model whose states are read; it does not change.
        videos: The videos; two at least, since each sentence is told from those of other videos.
        recipe: The choices.
        states: The folder that keeps the states of the videos.
        run: The folder of the run: `recipe.json`, `log.jsonl` and the state of a stopped run.
        data: The name of the data, for the file.

    Raises:
        ValueError: if there are fewer than two videos, two of one name or none of one size, the
            schedule has no step or a batch of one, a text has no known word, states are not finite,
            or a folder holds what belongs to another model, layer or recipe.
        RuntimeError: if the loss is no finite number any more.
    """
    _check_choices(videos, recipe)
    # First, since it refuses a layer that there is not, before a folder is made.
    store = StateStore.open(states, model, recipe.layer)
    with claim_folder(run, _make_claim(recipe, videos, store)):
        return _train_in(run, model, videos, recipe, store, data)


def _train_in(
    run: Path,
    model: VideoLM,
    videos: Sequence[Described],
    recipe: ResponseRecipe,
    store: StateStore,
    data: str,
) -> Learned:
    """Train in a folder that has been claimed; arguments as `train_responses`."""
    # Texts before states, which may take hours: one of them may be of no use.
    cues, vectors = _read_texts(model, videos, recipe)
    store.collect(model, videos)
    pictures = Pictures(store, videos, vectors, cues, recipe.frames, recipe.most_proposals)
    cells = Scaling.measure(pictures.sample_states(SCALING_VIDEOS))
    texts = Scaling.measure([torch.stack(list(vectors.values()))])
    torch.manual_seed(recipe.seed)
    network = ResponseNetwork(recipe.config.network, len(cells.centre), len(texts.centre))
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.schedule.rate, weight_decay=recipe.schedule.decay
    )
    # States come from a model in evaluation mode and are cut off from it, so only this learns.
    going = _Run(network, optimiser, run)
    going.resume()
    scales = (cells, texts)
    with use_few_threads(network):
        _train(going, pictures, scales, recipe)
    # The bank is of a batch that no step has seen in this order.
    last = pictures.draw(_make_rng(recipe, recipe.schedule.steps), recipe.schedule.batch)
    return Learned(
        network.eval().requires_grad_(False),
        network.fill_bank(_scale(last.own, *scales)),
        cells,
        texts,
        store.layer,
        recipe.cues,
        recipe.text,
        {
            "model": dict(model.identity),
            "fingerprint": store.fingerprint,
            "data": data,
            "videos": len(videos),
            "sentences": sum(len(one.sentences) for one in videos),
            "recipe": to_plain(recipe),
            "curve": going.curve,
            "versions": dict(library_versions()),
        },
    )


def _train(
    going: _Run, pictures: Pictures, scales: tuple[Scaling, Scaling], recipe: ResponseRecipe
) -> None:
    """Take all steps that are left."""
    schedule = recipe.schedule
    steps = range(going.done, schedule.steps)
    going.network.train()
    for step, _ in enumerate_with_progress(iter(steps), schedule.steps, "responses", going.done):
        # A seed for each step: a continued run draws what the whole run would have drawn.
        rng = _make_rng(recipe, step)
        drawn = pictures.draw(rng, schedule.batch)
        losses = _compute_losses(going.network, drawn, scales, recipe.config, rng)
        total = torch.stack(list(losses.values())).sum()
        if not bool(total.isfinite()):
            raise RuntimeError(
                f"{going.folder}: the loss is {float(total.detach())} at step {step}; give another "
                f"folder and a lower rate than {schedule.rate:g}"
            )
        for group in going.optimiser.param_groups:
            group["lr"] = schedule.rate * (1 - step / schedule.steps) ** schedule.power
        going.optimiser.zero_grad()
        total.backward()
        going.optimiser.step()
        # In the file, too: a curve that comes with the weights cannot be lost.
        if step % LOGGED_STEPS == 0:
            going.curve.append([step, round(float(total.detach()), 4)])
            shown = {name: float(one.detach()) for name, one in losses.items()}
            append_log_entry(going.folder, step=step, loss=float(total.detach()), **shown)
        going.done = step + 1
        if going.done % SAVED_STEPS == 0 or going.done == schedule.steps:
            going.save()


def _compute_losses(
    network: ResponseNetwork,
    drawn: DrawnBatch,
    scales: tuple[Scaling, Scaling],
    config: ResponseConfig,
    rng: np.random.Generator,
) -> dict[str, Float[Tensor, ""]]:
    """Compute each term of the loss, times its weight."""

    def score_others() -> Tensor:
        scores = network(_scale(drawn.other, *scales))
        return torch.diagonal(scores, dim1=1, dim2=2).movedim(-1, 1)

    maps = StageMaps(
        network(_scale(drawn.own, *scales)),
        drawn.proposals,
        score_others,
        drawn.has_other,
        pair=int(rng.integers(max(1, config.network.stages - 1))),
    )
    return {term.loss.__name__: term.weight * term.loss(maps) for term in config.terms}


def _read_texts(
    model: VideoLM, videos: Sequence[Described], recipe: ResponseRecipe
) -> tuple[dict[str, tuple[str, ...]], dict[str, Tensor]]:
    """Read the cues of each sentence, and all texts as vectors."""
    stages = recipe.config.network.stages
    sentences = dict.fromkeys(text for one in videos for text in one.sentences)
    cues = {one: fit_cues(recipe.cues(one), one, stages) for one in sentences}
    texts = list(dict.fromkeys([*sentences, *(cue for some in cues.values() for cue in some)]))
    # Texts need a view for the tokens that are written after a video; any video does.
    with torch.no_grad():
        vectors = recipe.text(model.watch(videos[0].read().video), texts)
    return cues, dict(zip(texts, vectors, strict=True))


def _scale(batch: ReferringBatch, cells: Scaling, texts: Scaling) -> ReferringBatch:
    return ReferringBatch(
        cells.apply(batch.cells), texts.apply(batch.sentences), texts.apply(batch.cues)
    )


def _make_rng(recipe: ResponseRecipe, step: int) -> np.random.Generator:
    return np.random.default_rng((recipe.seed, step))


def _check_choices(videos: Sequence[Described], recipe: ResponseRecipe) -> None:
    """Refuse what would train without an error, and teach nothing or another thing."""
    if len(videos) < 2:
        raise ValueError(
            f"{len(videos)} video{'' if len(videos) == 1 else 's'}: sentences are told from those "
            f"of other videos; give two at least"
        )
    name, count = Counter(one.name for one in videos).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{name}: {count} videos have this name; give each one of its own")
    schedule = recipe.schedule
    if schedule.steps < 1 or schedule.batch < 2:
        raise ValueError(
            f"{schedule.steps} steps of {schedule.batch} pictures teach nothing; give one step and "
            f"two pictures at least"
        )


def _make_claim(recipe: ResponseRecipe, videos: Sequence[Described], store: StateStore) -> Claim:
    """Make the claim of a run to its folder."""
    # The videos and the model, too: with others, a run that goes on would not be one of any recipe.
    names = [[one.name, one.frames, *one.sentences] for one in videos]
    content = {"recipe": to_plain(recipe), "videos": names, "fingerprint": store.fingerprint}
    return Claim(content, PARTS_OF_RUN)

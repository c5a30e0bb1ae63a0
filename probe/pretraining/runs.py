"""A run of learning from pairs: episodes one after the other, stored; a stopped run continues."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from probe.files import read_json, read_tensors, remove_partials, write_json, write_tensors
from probe.pretraining.episodes import Learning, Pairs
from probe.pretraining.learner import PairLearner, make_adamw
from probe.pretraining.moments import collect_moments, restore_moments
from probe.pretraining.recipe import PairRecipe

OPTIMISER_PREFIX = "optimiser."
"""Start of the names of the optimisers' tensors in a state file."""

STATE = "state.safetensors"
"""File of a run from which it continues."""

Log: TypeAlias = list[dict[str, Any]]
"""One entry for each episode."""


@dataclass(frozen=True)
class PairRun:
    """A place and a machine for a run, and what belongs to this run alone."""

    folder: Path
    device: str = "cpu"
    workers: int = 0
    """Processes that read pictures; 0 reads them in this one."""
    teacher: Float[Tensor, "pair width"] | None = None
    """Features of an external teacher for each pair, reduced; None without one."""
    make_optimisers: Callable[[PairLearner, PairRecipe], Sequence[torch.optim.Optimizer]] = (
        make_adamw
    )
    after_episode: Callable[[PairLearner, int], dict[str, Any]] | None = None
    """Called after each episode with the learner and the episode's number, from 1; what it returns
    joins the log. It is not called again for episodes before a stop."""

    source: str = ""
    """A hash of the pairs' file; a run that continues must have the same pairs. Empty to check
    nothing, for pairs that are drawn from a seed."""


def learn_pairs(learner: PairLearner, pairs: Pairs, recipe: PairRecipe, run: PairRun) -> Log:
    """Learn from pairs, from the episode after which an earlier run of the same recipe stopped.

    The run leaves in its folder `recipe.json`, `log.json` and a state. A stopped run that continues
    ends with the weights of an unbroken one.

    Args:
        learner: Towers and heads, changed in place.
        pairs: The pairs.
        recipe: Lengths, rates and losses.
        run: Folder, device, and what belongs to this run alone.

    Returns:
        The log: an entry for each episode.

    Raises:
        ValueError: if the folder contains a run of another recipe, there are no pairs, or the
            teacher's features fit neither them nor the recipe.
    """
    _check(pairs, recipe, run)
    run.folder.mkdir(parents=True, exist_ok=True)
    remove_partials(run.folder)
    check_same_recipe(run.folder / "recipe.json", recipe)
    _check_same_pairs(run.folder / "pairs.json", {"sha256": run.source, "pairs": len(pairs)})
    learner.to(run.device)
    optimisers = run.make_optimisers(learner, recipe)
    log = load_state(run.folder / STATE, learner, optimisers)
    learning = Learning(learner, optimisers, recipe, pairs, run.teacher, run.workers)
    for episode in range(len(log), recipe.episodes):
        entry = learning.learn_episode(episode)
        learner.eval()
        if run.after_episode is not None:
            entry |= run.after_episode(learner, episode + 1)
        log.append(entry)
        save_state(run.folder / STATE, learner, optimisers, log)
        write_json(run.folder / "log.json", log)
    # Here, too: a run that had ended already has passed through no episode.
    learner.eval()
    return log


def _check(pairs: Pairs, recipe: PairRecipe, run: PairRun) -> None:
    """Check that pairs, teacher and recipe fit each other."""
    if not len(pairs):
        raise ValueError("there are no pairs to learn from; give a file that has some")
    if (run.teacher is None) != (recipe.teacher_weight <= 0):
        state = "missing" if run.teacher is None else "given"
        raise ValueError(
            f"the teacher's features are {state}, but the weight of their loss is "
            f"{recipe.teacher_weight}; give features and a weight above 0, or neither"
        )
    if run.teacher is not None and len(run.teacher) != len(pairs):
        raise ValueError(
            f"{len(run.teacher)} rows of the teacher's features for {len(pairs)} pairs; give one "
            "for each pair, in the order of the pairs"
        )


def _check_same_pairs(path: Path, found: Mapping[str, Any]) -> None:
    """Write which pairs a new run learns from, or check that a run to be continued has the same."""
    if not path.exists():
        write_json(path, dict(found))
    elif read_json(path) != found:
        raise ValueError(f"{path}: a run on other pairs; give another folder or the same pairs")


def check_same_recipe(path: Path, recipe: Any) -> None:
    """Write the recipe of a new run, or check that a run to be continued has the same.

    A field that the stored recipe lacks counts as the default: such a field was added later, with a
    default that does what was done before.

    Raises:
        ValueError: if the run is one of another recipe.
    """
    content = _to_plain(recipe)
    if not path.exists():
        write_json(path, content)
        return
    stored = read_json(path)
    if not isinstance(stored, dict) or {**_to_plain(type(recipe)()), **stored} != content:
        raise ValueError(f"{path}: a run of another recipe; give another folder or the same recipe")


def _to_plain(recipe: Any) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(recipe)))  # with lists for tuples, as it is read


def save_state(
    path: Path, learner: PairLearner, optimisers: Sequence[torch.optim.Optimizer], log: Log
) -> None:
    """Write all that a stopped run needs to continue."""
    moments = {OPTIMISER_PREFIX + k: value for k, value in collect_moments(optimisers).items()}
    # The log lies in the state, too: after a stop between two files, it fits the weights.
    write_tensors(path, {**learner.state_dict(), **moments}, {"log": log})


def load_state(
    path: Path, learner: PairLearner, optimisers: Sequence[torch.optim.Optimizer]
) -> Log:
    """Restore learner and optimisers from an earlier run, and return its log.

    Raises:
        ValueError: if the file is damaged, or of other towers.
    """
    if not path.exists():
        return []
    stored, about = read_tensors(path)
    moments = {
        name.removeprefix(OPTIMISER_PREFIX): value
        for name, value in stored.items()
        if name.startswith(OPTIMISER_PREFIX)
    }
    weights = {k: v for k, v in stored.items() if not k.startswith(OPTIMISER_PREFIX)}
    try:
        learner.load_state_dict(weights)
    except RuntimeError as failure:
        raise ValueError(
            f"{path}: a run of other towers; give another folder or the same towers"
        ) from failure
    restore_moments(optimisers, moments)
    return about["log"]

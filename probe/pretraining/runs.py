"""A run of learning from pairs: episodes one after the other, stored; a stopped run continues."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from probe.files import write_json
from probe.pretraining.episodes import Learning, Pairs
from probe.pretraining.learner import PairLearner, make_adamw
from probe.pretraining.recipe import PairRecipe
from probe.pretraining.run_folders import Claim, claim_folder
from probe.pretraining.run_states import STATE_FILE, load_state, save_state

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
        ValueError: if the folder contains a run of another recipe, other pairs or other towers,
            there are no pairs, or the teacher's features fit neither them nor the recipe.
    """
    _check(pairs, recipe, run)
    counted = {"sha256": run.source, "pairs": len(pairs)}
    names = dict.fromkeys(counted, "other pairs")
    claims = Claim.of_recipe(recipe), Claim(counted, names, "pairs.json")
    with claim_folder(run.folder, *claims):
        learner.to(run.device)
        optimisers = run.make_optimisers(learner, recipe)
        state = run.folder / STATE_FILE
        notes = load_state(state, learner, optimisers)
        log: Log = [] if notes is None else notes["log"]
        learning = Learning(learner, optimisers, recipe, pairs, run.teacher, run.workers)
        for episode in range(len(log), recipe.episodes):
            entry = learning.learn_episode(episode)
            learner.eval()
            if run.after_episode is not None:
                entry |= run.after_episode(learner, episode + 1)
            log.append(entry)
            # The log lies in the state, too: after a stop between two files, it fits the weights.
            save_state(state, learner, optimisers, {"log": log})
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

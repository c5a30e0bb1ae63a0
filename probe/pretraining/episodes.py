"""An episode of learning from pairs: draw them, cluster their features, learn in one pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from probe.pretraining.clusters import EpisodeTasks, make_tasks
from probe.pretraining.learner import PairLearner, set_rates
from probe.pretraining.recipe import PairRecipe, compute_rate
from probe.progress import make_bar

CLUSTERING, LEARNING = 0, 1
"""The two readings of an episode's pairs, which are augmented anew for each."""

FEATURE_BATCH = 256
"""Pairs whose features are computed at once; no gradient is kept of them."""


@runtime_checkable
class Pairs(Protocol):
    """Pairs of a picture and a sentence, ready for the towers."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        ...

    def read(self, index: int, seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return picture and tokens of a pair, augmented as the seed says."""
        ...


@dataclass(frozen=True)
class Drawn(Dataset[Any]):
    """Pairs that were drawn, each with the seed of its augmentation."""

    pairs: Pairs
    indices: Int[np.ndarray, " pair"]
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        return self.pairs.read(int(self.indices[place]), (*self.seed, place))

    def load(self, batch: int, workers: int) -> DataLoader[Any]:
        """Load them in order, batch by batch; in this process if there are no workers."""
        return DataLoader(self, batch_size=batch, num_workers=workers)


@dataclass(frozen=True)
class Learning:
    """A learner with its optimisers, its recipe, and the pairs that it learns from."""

    learner: PairLearner
    optimisers: Sequence[torch.optim.Optimizer]
    recipe: PairRecipe
    pairs: Pairs
    teacher: Float[Tensor, "pair width"] | None
    """Features of an external teacher for each pair, reduced; None without one."""
    workers: int

    @property
    def device(self) -> torch.device:
        """Device of the learner."""
        return self.learner.pair_scale.device

    def learn_episode(self, episode: int) -> dict[str, Any]:
        """Draw an episode, cluster it if it is one that does, and learn from it in one pass.

        Args:
            episode: Number of the episode, from 0.

        Returns:
            The entry of the log: number from 1, and mean loss.
        """
        recipe = self.recipe
        # All randomness of an episode follows from its number, so that a continued run draws the
        # same as an unbroken one.
        generator = np.random.default_rng((recipe.seed, episode))
        torch.manual_seed(int(generator.integers(2**62)))
        indices = generator.integers(len(self.pairs), size=recipe.episode_pairs)
        seed = int(generator.integers(2**31))
        order = generator.permutation(recipe.episode_pairs)
        order = order[: recipe.steps_an_episode * recipe.batch]
        tasks = self._cluster(indices, episode, seed)
        drawn = Drawn(self.pairs, indices[order], (recipe.seed, episode, LEARNING))
        self.learner.train()
        losses = [
            self._take_step(batch, tasks, places, episode * recipe.steps_an_episode + number)
            for number, (batch, places) in enumerate(
                zip(
                    self._show(drawn, recipe.batch, f"episode {episode + 1}/{recipe.episodes}"),
                    torch.from_numpy(order).split(recipe.batch),
                    strict=True,
                )
            )
        ]
        return {"episode": episode + 1, "loss": float(torch.stack(losses).mean())}

    def _cluster(self, indices: Int[np.ndarray, " pair"], episode: int, seed: int) -> EpisodeTasks:
        """Make the tasks of an episode; none in one that learns from pairs alone."""
        if not self.recipe.clusters_in(episode):
            return EpisodeTasks()
        drawn = Drawn(self.pairs, indices, (self.recipe.seed, episode, CLUSTERING))
        images, texts = self._compute_students(drawn)
        teacher = None if self.teacher is None else self.teacher[torch.from_numpy(indices)]
        return make_tasks(images, texts, teacher, self.recipe, seed).to(self.device)

    @torch.no_grad()
    def _compute_students(self, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Compute the unit outputs of both heads for all pairs, on the CPU."""
        self.learner.eval()
        parts = []
        for pictures, tokens in self._show(drawn, FEATURE_BATCH, "features"):
            with autocast(self.device):
                image = self.learner.embed_images(pictures.to(self.device))
                text = self.learner.embed_texts(tokens.to(self.device))
                students = self.learner.project(image, text)
            parts.append([side.cpu() for side in students])
        images, texts = (torch.cat(side) for side in zip(*parts, strict=True))
        return images, texts

    def _take_step(
        self, batch: Sequence[Tensor], tasks: EpisodeTasks, places: Tensor, step: int
    ) -> Tensor:
        """Learn from a batch, and return its loss."""
        recipe, learner = self.recipe, self.learner
        set_rates(
            self.optimisers,
            compute_rate(recipe, step, recipe.unlocked_steps),
            compute_rate(recipe, step, recipe.steps),
        )
        pictures, tokens = (part.to(self.device) for part in batch)
        with autocast(self.device):
            loss = learner.compute_loss(pictures, tokens, tasks, places.to(self.device))
        learner.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(learner.parameters(), recipe.largest_gradient)
        for optimiser in self.optimisers:
            optimiser.step()
        learner.clamp_scales()
        return loss.detach()

    def _show(self, drawn: Drawn, batch: int, name: str) -> Iterator[Any]:
        loader = drawn.load(batch, self.workers)
        return iter(make_bar(loader, desc=name, total=len(loader), leave=False))


def autocast(device: torch.device) -> torch.autocast:
    """Compute products in bfloat16 on a GPU; on a CPU in float32."""
    # The released code uses float16 with a scaled loss; bfloat16 needs no scaling.
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu")

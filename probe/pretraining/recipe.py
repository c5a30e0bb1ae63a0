"""Settings of paired contrastive learning, with the published ones as presets; the schedule."""

import math
from dataclasses import dataclass, replace

NEVER_NEGATIVE = (
    *("seed", "warm_steps", "decay", "warm_episodes", "locked_episodes"),
    *("prototype_weight", "teacher_weight"),
)
"""Fields of a recipe that are 0 or more."""


# The names of the fields are option names of `probe pretrain` and keys of `recipe.json`.
@dataclass(frozen=True)
class PairRecipe:
    """Length, rates and losses of learning from pairs, episode by episode.

    The defaults are the published settings for one card. An episode is a random draw of pairs,
    clustered once and learned from in one pass.
    """

    seed: int = 0
    """Seed of the initial weights, of the draws and of the augmentation."""
    episodes: int = 100
    """Number of episodes."""
    episode_pairs: int = 200_000
    """Pairs drawn for an episode, with replacement."""
    batch: int = 64
    """Pairs in a batch; a last batch that is not full is left out."""
    rate: float = 5e-5
    """Highest learning rate, of AdamW."""
    warm_steps: int = 2_000
    """Steps in which the learning rate rises."""
    decay: float = 0.5
    """Weight decay of matrices; biases, norms, scales and heads have none."""
    largest_gradient: float = 10.0
    """Norm to which gradients are clipped."""
    warm_episodes: int = 1
    """Episodes at the start that learn from pairs alone, until features are worth clustering."""
    locked_episodes: int = 2
    """Episodes at the end in which the image tower is fixed, and pairs alone teach the texts."""
    prototypes: int = 20_000
    """Number of clusters of each side."""
    prototype_weight: float = 1.0
    """Weight of the prototype loss; 0 leaves it out, and InfoNCE alone is left."""
    translate: bool = True
    """Compare students with prototypes translated back to their own space."""
    temperature: float = 0.01
    """Temperature of the prototypes as targets; at 0 or below a target is one cluster."""
    teacher_weight: float = 0.0
    """Weight of the loss on clusters of an external teacher's features, if there are any."""
    teacher_width: int = 64
    """Directions of the teacher's features that are kept (PCA)."""
    head_hidden: int = 2_048
    """Hidden width of the heads, which serve learning only."""
    head_width: int = 128
    """Output width of the heads, in which clusters are found."""
    cluster_rounds: int = 20
    """Most iterations of k-means."""
    cluster_restarts: int = 3
    """Starts of k-means, of which the best is kept."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            ValueError: if one is negative, an episode has no batch, or warm and locked episodes
                overlap.
        """
        for name in NEVER_NEGATIVE:
            if not getattr(self, name) >= 0:  # as NaN is not, either
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 or more")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate is {self.rate}; give a number above 0")
        if self.batch < 2 or self.episode_pairs < self.batch:
            raise ValueError(
                f"batch is {self.batch} and episode_pairs is {self.episode_pairs}; a batch needs 2 "
                "pairs or more, and an episode a batch or more"
            )
        if self.warm_episodes + self.locked_episodes > self.episodes:
            raise ValueError(
                f"{self.warm_episodes} warm and {self.locked_episodes} locked episodes of "
                f"{self.episodes}; give more episodes"
            )
        if self.learns_prototypes and not 2 <= self.prototypes <= self.episode_pairs:
            raise ValueError(
                f"{self.prototypes} prototypes of {self.episode_pairs} pairs; give 2 or more, and "
                "at most as many as an episode has pairs"
            )

    @property
    def steps_an_episode(self) -> int:
        """Number of full batches of an episode."""
        return self.episode_pairs // self.batch

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return self.episodes * self.steps_an_episode

    @property
    def unlocked_steps(self) -> int:
        """Number of steps before the image tower is fixed."""
        return (self.episodes - self.locked_episodes) * self.steps_an_episode

    @property
    def learns_prototypes(self) -> bool:
        """Presence of any loss on clusters."""
        return self.prototype_weight > 0 or self.teacher_weight > 0

    def clusters_in(self, episode: int) -> bool:
        """Return whether an episode, counted from 0, learns from clusters, too."""
        last = self.episodes - self.locked_episodes
        return self.learns_prototypes and self.warm_episodes <= episode < last

    def locks_images_in(self, episode: int) -> bool:
        """Return whether the image tower is fixed in an episode, counted from 0."""
        return episode >= self.episodes - self.locked_episodes

    def shorten(self) -> "PairRecipe":
        """Return a recipe of a few steps: it checks that all runs, and is of no use."""
        return replace(
            self,
            episodes=3,
            episode_pairs=16,
            batch=4,
            warm_steps=2,
            warm_episodes=1,
            locked_episodes=1,
            prototypes=4,
            cluster_restarts=1,
        )


ONE_CARD = PairRecipe()
"""The published settings for one card: CC2.5M, 100 episodes, 8 passes over the data."""

EIGHT_CARDS = PairRecipe(episodes=400, batch=512, rate=5e-4, warm_steps=15_625)
"""The published settings for eight cards of 64 pairs each: 400 episodes, 32 passes."""

PRESETS = {"one-card": ONE_CARD, "eight-cards": EIGHT_CARDS}
"""Published settings by name."""


def compute_rate(recipe: PairRecipe, step: int, end: int) -> float:
    """Compute the learning rate of a step: it rises in a line, then falls in half a cosine to 0.

    Args:
        recipe: Highest rate and warm-up.
        step: Number of the step, from 0.
        end: Step at which the rate has fallen to 0; it is 0 from there on. The image tower's is the
            step at which it is locked, that of the rest the last one.
    """
    if step >= end:
        return 0.0
    if step < recipe.warm_steps:
        return recipe.rate * (step + 1) / recipe.warm_steps
    done = (step - recipe.warm_steps) / (end - recipe.warm_steps)
    return recipe.rate * (1 + math.cos(math.pi * done)) / 2

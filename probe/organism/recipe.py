"""How long and how fast the organism learns, and how often edges are cut meanwhile."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Shares:
    """How often edges are cut."""

    local: float
    """Share of clips whose visual tokens see only their neighbourhood."""

    partial: float
    """Share of clips that keep a random share of the other edges; the rest are left whole."""

    words: float
    """Share of questions whose words do not see the video."""

    role: float
    """Share of role tokens that do not see the video."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to learn."""

    seed: int = 0
    """Of the weights at the start and of the clips; another seed is another organism."""
    tag_steps: int = 2400
    """Steps of the first stage, which learns to see."""
    tag_clips: int = 24
    """Clips in a batch of tagged frames, three frames of each."""
    tag_rate: float = 1.5e-3
    """Highest learning rate of the first stage."""
    steps: int = 2400
    """Steps of the second stage, which learns to answer."""
    clips: int = 8
    """Clips in a batch of questions, about eighteen questions on each."""
    rate: float = 1.0e-3
    """Highest learning rate of the second stage."""
    slow: float = 0.1
    """Rate of projector and embeddings over the language model's, so that they stay aligned."""
    decay: float = 0.05
    """Weight decay of the language model's matrices."""
    cut_first: Shares = Shares(local=0.8, partial=0.2, words=0.25, role=0.1)
    cut_last: Shares = Shares(local=0.2, partial=0.4, words=0.5, role=0.25)
    loosen: float = 0.5
    """Share of the steps after which the cuts begin to move from the first shares to the last."""
    save_every: int = 100
    """Steps between two states that a stopped run can go on from."""

    def quick(self) -> "Recipe":
        """The same in about a minute: to check that the whole path runs, not for use."""
        return replace(self, tag_steps=40, tag_clips=4, steps=20, clips=2, save_every=10)

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
    """Mean share of the grid's places that a question's words do not see, for shares up to a half;
    each question draws its own from 0 to twice as much, 1 at most."""

    role: float
    """Share of role tokens that do not see the video."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to learn."""

    seed: int = 0
    """Of the weights at the start and of the clips; another seed is another organism."""
    frame_steps: int = 1500
    """Steps of the first stage, which learns what is in a frame."""
    frame_clips: int = 24
    """Clips in a batch of tagged frames, three frames of each."""
    frame_rate: float = 1.5e-3
    """Highest learning rate of the first stage."""
    clip_steps: int = 700
    """Steps of the second stage, which learns what happens in a clip."""
    clip_clips: int = 16
    """Clips in a batch of tagged clips."""
    clip_rate: float = 1.5e-3
    """Highest learning rate of the second stage."""
    steps: int = 2600
    """Steps of the third stage, which learns to answer."""
    clips: int = 8
    """Clips in a batch of questions, about eighteen questions on each."""
    rate: float = 1.0e-3
    """Highest learning rate of the third stage."""
    slow: float = 0.2
    """Rate of projector and embeddings over the rest's after the first stage: they stay aligned."""
    rehearsal: float = 5.0
    """Weight of the tags of clips while answers are learned."""
    decay: float = 0.05
    """Weight decay of the language model's matrices."""
    cut_first: Shares = Shares(local=0.8, partial=0.2, words=0.0, role=0.1)
    cut_last: Shares = Shares(local=0.3, partial=0.4, words=0.65, role=0.4)
    shift: tuple[float, float] = (0.25, 0.75)
    """Between which shares of the steps the cuts move from the first to the last."""
    save_every: int = 100
    """Steps between two states that a stopped run can go on from."""

    def quick(self) -> "Recipe":
        """The same in about a minute: to check that the whole path runs, not for use."""
        short = {"frame_steps": 40, "frame_clips": 4, "clip_steps": 20, "clip_clips": 2}
        return replace(self, **short, steps=20, clips=2, save_every=10)

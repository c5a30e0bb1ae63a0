"""Settings of the organism's training: how long, how fast, and how often attention is cut."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Literal

from probe.organism.world import Pair

COUNTS = ("frame_steps", "frame_clips", "clip_clips", "clips", "save_every")

LATER_STAGES = ("clip_steps", "steps")
"""Lengths of stages that may be left out: an organism may learn no more than to see."""

LEAST_NUMBERS = {
    **dict.fromkeys(COUNTS, (1, "1 or more")),
    **dict.fromkeys(LATER_STAGES, (0, "0, which leaves the stage out, or more")),
    **dict.fromkeys(
        ("seed", "slow", "rehearsal", "statements", "growth", "decay"), (0, "0 or more")
    ),
    **dict.fromkeys(("frame_rate", "clip_rate", "rate"), (math.ulp(0.0), "a number above 0")),
}
"""The least that each number of a recipe may be, and this in words."""


# The names of the fields are option names of `probe train-organism` and keys of `recipe.json`:
# with other names, a stopped run could not be continued.
@dataclass(frozen=True)
class CutShares:
    """Shares of the steps in which edges of the attention are cut."""

    local: float
    """Share of clips whose visual tokens attend only to their neighbourhood."""

    partial: float
    """Share of clips that keep a random share of the other edges; in the remaining clips all edges
    between visual tokens are kept."""

    words: float
    """Mean share of the grid's cells that are hidden from the words of a question. Each question
    draws its own share between 0 and twice this value; above 0.5, draws over 1 count as 1."""

    role: float
    """Share of role tokens that cannot attend to the video."""


@dataclass(frozen=True)
class Recipe:
    """Length and learning rates of the three stages; the defaults are those of the shapes.

    A shorter one (900, 500 and 1,700 steps) was tried and answers fewer questions right
    (`analyses/recipe_quality.py`).
    """

    seed: int = 0
    """Seed of the initial weights and of the clips; another seed gives another organism."""
    seeing: Literal["tags", "infonce", "protoclip"] = "tags"
    """Way in which the vision tower learns to see: from tags of frames; or, as many steps before
    that, from pairs of frames and captions, by InfoNCE alone (as CLIP) or with prototypes, too (as
    ProtoCLIP). A tower that learned from pairs is fixed when tags align the projector and the words
    with it."""
    frame_steps: int = 1500
    """Steps of the first stage, which learns what is in a frame."""
    frame_clips: int = 24
    """Clips in a batch of tagged frames; the world says how many frames are taken from each."""
    frame_rate: float = 1.5e-3
    """Highest learning rate of the first stage."""
    clip_steps: int = 700
    """Steps of the second stage, which learns what happens in a clip; 0 leaves it out."""
    clip_clips: int = 16
    """Clips in a batch of tagged clips."""
    clip_rate: float = 1.5e-3
    """Highest learning rate of the second stage."""
    steps: int = 2600
    """Steps of the third stage, which learns to answer; 0 leaves it out."""
    clips: int = 8
    """Clips in a batch of questions; about eighteen questions are asked about each."""
    rate: float = 1.0e-3
    """Highest learning rate of the third stage."""
    slow: float = 0.2
    """Learning rate of projector and word embeddings after the first stage, relative to the other
    parameters; it is low so that words and cells stay aligned."""
    rehearsal: float = 5.0
    """Weight of the loss on the tags of clips while answers are learned."""
    statements: float = 0.0
    """Weight of the loss on statements about clips (`organism/statements.py`) in the second and
    third stage; at 0 there are none."""
    reader: Literal["new", "kept"] = "new"
    """The readers of tags with which the third stage begins: new ones, or those that the second has
    taught. New ones are wrong at first, and for two hundred steps move what they read from."""
    growth: float = 0.0
    """Weight of the loss on what the lowest layers add to tokens (`organism/growth.py`), in the
    second and third stage."""
    settle: float = 0.0
    """Share of the second stage after which statements are made and growth is bounded. Both from
    the start, things' actions were hardly learned (0.30 right after 800 steps, and 0.5 to 0.6
    without)."""
    decay: float = 0.05
    """Weight decay of the language model's matrices."""
    # The video is hidden from words more and more. When it was hidden from the start, nothing bound
    # a colour to a shape (0.47 of the hard questions right after 800 steps); when it was never
    # hidden, the words read the answer and the role tokens did not look.
    cut_first: CutShares = CutShares(local=0.8, partial=0.2, words=0.0, role=0.1)
    """Edges of the attention that are cut at the start of the third stage."""
    cut_last: CutShares = CutShares(local=0.3, partial=0.4, words=0.65, role=0.4)
    """Edges of the attention that are cut at the end of the third stage."""
    shift: tuple[float, float] = (0.25, 0.75)
    """Shares of the steps at which the cuts start to move from the first to the last, and end."""
    save_every: int = 100
    """Steps between two saved states from which a stopped run can continue."""
    without: tuple[Pair, ...] = ()
    """Colours with shapes that no training clip shows together, such as `red cross blue square`.
    Each is still a tag and a question, which are always denied."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            ValueError: if a count, a rate, a weight, a share or a seed is out of its range.
        """
        for name, (least, words) in LEAST_NUMBERS.items():
            if not least <= getattr(self, name) < math.inf:  # as NaN is not, either
                raise ValueError(f"{name} is {getattr(self, name)}; give {words}")
        cuts = {"cut_first": self.cut_first, "cut_last": self.cut_last}
        shares = {"settle": self.settle} | {
            f"{at}.{kind}": one for at, cut in cuts.items() for kind, one in asdict(cut).items()
        }
        if wrong := [name for name, share in shares.items() if not 0 <= share <= 1]:
            raise ValueError(f"{wrong[0]} is {shares[wrong[0]]}; give a share from 0 to 1")
        begin, end = self.shift
        if not 0 <= begin < end <= 1:
            raise ValueError(f"shift is {begin} {end}; give two shares of the steps that increase")

    def shorten(self) -> "Recipe":
        """Return a recipe of about a minute: it checks that every stage runs, and is of no use."""
        short = {"frame_steps": 40, "frame_clips": 4, "clip_steps": 20, "clip_clips": 2}
        return replace(self, **short, steps=20, clips=2, save_every=10)

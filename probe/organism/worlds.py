"""A world as a value: all that training, exam and benchmarks need to know of it.

Two worlds are shipped: the shapes (`probe.organism.shapes.SHAPES`) and the things
(`probe.organism.things.world.THINGS`). Nothing in this room asks which of them it has.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from probe.organism.recipe import Recipe
from probe.organism.sampling import sample_middles
from probe.video import Span, Tube, Video

Tag: TypeAlias = tuple[str, ...]
"""Phrases that are true of one thing, such as ("red", "circle", "glows"). No phrase is on two axes,
so that their order says nothing."""

Axes: TypeAlias = tuple[tuple[str, ...], ...]
"""Phrases by axis, of which a thing has at most one each."""

Pair: TypeAlias = tuple[str, str]
"""Two words that a thing may have together, a colour and a shape or a kind."""

RESTS = "rests"
"""Phrase of a tag for a thing that does nothing that could be seen."""


@runtime_checkable
class Thing(Protocol):
    """One thing in a clip, with the truth about it."""

    @property
    def attribute(self) -> str:
        """The part of a query that says which thing is meant, without an article."""
        ...

    @property
    def action(self) -> str:
        """Its action, in the words of a query."""
        ...

    @property
    def query(self) -> str:
        """The sentence that says which thing is meant and what it does."""
        ...

    @property
    def span(self) -> Span:
        """The source frames in which it acts."""
        ...

    @property
    def words(self) -> Mapping[str, str]:
        """The words of its query by their use, for tables of what tokens look at."""
        ...

    def track(self) -> Tube:
        """Return its box in every frame of the clip."""
        ...

    def tube(self) -> Tube:
        """Return its box in the frames in which it acts."""
        ...


@runtime_checkable
class Clip(Protocol):
    """A few things, drawn when their pictures are needed."""

    @property
    def things(self) -> tuple[Any, ...]:
        """All things in it."""
        ...

    @property
    def asked(self) -> tuple[Any, ...]:
        """The things whose query is true of them alone."""
        ...

    def frame(self, index: int, *, scale: int = 1) -> UInt8[np.ndarray, "height width 3"]:
        """Draw one source frame, `scale` times as large."""
        ...

    def frames(self, indices: Sequence[int]) -> UInt8[np.ndarray, "frame height width 3"]:
        """Draw several source frames."""
        ...

    def mask(self, thing: Any, index: int) -> Bool[np.ndarray, "height width"]:
        """Return True for each pixel of a source frame in which a thing is seen."""
        ...

    def video(self, frames: int = ...) -> Video:
        """Draw frames of the clip, sampled as `read_video` samples a file."""
        ...

    def write(self, path: Path, *, scale: int = ...) -> None:
        """Write the whole clip as an MP4 file, enlarged so that people can see it."""
        ...


@dataclass(frozen=True)
class Sizes:
    """Sizes of a transformer."""

    width: int
    hidden: int
    layers: int
    heads: int


@dataclass(frozen=True)
class Body:
    """The network that learns a world: its sizes, its words and its chat template."""

    patch: int
    """Side of a patch in pixels, and of a visual token, since patches are not pooled."""

    tower: Sizes
    decoder: Sizes
    make_tokenizer: Callable[[], Any]
    """Makes a fast tokenizer of transformers, which takes seconds to import: no type names it."""

    chat_template: str
    before_video: tuple[str, ...]
    """The tokens before the video."""

    before_answer: tuple[str, ...]
    """The tokens between a question and its answer: the role tokens."""

    begin: str
    end: str
    """The tokens at the begin of a text and at the end of an answer."""

    clip_stage_layers: int = 2
    """Number of decoder layers, from the lowest, that learn from tags of clips before there are
    questions."""


@dataclass(frozen=True)
class Acts:
    """Tags that say what a kind of thing does; each kind is also a tag by itself."""

    kinds: tuple[str, ...]
    actions: tuple[str, ...]

    @property
    def pairs(self) -> tuple[Tag, ...]:
        """Every kind with every action."""
        return tuple(product(self.kinds, self.actions))


@dataclass(frozen=True)
class Tags:
    """Tags of frames or clips: a phrase from each axis, never a place or a time."""

    groups: tuple[Axes, ...]
    """Axes whose phrases make tags together: every combination of a group is a tag. Questions are
    asked in their words.

    A group of many axes teaches that a colour, a shape and an action meet in one cell, but each of
    its tags is rare: with 63 kinds, a kind and an action that are a tag together are shown too
    seldom to be learned. Then what things do has a way of its own, `acts`."""

    acts: Acts | None = None
    """Tags of actions by kind, which are read where the kind is shown."""

    plain_weight: float = 1.0
    """Weight in the loss of all other tags, relative to acts, while these are first learned. Kinds
    that are already known give larger gradients than actions that are not: with three times the
    weight of actions no action was told from another after 200 steps (AUROC 0.54), with a tenth
    they were after 100 (0.60), and better after 700 (0.82)."""

    positive_weight: float = 1.0
    """Weight in the loss of a tag that is shown, relative to one that is not. Where tags are
    rare, a weight of 1 teaches at first to deny them all."""

    head_bias: float = 0.0
    word_bias: float = -4.0
    """Scores of all tags before training, in logits, by the head and by words. A bias learns
    slowly: if the first scores are far from the share of tags that are shown, they are corrected by
    way of a direction that all visual tokens get in common, and so these become alike."""

    @property
    def all(self) -> tuple[Tag, ...]:
        """Every tag of the groups."""
        return tuple(tag for axes in self.groups for tag in product(*axes))

    @property
    def marked(self) -> tuple[Tag, ...]:
        """Every tag and every act, in the order of the numbers that `mark` returns."""
        return (*self.all, *(() if self.acts is None else self.acts.pairs))

    def mark(self, shown: Collection[Tag]) -> Float[np.ndarray, " mark"]:
        """Return 1 for every tag and every act that something carries, else 0.

        Args:
            shown: For each thing, all of its phrases.
        """
        acts = () if self.acts is None else ((self.acts.kinds, self.acts.actions),)
        carried = {
            tag
            for thing in shown
            for axes in (*self.groups, *acts)
            for tag in product(*([phrase for phrase in axis if phrase in thing] for axis in axes))
        }
        return np.array([tag in carried for tag in self.marked], dtype=np.float32)


@dataclass(frozen=True)
class World:
    """A world of clips that are drawn from seeds, with its questions, tags and network."""

    name: str
    side: int
    """Width and height of a frame, in pixels."""

    length: int
    """Source frames in a clip."""

    rate: float
    """Source frames in a second."""

    sampled_frames: int
    """Frames of a clip that the organism sees."""

    make_clip: Callable[..., Any]
    """Makes the clip of a seed; in no thing of it are any of the pairs of words together that a
    second argument, `without`, may have."""

    make_questions: Callable[[Any, np.random.Generator, float], list[Any]]
    """Makes questions about a clip; the number is the share of hard ones among those to be denied.
    Each is a `QuestionAnswer`."""

    make_absent_queries: Callable[[Any, Any, tuple[int, int]], dict[str, str]]
    """Makes queries by kind that are true of nothing in a clip, from a thing in it and a seed."""

    frame_tags: Tags
    list_frame_tags: Callable[[Any, int], set[Tag]]
    """Lists the phrases of each thing that a source frame of a clip shows."""

    clip_tags: Tags
    list_clip_tags: Callable[[Any, Span], set[Tag]]
    """Lists the phrases of each thing for a part of a clip, given in source frames; a thing that
    does two things in it is listed twice."""

    body: Body
    version: int
    """Raised whenever clips or queries change: scores compare within a version."""

    absent_version: int
    """Raised whenever the absent queries change, on which the other figures do not depend."""

    group: Callable[[Any], Mapping[str, str]]
    """Names the groups of clips that a clip belongs to, such as those of its brightness."""

    frames_a_clip: int = 3
    """Frames taken from each clip to learn tags of frames."""

    tagged_frames: int | None = None
    """Sampled frames of the part of a clip from which tags of clips are learned; all by default. In
    a short part a thing acts for most of the time or not at all, so that more is learned from as
    many frames."""

    filter_clips: int = 0
    """Clips whose patches set the tower's first filters (`patch_filters`); 0 leaves these random,
    which is enough where grounds are plain."""

    proposer: str = "plain"
    """The proposer that finds its things, by its name in `probe.candidates.PROPOSERS`."""

    recipe: Recipe = field(default_factory=Recipe)
    """The lengths and rates with which a world is learned, unless others are asked for."""

    def leave_out(self, pairs: Collection[Pair]) -> "World":
        """Return the world in which no clip has a thing with both words of one of the pairs.

        Raises:
            ValueError: if no thing can have both words of a pair.
        """
        possible = [tag[:2] for tag in self.frame_tags.all if len(tag) > 1]
        for pair in pairs:
            if pair not in possible:
                raise ValueError(
                    f"there is no {' '.join(pair)} among the {self.name} to leave out; give pairs "
                    f"such as {' '.join(possible[0])}"
                )
        return replace(self, make_clip=partial(self.make_clip, without=pairs)) if pairs else self

    def sample(self) -> tuple[int, ...]:
        """Return the source frames that the organism sees: the middles of equal parts of a clip."""
        return sample_middles(self.length, self.sampled_frames)

    def span_of(self, frames: Sequence[int]) -> Span:
        """Return the part of a clip from which some neighbouring frames are sampled."""
        half = self.length // self.sampled_frames // 2
        return Span(frames[0] - half, frames[-1] + half)

    @property
    def whole(self) -> Span:
        """All source frames of a clip."""
        return Span(0, self.length)

    @property
    def cells(self) -> int:
        """Rows and columns of the visual grid."""
        return self.side // self.body.patch

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of a clip."""
        return self.sampled_frames * self.cells**2

    @property
    def text_start(self) -> int:
        """Position of the first text token after the video."""
        return len(self.body.before_video) + self.visual_tokens

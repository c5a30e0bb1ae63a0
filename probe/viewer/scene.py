"""The content of the page: a video, the questions asked about it, and the answer found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from probe.engine.attention import Heatmap
from probe.engine.readings import Reading
from probe.grounding.answers import Answer
from probe.interpret.grounding_tokens import grounding_token
from probe.interpret.logit_lens import LogitLens
from probe.video import Tube, Video


@dataclass(frozen=True, eq=False)
class ShownQuestion:
    """One question, where its tokens look, and the readings to compare that with.

    Raises:
        ValueError: if the readings do not fit together.
    """

    reading: Reading

    generic: Reading | None = None
    """The generic prompt, over whose maps relative attention is taken."""

    name: str = ""
    """The part of an answer that the question was asked for, such as "where"."""

    chosen: tuple[int, ...] = ()
    """The grounding token, or all tokens whose maps were averaged, as places in the question."""

    layers: tuple[int, ...] | None = None
    """The layers that are averaged when the page opens; None for all that were read."""

    relative: bool = False
    """True if the page opens with relative attention."""

    heatmap: Heatmap | None = None
    """The map that the answer was read from, if it is not one token's map of this reading."""

    before: "ShownQuestion | None" = None
    """The reading of the same question without what changed it."""

    change: Literal["re-attention", "edits"] = "re-attention"
    """The kind of change between both readings: latent prompts, or edits of a live page."""

    use: str = ""
    """Sentences for people: how the answer used the map that it was read from."""

    missing: str = ""
    """Sentences for people: which readings are not there, and how to get them."""

    def __post_init__(self) -> None:
        others = {"generic prompt": self.generic, "reading before": None}
        if self.before is not None:
            others["reading before"] = self.before.reading
            if self.before.reading.tokens != self.reading.tokens:
                raise ValueError(
                    f"before, {self.before.reading.prompt.question!r} was asked, but after "
                    f"{self.reading.prompt.question!r}; compare readings of one question"
                )
        # The page divides maps by one another and switches between them, cell by cell.
        for name, other in others.items():
            if other is not None and not _show_same_cells(other, self.reading):
                raise ValueError(
                    f"the {name} has other layers or cells than the reading; "
                    "read both from one view with the same layers"
                )
        if missing := set(self.layers or ()) - set(self.reading.layers):
            raise ValueError(
                f"layers {sorted(missing)} were not read; the reading holds {self.reading.layers}"
            )
        if self.relative and self.generic is None:
            raise ValueError("relative attention needs the generic prompt's reading; give generic")


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that one page shows.

    Raises:
        ValueError: if there is no question, or one was asked about another video, or the lens or a
            map is of other cells.
    """

    video: Video
    questions: tuple[ShownQuestion, ...]
    title: str = ""
    model: str = ""

    answer: Answer | None = None
    """The answer whose span, tube, candidates and scores are shown."""

    truth: Tube | None = None
    """The true place of the thing, if that is known."""

    lens: LogitLens | None = None
    """The words that each cell would say, layer by layer."""

    maps: Mapping[str, Heatmap] = field(default_factory=lambda: MappingProxyType({}))
    """Further maps of the same cells by their names, such as a word lens."""

    def __post_init__(self) -> None:
        if not self.questions:
            raise ValueError("there is no question to show; give at least one")
        cells = self.questions[0].reading.grid.cells
        lens = {} if self.lens is None else {"lens": self.lens}
        for name, other in {**lens, **self.maps}.items():
            if other.cells != cells:
                raise ValueError(
                    f"{name!r} shows other cells than the reading; give one of the same view"
                )
        for question in self.questions:
            shown = {frame for frames in question.reading.grid.cells.frames for frame in frames}
            if missing := set(self.video.indices) - shown:
                raise ValueError(
                    f"the reading does not show frame {min(missing)} of the video; "
                    "give the video that it was read from"
                )


def choose_grounding_token(reading: Reading) -> tuple[int, ...]:
    """Choose the grounding token; none if the template has no role token to choose from."""
    return (grounding_token(reading),) if reading.prompt.indices("role") else ()


def _show_same_cells(one: Reading, other: Reading) -> bool:
    return one.layers == other.layers and one.grid.cells == other.grid.cells

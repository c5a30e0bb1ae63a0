"""What the page shows: a video, the questions that were asked about it, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from probe.engine.attention import Heatmap
from probe.engine.readings import Reading
from probe.grounding.answers import Answer, Look
from probe.interpret.grounding_tokens import grounding_token
from probe.video import Tube, Video


@dataclass(frozen=True, eq=False)
class Sight:
    """One question, where its tokens look, and what that can be compared with."""

    reading: Reading

    generic: Reading | None = None
    """The generic prompt, over whose maps relative attention is taken."""

    name: str = ""
    """What the question was asked for, such as "where"."""

    chosen: tuple[int, ...] = ()
    """The grounding token, or those that were read together."""

    layers: tuple[int, ...] | None = None
    """The layers that were averaged, shown first; all that were read by default."""

    relative: bool = False
    """Whether relative attention is shown first."""

    heatmap: Heatmap | None = None
    """The map that the answer was read from, where it is not one token's map of this reading."""

    before: "Sight | None" = None
    """The same question without latent prompts."""

    def __post_init__(self) -> None:
        others = {"generic prompt": self.generic, "reading before": None}
        if self.before is not None:
            others["reading before"] = self.before.reading
            if self.before.reading.tokens != self.reading.tokens:
                raise ValueError(
                    f"before, {self.before.reading.prompt.question!r} was asked, but after "
                    f"{self.reading.prompt.question!r}; compare readings of one question"
                )
        for name, other in others.items():
            if other is not None and not _alike(other, self.reading):
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
    """All that one page shows."""

    video: Video
    sights: tuple[Sight, ...]
    title: str = ""
    model: str = ""

    found: Mapping[str, Any] | None = None
    """An answer as `Answer.to_dict` or answer.json holds it: span, tube, candidates, scores."""

    truth: Tube | None = None
    """Where the thing really is, where that is known."""

    def __post_init__(self) -> None:
        if not self.sights:
            raise ValueError("there is no question to show; give at least one")
        for sight in self.sights:
            shown = {frame for sources in sight.reading.grid.cells.frames for frame in sources}
            if missing := set(self.video.indices) - shown:
                raise ValueError(
                    f"the reading does not show frame {min(missing)} of the video; "
                    "give the video that it was read from"
                )


def as_scene(
    seen: Scene | Answer | Reading,
    video: Video | None = None,
    *,
    generic: Reading | None = None,
    before: Reading | None = None,
) -> Scene:
    """Anything that can be looked at, as the page shows it.

    Args:
        seen: A scene, an answer, or a reading.
        video: What a reading was read from; scenes and answers bring their own.
        generic: The generic prompt's reading, for relative attention.
        before: The reading before re-attention.

    Raises:
        ValueError: if a reading comes without its video, or the readings do not fit together.
    """
    if isinstance(seen, Scene):
        return seen
    if isinstance(seen, Answer):
        return scene_of_answer(seen)
    if video is None:
        raise ValueError("a reading holds no pictures; give the video it was read from, too")
    earlier = None if before is None else Sight(before, generic, chosen=grounding_of(before))
    sight = Sight(seen, generic, chosen=grounding_of(seen), before=earlier)
    return Scene(video, (sight,), title=seen.prompt.question)


def scene_of_answer(answer: Answer, truth: Tube | None = None) -> Scene:
    """An answer as it stands, with the layers that it was read from and nothing read anew.

    For relative attention of every token and the view before re-attention, which an answer does
    not hold, use `scene_of_record` with the view.
    """
    sights = tuple(
        _sight_of_look(name, look)
        for name, look in (("where", answer.where), ("when", answer.when))
    )
    return Scene(
        answer.video,
        sights,
        title=answer.queries.whole,
        model=str(answer.model["name"]),
        found=answer.to_dict(),
        truth=truth,
    )


def _sight_of_look(name: str, look: Look) -> Sight:
    return Sight(look.reading, name=name, chosen=look.tokens, heatmap=look.heatmap)


def grounding_of(reading: Reading) -> tuple[int, ...]:
    """The grounding token, where the template has role tokens to choose from."""
    return (grounding_token(reading),) if reading.prompt.indices("role") else ()


def _alike(one: Reading, other: Reading) -> bool:
    return one.layers == other.layers and one.grid.cells == other.grid.cells

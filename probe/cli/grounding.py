"""`probe demo` and `probe ground`: an answer, written and printed."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from probe.cli.console import progress
from probe.cli.opening import ORGANISM_NOTICE, ModelOptions, Preset, opened
from probe.cli.outputs import made, writable
from probe.cli.sources import WEIGHTLESS, Sources

if TYPE_CHECKING:
    from probe.grounding.answers import Answer


DEMO_CLIP = 6
"""The seed of the clip that `probe demo` shows: one of those that the shipped model gets right."""


@dataclass(frozen=True)
class Demo:
    """Ground a query in a clip of moving shapes with the shipped model."""

    out: Path = Path("probe-demo")
    """Folder for clip.mp4, answer.json, answer.mp4 and answer.png."""

    clip: int = DEMO_CLIP
    """Seed of the clip; every number is another clip."""

    preset: Preset = "best"
    """Whose choices to follow: no learning, the best known, the paper's, or its code's."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Make the clip, answer, and say what the truth was."""
        from probe.organism.world import make_clip

        writable(self.out)
        clip = make_clip(self.clip)
        thing = clip.things[0]
        made(self.out)
        clip.write(self.out / "clip.mp4")
        answer = answered(
            self.out / "clip.mp4", thing.query, ModelOptions(), preset=self.preset, notice=False
        )
        write(answer, self.out)
        report(answer, self.out)
        truth = thing.span
        start, stop = answer.video.time_at(truth.start), answer.video.time_at(truth.stop)
        print(f"truth   {start:.2f} to {stop:.2f} s (frames {truth.start} to {truth.stop - 1})")


@dataclass(frozen=True)
class Ground:
    """Find when and where in a video the thing is that a sentence describes."""

    video: Positional[Path]
    """A video file, or a folder of frames."""

    query: Positional[str]
    """What to find, such as "the red circle that jumps"."""

    options: Annotated[ModelOptions, arg(name="")] = field(default_factory=ModelOptions)

    sources: Annotated[Sources, arg(name="")] = WEIGHTLESS

    preset: Annotated[Preset | None, arg(metavar="{plain,best,paper,released-code}")] = None
    """Whose choices to follow; by default best for the shipped model, paper for any other."""

    out: Path = Path("probe-ground")
    """Folder for answer.json, answer.mp4 and answer.png."""

    @property
    def debug(self) -> bool:
        """Whether to show tracebacks."""
        return self.options.debug

    def run(self) -> None:
        """Answer, write, and print the tube."""
        self.sources.check()
        if self.sources.detector is None and self.sources.cache is not None:
            raise ValueError("--cache is of no use without a detector; give --detector too")
        writable(self.out)
        answer = answered(
            self.video, self.query, self.options, preset=self.preset, sources=self.sources
        )
        write(answer, self.out)
        report(answer, self.out)


def answered(
    source: Path,
    query: str,
    options: ModelOptions,
    *,
    preset: Preset | None,
    sources: Sources = WEIGHTLESS,
    notice: bool = True,
) -> "Answer":
    """The grounder's answer; with a `notice` of what the shipped model cannot do."""
    from probe.candidates.tracks import load_tracks
    from probe.grounder import ground
    from probe.grounding.config import PRESETS
    from probe.grounding.sources import splitter

    with progress("load", "split", "find", "ground") as step:
        model, video = opened(source, options)
        if model.is_organism and notice:
            warnings.warn(ORGANISM_NOTICE, stacklevel=2)
        step()
        name = "" if video.path is None else video.path.name
        queries = splitter(sources.split).split(model, name, query)
        step()
        tracks = None if sources.tracks is None else load_tracks(sources.tracks, video)
        if (search := sources.search(sources.cache)) is not None:
            device = str(model.network.device)
            tracks = search.opened(device=device, dtype=options.dtype).find(video, queries)
        step()
        chosen = preset or ("best" if model.is_organism else "paper")
        answer = ground(model, video, query, tracks, queries=queries, config=PRESETS[chosen])
        step()
    return answer


def write(answer: "Answer", out: Path) -> None:
    """Leave answer.json, answer.mp4 and answer.png in a folder."""
    made(out)
    with progress("json", "video", "figure") as step:
        answer.save(out / "answer.json")
        step()
        answer.overlay(out / "answer.mp4")
        step()
        answer.figure(out / "answer.png")
        step()


def report(answer: "Answer", out: Path) -> None:
    """Print what was found, and where it was written."""
    start, stop = answer.seconds
    print(f"query   {answer.queries.whole}")
    if answer.queries.fallbacks:
        missing = " and ".join(answer.queries.fallbacks)
        print(f"split   found no {missing}; the whole query stands in")
    frames = f"frames {answer.span.start} to {answer.span.stop - 1}"
    print(f"when    {start:.2f} to {stop:.2f} s ({frames})")
    label = f" ({answer.track.label})" if answer.track.label else ""
    print(f"where   one of {len(answer.candidates)} candidates{label}; first, middle and last box:")
    tube = answer.tube
    for i in sorted({0, len(tube) // 2, len(tube) - 1}):
        corners = "  ".join(f"{edge:7.1f}" for edge in tube.boxes[i])
        print(f"        frame {tube.frames[i]:5d}   x1 y1 x2 y2 = {corners}")
    for name, look in (("where", answer.where), ("when", answer.when)):
        tokens = ", ".join(repr(look.reading.tokens[token]) for token in look.tokens)
        print(f"looked  through {tokens} for {name}: {look.reading.prompt.question}")
    print(f"written {', '.join(str(out / f'answer.{kind}') for kind in ('json', 'mp4', 'png'))}")

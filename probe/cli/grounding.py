"""`probe demo` and `probe ground`: find the answer to a query, write it and print it."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from probe.cli.console import show_progress
from probe.cli.model_options import ORGANISM_NOTICE, ModelOptions, PresetName, open_model_and_video
from probe.cli.outputs import check_writable, make_folder, write_together
from probe.cli.rules import DEFAULT_RULES, RuleOptions, add_current_folder
from probe.cli.sources import DEFAULT_SOURCES, Sources

if TYPE_CHECKING:
    from probe.grounding.answers import Answer
    from probe.grounding.config import GrounderConfig


DEMO_CLIP = 6
"""Seed of the clip that `probe demo` shows; the shipped model gives the right answer for it."""


@dataclass(frozen=True)
class Demo:
    """Ground a query in a clip of moving shapes with the shipped model."""

    out: Path = Path("probe-demo")
    """Folder for clip.mp4, answer.json, answer.mp4 and answer.png."""

    clip: int = DEMO_CLIP
    """Seed of the clip; every number is another clip."""

    preset: PresetName = "best"
    """The choices to follow: no learning, the best known, the paper's, or its code's."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Make the clip, answer the query, and print the truth."""
        from probe.organism.world import make_clip

        check_writable(self.out)
        clip = make_clip(self.clip)
        thing = clip.things[0]
        make_folder(self.out)
        # Through a file, so that the demo shows what happens to any video.
        clip.write(self.out / "clip.mp4")
        answer = answer_query(
            self.out / "clip.mp4",
            thing.query,
            ModelOptions(),
            config=choose_config(self.preset, ModelOptions()),
            notice=False,
        )
        write_results(answer, self.out)
        print_answer(answer, self.out)
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

    sources: Annotated[Sources, arg(name="")] = DEFAULT_SOURCES

    preset: Annotated[PresetName | None, arg(metavar="NAME")] = None
    """The choices to follow: plain, best, paper, released-code or causal; by default best for the
    shipped model, paper for any other."""

    rules: Annotated[RuleOptions, arg(name="")] = DEFAULT_RULES

    out: Path = Path("probe-ground")
    """Folder for answer.json, answer.mp4 and answer.png."""

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Answer the query, write the answer, and print the tube."""
        self.sources.check()
        if self.sources.detector is None and self.sources.cache is not None:
            raise ValueError("--cache is of no use without a detector; give --detector too")
        check_writable(self.out)
        # Before anything is loaded: a rule that cannot be found should be said at once.
        config = choose_config(self.preset, self.options, self.rules)
        answer = answer_query(
            self.video, self.query, self.options, config=config, sources=self.sources
        )
        write_results(answer, self.out)
        print_answer(answer, self.out)


def choose_config(
    preset: PresetName | None, options: ModelOptions, rules: RuleOptions = DEFAULT_RULES
) -> "GrounderConfig":
    """Return a preset, by default the one that suits the model, with some of its rules replaced.

    Raises:
        ValueError: if there is no such rule.
    """
    from probe.engine.model import ORGANISM
    from probe.grounding.presets import PRESETS

    add_current_folder()
    chosen = preset or ("best" if options.model == ORGANISM else "paper")
    return rules.names.replace_in(PRESETS[chosen])


def answer_query(
    source: Path,
    query: str,
    options: ModelOptions,
    *,
    config: "GrounderConfig",
    sources: Sources = DEFAULT_SOURCES,
    notice: bool = True,
) -> "Answer":
    """Ground a query in a video.

    Args:
        source: A video file, or a folder of frames.
        query: The sentence that describes the thing.
        options: Which model to load, and how.
        config: The grounder's choices.
        sources: What splits the query and what finds the candidates.
        notice: Warn of what the shipped model cannot do, if that is the one that looks.

    Raises:
        ValueError: if an input cannot be used; the message says which and why.
    """
    from probe.candidates.tracks import load_tracks
    from probe.grounder import ground
    from probe.grounding.sources import make_splitter

    with show_progress("load", "split", "find", "ground") as step:
        model, video = open_model_and_video(source, options)
        if model.is_organism and notice:
            warnings.warn(ORGANISM_NOTICE, stacklevel=2)
        step()
        name = "" if video.path is None else video.path.name
        queries = make_splitter(sources.split).split(model, name, query)
        step()
        tracks = None if sources.tracks is None else load_tracks(sources.tracks, video)
        if (search := sources.describe_search(sources.cache)) is not None:
            device = str(model.checkpoint.device)
            tracks = search.open(device=device, dtype=options.dtype).find(video, queries)
        step()
        answer = ground(model, video, query, tracks, queries=queries, config=config)
        step()
    return answer


def write_results(answer: "Answer", out: Path) -> None:
    """Write answer.json, answer.mp4 and answer.png to a folder."""
    with write_together(out) as folder, show_progress("json", "video", "figure") as step:
        answer.save(folder / "answer.json")
        step()
        answer.overlay(folder / "answer.mp4")
        step()
        answer.figure(folder / "answer.png")
        step()


def print_answer(answer: "Answer", out: Path) -> None:
    """Print what was found, and the files that it was written to."""
    start, stop = answer.seconds
    print(f"query   {answer.queries.whole}")
    if answer.queries.fallbacks:
        missing = " and ".join(answer.queries.fallbacks)
        print(f"split   found no {missing}; the whole query is used instead")
    frames = f"frames {answer.span.start} to {answer.span.stop - 1}"
    print(f"when    {start:.2f} to {stop:.2f} s ({frames})")
    label = f" ({answer.track.label})" if answer.track.label else ""
    print(f"where   one of {len(answer.candidates)} candidates{label}; first, middle and last box:")
    tube = answer.tube
    for i in sorted({0, len(tube) // 2, len(tube) - 1}):
        corners = "  ".join(f"{edge:7.1f}" for edge in tube.boxes[i])
        print(f"        frame {tube.frames[i]:5d}   x1 y1 x2 y2 = {corners}")
    for name, look in (("where", answer.where), ("when", answer.when)):
        texts = [repr(look.token_texts[token]) for token in look.tokens]
        tokens = ", ".join(texts) if len(texts) < len(look.token_texts) else "all tokens"
        print(f"looked  through {tokens} for {name}: {look.question}")
    for doubt in answer.doubts:
        print(f"doubt   {doubt}")
    print(f"written {', '.join(str(out / f'answer.{kind}') for kind in ('json', 'mp4', 'png'))}")

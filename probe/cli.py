"""The command line: `probe demo`, `ground`, `tokens` and `train-organism`.

Exit codes: 0 done, 2 wrong use or bad input. Errors are one line; `--debug` shows where they come
from. Heavy imports wait until a command runs, so that `--help` answers at once.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import tyro
from tqdm.auto import tqdm
from tyro.conf import Positional, arg, subcommand

from probe.organism.recipe import Recipe

if TYPE_CHECKING:
    from probe.answers import Answer
    from probe.model import VideoLM
    from probe.video import Video

ORGANISM_NOTICE = (
    "the shipped model knows nothing but coloured shapes on plain backgrounds; expect a wrong "
    "answer on any other video, or give --model a real checkpoint"
)
Preset: TypeAlias = Literal["plain", "best", "paper", "released-code"]

DEMO_CLIP = 4
"""The seed of the clip that `probe demo` shows: one of those that the shipped model gets right."""


@dataclass(frozen=True)
class ModelOptions:
    """Which model looks, and on what hardware."""

    model: str = "organism"
    """A checkpoint's folder, or its name on the Hugging Face hub."""

    revision: Annotated[str | None, arg(metavar="STR")] = None
    """Branch, tag or commit of a checkpoint on the hub."""

    device: str = "cpu"
    """Where the model runs: cpu, cuda, cuda:1 ..."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the weights; auto is the type they were saved in."""

    frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames to sample; by default as many as the model was made for, else 20."""

    debug: bool = False
    """Show the full traceback of an error."""


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

    options: Annotated[ModelOptions, arg(name="")] = ModelOptions()

    tracks: Annotated[Path | None, arg(metavar="PATH")] = None
    """Candidate tracks (JSON); by default, whatever stands out from the background."""

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
        writable(self.out)
        answer = answered(
            self.video, self.query, self.options, preset=self.preset, tracks=self.tracks
        )
        write(answer, self.out)
        report(answer, self.out)


@dataclass(frozen=True)
class Tokens:
    """Show which tokens of a question look where in a video: a table and a figure."""

    video: Positional[Path]
    """A video file, or a folder of frames."""

    question: Positional[str]
    """What to ask, such as "Is there a red circle in this video?"."""

    options: Annotated[ModelOptions, arg(name="")] = ModelOptions()

    out: Path = Path("probe-tokens")
    """Folder for tokens.csv and tokens.png."""

    @property
    def debug(self) -> bool:
        """Whether to show tracebacks."""
        return self.options.debug

    def run(self) -> None:
        """Read one question and rank its tokens."""
        from probe.figures import save_figure, token_figure
        from probe.grounding_tokens import grounding_token, rank_tokens

        writable(self.out)
        with progress("load", "read", "write") as step:
            model, video = opened(self.video, self.options)
            step()
            (reading,) = model.watch(video).read(self.question)
            table, token = rank_tokens(reading), grounding_token(reading)
            step()
            made(self.out)
            partial = self.out / ".tokens.csv.partial"
            table.to_csv(partial, index=False)
            partial.replace(self.out / "tokens.csv")
            save_figure(token_figure(video, reading, token), self.out / "tokens.png")
            step()
        print(table.round(4).to_string(index=False))
        print(f"grounding token: {reading.tokens[token]!r} at index {token}")
        print(f"yes minus no: {reading.margin:+.2f} logits")
        print(f"written: {self.out / 'tokens.csv'}, {self.out / 'tokens.png'}")


@dataclass(frozen=True)
class TrainOrganism:
    """Raise the shipped model again, from nothing; a stopped run goes on where it was."""

    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=Recipe)

    out: Path = Path("organism-run")
    """Folder for the run; the finished model is in its folder `checkpoint`."""

    device: str = "cpu"
    """Where to learn: cpu, cuda, cuda:1 ..."""

    threads: int = 2
    """CPU threads."""

    quick: bool = False
    """Only check that the whole path runs, in about a minute; the result is of no use."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Train, and say where the model is."""
        import torch

        from probe.organism.training import train

        writable(self.out)
        torch.set_num_threads(self.threads)
        train(self.out, self.recipe.quick() if self.quick else self.recipe, self.device)
        print(f"written {self.out / 'checkpoint'}; open it with --model in any other command")


Command: TypeAlias = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Ground, subcommand("ground")]
    | Annotated[Tokens, subcommand("tokens")]
    | Annotated[TrainOrganism, subcommand("train-organism")]
)


def main() -> None:
    """Run the command line; the entry point of `probe`."""
    command = tyro.cli(
        Command,
        prog="probe",
        description="Where does a video language model look when it reads a question?",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    warnings.showwarning = _say_warning
    try:
        command.run()
    except (ValueError, OSError, RuntimeError) as failure:
        if command.debug:
            raise
        lines = [line for line in str(failure).splitlines() if line.strip()]
        fail(lines[0] if lines else type(failure).__name__)
    except KeyboardInterrupt:
        fail("stopped", code=130)


def fail(message: str, code: int = 2) -> None:
    """Say in one line what is wrong and stop."""
    print(f"probe: {message}", file=sys.stderr)
    sys.exit(code)


def opened(source: Path, options: ModelOptions) -> "tuple[VideoLM, Video]":
    """The model, and the video sampled for it."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    from probe.model import load
    from probe.video import read_video

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    model = load(
        options.model, device=options.device, dtype=options.dtype, revision=options.revision
    )
    frames = model.preferred_frames if options.frames is None else options.frames
    return model, read_video(source, frames)


def answered(
    source: Path,
    query: str,
    options: ModelOptions,
    *,
    preset: Preset | None,
    tracks: Path | None = None,
    notice: bool = True,
) -> "Answer":
    """The grounder's answer; with a `notice` of what the shipped model cannot do."""
    from probe.grounder import PRESETS, ground
    from probe.tracks import load_tracks

    with progress("load", "ground") as step:
        model, video = opened(source, options)
        if model.is_organism and notice:
            warnings.warn(ORGANISM_NOTICE, stacklevel=2)
        candidates = None if tracks is None else load_tracks(tracks, video)
        step()
        chosen = preset or ("best" if model.is_organism else "paper")
        answer = ground(model, video, query, candidates, config=PRESETS[chosen])
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


@contextmanager
def progress(*steps: str) -> "Iterator[Step]":
    """A progress bar over named steps; call what it gives at the end of each."""
    with tqdm(total=len(steps), leave=False, bar_format="{desc:8} {bar:30} {elapsed}") as bar:
        step = Step(bar, steps)
        yield step


class Step:
    """Moves a progress bar on."""

    def __init__(self, bar: tqdm, names: tuple[str, ...]) -> None:
        self._bar = bar
        self._names = iter(names[1:])
        bar.set_description_str(names[0])

    def __call__(self) -> None:
        """One step is done; name the next."""
        self._bar.update()
        self._bar.set_description_str(next(self._names, "done"))


def writable(folder: Path) -> None:
    """Check that a folder can be written before any work is done; make nothing yet.

    Raises:
        ValueError: if it cannot.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: cannot write there ({there}); give --out another folder")


def made(folder: Path) -> None:
    """Make a folder for results.

    Raises:
        ValueError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        raise ValueError(
            f"{folder}: cannot write there ({reason}); give --out another folder"
        ) from failure


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"probe: note: {message}", file=sys.stderr)

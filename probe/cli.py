"""The command line: `probe demo`, `ground`, `tokens`, `evaluate`, `report`, `view` and others.

Exit codes: 0 done, 1 a proof of `check-model` fails, 2 wrong use or bad input. Errors are one line;
`--debug` shows where they come from. Heavy imports wait until a command runs, so that `--help`
answers at once.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import tyro
from tqdm.auto import tqdm
from tyro.conf import Positional, arg, subcommand

from probe.organism.recipe import Recipe
from probe.sources import WEIGHTLESS, Sources

if TYPE_CHECKING:
    from probe.answers import Answer
    from probe.bench import Plan
    from probe.evaluation import Answerer
    from probe.model import VideoLM
    from probe.video import Video
    from probe.viewer import Scene

ORGANISM_NOTICE = (
    "the shipped model knows nothing but coloured shapes on plain backgrounds; expect a wrong "
    "answer on any other video, or give --model a real checkpoint"
)
Preset: TypeAlias = Literal["plain", "best", "paper", "released-code"]
MethodName: TypeAlias = Literal[
    Preset, "centre", "random-track", "mean-of-roles", "fixed-token", "direct"
]
DatasetName: TypeAlias = Literal[
    "shapes-val",
    "shapes-test",
    "hcstvg1",
    "hcstvg2",
    "vidstg",
    "vidstg-declarative",
    "vidstg-interrogative",
]
ProtocolName: TypeAlias = Literal["tubedetr", "stcat", "hcstvg-official", "released-code"]

DEMO_CLIP = 6
"""The seed of the clip that `probe demo` shows: one of those that the shipped model gets right."""


@dataclass(frozen=True)
class Opening:
    """How a checkpoint is opened, and on what hardware."""

    revision: Annotated[str | None, arg(metavar="STR")] = None
    """Branch, tag or commit of a checkpoint on the hub."""

    device: str = "cpu"
    """Where the model runs: cpu, cuda, cuda:1 ..., or auto to spread it over what there is."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the weights; auto is the type they were saved in."""

    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    """How attention is computed while a video is read."""

    quantize: Annotated[Literal["8bit", "4bit"] | None, arg(metavar="{8bit,4bit}")] = None
    """Hold the weights in fewer bits, where bitsandbytes is installed."""

    debug: bool = False
    """Show the full traceback of an error."""


@dataclass(frozen=True)
class ModelOptions(Opening):
    """Which model looks, and on what hardware."""

    model: str = "organism"
    """A checkpoint's folder, or its name on the Hugging Face hub."""

    frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames to sample; by default as many as the model was made for, else 20."""


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
        writable(self.out)
        answer = answered(
            self.video, self.query, self.options, preset=self.preset, sources=self.sources
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
class Evaluate:
    """Run a method over a benchmark; a run that was stopped goes on where it was."""

    dataset: Positional[DatasetName]
    """Which benchmark."""

    options: Annotated[ModelOptions, arg(name="")] = ModelOptions()

    root: Annotated[Path | None, arg(metavar="PATH")] = None
    """The data set's folder; the shapes need none."""

    annotations: Annotated[Path | None, arg(metavar="PATH")] = None
    """The annotation file, where it is not found in the folder by its published name."""

    out: Path = Path("probe-run")
    """Folder of the run."""

    check: bool = False
    """Only look whether every sample is there and as annotated."""

    method: Annotated[MethodName | None, arg(metavar="NAME")] = None
    """What answers: plain, best, paper or released-code (the grounder's presets), centre,
    random-track, mean-of-roles, fixed-token or direct (baselines); by default best for the
    shipped model, paper for any other."""

    oracle: bool = False
    """Take the true tracks as candidates; said so wherever a figure of the run is shown."""

    tracks: Annotated[Path | None, arg(metavar="PATH")] = None
    """Folder of candidate tracks, a JSON file for each video; by default, whatever stands out."""

    cache: Annotated[Path | None, arg(metavar="PATH")] = None
    """Folder that keeps what stands out of each video; by default in the user's cache folder."""

    protocol: Annotated[ProtocolName | None, arg(metavar="NAME")] = None
    """How answers are scored: tubedetr, stcat, hcstvg-official or released-code; by default as is
    usual for the data set."""

    limit: Annotated[int | None, arg(metavar="INT")] = None
    """Only the first so many queries."""

    retry_failed: bool = False
    """Ask those again that failed before."""

    ray: Annotated[str | None, arg(metavar="{local,ADDRESS}")] = None
    """Answer with many processes: on this machine, or on the Ray cluster at an address."""

    workers: int = 2
    """How many processes, with --ray; each has a GPU of its own if --device is cuda."""

    @property
    def debug(self) -> bool:
        """Whether to show tracebacks."""
        return self.options.debug

    def run(self) -> None:
        """Answer what is not answered yet, and print the figures."""
        from probe.evaluation import evaluate, figure_lines
        from probe.model import ORGANISM

        quieten()
        plan = self._plan()
        if self.check:
            check_samples(plan, self.limit)
            return
        writable(self.out)
        with self._answerer(plan) as answerer:
            if plan.model == ORGANISM and self.root is not None:
                warnings.warn(ORGANISM_NOTICE, stacklevel=2)
            outcome = evaluate(answerer, self.out, limit=self.limit, retry_failed=self.retry_failed)
        print("\n".join(figure_lines(outcome.summary)))
        print(f"written {self.out}; see it with: probe report {self.out}")
        if outcome.stopped:
            done = outcome.summary["queries"]
            fail(f"stopped after {done} queries; start again to go on", code=130)

    def _plan(self) -> "Plan":
        from probe.bench import Plan
        from probe.candidates import Oracle, Proposed, Stored
        from probe.model import ORGANISM

        if self.limit is not None and self.limit < 1:
            raise ValueError(f"--limit {self.limit}: nothing to do; give at least 1")
        if self.oracle and self.tracks is not None:
            raise ValueError("--oracle and --tracks both give candidates; leave out one of them")
        candidates = Proposed() if self.cache is None else Proposed(self.cache)
        if self.oracle:
            candidates = Oracle()
        elif self.tracks is not None:
            candidates = Stored(self.tracks)
        options = self.options
        return Plan(
            dataset=self.dataset,
            root=self.root,
            annotations=self.annotations,
            method=self.method or ("best" if options.model == ORGANISM else "paper"),
            candidates=candidates,
            model=options.model,
            revision=options.revision,
            device=options.device,
            dtype=options.dtype,
            frames=options.frames,
            protocol=self.protocol,
        )

    def _answerer(self, plan: "Plan") -> "AbstractContextManager[Answerer]":
        from probe.workers import hire

        return nullcontext(plan.open()) if self.ray is None else hire(plan, self.ray, self.workers)


@dataclass(frozen=True)
class Report:
    """Put runs on one page: figures beside published ones, comparisons, good and bad answers."""

    runs: Positional[tuple[Path, ...]]
    """Folders of runs."""

    out: Path = Path("report.html")
    """The page; its tables are written as Markdown beside it."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Read the runs and write the page."""
        from probe.report import write_report

        if not self.runs:
            raise ValueError("there is no run to report on; give folders of `probe evaluate`")
        writable(self.out.parent)
        made(self.out.parent)
        page, text = write_report(self.runs, self.out)
        print(f"written {page}, {text}")


@dataclass(frozen=True)
class LookAround:
    """Make an interactive page: click a token to see where it looks, layer by layer."""

    source: Positional[Path]
    """An answer.json or the folder that holds it; or a video file or folder of frames."""

    questions: Positional[tuple[str, ...]] = ()
    """What to ask of a video; an answer brings its own questions."""

    options: Annotated[ModelOptions, arg(name="")] = ModelOptions()

    html: Path = Path("probe-view.html")
    """The page: one file that opens from disk, offline."""

    reattend: Annotated[int | None, arg(metavar="LAYER")] = None
    """Learn a latent prompt at this layer for each question of a video: before and after."""

    truth: Annotated[Path | None, arg(metavar="PATH")] = None
    """Where the thing really is: a file of tracks (JSON) whose first is the truth."""

    @property
    def debug(self) -> bool:
        """Whether to show tracebacks."""
        return self.options.debug

    def run(self) -> None:
        """Read, and write the page."""
        from probe.viewer import page, save_page

        writable(self.html.parent)
        with progress("load", "read", "write") as step:
            scene = self._scene(step)
            step()
            made(self.html.parent)
            save_page(self.html, page(scene))
            step()
        size = self.html.stat().st_size / 1e6
        print(f"written {self.html} ({size:.1f} MB); open it in a browser")

    def _scene(self, step: "Step") -> "Scene":
        from probe.reattention import Learning
        from probe.tracks import load_tracks
        from probe.viewer import open_record, scene_of_questions, scene_of_record

        source = self.source / "answer.json" if self._holds_answer else self.source
        answered = source.suffix == ".json"
        if answered and (self.questions or self.reattend is not None):
            raise ValueError(f"{source}: an answer brings its own questions; give a video to ask")
        record, place = open_record(source) if answered else (None, source)
        model, video = opened(place, self.options if record is None else self._as_answered(record))
        step()
        truth = None if self.truth is None else load_tracks(self.truth, video)[0]
        view = model.watch(video)
        if record is not None:
            return scene_of_record(record, view, truth=truth)
        learning = None if self.reattend is None else Learning(layer=self.reattend)
        return scene_of_questions(view, *self.questions, learning=learning, truth=truth)

    @property
    def _holds_answer(self) -> bool:
        return (self.source / "answer.json").is_file()

    def _as_answered(self, record: dict[str, Any]) -> ModelOptions:
        """The answer's frames, and its model unless another is asked for."""
        options = replace(self.options, frames=len(record["video"]["sampled_frames"]))
        if self.options.model != ModelOptions().model:
            return options
        identity = record["model"]
        return replace(options, model=identity["name"], revision=identity["revision"])


@dataclass(frozen=True)
class CheckModel:
    """Prove that a checkpoint is read correctly: its visual grid, attention and positions."""

    model: Positional[str]
    """A checkpoint's folder, its name on the Hugging Face hub, or "organism"."""

    options: Annotated[Opening, arg(name="")] = Opening()

    @property
    def debug(self) -> bool:
        """Whether to show tracebacks."""
        return self.options.debug

    def run(self) -> None:
        """Make the proofs; exit with 1 if one fails."""
        from probe.conformance import check_model

        with progress("load", "prove") as step:
            model = loaded(self.model, self.options)
            step()
            report = check_model(model)
            step()
        for proof in report.proofs:
            print(f"{'holds' if proof.passed else 'FAILS':6} {proof.name:16} {proof.found}")
        if not report.passed:
            failed = ", ".join(proof.name for proof in report.proofs if not proof.passed)
            fail(f"{self.model} is not read correctly: {failed}", code=1)


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
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Report, subcommand("report")]
    | Annotated[LookAround, subcommand("view")]
    | Annotated[CheckModel, subcommand("check-model")]
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


def quieten() -> None:
    """Keep what libraries say while a checkpoint is opened off the screen."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()


def check_samples(plan: "Plan", limit: int | None) -> None:
    """Say what is wrong with each sample of a data set; fail if one cannot be answered."""
    from probe.datasets import check, load_dataset

    dataset = load_dataset(plan.dataset, plan.root, plan.annotations)
    total = len(dataset.ids[:limit])
    found = [
        finding
        for finding in tqdm(check(dataset, limit), total=total, unit="query", leave=False)
        if finding is not None
    ]
    for finding in found:
        print(f"{'fails' if finding.fatal else 'odd  '}  {finding.sample}  {finding.text}")
    fatal = sum(finding.fatal for finding in found)
    print(f"{total} queries: {fatal} would fail, {len(found) - fatal} not as annotated")
    if fatal:
        fail(f"{fatal} of {total} queries of {dataset.name} would fail and count as zero")


def loaded(name: str, options: Opening) -> "VideoLM":
    """The model."""
    from probe.model import load

    quieten()
    return load(
        name,
        device=options.device,
        dtype=options.dtype,
        revision=options.revision,
        attention=options.attention,
        quantize=options.quantize,
    )


def opened(source: Path, options: ModelOptions) -> "tuple[VideoLM, Video]":
    """The model, and the video sampled for it."""
    from probe.video import read_video

    model = loaded(options.model, options)
    frames = model.preferred_frames if options.frames is None else options.frames
    return model, read_video(source, frames)


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
    from probe.grounder import PRESETS, ground

    with progress("load", "split", "find", "ground") as step:
        model, video = opened(source, options)
        if model.is_organism and notice:
            warnings.warn(ORGANISM_NOTICE, stacklevel=2)
        step()
        queries = sources.queries(model, video, query)
        step()
        tracks = sources.candidates(video, queries, device=options.device, dtype=options.dtype)
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

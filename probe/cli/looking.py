"""`probe tokens` and `probe view`: where each token of a question looks."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from probe.cli.console import Step, progress
from probe.cli.opening import ModelOptions, opened
from probe.cli.outputs import made, writable

if TYPE_CHECKING:
    from probe.viewer import Scene


@dataclass(frozen=True)
class Tokens:
    """Show which tokens of a question look where in a video: a table and a figure."""

    video: Positional[Path]
    """A video file, or a folder of frames."""

    question: Positional[str]
    """What to ask, such as "Is there a red circle in this video?"."""

    options: Annotated[ModelOptions, arg(name="")] = field(default_factory=ModelOptions)

    out: Path = Path("probe-tokens")
    """Folder for tokens.csv and tokens.png."""

    @property
    def debug(self) -> bool:
        """Whether to show tracebacks."""
        return self.options.debug

    def run(self) -> None:
        """Read one question and rank its tokens."""
        from probe.drawing.figures import draw_token_figure, save_figure
        from probe.interpret.grounding_tokens import grounding_token, rank_tokens

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
            save_figure(draw_token_figure(video, reading, token), self.out / "tokens.png")
            step()
        print(table.round(4).to_string(index=False))
        print(f"grounding token: {reading.tokens[token]!r} at index {token}")
        print(f"yes minus no: {reading.margin:+.2f} logits")
        print(f"written: {self.out / 'tokens.csv'}, {self.out / 'tokens.png'}")


@dataclass(frozen=True)
class LookAround:
    """Make an interactive page: click a token to see where it looks, layer by layer."""

    source: Positional[Path]
    """An answer.json or the folder that holds it; or a video file or folder of frames."""

    questions: Positional[tuple[str, ...]] = ()
    """What to ask of a video; an answer brings its own questions."""

    options: Annotated[ModelOptions, arg(name="")] = field(default_factory=ModelOptions)

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

    def _scene(self, step: Step) -> "Scene":
        from probe.candidates.tracks import load_tracks
        from probe.grounding.reattention import Learning
        from probe.viewer import ask_questions, open_answer, read_answer

        source = self.source / "answer.json" if self._holds_answer else self.source
        answered = source.suffix == ".json"
        if answered and (self.questions or self.reattend is not None):
            raise ValueError(f"{source}: an answer brings its own questions; give a video to ask")
        record, place = open_answer(source) if answered else (None, source)
        model, video = opened(place, self.options if record is None else self._as_answered(record))
        step()
        truth = None if self.truth is None else load_tracks(self.truth, video)[0]
        view = model.watch(video)
        if record is not None:
            return read_answer(record, view, truth=truth)
        learning = None if self.reattend is None else Learning(layer=self.reattend)
        return ask_questions(view, *self.questions, learning=learning, truth=truth)

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

"""`probe tokens` and `probe view`: show where each token of a question looks."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from probe.cli.console import ProgressSteps, as_json, keep_for_json, show, show_json, show_progress
from probe.cli.model_options import VideoOptions, find_files, open_model, open_model_and_video
from probe.cli.numbers import check_layer, check_numbers
from probe.cli.outputs import (
    check_file_writable,
    check_input_stays,
    check_writable,
    make_folder,
    write_together,
)
from probe.files import write_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from probe.engine.readings import Reading
    from probe.engine.view import View
    from probe.interpret.logit_lens import LogitLens
    from probe.video import Tube, Video
    from probe.viewer import Scene

READING_SUFFIX = ".safetensors"
"""The end of the name of a saved reading."""


@dataclass(frozen=True)
class RankTokens:
    """Show where in a video the tokens of a question look: a table and a figure."""

    video: Positional[Path]
    """A video file or a picture, or a folder of frames; or a reading that --save kept, which brings
    its own question."""

    question: Annotated[Positional[str], arg(metavar="[QUESTION]")] = ""
    """The question, such as "Is there a red circle in this video?"."""

    options: Annotated[VideoOptions, arg(name="")] = field(default_factory=VideoOptions)

    out: Annotated[Path, arg(metavar="DIR")] = Path("probe-tokens")
    """Folder for tokens.csv and tokens.png."""

    generate: Annotated[int | None, arg(metavar="TOKENS")] = None
    """Let the model answer in at most so many tokens, and show where the tokens of its answer look,
    too."""

    save: Annotated[Path | None, arg(metavar="FILE")] = None
    """Keep the whole reading as FILE.safetensors, the attention of every layer and head included;
    this command draws the same again from it, without a model."""

    json: bool = False
    """Print one JSON object, the table and what was chosen by it, and nothing else on the standard
    output."""

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Read one question, rank its tokens, and write the table and the figure."""
        check_writable(self.out)
        self._check()
        check_input_stays(self.video, (self.out / "tokens.csv", self.out / "tokens.png"))
        from probe.drawing.figures import draw_token_figure, save_figure
        from probe.interpret.grounding_tokens import grounding_token, rank_tokens

        with keep_for_json(self.json), show_progress("load", "read", "write") as step:
            reading, video = self._open() if self._is_saved else self._read(step)
            table, token = rank_tokens(reading), grounding_token(reading)
            step()
            with write_together(self.out) as folder:
                write_text(folder / "tokens.csv", table.to_csv(index=False, lineterminator="\n"))
                save_figure(draw_token_figure(video, reading, token), folder / "tokens.png")
            if self.save is not None:
                make_folder(self.save.absolute().parent, "--save")
                reading.save(self.save)
            step()
        if self.json:
            show_json(self._describe(reading, table, token))
            return
        # A token may be a line end: pandas writes that as an escape, as the lines of this table are
        # divided by it.
        show(*table.round(4).to_string(index=False).split("\n"))
        show(f"grounding token: {reading.tokens[token]!r} at index {token}")
        show(f"yes minus no: {reading.margin:+.2f} logits")
        if reading.prompt.answer:
            show(f"answer: {reading.prompt.answer!r}")
        kept = "" if self.save is None else f", {self.save}"
        show(f"written: {self.out / 'tokens.csv'}, {self.out / 'tokens.png'}{kept}")

    @property
    def _is_saved(self) -> bool:
        """True if a reading is given, and no video."""
        return self.video.suffix == READING_SUFFIX

    def _check(self) -> None:
        """Refuse what cannot be read, before torch is imported, which takes seconds."""
        self.options.check()
        check_numbers(self, generate=1)
        if self._is_saved:
            if self.question or self.generate is not None or self.save is not None:
                raise ValueError(
                    f"{self.video}: a saved reading brings its own question and answer; leave out "
                    "QUESTION, --generate and --save, or give a video"
                )
            return
        _check_questions(self.question)
        from probe.video.checking import check_source

        check_source(self.video)
        if self.save is not None:
            check_file_writable(self.save, "--save", READING_SUFFIX)

    def _open(self) -> "tuple[Reading, Video]":
        """Open a saved reading, and read the frames again that its figure shows."""
        from probe.engine.readings import Reading
        from probe.video.descriptions import find_video

        reading = Reading.load(self.video)
        if reading.provenance is None:
            raise ValueError(
                f"{self.video}: an earlier version kept this reading, and does not say of which "
                "video; draw it in Python with Reading.load(...).plot()"
            )
        about = reading.provenance.video
        video = find_video(self.video, about)
        if list(video.indices) != list(about["sampled_frames"]):
            raise ValueError(f"{self.video}: {about['path']} is another video now, of other frames")
        return reading, video

    def _read(self, step: ProgressSteps) -> "tuple[Reading, Video]":
        from probe.engine.answering import generate

        model, video = open_model_and_video(self.video, self.options)
        step()
        view = model.watch(video)
        if self.generate is None:
            return view.read(self.question)[0], video
        return generate(view, self.question, max_new_tokens=self.generate), video

    def _describe(self, reading: "Reading", table: "DataFrame", token: int) -> dict[str, Any]:
        """Describe the reading in plain values, with the names that `answer.json` has for them."""
        rows = table.round(6).to_dict("records")
        traced = reading.provenance
        assert traced is not None, "it was read here, or refused"
        return {
            "question": reading.prompt.question,
            "video": traced.video["path"],
            "model": {"name": traced.model["name"], "revision": traced.model["commit"]},
            "yes_minus_no": round(reading.margin, 4),
            "answer": reading.prompt.answer or None,
            "grounding_token": {"index": token, "token": reading.tokens[token]},
            "tokens": [{name: as_json(value) for name, value in row.items()} for row in rows],
        }


@dataclass(frozen=True)
class MakePage:
    """Make an interactive page: click a token to see where it looks, layer by layer."""

    source: Positional[Path]
    """An answer.json or the folder that holds it; or a video file, picture or folder of frames."""

    questions: Annotated[Positional[tuple[str, ...]], arg(metavar="[QUESTION ...]")] = ()
    """Questions to ask about a video; an answer brings its own."""

    options: Annotated[VideoOptions, arg(name="")] = field(default_factory=VideoOptions)

    html: Annotated[Path, arg(metavar="FILE")] = Path("probe-view.html")
    """The page: one file that opens from disk, offline."""

    reattend: Annotated[int | None, arg(metavar="LAYER")] = None
    """Learn a latent prompt at this layer for each question about a video, and show the attention
    before and after."""

    generate: Annotated[int | None, arg(metavar="TOKENS")] = None
    """Let the model answer in at most so many tokens, and show where the tokens of its answer look,
    too."""

    lens: bool = False
    """Keep the words that each cell would say, layer by layer: click a cell to see them. Large
    models take long without a GPU."""

    truth: Annotated[Path | None, arg(metavar="FILE")] = None
    """The true place of the thing: a file of tracks (JSON) whose first is the truth."""

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Read the questions with the model, and write the page."""
        check_file_writable(self.html, "--html", ".html")
        if self._answer is None:
            check_input_stays(self.source, (self.html,), "--html")
        self.options.check()
        check_numbers(self, generate=1)
        _check_questions(*self.questions)
        from probe.video.checking import check_source
        from probe.video.paths import find_source

        find_source(self.source)
        if self._answer is None and (self.source / "results.jsonl").is_file():
            raise ValueError(
                f"{self.source}: the folder of a run; show it with: probe report {self.source}; a "
                f"page is of an answer.json, or of a video and questions"
            )
        if self._answer is None:
            check_source(self.source)  # at once: torch takes seconds to load
        from probe.viewer import page, save_page

        with show_progress("load", "read", "write") as step:
            scene = self._scene(step)
            step()
            make_folder(self.html.parent, "--html")
            save_page(page(scene), self.html)
            step()
        size = self.html.stat().st_size / 1e6
        show(f"written {self.html} ({size:.1f} MB); open it in a browser")

    @property
    def _answer(self) -> Path | None:
        """The file of the answer that is to be shown; None for a video that is asked about."""
        held = self.source / "answer.json"
        path = held if held.is_file() else self.source
        return path if path.suffix == ".json" else None

    def _scene(self, step: ProgressSteps) -> "Scene":
        if self._answer is None:
            return self._ask(self.source, step)
        if self.questions or self.reattend is not None or self.generate is not None:
            raise ValueError(
                f"{self._answer}: an answer brings its own questions; give a video to ask"
            )
        return self._read_again(self._answer, step)

    def _ask(self, source: Path, step: ProgressSteps) -> "Scene":
        from probe.grounding.reattention import Learning
        from probe.viewer import ask_questions

        model, video = open_model_and_video(source, self.options)
        check_layer("--reattend", self.reattend, model)
        step()
        truth = self._load_truth(video)
        learning = None if self.reattend is None else Learning(layer=self.reattend)
        view = model.watch(video)
        return ask_questions(
            view,
            *self.questions,
            learning=learning,
            truth=truth,
            max_new_tokens=self.generate,
            lens=self._read_lens(view),
        )

    def _read_again(self, path: Path, step: ProgressSteps) -> "Scene":
        from probe.viewer import open_answer, show_answer

        answer, options = open_answer(path), self.options
        if options.model == VideoOptions().model:  # no other was given
            if answer.model.get("weights") is not None:
                raise ValueError(
                    f"{path}: this answer is of a model that was in memory; give its files: --model"
                )
            name, revision = answer.model["name"], answer.model["revision"]
            # With other pixels the cells of the answer's maps would be others.
            pixels = options.max_pixels or answer.model.get("pixels")
            adapter = options.adapter or answer.model.get("adapter")
            options = replace(
                options, model=name, revision=revision, max_pixels=pixels, adapter=adapter
            )
        model = open_model(find_files(options.model, options), answer.video)
        step()
        truth = self._load_truth(answer.video)
        view = model.watch(answer.video)
        return replace(show_answer(answer, view, truth=truth), lens=self._read_lens(view))

    def _read_lens(self, view: "View") -> "LogitLens | None":
        from probe.interpret.logit_lens import logit_lens

        return logit_lens(view) if self.lens else None

    def _load_truth(self, video: "Video") -> "Tube | None":
        from probe.candidates.tracks import load_tracks

        return None if self.truth is None else load_tracks(self.truth, video)[0]


def _check_questions(*questions: str) -> None:
    """Refuse a question without words, before any work is done.

    Raises:
        ValueError: if there is one.
    """
    if not all(question.strip() for question in questions):
        raise ValueError("the question is empty; ask in words about what is in the video")

"""`probe ground`: find the answer to a query, write it and print it."""

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from probe.cli.console import ExitCode, keep_for_json, show_json, show_progress
from probe.cli.model_options import (
    DEFAULT_PRESET,
    PresetName,
    VideoOptions,
    check_for_many,
    find_model_and_video,
    open_model,
)
from probe.cli.outputs import check_input_stays, check_writable
from probe.cli.rules import DEFAULT_RULES, RuleOptions, add_current_folder
from probe.cli.sources import DEFAULT_SOURCES, Sources
from probe.cli.targets import choose_all
from probe.cli.telling import (
    list_outputs,
    print_absence,
    print_answer,
    write_absence,
    write_results,
)

if TYPE_CHECKING:
    from probe.grounding.absence import Absence
    from probe.grounding.answers import Answer
    from probe.grounding.config import GrounderConfig


def _leave_out(metavar: str) -> Any:
    """Describe what has to be given but for a batch, which the parser does not know."""
    return arg(metavar=metavar, help_behavior_hint="(left out with --batch)")


@dataclass(frozen=True)
class Ground:
    """Find when and where in a video (or where in a picture) the described thing is."""

    video: Annotated[Positional[Path | None], _leave_out("VIDEO")] = None
    """A video file or a picture, a folder of frames, or a folder of videos, each of which is asked
    about."""

    query: Annotated[Positional[str], _leave_out("QUERY")] = ""
    """The thing to find, such as "the red circle that jumps"."""
    # Optional for the parser: with --batch, both are in the file.

    batch: Annotated[Path | None, arg(metavar="FILE")] = None
    """A file with many videos and queries in place of one: one JSON object a line with "video" and
    "query", as `probe evaluate` reads it. A batch that was stopped goes on where it was."""

    options: Annotated[VideoOptions, arg(name="")] = field(default_factory=VideoOptions)

    sources: Annotated[Sources, arg(name="")] = DEFAULT_SOURCES

    preset: Annotated[PresetName, arg(metavar="NAME")] = DEFAULT_PRESET
    """The choices to follow: causal, noun, best, entropy-gradient, plain, paper, released-code."""

    rules: Annotated[RuleOptions, arg(name="")] = DEFAULT_RULES

    require_presence: Annotated[float | None, arg(metavar="MARGIN")] = None
    """Give no tube, and exit with 3, if the model's yes minus no for the whole query is below this,
    in logits; by default a tube is given always, with its doubts."""

    every: Annotated[bool, arg(name="all")] = False
    """Give a tube of each track that has at least half of the best one's effect on the answer."""

    out: Annotated[Path, arg(metavar="DIR")] = Path("probe-ground")
    """Folder for answer.json, answer.mp4 (of a picture, overlay.png) and answer.png; of many
    queries, for results.jsonl and a folder for each answer."""

    pictures: bool = False
    """With many queries, write answer.mp4 and answer.png for each of them, too."""

    json: bool = False
    """Print one JSON object, the content of answer.json or the counts of a batch, and nothing else
    on the standard output."""

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Answer the query, or all of a batch; write what is found and print it."""
        self.sources.check()
        self.rules.check()
        self.options.check()
        if self.sources.detector is None and self.sources.cache is not None:
            raise ValueError("--cache is of no use without a detector; give --detector too")
        if self.require_presence is not None and math.isnan(self.require_presence):
            raise ValueError("--require-presence nan: give a number of logits")
        check_writable(self.out)
        if self.batch is not None:
            self._check_alone()
            self._run_batch(self.batch)
            return
        if self.video is None:
            raise ValueError("which video? Give VIDEO and QUERY, or --batch FILE")
        from probe.grounding.statements import check_length, trim
        from probe.video.folders import list_videos

        check_length(trim(self.query))
        if videos := list_videos(self.video):
            self._run_batch(videos)
        else:
            self._run_single(self.video)

    def _check_alone(self) -> None:
        """Refuse a video or a query next to a file that has both."""
        if self.video is not None or self.query:
            raise ValueError("--batch has the videos and the queries; leave out VIDEO and QUERY")

    def _run_batch(self, asked: "Path | Sequence[Path]") -> None:
        """Answer all queries of a file, or the query about each of some videos."""
        from probe.cli import ground_batch
        from probe.datasets import load_dataset

        check_for_many(self.options)
        config = choose_config(self.preset, self.rules, self.require_presence, every=self.every)
        if isinstance(asked, Path):
            dataset = load_dataset(str(asked))
        else:
            dataset = ground_batch.ask_of_each(asked, self.query)
        ground_batch.answer_batch(self, dataset, config)

    def _run_single(self, video: Path) -> None:
        """Answer the query about a video, write the answer, and print the tube."""
        from probe.video.checking import check_source

        # What is wrong is told at once: torch, transformers and the weights take seconds to load.
        check_source(video)
        if self.pictures:
            raise ValueError("--pictures is for many queries; of one, they are written anyway")
        # Before anything is loaded: a rule that cannot be found should be said at once.
        config = choose_config(self.preset, self.rules, self.require_presence, every=self.every)
        check_input_stays(video, list_outputs(self.out))
        from probe.grounding.absence import AbsenceError

        try:
            with keep_for_json(self.json):
                answer = answer_query(
                    video, self.query, self.options, config=config, sources=self.sources
                )
        except AbsenceError as refused:
            self._tell_absence(refused.absence)
            sys.exit(int(ExitCode.ABSENT))
        with keep_for_json(self.json):
            write_results(answer, self.out)
        if self.json:
            show_json(answer.to_dict())
        else:
            print_answer(answer, self.out)

    def _tell_absence(self, absence: "Absence") -> None:
        write_absence(absence, self.out)
        if self.json:
            show_json(absence.to_dict())
        else:
            print_absence(absence, self.out)


def choose_config(
    preset: PresetName,
    rules: RuleOptions = DEFAULT_RULES,
    require_presence: float | None = None,
    every: bool = False,
) -> "GrounderConfig":
    """Return a preset with some of its rules replaced.

    Args:
        preset: Name of the preset.
        rules: The rules to replace.
        require_presence: The least presence with which a tube is looked for, in logits.
        every: Whether all tracks of great effect are given, and not the best alone.

    Raises:
        ValueError: if there is no such rule, or its scores are no effects, and all are wanted.
    """
    from probe.grounding.presets import PRESETS

    add_current_folder()
    config = rules.names.replace_in(PRESETS[preset])
    return replace(choose_all(config) if every else config, require_presence=require_presence)


def answer_query(
    source: Path,
    query: str,
    options: VideoOptions,
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
        notice: Warn of what a shipped model cannot do, if that is the one that looks.

    Raises:
        ValueError: if an input cannot be used; the message says which and why.
    """
    from probe.candidates.proposers import PROPOSERS
    from probe.candidates.tracks import load_tracks
    from probe.engine.chunks import divide_video
    from probe.engine.model_names import SHIPPED
    from probe.grounder import ground
    from probe.grounding.sources import make_splitter

    with show_progress("load", "split", "find", "ground") as step:
        files, video = find_model_and_video(source, options)
        # All that costs little comes before the weights.
        splitter = make_splitter(sources.split)
        propose = PROPOSERS[sources.choose_proposer(options.model)].propose
        tracks = propose if sources.tracks is None else load_tracks(sources.tracks, video)
        parts = divide_video(files.empty, video)
        if len(parts) > 1:
            warnings.warn(
                f"{len(video):,} frames do not fit in the context of {files.name}: they are read "
                f"in {len(parts)} parts, each for the cost of one query",
                stacklevel=2,
            )
        model = open_model(files, parts[0])
        if model.name in SHIPPED and notice:
            warnings.warn(SHIPPED[model.name].notice, stacklevel=2)
        step()
        name = "" if video.path is None else video.path.name
        queries = splitter.split(model, name, query)
        step()
        if (search := sources.describe_search(sources.cache)) is not None:
            device = str(model.checkpoint.device)
            tracks = search.open_for(video, device=device, dtype=options.dtype).find(video, queries)
        step()
        answer = ground(model, video, query, tracks, queries=queries, config=config)
        step()
    return answer

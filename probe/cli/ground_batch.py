"""`probe ground` for many videos: a file of queries, or a folder of videos and one query."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probe.cli.console import ExitCode, fail, keep_for_json, show, show_json
from probe.cli.model_options import ModelOptions, load_model
from probe.cli.outputs import make_folder
from probe.cli.sources import Sources

if TYPE_CHECKING:
    from probe.candidates.proposers import TrackFinder
    from probe.cli.grounding import Ground
    from probe.datasets import DataSet
    from probe.evaluation.batch import Batch
    from probe.evaluation.batch_runs import BatchOutcome
    from probe.evaluation.candidates import Finder
    from probe.grounding.config import GrounderConfig


def ask_of_each(videos: Sequence[Path], query: str) -> "DataSet":
    """Make a data set of one query about each of some videos, named by their files."""
    from probe.datasets import DataSet, Sample, StoredVideo

    samples = [Sample(path.name, query, StoredVideo.from_path(path)) for path in videos]
    return DataSet.from_samples("videos", samples, version="")


def answer_batch(command: "Ground", dataset: "DataSet", config: "GrounderConfig") -> None:
    """Ground all queries of a data set as a command says, and end with the exit code of the run.

    Args:
        command: The command that was typed.
        dataset: The queries with their videos.
        config: The grounder's choices.
    """
    with keep_for_json(command.json):
        batch = open_batch(dataset, command.options, config, command.sources)
        outcome = ground_batch(batch, command.out, pictures=command.pictures)
    if command.json:
        show_json(outcome.summary)
    else:
        tell_batch(outcome, command.out)
    end_batch(outcome)


def open_batch(
    dataset: "DataSet", options: ModelOptions, config: "GrounderConfig", sources: Sources
) -> "Batch":
    """Load the model and what finds candidates, for all queries of a data set.

    Args:
        dataset: The queries with their videos; no truth is looked at.
        options: Which model to load, and how.
        config: The grounder's choices.
        sources: What splits queries and what finds the candidates.

    Raises:
        ValueError: if an input cannot be used; the message says which and why.
    """
    from probe.engine.model_names import SHIPPED
    from probe.evaluation.batch import Batch
    from probe.grounding.sources import make_splitter

    splitter = make_splitter(sources.split)
    model = load_model(options.model, options)
    if model.name in SHIPPED:
        warnings.warn(SHIPPED[model.name].notice, stacklevel=2)
    finder = open_finder(
        sources, model.name, device=str(model.checkpoint.device), dtype=options.dtype
    )
    return Batch(dataset, model, config, options.frames, splitter, finder)


def ground_batch(batch: "Batch", out: Path, *, pictures: bool) -> "BatchOutcome":
    """Ground all queries, write each answer, and print one line for each.

    Args:
        batch: The queries with all that answers them.
        out: The folder of the run.
        pictures: Whether to write the video and the figure of each answer, too.
    """
    from probe.evaluation.batch_runs import format_outcome, run_batch

    make_folder(out)
    return run_batch(batch, out, pictures=pictures, tell=lambda line: show(format_outcome(line)))


def tell_batch(outcome: "BatchOutcome", out: Path) -> None:
    """Print how many queries were found, are absent or failed."""
    counts = outcome.summary
    show(
        f"{counts['queries']} of {counts['of']} queries: {counts['found']} found, "
        f"{len(counts['absent'])} absent, {len(counts['failed'])} failed",
        f"written {out}",
    )


def open_finder(
    sources: Sources, model: str, *, device: str, dtype: str
) -> "Finder | TrackFinder | None":
    """Open what finds candidates: files, a detector, or a proposer; None for the usual one.

    Raises:
        ValueError: if the folder of tracks or the detector cannot be opened.
    """
    from probe.candidates.proposers import PLAIN, PROPOSERS
    from probe.evaluation.candidates import Detected, Stored

    if sources.tracks is not None:
        return Stored(sources.tracks).open(device=device, dtype=dtype)
    search = sources.describe_search(sources.cache)
    if search is not None:
        return Detected(search).open(device=device, dtype=dtype)
    proposer = sources.choose_proposer(model)
    return None if proposer == PLAIN else PROPOSERS[proposer].propose


def end_batch(outcome: "BatchOutcome") -> None:
    """End the program with the exit code of its run: not 0 if it stopped or has failures."""
    counts = outcome.summary
    if outcome.stopped:
        fail(f"stopped after {counts['queries']} queries; start again to go on", ExitCode.STOPPED)
    if counts["failed"]:
        fail(
            f"{len(counts['failed'])} of {counts['of']} queries failed, the first is "
            f"{counts['failed'][0]}; start again to ask them again",
            ExitCode.FAILED_QUERIES,
        )

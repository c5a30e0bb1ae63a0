"""`probe evaluate`: run a method over a benchmark."""

import shlex
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from tyro.conf import Positional, arg

from probe.cli.console import (
    ExitCode,
    fail,
    keep_for_json,
    show,
    show_json,
    silence_libraries,
)
from probe.cli.exams import check_exam, take_exam
from probe.cli.model_options import DEFAULT_PRESET, ModelOptions
from probe.cli.names import DATASETS, METHODS, check_dataset, check_method
from probe.cli.numbers import check_numbers, check_threads
from probe.cli.outputs import check_writable, make_folder
from probe.cli.rules import DEFAULT_RULES, RuleOptions, add_current_folder
from probe.cli.sources import DEFAULT_SOURCES, Sources
from probe.progress import make_bar

if TYPE_CHECKING:
    from probe.datasets import OwnFileError
    from probe.evaluation.candidates import Candidates
    from probe.evaluation.config import EvaluationConfig
    from probe.evaluation.runner import Answerer, Outcome


ProtocolName: TypeAlias = Literal["tubedetr", "stcat", "hcstvg-official", "released-code"]


DATASETS_HINT = f"(one of: {', '.join(DATASETS)})"
METHODS_HINT = f"(one of: {', '.join(METHODS)}; default: {DEFAULT_PRESET})"


def _read_template(path: Path | None) -> str | None:
    """Read a chat template here, since a worker on another machine may not have the file."""
    from probe.engine.chat_templates import read_template

    return None if path is None else read_template(path)


@dataclass(frozen=True)
class Evaluate:
    """Run a method over a benchmark; a run that was stopped goes on where it was."""

    dataset: Annotated[Positional[str], arg(metavar="NAME", help_behavior_hint=DATASETS_HINT)] = ""
    """The benchmark: a name; a file of your own, such as clips.jsonl, with one query a line; or
    module:name of a function of yours that reads a data set."""
    # Optional for the parser, which asks only those for a hint when it shows the help.

    options: Annotated[ModelOptions, arg(name="")] = field(default_factory=ModelOptions)

    sources: Annotated[Sources, arg(name="")] = DEFAULT_SOURCES

    rules: Annotated[RuleOptions, arg(name="")] = DEFAULT_RULES

    root: Annotated[Path | None, arg(metavar="DIR")] = None
    """The data set's folder; drawn ones need none. For a file of your own it is the folder of the
    videos, by default that of the file."""

    annotations: Annotated[Path | None, arg(metavar="FILE")] = None
    """The annotation file, if it is not found in the folder by its published name."""

    out: Annotated[Path, arg(metavar="DIR")] = Path("probe-run")
    """Folder of the run."""

    check: bool = False
    """Only check that every sample is there and as annotated; of a file of your own, list what is
    wrong with any line. No model is loaded."""

    chance: bool = False
    """Only print what chance is for these candidates: the expected figures of guesses that read
    neither the query nor the model, which is not loaded. Nothing is written."""

    method: Annotated[str, arg(metavar="NAME", help_behavior_hint=METHODS_HINT)] = DEFAULT_PRESET
    """The method that answers: a preset of the grounder, a rival, or module:name of your own."""

    oracle: bool = False
    """Take the true tracks as candidates; every figure of the run will say so."""

    protocol: Annotated[ProtocolName | None, arg(metavar="NAME")] = None
    """The protocol by which answers are scored: tubedetr, stcat, hcstvg-official or released-code;
    by default the usual one of the data set."""

    limit: Annotated[int | None, arg(metavar="N")] = None
    """The number of queries to answer, from the first on; by default all."""

    retry_failed: bool = False
    """Ask those queries again that failed before."""

    stop_after_failures: Annotated[int, arg(metavar="N")] = 20
    """Stop when so many queries in a row have failed, since something is wrong with all of them;
    0 to go on whatever fails."""

    threads: Annotated[int | None, arg(metavar="N")] = None
    """CPU threads; by default one for the shipped model, whose work is too small to be shared, and
    as many as torch takes for any other. With --ray each worker has one."""

    ray: Annotated[str | None, arg(metavar="{local,ADDRESS}")] = None
    """Answer with many processes: on this machine, or on the Ray cluster at an address."""

    workers: int = 2
    """The number of processes with --ray; each has a GPU of its own if --device is cuda."""

    exam: bool = False
    """After the queries, ask the organism of the run about all that is in its clips, for comparison
    with what was grounded; the result is kept as exam.json."""

    json: bool = False
    """Print one JSON object and nothing else on the standard output: the content of summary.json,
    or what --check or --chance found."""

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Answer the queries that have no result yet, and print the figures."""
        self._check()
        from probe.datasets import is_own
        from probe.engine.model_names import SHIPPED
        from probe.evaluation.runner import evaluate, format_figures
        from probe.organism.exam import format_exam

        silence_libraries()
        add_current_folder()
        config = self._make_config()
        # Both tell something about data and candidates alone, so they come before any model.
        if self.check:
            print_findings(config, self.limit, as_json=self.json)
            return
        if self.chance:
            print_chance(config, self.limit, as_json=self.json)
            return
        check_writable(self.out)
        exam = None
        with keep_for_json(self.json), self._open_answerer(config) as answerer:
            if self.exam:
                check_exam(answerer)
            if config.model in SHIPPED and (self.root is not None or is_own(self.dataset)):
                warnings.warn(SHIPPED[config.model].notice, stacklevel=2)
            make_folder(self.out)
            outcome = evaluate(
                answerer,
                self.out,
                limit=self.limit,
                retry_failed=self.retry_failed,
                stop_after_failures=self.stop_after_failures or None,
            )
            if self.exam and not outcome.stopped:
                exam = take_exam(answerer, self.out, self.limit)
        if self.json:
            show_json({**outcome.summary, **({} if exam is None else {"exam": exam})})
        else:
            show(*format_figures(outcome.summary))
            show(*(() if exam is None else format_exam(exam)))
            show(
                f"written {self.out}; see it with: {shlex.join(['probe', 'report', str(self.out)])}"
            )
        end_run(outcome)

    def _check(self) -> None:
        """Refuse names that nothing has, and options that contradict each other, without torch."""
        if not self.dataset:
            raise ValueError(f"which data set? Give its name {DATASETS_HINT}")
        if self.check and self.chance:
            raise ValueError("--check and --chance: each is done alone; leave out one of them")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"--limit {self.limit}: nothing to do; give at least 1")
        check_numbers(self, workers=1)
        if self.stop_after_failures < 0:
            raise ValueError(
                f"--stop-after-failures {self.stop_after_failures}: give at least 1, or 0 for never"
            )
        check_threads(self.threads)
        if self.threads is not None and self.ray is not None:
            raise ValueError(
                "--threads and --ray: each worker has one thread; leave out one of them"
            )
        check_dataset(self.dataset)
        check_method(self.method)
        self.rules.check()
        self.options.check()
        self.sources.check()

    def _make_config(self) -> "EvaluationConfig":
        from probe.evaluation.config import EvaluationConfig
        from probe.grounding.sources import make_splitter

        options = self.options
        return EvaluationConfig(
            dataset=self.dataset,
            root=self.root,
            annotations=self.annotations,
            method=self.method,
            rules=self.rules.names,
            candidates=self._make_candidates(),
            splitter=make_splitter(self.sources.split),
            model=options.model,
            revision=options.revision,
            device=options.device,
            dtype=options.dtype,
            attention=options.attention,
            quantize=options.quantize,
            chat_template=_read_template(options.chat_template),
            adapter=options.adapter,
            pixels=options.max_pixels,
            frames=options.frames,
            protocol=self.protocol,
        )

    def _make_candidates(self) -> "Candidates":
        from probe.evaluation.candidates import (
            Detected,
            Oracle,
            Proposed,
            Stored,
            default_cache,
        )

        cache, tracks = self.sources.cache, self.sources.tracks
        if cache is None and not self.oracle and tracks is None:
            cache = default_cache()
        search = self.sources.describe_search(cache)
        given = {"--tracks": tracks, "--detector": search, "--proposer": self.sources.proposer}
        if self.oracle and (others := [name for name, one in given.items() if one is not None]):
            other = others[0]
            raise ValueError(f"--oracle and {other} both give candidates; leave out one of them")
        if self.oracle:
            return Oracle()
        if tracks is not None:
            return Stored(tracks)
        if search is not None:
            return Detected(search)
        return Proposed(cache, self.sources.choose_proposer(self.options.model))

    def _open_answerer(self, config: "EvaluationConfig") -> "AbstractContextManager[Answerer]":
        import torch

        from probe.engine.model_names import SHIPPED
        from probe.evaluation.evaluator import Evaluator
        from probe.evaluation.workers import start_workers

        if self.ray is not None:
            return start_workers(config, self.ray, self.workers)
        threads = 1 if self.threads is None and config.model in SHIPPED else self.threads
        if threads is not None:
            torch.set_num_threads(threads)
        evaluator = Evaluator.open(config)
        if not evaluator.model.is_shipped:
            warnings.warn(str(evaluator.model.describe()), stacklevel=2)
        return nullcontext(evaluator)


def print_chance(config: "EvaluationConfig", limit: int | None, *, as_json: bool) -> None:
    """Print the expected figures of guesses, without a model; fail if a query has none."""
    from probe.evaluation.chance import format_chance, measure_chance

    with keep_for_json(as_json):
        chance = measure_chance(config, limit=limit, progress=True)
    if as_json:
        show_json(chance.to_dict())
    else:
        show(*format_chance(chance))
    if chance.failed:
        name, reason = next(iter(chance.failed.items()))
        fail(
            f"{len(chance.failed)} of {chance.queries} queries failed and count as zero; the first "
            f"is {name}: {reason}",
            ExitCode.FAILED_QUERIES,
        )


def end_run(outcome: "Outcome") -> None:
    """End the program with the exit code of its run: not 0 if it stopped or has failures."""
    done, failed = outcome.summary["queries"], len(outcome.summary["failed"])
    again = "ask failed ones again with --retry-failed"
    if outcome.gave_up is not None:
        fail(f"stopped after {done} queries: {outcome.gave_up}; {again}", ExitCode.FAILED_QUERIES)
    if outcome.stopped:
        fail(f"stopped after {done} queries; start again to go on", ExitCode.STOPPED)
    if failed:
        fail(
            f"{failed} of {done} queries failed and count as zero; `probe report` says why, and "
            f"{again}",
            ExitCode.FAILED_QUERIES,
        )


def print_problems(dataset: str, failure: "OwnFileError", *, as_json: bool) -> None:
    """Print the problems of the lines of a user's own file, and fail."""
    if as_json:
        findings = [{"sample": "", "text": text, "fatal": True} for text in failure.problems]
        show_json({"dataset": dataset, "queries": 0, "findings": findings})
    else:
        show(*(f"fails  {problem}" for problem in failure.problems))
    shown = len(failure.problems)
    left = "" if shown == failure.count else f", of which {shown} are listed"
    fail(f"{dataset}: {failure.count} problems{left}; correct them, then check again")


def print_findings(config: "EvaluationConfig", limit: int | None, *, as_json: bool) -> None:
    """Print the problems of each sample of a data set; fail if one cannot be answered."""
    from probe.datasets import OwnFileError, check_samples

    try:
        with keep_for_json(as_json):
            dataset = config.load_dataset()
    except OwnFileError as failure:
        print_problems(config.dataset_name, failure, as_json=as_json)
        return
    with keep_for_json(as_json):
        total = len(dataset.ids[:limit])
        checked = check_samples(dataset, limit)
        bar = make_bar(checked, total=total, unit="query", leave=False)
        found = [finding for finding in bar if finding is not None]
    fatal = sum(finding.fatal for finding in found)
    if as_json:
        findings = [asdict(finding) for finding in found]
        show_json({"dataset": dataset.name, "queries": total, "findings": findings})
    else:
        for finding in found:
            show(f"{'fails' if finding.fatal else 'odd  '}  {finding.sample}  {finding.text}")
        show(f"{total} queries: {fatal} would fail, {len(found) - fatal} not as annotated")
    if fatal:
        fail(f"{fatal} of {total} queries of {dataset.name} would fail and count as zero")

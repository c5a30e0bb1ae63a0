"""`probe evaluate` and `probe report`: benchmarks, and what runs over them found."""

import json
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from tqdm.auto import tqdm
from tyro.conf import Positional, arg

from probe.cli.console import fail, silence_libraries
from probe.cli.model_options import ORGANISM_NOTICE, ModelOptions, PresetName
from probe.cli.outputs import check_writable, make_folder
from probe.cli.sources import DEFAULT_SOURCES, Sources

if TYPE_CHECKING:
    from probe.evaluation.bench import Plan
    from probe.evaluation.candidates import Candidates
    from probe.evaluation.runner import Answerer


MethodName: TypeAlias = Literal[
    PresetName, "centre", "random-track", "mean-of-roles", "fixed-token", "direct"
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


@dataclass(frozen=True)
class Evaluate:
    """Run a method over a benchmark; a run that was stopped goes on where it was."""

    dataset: Positional[DatasetName]
    """Which benchmark."""

    options: Annotated[ModelOptions, arg(name="")] = field(default_factory=ModelOptions)

    sources: Annotated[Sources, arg(name="")] = DEFAULT_SOURCES

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

    protocol: Annotated[ProtocolName | None, arg(metavar="NAME")] = None
    """How answers are scored: tubedetr, stcat, hcstvg-official or released-code; by default as is
    usual for the data set."""

    limit: Annotated[int | None, arg(metavar="INT")] = None
    """Only the first so many queries."""

    retry_failed: bool = False
    """Ask those again that failed before."""

    threads: Annotated[int | None, arg(metavar="INT")] = None
    """CPU threads; by default one for the shipped model, whose work is too small to be shared, and
    as many as torch takes for any other. With --ray each worker has one."""

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
        from probe.engine.model import ORGANISM
        from probe.evaluation.runner import evaluate, figure_lines

        silence_libraries()
        plan = self._plan()
        if self.check:
            check_samples(plan, self.limit)
            return
        check_writable(self.out)
        with self._answerer(plan) as answerer:
            if plan.model == ORGANISM and self.root is not None:
                warnings.warn(ORGANISM_NOTICE, stacklevel=2)
            make_folder(self.out)
            outcome = evaluate(answerer, self.out, limit=self.limit, retry_failed=self.retry_failed)
            print("\n".join(figure_lines(outcome.summary)))
            if not outcome.stopped:
                print_exam(answerer, self.out, self.limit)
        print(f"written {self.out}; see it with: probe report {self.out}")
        if outcome.stopped:
            done = outcome.summary["queries"]
            fail(f"stopped after {done} queries; start again to go on", code=130)

    def _plan(self) -> "Plan":
        from probe.engine.model import ORGANISM
        from probe.evaluation.bench import Plan
        from probe.grounding.sources import splitter

        if self.limit is not None and self.limit < 1:
            raise ValueError(f"--limit {self.limit}: nothing to do; give at least 1")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"--threads {self.threads}: nothing could run; give at least 1")
        if self.threads is not None and self.ray is not None:
            raise ValueError(
                "--threads and --ray: each worker has one thread; leave out one of them"
            )
        options = self.options
        return Plan(
            dataset=self.dataset,
            root=self.root,
            annotations=self.annotations,
            method=self.method or ("best" if options.model == ORGANISM else "paper"),
            candidates=self._candidates(),
            splitter=splitter(self.sources.split),
            model=options.model,
            revision=options.revision,
            device=options.device,
            dtype=options.dtype,
            attention=options.attention,
            quantize=options.quantize,
            frames=options.frames,
            protocol=self.protocol,
        )

    def _candidates(self) -> "Candidates":
        from probe.evaluation.candidates import (
            Detected,
            Oracle,
            Proposed,
            Stored,
            default_cache,
        )

        self.sources.check()
        cache, tracks = self.sources.cache or default_cache(), self.sources.tracks
        search = self.sources.describe_search(cache)
        if self.oracle and (tracks is not None or search is not None):
            other = "--tracks" if search is None else "--detector"
            raise ValueError(f"--oracle and {other} both give candidates; leave out one of them")
        if self.oracle:
            return Oracle()
        if tracks is not None:
            return Stored(tracks)
        return Proposed(cache) if search is None else Detected(search)

    def _answerer(self, plan: "Plan") -> "AbstractContextManager[Answerer]":
        import torch

        from probe.engine.model import ORGANISM
        from probe.evaluation.workers import hire

        if self.ray is not None:
            return hire(plan, self.ray, self.workers)
        threads = 1 if self.threads is None and plan.model == ORGANISM else self.threads
        if threads is not None:
            torch.set_num_threads(threads)
        return nullcontext(plan.open())


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
        from probe.evaluation.report import write_report

        if not self.runs:
            raise ValueError("there is no run to report on; give folders of `probe evaluate`")
        check_writable(self.out.parent)
        make_folder(self.out.parent)
        page, text = write_report(self.runs, self.out)
        print(f"written {page}, {text}")


def print_exam(answerer: "Answerer", folder: Path, limit: int | None) -> None:
    """What an organism answers and where it looks, beside what is grounded through it.

    On the clips of the run, which keeps it as `exam.json`. Other models and baselines have no
    exam, nor has a run of many processes, none of which sees all clips.
    """
    from probe.datasets.named import DRAWN
    from probe.evaluation.bench import Bench
    from probe.grounding.config import PRESETS
    from probe.organism.exam import examine, format_exam, knows_shapes

    benchmark = DRAWN.get(answerer.plan.dataset)
    if benchmark is None or answerer.plan.method not in PRESETS:
        return
    if not isinstance(answerer, Bench) or not knows_shapes(answerer.model):
        return
    clips, path = min(limit or benchmark.size, benchmark.size), folder / "exam.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    if kept.get("clips") != clips:
        kept = {"clips": clips, **examine(answerer.model, benchmark, clips)}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(kept, indent=1) + "\n")
        partial.replace(path)
    print("\n".join(format_exam(kept)))


def check_samples(plan: "Plan", limit: int | None) -> None:
    """Say what is wrong with each sample of a data set; fail if one cannot be answered."""
    from probe.datasets import check

    dataset = plan.named()
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

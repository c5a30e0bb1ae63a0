"""The runs of a report, each with a name, its figures, and the data set to show its videos."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.datasets import DataSet, is_own, load_dataset
from probe.evaluation.page import Cell
from probe.evaluation.runner import summarise
from probe.evaluation.runs import StoredRun, read_run


@dataclass(frozen=True, eq=False)
class ReportedRun:
    """A run on the page."""

    run: StoredRun
    name: str
    """Its folder, as short as tells it from the other runs."""

    summary: Mapping[str, Any]
    """Its figures, as far as it has come."""

    @property
    def label(self) -> str:
        """Its name, with a warning if the truth gave the candidates."""
        return f"{self.name} (ORACLE)" if self.summary["oracle"] else self.name

    @property
    def cell(self) -> Cell:
        """Its label, and below that by what it differs from other runs."""
        summary = self.summary
        about = f"{summary['method']} · {summary['model']} · {self.candidates}"
        return Cell(self.label, f"{about} · {summary['protocol']}")

    @property
    def candidates(self) -> str:
        """The source of its candidates."""
        source = self.summary["candidates"]
        return f"candidates ORACLE: {source}" if self.summary["oracle"] else f"candidates {source}"

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.summary["dataset"]

    @property
    def version(self) -> str:
        """The version of the data set: two runs with the same one have the same truth."""
        return self.run.config["dataset"]["version"]

    def open_dataset(self, trusted: Collection[str]) -> DataSet:
        """Open the data set, to show its videos.

        Raises:
            ValueError: if it is not in its folder any more, has changed since the run, or is read
                by user code that is not trusted.
        """
        places = self.run.environment
        # A file of a user's goes by its name in results, and by its path on this machine.
        name = (places.get("dataset") if is_own(self.dataset) else None) or self.dataset
        # The name comes from a file, which may be anybody's, and to open it would run that code.
        if not is_own(name) and ":" in name and name not in trusted:
            raise ValueError(f"{name} is a function of a user; give --dataset {name} to run it")
        dataset = load_dataset(name, places.get("root"), places.get("annotations"))
        if dataset.version != self.version:
            raise ValueError(f"{self.dataset}: its annotations have changed since the run")
        return dataset


def open_runs(folders: Sequence[str | Path]) -> list[ReportedRun]:
    """Read runs and compute their figures.

    Raises:
        ValueError: if a folder is not one of a run, or a run has no result yet.
    """
    runs = [read_run(folder) for folder in folders]
    for run in runs:
        if not run.results:
            raise ValueError(f"{run.folder}: no query is finished yet; let it run first")
    # Names of folders are enough, unless two runs lie in folders of one name.
    short = [run.folder.absolute().name for run in runs]
    names = short if len(set(short)) == len(runs) else [str(run.folder) for run in runs]
    return [ReportedRun(run, name, _summarise(run)) for run, name in zip(runs, names, strict=True)]


def _summarise(run: StoredRun) -> dict[str, Any]:
    return summarise(list(run.results.values()), run.config)

"""`probe report`: put runs of `probe evaluate` on one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from probe.cli.console import show
from probe.cli.outputs import check_file_writable, write_together
from probe.cli.rules import add_current_folder


@dataclass(frozen=True)
class Report:
    """Put runs on one page: figures next to published ones, comparisons, good and bad answers."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR [DIR ...]")]
    """Folders of runs."""

    out: Annotated[Path, arg(metavar="FILE")] = Path("report.html")
    """The page; next to it, its tables are written as Markdown."""

    dataset: Annotated[tuple[str, ...], arg(metavar="MODULE:NAME")] = ()
    """Functions of yours that may be called to open the data sets of these runs, for pictures."""

    quiet: bool = False
    """Show no progress bars and no notes; results and errors stay."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Read the runs and write the page."""
        from probe.evaluation.report import write_report
        from probe.pictures.fonts import note_missing_once

        if not self.runs:
            raise ValueError("there is no run to report on; give folders of `probe evaluate`")
        check_file_writable(self.out, suffix=".html")
        add_current_folder()
        with write_together(self.out.parent) as folder, note_missing_once():
            written = write_report(self.runs, folder / self.out.name, trusted=self.dataset)
        show(f"written {', '.join(str(self.out.parent / path.name) for path in written)}")

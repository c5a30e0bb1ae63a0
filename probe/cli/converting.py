"""`probe convert`: annotations of other formats to a file of your own, and back."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from tyro.conf import Positional, arg

from probe.cli.console import show, show_json
from probe.cli.outputs import check_file_writable, check_input_stays, make_folder

ReadName: TypeAlias = Literal["own", "hcstvg1", "hcstvg2", "doro-stvg", "answer", "coco", "mot"]

WriteName: TypeAlias = Literal["own", "hcstvg1", "hcstvg2", "doro-stvg"]


@dataclass(frozen=True)
class Convert:
    """Convert annotations of videos to a file of your own, or to a published format."""

    annotations: Annotated[Positional[Path], arg(metavar="FILE")]
    """The annotations; of MOT, gt.txt or the folder of a sequence."""

    out: Annotated[Path, arg(metavar="FILE")]
    """The file to write; one of your own ends in .jsonl."""

    read: Annotated[ReadName, arg(name="from", metavar="NAME")] = "own"
    """The format of the annotations: own (one query a line), hcstvg1, hcstvg2, doro-stvg, answer (a
    saved one, to be corrected), coco (COCO-VID, TAO, YouTube-VIS), or mot."""

    write: Annotated[WriteName, arg(name="to", metavar="NAME")] = "own"
    """The format to write: own, hcstvg1, hcstvg2 or doro-stvg."""

    root: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder of the videos, by default that of the annotations; of MOT, the video."""

    queries: Annotated[Path | None, arg(metavar="FILE")] = None
    """JSON of a sentence for each track of coco or mot, such as {"3": "the man in red"}."""

    json: bool = False
    """Print one JSON object and nothing else on the standard output."""

    quiet: bool = False
    """Show no progress bars and no notes; results and errors stay."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Read the annotations and write the file."""
        from probe.datasets.converting import Source, convert
        from probe.datasets.own import OWN_SUFFIX, is_own
        from probe.datasets.sentences import Sentences

        if self.queries is not None and self.read not in ("coco", "mot"):
            raise ValueError(f"--queries: {self.read} has queries of its own; leave it out")
        if self.write == "own" and not is_own(self.out):
            # By this ending alone it is later known as a data set.
            raise ValueError(f"--out {self.out}: give a name that ends in {OWN_SUFFIX}")
        check_file_writable(self.out)
        for source in (self.annotations, self.queries):
            if source is not None and source.is_file():
                check_input_stays(source, (self.out,))
        sentences = None if self.queries is None else Sentences.read(self.queries)
        source = Source(self.annotations, self.root, sentences, self.out)
        written = convert(source, self.read, self.write)
        make_folder(self.out.absolute().parent)
        written.save(self.out)
        if self.json:
            about = {"out": str(self.out), "queries": written.queries, "notes": written.notes}
            show_json(about)
            return
        show(*written.notes)
        check = shlex.join(["probe", "evaluate", str(self.out), "--check"])
        again = f"; check it with: {check}" if self.write == "own" else ""
        show(f"written {self.out} ({written.queries} queries){again}")

"""The configuration of an evaluation: all that has to be known to answer a data set's queries."""

from dataclasses import dataclass, field
from pathlib import Path

from probe.datasets import DataSet, is_own, load_dataset
from probe.engine.model import ORGANISM
from probe.engine.opening import BEST_DEVICE
from probe.evaluation.candidates import Candidates, Detected, Proposed
from probe.evaluation.methods import Grounding, Lens, Method, find_method
from probe.evaluation.rules import RuleNames
from probe.grounding.sources import ByFile, ByRules, Splitter
from probe.metrics import PROTOCOLS
from probe.spelling import explain_unknown


@dataclass(frozen=True)
class EvaluationConfig:
    """Everything to evaluate, in names and plain values, so that other processes can open the same.

    >>> EvaluationConfig("shapes-val", method="whole-clip").load_dataset().name
    'shapes-val'

    Raises:
        ValueError: if a name is unknown, or options contradict each other.
    """

    dataset: str
    """A name in `probe.datasets.NAMES`, the path of a file of your own, which ends in `.jsonl`, or
    `module:qualname` of a function that reads yours."""

    root: Path | None = None
    """The data set's folder."""

    annotations: Path | None = None
    """Its annotation file, if it is not found in the folder by its published name."""

    method: str = "causal"
    """A name in `METHODS`, or `module:qualname` of a method of yours."""

    rules: RuleNames = field(default_factory=RuleNames)
    """Rules that take the place of the method's own, if it is a grounder."""

    candidates: Candidates = field(default_factory=Proposed)
    """The source of candidate tracks."""

    splitter: Splitter = field(default_factory=ByRules)
    """Splits queries into their parts."""

    model: str = ORGANISM
    revision: str | None = None
    device: str = BEST_DEVICE
    dtype: str = "auto"
    attention: str = "sdpa"
    quantize: str | None = None
    chat_template: str | None = None
    """Text or file of the template in which questions are written; None for the model's own."""

    pixels: int | None = None
    """The most pixels that are kept of a frame; None for as many as its authors document."""

    adapter: str | None = None
    """Folder or name on the hub of a LoRA adapter; None for the model as it is."""

    frames: int | None = None
    """Frames to sample; None for as many as the model wants."""

    protocol: str | None = None
    """A name in `PROTOCOLS`; None for the usual one of the data set."""

    def __post_init__(self) -> None:
        # All names are looked up here, in milliseconds: a wrong one is told before anything loads.
        method = self.find_method()
        if self.protocol is not None and self.protocol not in PROTOCOLS:
            raise ValueError(explain_unknown("protocol", self.protocol, PROTOCOLS))
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"cannot sample {self.frames} frames; ask for at least 1")
        # A method of the user's may read parts: of the shipped ones it is known which do.
        reads_parts = isinstance(method, Grounding | Lens) or ":" in self.method
        searches = isinstance(self.candidates, Detected)
        if not (isinstance(self.splitter, ByRules) or reads_parts or searches):
            raise ValueError(
                f"the method {self.method} asks for no part of a query; leave out --split, or "
                "give --detector, which looks for its subject"
            )

    @property
    def dataset_name(self) -> str:
        """Name of the data set in results: of a file its name, wherever it lies."""
        return Path(self.dataset).name if is_own(self.dataset) else self.dataset

    def find_method(self) -> Method:
        """Return the method that answers, with the rules given here.

        Raises:
            ValueError: if there is no such method or rule, or the method has no rules.
        """
        method = find_method(self.method)
        if not self.rules.given:
            return method
        if not isinstance(method, Grounding):
            raise ValueError(
                f"the method {self.method} is no grounder and has no rules; leave out "
                f"{self.rules.options}"
            )
        return Grounding(self.rules.replace_in(method.config))

    def load_dataset(self) -> DataSet:
        """Open the data set, before anything else is loaded.

        Raises:
            ValueError: if it cannot be opened, or a file of sub-queries is about another.
        """
        dataset = load_dataset(self.dataset, self.root, self.annotations)
        if isinstance(self.splitter, ByFile):
            self.splitter.check(dataset.ids)
        return dataset

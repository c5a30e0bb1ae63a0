"""A method run over a data set: what is run, the run that survives anything, and its report."""

from probe.evaluation.bench import Plan
from probe.evaluation.report import write_report
from probe.evaluation.runner import Outcome, evaluate
from probe.evaluation.runs import QueryResult, read_run

__all__ = ["Outcome", "Plan", "QueryResult", "evaluate", "read_run", "write_report"]

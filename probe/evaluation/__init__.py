"""Evaluation of a method on a data set: its configuration, a run that survives anything, a report.

>>> from tempfile import TemporaryDirectory
>>> from probe.evaluation import EvaluationConfig, Oracle, evaluate, read_run
>>> config = EvaluationConfig("shapes-val", method="whole-clip", candidates=Oracle())
>>> with TemporaryDirectory() as folder:
...     outcome = evaluate(config, folder, limit=2)
...     results = read_run(folder).results
>>> [result.query for result in results.values()]
['the red triangle that grows', 'the red square that glows']
"""

from probe.evaluation.batch import Failure, Grounded, ground_many
from probe.evaluation.candidates import Detected, Oracle, Proposed, Stored
from probe.evaluation.config import EvaluationConfig
from probe.evaluation.evaluator import Evaluator
from probe.evaluation.methods import METHODS, Method, Prediction, Task
from probe.evaluation.report import write_report
from probe.evaluation.results import QueryResult
from probe.evaluation.rules import RuleNames
from probe.evaluation.runner import Outcome, evaluate
from probe.evaluation.runs import read_run

__all__ = [
    "METHODS",
    "Detected",
    "EvaluationConfig",
    "Evaluator",
    "Failure",
    "Grounded",
    "Method",
    "Oracle",
    "Outcome",
    "Prediction",
    "Proposed",
    "QueryResult",
    "RuleNames",
    "Stored",
    "Task",
    "evaluate",
    "ground_many",
    "read_run",
    "write_report",
]

"""The exam of `probe evaluate --exam`: all that is in the clips of a run, asked of its organism."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probe.evaluation.runner import Answerer


def check_exam(answerer: "Answerer") -> None:
    """Check that there is an exam for a run, before its queries are answered.

    Raises:
        ValueError: if there is none: for other models and data than those of a drawn world, for
            methods that do not ground, and for a run of many processes, none of which sees all
            clips.
    """
    from probe.datasets.drawn import BENCHMARKS
    from probe.evaluation.evaluator import Evaluator
    from probe.grounding.presets import PRESETS
    from probe.organism.exam import knows

    config, remedy = answerer.config, "leave out --exam"
    if config.dataset not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise ValueError(f"--exam: only for {known}, not {config.dataset}; {remedy}")
    if config.method not in PRESETS:
        raise ValueError(f"--exam: only for a preset, not the method {config.method}; {remedy}")
    if not isinstance(answerer, Evaluator):
        raise ValueError(f"--exam: no process of --ray sees all clips; {remedy}")
    world = BENCHMARKS[config.dataset].world
    if not knows(answerer.model, world):
        raise ValueError(f"--exam: {config.model} is no organism of the {world.name}; {remedy}")


def take_exam(answerer: "Answerer", folder: Path, limit: int | None) -> Mapping[str, Any]:
    """Ask an organism about the clips of a run; the result is kept in its folder as `exam.json`.

    Args:
        answerer: The evaluator of the run, for which `check_exam` has found an exam.
        folder: The folder of the run.
        limit: The number of its queries; None for all.
    """
    from probe.datasets.drawn import BENCHMARKS
    from probe.evaluation.evaluator import Evaluator
    from probe.files import read_json, write_json
    from probe.organism.exam import examine

    assert isinstance(answerer, Evaluator), "it was checked"
    benchmark = BENCHMARKS[answerer.config.dataset]
    clips, path = min(limit or benchmark.size, benchmark.size), folder / "exam.json"
    # An exam takes as long as many queries, so it is kept for the next start of the run.
    kept = read_json(path) if path.exists() else {}
    if kept.get("clips") != clips:
        kept = {"clips": clips, **examine(answerer.model, benchmark, clips)}
        write_json(path, kept)
    return kept

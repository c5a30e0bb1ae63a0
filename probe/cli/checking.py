"""`probe check-model`: proofs that a checkpoint is read correctly."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import Positional, arg

from probe.cli.console import fail, progress
from probe.cli.opening import Opening, loaded


@dataclass(frozen=True)
class CheckModel:
    """Prove that a checkpoint is read correctly: its visual grid, attention and positions."""

    model: Positional[str]
    """A checkpoint's folder, its name on the Hugging Face hub, or "organism"."""

    options: Annotated[Opening, arg(name="")] = field(default_factory=Opening)

    @property
    def debug(self) -> bool:
        """Whether to show tracebacks."""
        return self.options.debug

    def run(self) -> None:
        """Make the proofs; exit with 1 if one fails."""
        from probe.engine.conformance import check_model

        with progress("load", "prove") as step:
            model = loaded(self.model, self.options)
            step()
            report = check_model(model)
            step()
        for proof in report.proofs:
            print(f"{'holds' if proof.passed else 'FAILS':6} {proof.name:16} {proof.found}")
        if not report.passed:
            failed = ", ".join(proof.name for proof in report.proofs if not proof.passed)
            fail(f"{self.model} is not read correctly: {failed}", code=1)

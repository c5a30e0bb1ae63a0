"""`probe check-model`: proofs that a checkpoint is read correctly."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import Positional, arg

from probe.cli.console import (
    ExitCode,
    fail,
    keep_for_json,
    show,
    show_json,
    show_progress,
)
from probe.cli.model_options import LoadOptions, load_model
from probe.engine.model_names import check_name


@dataclass(frozen=True)
class CheckModel:
    """Prove that a checkpoint is read correctly: its visual grid, attention and positions."""

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """A checkpoint's folder, its name on the Hugging Face hub, or "organism"."""

    options: Annotated[LoadOptions, arg(name="")] = field(default_factory=LoadOptions)

    picture: bool = False
    """Prove what the model makes of a picture; by default, of a video, if it reads both."""

    json: bool = False
    """Print one JSON object, the proofs with their numbers, and nothing else on the standard
    output."""

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Run the proofs and print them; exit with 1 if one fails."""
        check_name(self.model)  # at once: torch takes seconds to load
        from probe.engine.conformance import check_model, mosaic

        with keep_for_json(self.json), show_progress("load", "prove") as step:
            model = load_model(self.model, self.options)
            step()
            report = check_model(model, mosaic(frames=1) if self.picture else None)
            step()
        if self.json:
            show_json(report.to_dict())
        else:
            for proof in report.proofs:
                show(f"{'holds' if proof.passed else 'FAILS':6} {proof.name:16} {proof.found}")
            if report.places is not None:
                show(f"{'note':6} {'positions':16} {report.places}")
        if not report.passed:
            failed = ", ".join(proof.name for proof in report.proofs if not proof.passed)
            fail(f"{self.model} is not read correctly: {failed}", code=ExitCode.PROOF_FAILED)

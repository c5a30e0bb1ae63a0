"""Options that replace single rules of a preset, by a shipped rule's name or one of your own."""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

if TYPE_CHECKING:
    from probe.evaluation.rules import RuleNames


@dataclass(frozen=True)
class RuleOptions:
    """Options for the rules of a preset."""

    token: Annotated[str | None, arg(metavar="RULE")] = None
    """The rule for the tokens whose maps are read, in place of the preset's: MostActive, AllOf, or
    module:name of your own."""

    track: Annotated[str | None, arg(metavar="RULE")] = None
    """The rule for scoring candidate tracks: AttentionPeak, CausalEffect, or
    module:name."""

    span: Annotated[str | None, arg(metavar="RULE")] = None
    """The rule for the span: TopHull, GrowFromPeak, BestContrast, or module:name."""

    loss: Annotated[str | None, arg(metavar="RULE")] = None
    """The loss of learned latent prompts: exponential, contrast, entropy, or module:name."""

    @property
    def names(self) -> "RuleNames":
        """The names that were given."""
        from probe.evaluation.rules import RuleNames

        return RuleNames(**{one.name: getattr(self, one.name) for one in fields(self)})


DEFAULT_RULES = RuleOptions()
"""The preset's own rules."""


def add_current_folder() -> None:
    """Let modules in the current folder be imported, as `python -m probe` does but `probe` not."""
    # Last on the path, so that no file there takes the place of a library's.
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)

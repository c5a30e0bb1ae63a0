"""Options that replace single rules of a preset, by a shipped rule's name or one of your own."""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from probe.cli.names import RULES, check_rule

if TYPE_CHECKING:
    from probe.evaluation.rules import RuleNames


def _describe(kind: str) -> Any:
    """Describe an option for one kind of rule."""
    known = f"(one of: {', '.join(RULES[kind])}; or module:name of your own)"
    return arg(metavar="RULE", help_behavior_hint=known)


@dataclass(frozen=True)
class RuleOptions:
    """Options for the rules of a preset."""

    token: Annotated[str | None, _describe("token")] = None
    """The rule for the tokens whose maps are read, in place of the preset's."""

    token_when: Annotated[str | None, _describe("token_when")] = None
    """The rule for the tokens of the action part, where it is another."""

    heads_when: Annotated[str | None, _describe("heads_when")] = None
    """The rule for the heads whose maps are averaged for the action part."""

    relevance_when: Annotated[str | None, _describe("relevance_when")] = None
    """A rule that frees the map of the action part of what any prompt looks at."""

    maps: Annotated[str | None, _describe("maps")] = None
    """The maps in place of attention: FILE.safetensors of `probe responses train`, or a rule."""

    fuse: Annotated[str | None, _describe("fuse")] = None
    """A rule for a map by which the attribute map is multiplied."""

    track: Annotated[str | None, _describe("track")] = None
    """The rule for scoring candidate tracks."""

    frame_scores: Annotated[str | None, _describe("frame_scores")] = None
    """The rule for scoring the frames of the chosen track."""

    span: Annotated[str | None, _describe("span")] = None
    """The rule for the span, given the scores of the frames."""

    again: Annotated[str | None, _describe("again")] = None
    """A rule for reading more frames inside the found span."""

    loss: Annotated[str | None, _describe("loss")] = None
    """The loss of learned latent prompts."""

    def check(self) -> None:
        """Refuse names that no rule has, before any work is done.

        Raises:
            ValueError: if one is given.
        """
        for one in fields(self):
            if (name := getattr(self, one.name)) is not None:
                check_rule(one.name, name)

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

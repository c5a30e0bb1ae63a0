"""The proposers of candidate tracks that need no weights, by the names of the command line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias

from probe.candidates import areas, ground_colours, nested_regions, nested_tracks, proposals
from probe.candidates.nested_tracks import NestedConfig, propose_nested_tracks
from probe.candidates.proposals import ProposerConfig, propose_tracks
from probe.video import Tube, Video

TrackFinder: TypeAlias = Callable[[Video], Sequence[Tube]]
"""Finds tracks in a video, such as `probe.propose_tracks`, or a function of yours."""


@dataclass(frozen=True)
class Proposer:
    """A proposer, and all that its tracks depend on besides the video."""

    propose: TrackFinder
    config: Any
    """Its numbers."""

    modules: tuple[ModuleType, ...]
    """The code that it runs; tracks that were kept by other code are proposed again."""


PLAIN, NESTED = "plain", "nested"

PROPOSERS: Mapping[str, Proposer] = MappingProxyType(
    {
        PLAIN: Proposer(propose_tracks, ProposerConfig(), (areas, proposals)),
        NESTED: Proposer(
            propose_nested_tracks,
            NestedConfig(),
            (areas, proposals, ground_colours, nested_regions, nested_tracks),
        ),
    }
)
"""Few tracks, of things on a plain ground; or more, also of things that touch, on textured ones."""

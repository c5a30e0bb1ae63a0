"""Candidates in whatever form they are given: tracks, a file, what finds them, or none."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from probe.candidates.proposals import propose_tracks, with_heatmap_tracks
from probe.candidates.proposers import TrackFinder
from probe.candidates.tracks import check_tracks, load_tracks
from probe.engine.attention import Heatmap
from probe.engine.kept_views import compute_once
from probe.engine.view import View
from probe.video import Tube, Video

Given: TypeAlias = Sequence[Tube] | Tube | str | Path | TrackFinder | None
"""Tracks, one track, a file of tracks, a proposer, or None for the usual one."""


def find_proposer(given: Given) -> TrackFinder | None:
    """Find what proposes the candidates; None if they are given.

    Raises:
        ValueError: if they are neither given nor proposed.
    """
    if given is None:
        return propose_tracks
    if isinstance(given, Sequence | Tube | str | Path):
        return None
    if not callable(given):
        raise ValueError(
            f"candidates are {type(given).__name__}; give a list of tracks, a file of them, or a "
            "function that proposes them"
        )
    return given


def list_candidates(given: Given, video: Video) -> Sequence[Tube]:
    """Return the given tracks of a video, or those that are proposed.

    Raises:
        ValueError: if the file cannot be read or holds no track, or a track does not lie in the
            video.
    """
    if isinstance(given, str | Path):
        return load_tracks(given, video)
    if isinstance(given, Tube):
        given = (given,)
    if isinstance(given, Sequence):
        check_tracks(given, video)
        return given
    return (find_proposer(given) or propose_tracks)(video)


def as_candidates(given: Given, view: View, heatmap: Heatmap) -> Sequence[Tube]:
    """Return the given tracks, or those that are proposed and the bright parts of a map.

    Args:
        given: Tracks, or what proposes them.
        view: The video that they lie in, as the model sees it.
        heatmap: The map for the object: where it is brightest there must be a proposed track.

    Raises:
        ValueError: if the file cannot be read or holds no track.
    """
    if (propose := find_proposer(given)) is not None:
        video = view.video
        proposed = compute_once(view, ("proposed tracks", propose), lambda: propose(video))
        return with_heatmap_tracks(proposed, heatmap)
    return list_candidates(given, view.video)

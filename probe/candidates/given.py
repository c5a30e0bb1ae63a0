"""Candidates in whatever form they are given: tracks, a file of them, or none."""

from collections.abc import Sequence
from pathlib import Path

from probe.candidates.proposals import propose_tracks, with_heatmap_tracks
from probe.candidates.tracks import load_tracks
from probe.engine.attention import Heatmap
from probe.engine.kept_views import compute_once
from probe.engine.view import View
from probe.video import Tube, Video


def list_candidates(
    given: Sequence[Tube] | Tube | str | Path | None, video: Video
) -> Sequence[Tube]:
    """Return the given tracks of a video; without any, whatever differs from its background.

    Raises:
        ValueError: if the file cannot be read or holds no track.
    """
    if isinstance(given, str | Path):
        return load_tracks(given, video)
    if given is None:
        return propose_tracks(video)
    return (given,) if isinstance(given, Tube) else given


def as_candidates(
    given: Sequence[Tube] | Tube | str | Path | None, view: View, heatmap: Heatmap
) -> Sequence[Tube]:
    """Return the given tracks; without any, whatever differs from its background.

    Args:
        given: Tracks, one track, a file of tracks, or None to propose them.
        view: The video that they lie in, as the model sees it.
        heatmap: The map for the object: where it is brightest there must be a proposed track.

    Raises:
        ValueError: if the file cannot be read or holds no track.
    """
    if given is None:
        video = view.video
        proposed = compute_once(view, "proposed tracks", lambda: propose_tracks(video))
        return with_heatmap_tracks(proposed, heatmap)
    return list_candidates(given, view.video)

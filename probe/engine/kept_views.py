"""Views that are kept for many queries about one video, so that it is watched and read once.

>>> import probe
>>> from probe.engine.kept_views import keep_views
>>> from probe.organism.world import make_clip
>>> model, clip = keep_views(probe.load()), make_clip(6).video()
>>> model.watch(clip).cache is model.watch(clip).cache
True
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.video import Video

MOST_VIEWS = 1
"""Videos whose views are kept. Queries are asked video by video, so one is enough; keys and values
of a video take 1.5 GB in a 7B, and as much again in reverse frame order."""

Value = TypeVar("Value")


class Kept:
    """Values that depend on a view alone, whatever is asked about it; computed once.

    It is mutable, and all views that are derived from one share it.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, object] = {}

    def once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return the value under a key; compute it if there is none."""
        if key not in self._values:
            self._values[key] = compute()
        return self._values[key]  # pyright: ignore[reportReturnType]  of the type it went in as

    def clear(self) -> None:
        """Forget everything, and free the caches of views that are among the values."""
        for value in self._values.values():
            if isinstance(value, KeptView):
                value.free()
        self._values.clear()


@dataclass(frozen=True, eq=False, repr=False)
class KeptView(View):
    """A view that many queries share: in both frame orders its prefix is read once."""

    kept: Kept = field(default_factory=Kept)
    """Memory of what was computed of it; it changes."""

    def reversed(self) -> View:
        """Show the last frame first; all queries share the reversed prefix, too."""
        turned = self.kept.once(_REVERSED, self._reverse_plain)
        shown = turned.under(*(done.reversed() for done in self.interventions))
        for latent in self.latents:
            shown = shown.with_latent(latent.reversed())
        return shown

    def free(self) -> None:
        """Forget all that was computed, to free memory; what is needed again is computed again."""
        self.kept.clear()
        self.cache.clear()

    def _reverse_plain(self) -> "KeptView":
        # Latent prompts and interventions belong to one query; the reversed tokens to all.
        return _keep(View.reversed(replace(self.plain or self, interventions=())))


_REVERSED = "the reversed view"


def _keep(view: View) -> KeptView:
    """Return a plain view as one that is kept."""
    return KeptView(**{one.name: getattr(view, one.name) for one in fields(View)})


def compute_once(view: View, key: Hashable, compute: Callable[[], Value]) -> Value:
    """Compute a value that depends on no query; only once, if the view is kept for many of them.

    Args:
        view: The view.
        key: All that the value depends on, besides the plain prefix of the view.
        compute: Computes the value.
    """
    return view.kept.once(key, compute) if isinstance(view, KeptView) else compute()


def make_room(view: View) -> None:
    """Free the cache of a view before its frames are read in another order.

    Both orders need not be held in memory at once, unless more queries will ask for both.
    """
    if not isinstance(view, KeptView):
        view.cache.clear()


class KeptViews:
    """The views of the last videos that were watched.

    It is mutable. When a further video is watched, what was computed of the first is freed.
    """

    def __init__(self, most: int = MOST_VIEWS) -> None:
        """Start empty.

        Args:
            most: Most videos whose views are kept.

        Raises:
            ValueError: if none could be.
        """
        if most < 1:
            raise ValueError(f"{most} views cannot be kept; give at least 1")
        self._most = most
        self._views: list[KeptView] = []

    def __len__(self) -> int:
        return len(self._views)

    def clear(self) -> None:
        """Free all views that are kept."""
        while self._views:
            self._views.pop().free()

    def find(self, video: Video) -> KeptView | None:
        """Return the view of a video; None if it is not kept."""
        # By identity: to compare the pixels of two videos takes as long as to decode one.
        return next((view for view in self._views if view.video is video), None)

    def add(self, view: View) -> KeptView:
        """Keep a view, and free the oldest if there are too many."""
        # First, so that no more than the most are ever in memory.
        while len(self._views) >= self._most:
            self._views.pop(0).free()
        kept = _keep(view)
        self._views.append(kept)
        return kept


@dataclass(frozen=True, eq=False, repr=False)
class SharingModel(VideoLM):
    """A model that watches a video once, however many queries are asked about it in a row."""

    views: KeptViews = field(default_factory=KeptViews)
    """The views that are kept; it changes."""

    def watch(self, video: Video | str | Path) -> View:
        """Show the model a video, or return the view of it that is kept."""
        kept = self.views.find(video) if isinstance(video, Video) else None
        return kept or self.views.add(super().watch(video))


def keep_views(model: VideoLM, most: int = MOST_VIEWS) -> SharingModel:
    """Return the model with a memory: a `Video` that it is shown again is neither watched nor read.

    Answers are the same, bit for bit. In memory are the visual tokens of at most `most` videos, and
    their keys and values in each frame order that was asked for; those of a video that is left are
    freed when the next one is watched.

    Args:
        model: The model.
        most: Videos to keep; more than one only helps if queries go back and forth between them.

    Raises:
        ValueError: if `most` is less than 1.
    """
    own = {one.name: getattr(model, one.name) for one in fields(VideoLM)}
    sharing = SharingModel(**own, views=KeptViews(most))
    # Where `cached_property` keeps it, so that the same weights are not hashed twice.
    sharing.__dict__["known_fingerprint"] = model.known_fingerprint
    return sharing

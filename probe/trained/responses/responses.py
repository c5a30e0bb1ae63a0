"""Response maps of a trained network: where the thing is that a sentence means."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.trained.responses.learned import Learned
from probe.trained.responses.losses import normalise_maps
from probe.trained.responses.network import Bank

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Responses:
    """Trained response maps, as a map of a query about a video.

    They are named by their file and a hash of its content, so that an answer that was found with
    them says which they were. The file is read when it is first needed.
    """

    path: str | None = None
    """The file; None for maps that were never saved."""

    content: str | None = None
    """A hash of the content; None to take whatever the file holds."""

    @classmethod
    def of(cls, learned: Learned, path: str | Path | None = None) -> "Responses":
        """Name what was learned by its content, and by its file if it has one."""
        made = cls(None if path is None else str(path), learned.content)
        made.__dict__["learned"] = learned  # where `cached_property` keeps it
        return made

    @classmethod
    def load(cls, path: str | Path) -> "Responses":
        """Read the maps that `save` or `probe responses train` wrote.

        Raises:
            ValueError: if the file is missing or has no response maps.
        """
        return cls.of(Learned.load(path), path)

    @cached_property
    def learned(self) -> Learned:
        """The network, and what belongs to it.

        Raises:
            ValueError: if the file is missing, or has other maps than it had.
        """
        if self.path is None:
            raise ValueError(
                "these response maps were never saved, so they cannot be read again; save them, "
                "and load the file"
            )
        found = Learned.load(self.path)
        if self.content not in (None, found.content):
            raise ValueError(
                f"{self.path}: other response maps than those that were used; give the file as it "
                f"was, or load it anew"
            )
        return found

    def __repr__(self) -> str:
        about = self.about
        return (
            f"Responses({about['model']['name']}, layer {self.learned.layer}: "
            f"{self.learned.network.config.stages} stages, {about['videos']} videos of "
            f"{about['data'] or 'unnamed data'})"
        )

    @property
    def about(self) -> Mapping[str, Any]:
        """Model, data, choices and curve of the training, and versions of the libraries."""
        return self.learned.about

    def save(self, path: str | Path) -> None:
        """Write them as safetensors, with all that they belong to."""
        self.learned.save(path)

    def without_bank(self) -> "Responses":
        """Return the same maps without the stored texts, as the released code computes them."""
        return Responses.of(replace(self.learned, bank=Bank.empty(self.learned.network.config)))

    def heatmap(self, view: View, query: str) -> Heatmap:
        """Compute where the thing is that a query means: the map of the last stage.

        Values lie between 0 and 1, which is the strongest cell of the whole video; frames can be
        compared. A map of zeros everywhere means that no cell speaks for the query.

        Raises:
            ValueError: if the maps were learned on another model, a query has no known word, or the
                view has latent prompts.
        """
        return self.stages(view, query)[-1]

    def stages(self, view: View, query: str) -> tuple[Heatmap, ...]:
        """Compute the map of each stage, first the one of the first cue; see `heatmap`."""
        scores = self.score(view, query)
        # By the maximum of the whole video, so that frames can be compared: each by its own would
        # make every frame's strongest cell as bright as that of the thing.
        maps = normalise_maps(scores.flatten(1))
        return tuple(Heatmap(view.grid.fold(one), view.grid.cells) for one in maps)

    __call__ = heatmap
    """A map of a query, as `GrounderConfig.maps` takes it."""

    def score(self, view: View, query: str) -> Float[Tensor, "stage frame cell"]:
        """Score all cells of a video stage by stage, any sign, before they become maps.

        Raises:
            ValueError: as `heatmap` says.
        """
        return self.learned.score(view, query)

    def check(self, reader: VideoLM | View) -> None:
        """Refuse a model, or a view of one, other than the one whose states were learned on.

        All functions here do this by themselves, view by view; it saves the time until then.

        Raises:
            ValueError: if its fingerprint is another.
        """
        self.learned.check(reader)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the loss of training, step by step.

        Args:
            ax: The axes to draw on; None for a new figure.
        """
        # Imported where it is drawn: matplotlib takes long to import.
        from probe.pictures.curves import draw_loss

        return draw_loss(ax, self.about["curve"])

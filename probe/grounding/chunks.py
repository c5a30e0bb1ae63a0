"""Joining what was found in the chunks of a long video: one map, one score a track."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.engine.view import View
from probe.grounding.doubts import Evidence
from probe.grounding.looks import Look
from probe.grounding.track_rules import TrackScores
from probe.video import Tube


@dataclass(frozen=True, eq=False)
class Chunk:
    """The findings in one chunk of a video."""

    view: View
    evidence: Evidence
    where: Look
    when: Look

    scores: TrackScores
    """Those of the candidates of the whole video, by what this chunk shows of them."""

    @property
    def presence(self) -> float:
        """The margin of the whole query, yes minus no in logits."""
        return self.evidence.margins["whole"]

    @property
    def sees_it(self) -> bool:
        """True if the model says yes to the whole query or to its attribute part."""
        return max(self.presence, self.evidence.margins["attribute"]) > 0


def join_looks(looks: Sequence[Look]) -> Look:
    """Join the maps of all chunks, each as strong as the model is sure of its question there.

    A row of attention has the same sum in a chunk that does not show the thing. Each map is
    therefore multiplied by the probability of yes to no, by the margin of its own reading. The
    tokens are those of the surest chunk.
    """
    surest = max(looks, key=lambda one: one.margin)
    values = torch.cat([one.heatmap.values * weigh(one) for one in looks])
    cells = surest.heatmap.cells
    frames = tuple(frame for one in looks for frame in one.heatmap.cells.frames)
    return replace(surest, heatmap=Heatmap(values, replace(cells, frames=frames)))


def weigh(look: Look) -> float:
    """Return the probability of yes to no, by the margin of a look's reading."""
    return float(torch.tensor(look.margin).sigmoid())


def join_scores(chunks: Sequence[Chunk]) -> TrackScores:
    """Add the scores of each track over the chunks in which the model sees the thing.

    In the others, scores by cause are of another kind: attention, in the place of logits.
    """
    seeing = [chunk for chunk in chunks if chunk.sees_it] or list(chunks)
    values = torch.tensor([chunk.scores.values for chunk in seeing], dtype=torch.float64)
    # A track that was not asked about in a chunk adds nothing there.
    known = values.isfinite()
    total = torch.where(known, values, 0.0).sum(0).masked_fill(~known.any(0), -torch.inf)
    doubts = dict.fromkeys(doubt for chunk in seeing for doubt in chunk.scores.doubts)
    return TrackScores(tuple(total.tolist()), tuple(doubts))


def join_frames(scores: Sequence[Tensor], chunks: Sequence[Chunk]) -> Float[Tensor, " frame"]:
    """Join the scores of the frames of all chunks, weighted as their maps are."""
    pairs = zip(scores, chunks, strict=True)
    return torch.cat([found * weigh(chunk.when) for found, chunk in pairs])


def find_shown(cells: Cells, track: Tube) -> range:
    """Find the frames of a map from the first to the last that shows a track; all if none does."""
    shown = [
        place
        for place, sources in enumerate(cells.frames)
        if any(source in track.span for source in sources)
    ]
    return range(shown[0], shown[-1] + 1) if shown else range(len(cells.frames))


def tell_chunks(chunks: Sequence[Chunk]) -> str:
    """Say in how many chunks a video was read, as a doubt: the model never saw it whole."""
    seeing = sum(chunk.sees_it for chunk in chunks)
    frames = sum(len(chunk.view.video) for chunk in chunks)
    return (
        f"{frames} frames do not fit in the context of the model: read in {len(chunks)} parts, in "
        f"{seeing} of which the model says yes"
    )

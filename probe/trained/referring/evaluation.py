"""Evaluation of response maps of pictures: PointM, PointIt, mIoU, oIoU, and what they compare with.

Every sentence counts once. One whose picture cannot be read counts as zero in every row, and is
listed with the reason.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8

from probe.candidates.mask_proposals import ProposalConfig, ProposalSource, choose_proposals
from probe.candidates.segmenters import SeenPicture, Segmenter
from probe.files import FileFormat, write_json
from probe.metrics.intervals import resample_clusters
from probe.metrics.referring import (
    ReferringScore,
    average_scores,
    find_peak,
    score_found,
    score_response,
)
from probe.progress import make_bar
from probe.trained.referring.model import ReferringMaps, enlarge_maps
from probe.trained.referring.things import DescribedThing, Truth
from probe.trained.responses.network import Bank
from probe.video.images import read_pixels

EVALUATION_FORMAT = FileFormat(
    "grounding-probe/referring-scores", 1, "scores of response maps", "probe responses evaluate"
)

Pixels: TypeAlias = UInt8[np.ndarray, "height width 3"]
Response: TypeAlias = Float[np.ndarray, "height width"]


@dataclass(frozen=True)
class RowKind:
    """A way to find a thing, of which each row of the result is one."""

    title: str
    points: bool = True
    """True if it has a strongest pixel; a mask has none."""

    covers: bool = True
    """True if it says where the thing ends."""


ROWS: Mapping[str, RowKind] = MappingProxyType(
    {
        "map": RowKind("response map"),
        "alone": RowKind("response map, nothing competes (as in the released code)"),
        "centre": RowKind("the middle of the picture, no model", covers=False),
        "proposal": RowKind("the proposal that the map is strongest on", points=False),
        "segmenter": RowKind("SAM's mask at the peak", points=False),
        "oracle": RowKind("the best proposal, chosen by the truth", points=False),
    }
)
"""The rows of a result; those of proposals and of SAM are there if these are given."""


@dataclass(frozen=True, eq=False)
class JudgedSentence:
    """A sentence with its score in each row."""

    name: str
    sentence: str
    picture: str
    scores: Mapping[str, ReferringScore]
    peak: tuple[int, int] | None = None
    """Row and column of the map's strongest pixel."""

    failure: str = ""
    """The reason why it could not be answered; empty if it was."""


@dataclass(frozen=True, eq=False)
class ReferringResult:
    """The scores of a set of sentences."""

    judged: tuple[JudgedSentence, ...]

    @property
    def failures(self) -> tuple[JudgedSentence, ...]:
        """The sentences that could not be answered, and count as zero."""
        return tuple(one for one in self.judged if one.failure)

    def summarise(self) -> dict[str, dict[str, Any]]:
        """Return the means of each row, with 95 % intervals over pictures."""
        pictures = np.unique([one.picture for one in self.judged], return_inverse=True)[1]
        found = {}
        for name, kind in ROWS.items():
            if name not in self.judged[0].scores:
                continue
            scores = [one.scores[name] for one in self.judged]
            means = asdict(average_scores(scores))
            means["point_m_interval"] = _resample([float(one.in_mask) for one in scores], pictures)
            means["mean_iou_interval"] = _resample([one.iou for one in scores], pictures)
            # A 0 of what a row does not have would say what is not so.
            told = {"point": kind.points, "iou": kind.covers}
            kept = {
                figure: value
                for figure, value in means.items()
                if all(has for word, has in told.items() if word in figure)
            }
            found[name] = {"title": kind.title, **kept}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain values."""
        return {
            **EVALUATION_FORMAT.header,
            "rows": self.summarise(),
            "sentences": [
                {
                    "name": one.name,
                    "sentence": one.sentence,
                    "picture": one.picture,
                    "peak": one.peak,
                    **({"failure": one.failure} if one.failure else {}),
                    "scores": {name: asdict(score) for name, score in one.scores.items()},
                }
                for one in self.judged
            ],
        }

    def save(self, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
        """Write everything as JSON, with what it is about."""
        write_json(path, {**self.to_dict(), "about": dict(about or {})})


@dataclass(frozen=True, eq=False)
class Judge:
    """The things that maps are judged with, and compared with."""

    proposals: ProposalSource | None = None
    """Masks of everything in a picture, for the rows of proposals."""

    segmenter: Segmenter | None = None
    """SAM, for the row of its mask at the peak."""

    choice: ProposalConfig = field(default_factory=ProposalConfig)

    def judge(self, maps: ReferringMaps, things: Sequence[DescribedThing]) -> ReferringResult:
        """Score maps on things whose truth is known.

        Raises:
            ValueError: if there are no things, or one has no truth.
        """
        if not things:
            raise ValueError("there are no things to judge maps on; give some")
        if unknown := [one.name for one in things if one.truth is None]:
            raise ValueError(f"{unknown[0]}: its place is not known; give things with a truth")
        # By picture, since reading it and SAM's look at it cost more than a sentence.
        by_picture: dict[Path, list[DescribedThing]] = defaultdict(list)
        for one in things:
            by_picture[one.picture].append(one)
        judged = []
        for path, some in make_bar(by_picture.items(), desc="judge", unit="picture", leave=False):
            judged += self._judge_picture(maps, path, some)
        return ReferringResult(tuple(judged))

    def _judge_picture(
        self, maps: ReferringMaps, path: Path, things: Sequence[DescribedThing]
    ) -> Iterator[JudgedSentence]:
        try:
            seen = _look(self, path, things)
        except ValueError as failure:
            for one, place in _list_sentences(things):
                # Rows that would have been there, all of them zero: it is not dropped.
                names = [name for name in ROWS if self._has(name)]
                scores = {name: ReferringScore.fail(_true_pixels(one)) for name in names}
                yield JudgedSentence(
                    one.name, one.sentences[place], path.name, scores, failure=str(failure)
                )
            return
        for one in things:
            yield from self._judge_thing(maps, seen, one)

    def _judge_thing(
        self, maps: ReferringMaps, seen: "_Seen", thing: DescribedThing
    ) -> Iterator[JudgedSentence]:
        stages = maps.model.network.config.stages
        cues = [thing.fit_cues(place, stages) for place in range(len(thing.sentences))]
        # Both at once: what training had and a single picture lacks is a choice to be measured.
        alone = Bank.empty(maps.model.network.config)
        found = {
            name: enlarge_maps(
                maps.respond(seen.pixels, thing.sentences, cues, bank)[:, -1], seen.size
            )
            for name, bank in (("map", maps.bank), ("alone", alone))
        }
        for place, sentence in enumerate(thing.sentences):
            responses = {
                name: some[place].reshape(seen.size).double().numpy()
                for name, some in found.items()
            }
            responses["centre"] = seen.centre
            peak = find_peak(responses["map"])
            yield JudgedSentence(
                thing.name,
                sentence,
                seen.name,
                self._score(thing, seen, responses, peak),
                peak,
            )

    def _score(
        self,
        thing: DescribedThing,
        seen: "_Seen",
        responses: Mapping[str, Response],
        peak: tuple[int, int] | None,
    ) -> dict[str, ReferringScore]:
        truth, pixels = _require_truth(thing), _true_pixels(thing)
        box = np.array(truth.box, dtype=np.float64)
        scores = {
            name: score_response(response, pixels, box) for name, response in responses.items()
        }
        # A map without a peak prompts no mask, which is then empty and counts as zero.
        nothing = np.zeros_like(pixels)
        if self.segmenter is not None and seen.embedded is not None:
            found = (
                nothing
                if peak is None
                else self.segmenter.mask_at(seen.embedded, *peak).to_pixels()
            )
            scores["segmenter"] = score_found(found, pixels)
        if self.proposals is not None:
            masks = seen.masks or [nothing]
            strongest = max(masks, key=lambda mask: responses["map"][mask].max(initial=0.0))
            scores["proposal"] = score_found(strongest, pixels)
            scores["oracle"] = max(
                (score_found(mask, pixels) for mask in masks), key=lambda score: score.iou
            )
        return scores

    def _has(self, row: str) -> bool:
        needs = {
            "proposal": self.proposals,
            "oracle": self.proposals,
            "segmenter": self.segmenter,
        }
        return row not in needs or needs[row] is not None


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture with all that its sentences share."""

    name: str
    pixels: Pixels
    masks: list[Bool[np.ndarray, "height width"]]
    embedded: SeenPicture | None

    @property
    def size(self) -> tuple[int, int]:
        height, width, _ = self.pixels.shape
        return height, width

    @property
    def centre(self) -> Response:
        """A map that is strongest in the middle of the picture, and found nowhere else."""
        found = np.zeros(self.size)
        found[self.size[0] // 2, self.size[1] // 2] = 1.0
        return found


def _look(judge: Judge, path: Path, things: Sequence[DescribedThing]) -> _Seen:
    """Read a picture with its proposals, and check that the truth is about it."""
    pixels = read_pixels(path)
    for one in things:
        if _require_truth(one).mask.size != pixels.shape[:2]:
            raise ValueError(
                f"{path}: a picture of {pixels.shape[:2]}, but the mask of {one.name} is of "
                f"{_require_truth(one).mask.size}; give the picture at its original size"
            )
    found = () if judge.proposals is None else judge.proposals.find(path)
    masks = [mask.to_pixels() for mask in choose_proposals(found, judge.choice)]
    embedded = None if judge.segmenter is None else judge.segmenter.look(pixels)
    return _Seen(path.name, pixels, masks, embedded)


def _require_truth(thing: DescribedThing) -> Truth:
    assert thing.truth is not None, "it was checked"
    return thing.truth


def _true_pixels(thing: DescribedThing) -> Bool[np.ndarray, "height width"]:
    return _require_truth(thing).mask.to_pixels()


def _list_sentences(things: Sequence[DescribedThing]) -> Iterator[tuple[DescribedThing, int]]:
    for one in things:
        for place in range(len(one.sentences)):
            yield one, place


def _resample(values: Sequence[float], pictures: np.ndarray) -> list[float]:
    """Compute the interval of a mean if whole pictures were drawn again."""
    figures = np.asarray(values, dtype=np.float64)
    # Sentences about one picture are not independent of each other.
    low, high = resample_clusters(_weigh(figures), pictures)
    return [low, high]


def _weigh(figures: Float[np.ndarray, " sentence"]) -> Callable[[np.ndarray], np.ndarray]:
    def average(weights: np.ndarray) -> np.ndarray:
        return weights @ figures / weights.sum(axis=1)

    return average

"""Response maps of pictures on the command line: RefCOCO's parts trained on, and judged.

`probe responses` calls this for the names of these data sets. Data sets and training do not know
each other: what is converted here for training has no truth.
"""

import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from tyro.conf import arg

from probe.cli.console import keep_for_json, show, show_json
from probe.cli.numbers import check_numbers
from probe.cli.outputs import check_file_writable, make_folder

if TYPE_CHECKING:
    from probe.candidates.segmenters import Segmenter
    from probe.datasets.refcoco import Referent, ReferringData
    from probe.trained.referring.evaluation import ReferringResult
    from probe.trained.referring.model import ReferringMaps
    from probe.trained.referring.things import DescribedThing

PICTURE_SETS = ("refcoco", "refcoco+", "refcocog")
# Repeated here, because the module that reads them imports video readers.

TRAINED_PART, VALIDATED_PART = "train", "val"

RULES, WHOLE = "rules", "whole"
"""Cues that need no file: parts of the sentence by rules of grammar, or the sentence itself."""

PublishedName: TypeAlias = Literal["paper", "released-code"]


@dataclass(frozen=True)
class PictureOptions:
    """Options for RefCOCO, RefCOCO+ and RefCOCOg, on which a CLIP is tuned, as published."""

    split: Annotated[str | None, arg(metavar="{unc,umd,google}")] = None
    """The split: unc of refcoco and refcoco+; umd, or google, of refcocog."""

    part: Annotated[str, arg(metavar="PART")] = VALIDATED_PART
    """The part that is evaluated: val, testA, testB or test."""

    maps: Annotated[Path | None, arg(metavar="FILE")] = None
    """The trained maps that are evaluated."""

    masks: Annotated[Path | None, arg(metavar="DIR")] = None
    """A folder with masks of everything in each picture; by default, SAM makes them once, in the
    folder FILE.masks next to the file that is written."""

    segmenter: Annotated[str | None, arg(metavar="MODEL")] = None
    """SAM's folder or hub name, for training without --masks (facebook/sam-vit-huge) and, when
    given, to evaluate its mask at the peak."""

    clip: Annotated[str, arg(metavar="NAME")] = "RN50-quickgelu"
    """open_clip's name of a CLIP with a ResNet, or a folder of one."""

    clip_weights: Annotated[str, arg(metavar="{TAG,FILE,none}")] = "openai"
    """A tag of open_clip, a file, or none for random weights."""

    losses: PublishedName = "paper"
    """The network's form and its losses: those of the paper, or of its released code."""

    epochs: Annotated[int, arg(metavar="N")] = 15
    """Passes over the things of the training part."""

    batch: Annotated[int, arg(metavar="N")] = 36
    """Pictures in a batch."""

    readers: Annotated[int, arg(metavar="N")] = 4
    """Threads that read pictures ahead of training."""

    def check(self) -> None:
        """Refuse numbers of no use before torch is loaded.

        Raises:
            ValueError: if there are such.
        """
        check_numbers(self, epochs=1, batch=1, readers=1)


@dataclass(frozen=True)
class PictureRun:
    """A data set of pictures, and how it is read and trained on."""

    name: str
    root: Path | None
    options: PictureOptions
    cues: str = RULES
    limit: int | None = None
    device: str = "auto"
    seed: int = 0

    def read(self) -> "ReferringData":
        """Read the data set.

        Raises:
            ValueError: if it is not there, or is damaged.
        """
        from probe.datasets.refcoco import read_refcoco

        return read_refcoco(self.name, self.root, self.options.split)

    def convert(
        self, data: "ReferringData", part: str, *, truth: bool
    ) -> tuple["DescribedThing", ...]:
        """Convert the things of a part to what training and evaluation take.

        Args:
            data: The data set.
            part: The part.
            truth: True to give the masks and boxes of the things.

        Raises:
            ValueError: if pictures or cues are missing.
        """
        from probe.trained.referring.things import DescribedThing, Truth

        chosen = data.choose(part)[: self.limit]
        pictures = _find_pictures(data, chosen)
        cues = _read_cues(self.cues, chosen)
        return tuple(
            DescribedThing(
                f"{data.name}/{one.id}",
                pictures[one.picture_name],
                one.annotation,
                tuple(sentence.text for sentence in one.sentences),
                cues.get(one.id, ()),
                Truth(one.read_mask(), tuple(one.box.tolist())) if truth else None,
            )
            for one in chosen
        )


def train_on_pictures(run: PictureRun, out: Path) -> "ReferringMaps":
    """Train response maps on a data set of pictures; a stopped run goes on.

    The folders FILE.run and FILE.masks are next to the file of the maps.

    Args:
        run: The data set, and the choices.
        out: The file of the maps.

    Raises:
        ValueError: if data, masks or models are missing or damaged.
    """
    check_file_writable(out, suffix=".safetensors")
    run.options.check()
    from probe.candidates.mask_proposals import MaskFolder
    from probe.metrics.referring import average_scores
    from probe.trained.referring.encoders import open_clip_encoders
    from probe.trained.referring.evaluation import Judge
    from probe.trained.referring.training import (
        ReferringRecipe,
        RunOptions,
        TrainingSet,
        train_referring,
    )
    from probe.trained.responses.presets import PAPER, RELEASED_CODE

    options, data = run.options, run.read()
    taught = run.convert(data, TRAINED_PART, truth=False)
    checked = run.convert(data, VALIDATED_PART, truth=True)
    if shared := data.list_shared_pictures(TRAINED_PART, VALIDATED_PART):
        warnings.warn(
            f"{len(shared)} pictures are in train and in val of this split, so the score of an "
            "epoch tells too much",
            stacklevel=2,
        )
    encoders = open_clip_encoders(
        options.clip, None if options.clip_weights == "none" else options.clip_weights
    )
    masks = options.masks or _segment(run, taught, Path(f"{out}.masks"))
    forms = {"paper": PAPER, "released-code": RELEASED_CODE}

    # The authors choose an epoch on val, too, and do not say by which score.
    def point(maps: "ReferringMaps") -> float:
        judged = Judge().judge(maps, checked).judged
        return average_scores([one.scores["map"] for one in judged]).point_m

    found = train_referring(
        encoders,
        TrainingSet(taught, MaskFolder(masks), f"{run.name} ({data.split})"),
        ReferringRecipe(forms[options.losses], options.epochs, options.batch, seed=run.seed),
        Path(f"{out}.run"),
        judge=point,
        options=RunOptions(run.device, options.readers),
    )
    found.save(out)
    return found


def evaluate_on_pictures(run: PictureRun) -> tuple["ReferringResult", dict[str, Any]]:
    """Judge trained maps on a part of a data set of pictures.

    Returns:
        The scores, and what they are about.

    Raises:
        ValueError: if data, masks or the file of the maps are missing or damaged.
    """
    options = run.options
    if options.maps is None:
        raise ValueError("evaluate: give --maps the file that `probe responses train` wrote")
    from probe.candidates.mask_proposals import MaskFolder
    from probe.trained.referring.evaluation import Judge
    from probe.trained.referring.model import ReferringMaps

    data = run.read()
    things = run.convert(data, options.part, truth=True)
    maps = ReferringMaps.load(options.maps, run.device)
    judge = Judge(
        None if options.masks is None else MaskFolder(options.masks),
        None if options.segmenter is None else _open_segmenter(run),
    )
    about = {
        "data": f"{run.name} ({data.split}), {options.part}",
        "maps": str(options.maps),
        "cues": run.cues,
        "training": dict(maps.about),
    }
    return judge.judge(maps, things), about


def run_on_pictures(action: str, run: PictureRun, out: Path, *, json: bool) -> None:
    """Train or evaluate on a data set of pictures, and print what came out.

    Args:
        action: "train" or "evaluate".
        run: The data set, and the choices.
        out: The file that is written: maps, or the scores of all sentences as JSON.
        json: Print one JSON object.
    """
    if action == "train":
        with keep_for_json(json):
            about = dict(train_on_pictures(run, out).about)
        if json:
            show_json({"out": str(out), **about})
            return
        best = max(range(len(about["scores"])), key=about["scores"].__getitem__)
        show(f"PointM on val {about['scores'][best]:.3f} after epoch {best + 1}, which is kept")
        paths = ("--root", str(run.root), "--maps", str(out))
        again = shlex.join(("probe", "responses", "evaluate", run.name, *paths))
        show(f"written {out}; judge it with: {again}")
        return
    check_file_writable(out, suffix=".json")
    with keep_for_json(json):
        result, about = evaluate_on_pictures(run)
    make_folder(out.absolute().parent)
    result.save(out, about)
    if json:
        rows = result.summarise()
        show_json({"about": about, "rows": rows, "failed": len(result.failures)})
    else:
        show(*format_result(result), f"written {out}")


def format_result(result: "ReferringResult") -> list[str]:
    """Write the figures of a result as lines of a table."""
    lines = [f"{'':58} PointM (95 %)       PointIt   mIoU (95 %)        oIoU"]
    for row in result.summarise().values():
        cells = [
            _format_figure(row, "point_m"),
            _format_figure(row, "point_it"),
            _format_figure(row, "mean_iou"),
            _format_figure(row, "overall_iou"),
        ]
        title, (point, in_box, iou, overall) = row["title"], cells
        lines.append(f"{title:58} {point:19} {in_box:9} {iou:18} {overall}")
    lines.append(f"{len(result.judged)} sentences, {len(result.failures)} failed and count as 0")
    return lines + [f"{one.name}: {one.failure}" for one in result.failures[:3]]


def _format_figure(row: Mapping[str, Any], figure: str) -> str:
    if figure not in row:
        return "-"
    interval = row.get(f"{figure}_interval")
    around = "" if interval is None else f" ({interval[0]:.3f} {interval[1]:.3f})"
    return f"{row[figure]:.3f}{around}"


def _find_pictures(data: "ReferringData", things: Sequence["Referent"]) -> dict[str, Path]:
    """Find all pictures before the hours of training, and not one by one in them."""
    found, missing = {}, []
    for one in {thing.picture_name: thing for thing in things}.values():
        try:
            found[one.picture_name] = data.find_picture(one)
        except ValueError as failure:
            missing.append(str(failure))
    if missing:
        raise ValueError(f"{len(missing)} of {len(missing) + len(found)} pictures: {missing[0]}")
    return found


def _read_cues(given: str, things: Sequence["Referent"]) -> dict[int, tuple[tuple[str, ...], ...]]:
    """Read or make the cues of each sentence of each thing."""
    if given == WHOLE:
        return {}
    if given == RULES:
        from probe.grounding.cues import split_cues

        return {
            one.id: tuple(split_cues(sentence.text) for sentence in one.sentences) for one in things
        }
    from probe.datasets.refcoco import read_cues

    known = read_cues(Path(given))
    lacking = [
        (one.id, sentence.id)
        for one in things
        for sentence in one.sentences
        if sentence.id not in known.get(one.id, {})
    ]
    if lacking:
        ref, sentence = lacking[0]
        raise ValueError(
            f"{given}: no phrases for {len(lacking)} sentences, such as ref {ref}, sentence "
            f"{sentence}; add them, or give --cues rules"
        )
    return {
        one.id: tuple(known[one.id][sentence.id] for sentence in one.sentences) for one in things
    }


def _open_segmenter(run: PictureRun) -> "Segmenter":
    from probe.candidates.segmenters import SEGMENTATION, open_segmenter

    return open_segmenter(run.options.segmenter or SEGMENTATION, device=run.device)


def _segment(run: PictureRun, things: Sequence["DescribedThing"], kept: Path) -> Path:
    """Have the masks of all pictures made and kept, those that are not there yet."""
    from probe.candidates.mask_proposals import SegmentedPictures
    from probe.progress import make_bar

    source = SegmentedPictures(_open_segmenter(run), kept)
    # All of them before training, whose reading threads must not share one model.
    pictures = dict.fromkeys(one.picture for one in things)
    for path in make_bar(pictures, desc="segment", unit="picture"):
        source.find(path)
    return kept

"""RefCOCO, RefCOCO+ and RefCOCOg: sentences that each mean one thing in a picture of COCO.

Yu et al. (2016) and Mao et al. (2016), in the form of the `refer` toolbox: `refs(SPLIT).p`, a
pickle of the things with their sentences, and `instances.json` with pictures, boxes and masks.
Traps: the picture that `refs(SPLIT).p` names is no file (it ends in the number of the annotation),
so the one of `instances.json` is taken; boxes are left, top, width and height; a mask may be one
polygon, several or runs. In the split `google`, one picture may be in train and in val.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from probe.datasets.coco_masks import read_segmentation
from probe.datasets.fields import read_count, read_words, reading_entry
from probe.datasets.footage import Root
from probe.datasets.refcoco_pickles import read_plain_pickle
from probe.files import read_json
from probe.spelling import explain_unknown
from probe.video.masks import Mask

UNC = ("train", "val", "testA", "testB")

REFER_SPLITS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "refcoco": {"unc": UNC},
        "refcoco+": {"unc": UNC},
        "refcocog": {"umd": ("train", "val", "test"), "google": ("train", "val")},
    }
)
"""The parts of each split of each data set; the first split is the usual one."""

PICTURES = "train2014"
"""The folder of the pictures, all of which are from COCO's training set of 2014."""


@dataclass(frozen=True)
class ReferringSentence:
    """A sentence that means one thing in a picture."""

    id: int
    text: str


@dataclass(frozen=True, eq=False)
class Referent:
    """A thing in a picture, and the sentences that mean it."""

    id: int
    """Its `ref_id`; a thing may have several, such as one for each split."""

    annotation: int
    """The number of the thing in `instances.json`."""

    image: int
    picture_name: str
    """Name of the file of the picture."""

    part: str
    """The part of the split: train, val, test, testA or testB."""

    sentences: tuple[ReferringSentence, ...]
    size: tuple[int, int]
    """Height and width of the picture, in pixels."""

    box: Float[np.ndarray, " 4"]
    """Edges of the box of the thing: left, top, right, bottom, in pixels."""

    segmentation: Any = field(repr=False)
    """The mask as `instances.json` has it."""

    def read_mask(self) -> Mask:
        """Make the mask of the thing.

        Raises:
            ValueError: if its polygons or runs are damaged.
        """
        with reading_entry(f"ref {self.id}"):
            return read_segmentation(self.segmentation, self.size)


@dataclass(frozen=True, eq=False)
class ReferringData:
    """The things of one split of a data set, in the order of the file."""

    name: str
    split: str
    referents: tuple[Referent, ...]
    folder: Root = field(repr=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts of the split."""
        return REFER_SPLITS[self.name][self.split]

    def choose(self, part: str) -> tuple[Referent, ...]:
        """Return the things of a part.

        Raises:
            ValueError: if the split has no such part, or the part no things.
        """
        if part not in self.parts:
            raise ValueError(
                explain_unknown(f"part of {self.name} ({self.split})", part, self.parts)
            )
        chosen = tuple(one for one in self.referents if one.part == part)
        if not chosen:
            raise ValueError(
                f"{self.name} ({self.split}): nothing in its part {part}; give another"
            )
        return chosen

    def find_picture(self, referent: Referent) -> Path:
        """Find the file of the picture of a thing.

        Raises:
            ValueError: if there is none, or several in folders of other names.
        """
        return self.folder.find_file(f"{PICTURES}/{referent.picture_name}")

    def list_shared_pictures(self, one: str, other: str) -> tuple[int, ...]:
        """List the pictures that are in both of two parts, of which a score may tell too much."""
        images = [{it.image for it in self.referents if it.part == part} for part in (one, other)]
        return tuple(sorted(images[0] & images[1]))


def read_refcoco(name: str, root: str | Path | None, split: str | None = None) -> ReferringData:
    """Read one split of RefCOCO, RefCOCO+ or RefCOCOg.

    Args:
        name: "refcoco", "refcoco+" or "refcocog".
        root: A folder with `refer/NAME/refs(SPLIT).p`, or `NAME/refs(SPLIT).p`, and the pictures in
            any folder `train2014` in it.
        split: "unc", "umd" or "google"; None for the usual one of the data set.

    Raises:
        ValueError: if there is no such data set, split or folder, or a file is damaged.
    """
    if name not in REFER_SPLITS:
        raise ValueError(explain_unknown("data set of sentences", name, REFER_SPLITS))
    split = split or next(iter(REFER_SPLITS[name]))
    if split not in REFER_SPLITS[name]:
        raise ValueError(explain_unknown(f"split of {name}", split, REFER_SPLITS[name]))
    folder = Root.open(root)
    refs = _find_file(folder.folder, name, f"refs({split}).p")
    entries = _read_list(refs, read_plain_pickle(refs), "the list of refs")
    # By the same folder, and not by a search: the three data sets have files of the same names.
    instances = refs.parent / "instances.json"
    pictures, things = _read_instances(instances, entries)
    kept = tuple(_read_referent(entry, things, pictures) for entry in entries)
    if not kept:
        raise ValueError(f"{refs}: there is no thing in it; give another file")
    return ReferringData(name, split, kept, folder)


def read_cues(path: str | Path) -> Mapping[int, Mapping[int, tuple[str, ...]]]:
    """Read the phrases of sentences: a JSON object of ref id, then sentence id, then phrases.

    Raises:
        ValueError: if there is no such file, or an entry is of another form.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(f'{path}: must map ref ids to phrases, as {{"7": {{"21": ["a man"]}}}}')
    cues: dict[int, Mapping[int, tuple[str, ...]]] = {}
    for ref, by_sentence in content.items():
        with reading_entry(f"{path}, ref {ref}"):
            cues[int(ref)] = MappingProxyType(
                {int(it): _read_phrases(phrases) for it, phrases in by_sentence.items()}
            )
    return MappingProxyType(cues)


def _read_phrases(phrases: Any) -> tuple[str, ...]:
    if not isinstance(phrases, list) or not phrases:
        raise ValueError("the phrases of a sentence must be a list of texts, at least one")
    texts = tuple(read_words(one, "a phrase").strip() for one in phrases)
    if not all(texts):
        raise ValueError("a phrase is empty")
    return texts


def _find_file(root: Path, name: str, file: str) -> Path:
    """Find a file of a data set below the folder that a user gives."""
    places = [root / "refer" / name / file, root / name / file]
    found = [path for path in places if path.is_file()]
    if not found:
        raise ValueError(
            f"{root}: no annotations of {name} in it, looked for {places[0].relative_to(root)} and "
            f"{places[1].relative_to(root)}; give --root the folder that holds them"
        )
    return found[0]


def _read_list(path: Path, values: Any, wanted: str) -> list[dict[str, Any]]:
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise ValueError(f"{path}: not {wanted} of RefCOCO; give the file as it was published")
    return values


def _read_instances(
    path: Path, entries: Iterable[Mapping[str, Any]]
) -> tuple[dict[Any, dict[str, Any]], dict[Any, dict[str, Any]]]:
    """Read the pictures, and the things that entries mean, by their numbers."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not COCO's object of images and annotations; give another file")
    images, annotations = (
        _read_list(path, content.get(key), f"the {key}") for key in ("images", "annotations")
    )
    # Most annotations are of things that no sentence means, and would take a gigabyte.
    meant = {entry.get("ann_id") for entry in entries}
    with reading_entry(str(path)):
        return (
            {image["id"]: image for image in images},
            {thing["id"]: thing for thing in annotations if thing["id"] in meant},
        )


def _read_referent(
    entry: Mapping[str, Any], things: Mapping[Any, Any], pictures: Mapping[Any, Any]
) -> Referent:
    with reading_entry(f"ref {entry.get('ref_id')}"):
        thing, picture = things[entry["ann_id"]], pictures[entry["image_id"]]
        if thing["image_id"] != picture["id"]:
            raise ValueError(f"annotation {thing['id']} is in picture {thing['image_id']}")
        left, top, width, height = map(float, thing["bbox"])
        sentences = tuple(
            ReferringSentence(int(one["sent_id"]), read_words(one["sent"], "sent").strip())
            for one in entry["sentences"]
        )
        if not sentences or not all(one.text for one in sentences):
            raise ValueError("it has no sentence, or an empty one")
        return Referent(
            int(entry["ref_id"]),
            int(thing["id"]),
            int(picture["id"]),
            read_words(picture["file_name"], "file_name"),
            read_words(entry["split"], "split"),
            sentences,
            (read_count(picture["height"], "height"), read_count(picture["width"], "width")),
            np.array([left, top, left + width, top + height]),
            thing["segmentation"],
        )

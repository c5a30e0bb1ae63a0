"""Features of pictures with attributes of classes: AWA2, CUB, SUN, aPY and FLO as published.

The splits are those of Xian et al., "Zero-shot learning: a comprehensive evaluation" (2018): a
folder for each data set, with `res101.mat` (features of a ResNet-101) and `att_splits.mat`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from probe.files import check_file
from probe.paths import expand_home
from probe.spelling import explain_unknown


@dataclass(frozen=True)
class ZeroShotEntry:
    """A data set that goes by a name, and the sizes that its authors report."""

    folder: str
    """Its folder below `xlsa17/data`."""

    images: int
    seen: int
    unseen: int
    attributes: int


ZERO_SHOT: Mapping[str, ZeroShotEntry] = MappingProxyType(
    {
        "awa2": ZeroShotEntry("AWA2", 37_322, 40, 10, 85),
        "cub": ZeroShotEntry("CUB", 11_788, 150, 50, 312),
        "sun": ZeroShotEntry("SUN", 14_340, 645, 72, 102),
        "apy": ZeroShotEntry("APY", 15_339, 20, 12, 64),
        "flo": ZeroShotEntry("FLO", 8_189, 82, 20, 1024),
    }
)
"""The data sets by name. Sizes are as reported elsewhere and serve a note, never a refusal."""

PARTS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")
"""The parts that all samples are divided into."""


@dataclass(frozen=True, eq=False)
class ZeroShotData:
    """Samples of pictures, what is known of each class, and who is seen."""

    name: str
    features: Float[np.ndarray, "sample feature"]
    classes: Int[np.ndarray, " sample"]
    """The class of each sample, from 0."""

    names: tuple[str, ...]
    attributes: Float[np.ndarray, "class attribute"]
    images: tuple[str, ...]
    """The file of each picture as it was called on its authors' machine."""

    parts: Mapping[str, Int[np.ndarray, " some"]]
    """Places of samples by part: those of `PARTS`, and `train_loc` and `val_loc` where given."""

    notes: tuple[str, ...] = ()
    """Sentences about what differs from the published data set."""

    @property
    def seen(self) -> Int[np.ndarray, " some"]:
        """The classes that are learned from."""
        return np.unique(self.classes[self.parts["trainval_loc"]])

    @property
    def validation(self) -> Int[np.ndarray, " some"] | None:
        """Seen classes to choose on: those of `val_loc`; None if the file has no such part."""
        if "val_loc" not in self.parts:
            return None
        return np.unique(self.classes[self.parts["val_loc"]])

    def __repr__(self) -> str:
        return (
            f"ZeroShotData({self.name}: {len(self.classes)} samples of {self.features.shape[1]}, "
            f"{len(self.seen)} of {len(self.names)} classes seen)"
        )


def read_zero_shot(name: str, root: str | Path) -> ZeroShotData:
    """Read a data set in the published form.

    Args:
        name: One of `ZERO_SHOT`.
        root: Its folder, that of all data sets, or the `xlsa17` that contains it.

    Raises:
        ValueError: if there is no such data set or folder, or a file is damaged, in another form,
            or contradicts the other.
    """
    if name not in ZERO_SHOT:
        raise ValueError(explain_unknown("data set", name, tuple(ZERO_SHOT)))
    entry = ZERO_SHOT[name]
    folder = _find_folder(expand_home(root), entry.folder)
    pictures, splits = folder / "res101.mat", folder / "att_splits.mat"
    samples, classes = _read_mat(pictures), _read_mat(splits)
    features = _get(pictures, samples, "features").T.astype(np.float32)
    # MATLAB counts from 1, and lays samples out in columns.
    labels = _get(pictures, samples, "labels").astype(np.int64).ravel() - 1
    attributes = _get(splits, classes, "att").T.astype(np.float32)
    names = _read_texts(_get(splits, classes, "allclasses_names"))
    if not len(features) == len(labels):
        raise ValueError(f"{pictures}: {len(features)} features for {len(labels)} labels")
    if not len(attributes) == len(names):
        raise ValueError(f"{splits}: {len(attributes)} rows of attributes for {len(names)} classes")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
        raise ValueError(f"{pictures}: a label is not one of 1 to {len(names)}, its classes")
    found = ZeroShotData(
        name,
        features,
        labels,
        names,
        attributes,
        _read_texts(samples["image_files"]) if "image_files" in samples else (),
        MappingProxyType(_read_parts(splits, classes, len(labels))),
    )
    _check_parts(splits, found)
    return ZeroShotData(**{**vars(found), "notes": _compare_sizes(found, entry)})


def _find_folder(root: Path, name: str) -> Path:
    # The archive has the folders at this depth; people unpack it in all of these ways.
    for folder in (root, root / name, root / "data" / name, root / "xlsa17" / "data" / name):
        if (folder / "att_splits.mat").is_file():
            return folder
    raise ValueError(
        f"{root}: no att_splits.mat in it or in {name}; give --root the folder of xlsa17's data"
    )


def _read_mat(path: Path) -> dict[str, Any]:
    check_file(path)
    try:
        return loadmat(path)
    except NotImplementedError as failure:
        raise ValueError(
            f"{path}: MATLAB's format 7.3, which scipy cannot read; save it with -v7"
        ) from failure
    # A damaged file makes the reader fail in any of these ways.
    except (MatReadError, ValueError, TypeError, OSError, KeyError, IndexError) as failure:
        problem = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        raise ValueError(f"{path}: not a .mat file, or damaged ({problem})") from failure


def _get(path: Path, content: Mapping[str, Any], name: str) -> np.ndarray:
    if name not in content:
        held = ", ".join(one for one in content if not one.startswith("__")) or "nothing"
        raise ValueError(f"{path}: no {name!r} in it; it holds {held}")
    return content[name]


def _read_texts(cells: np.ndarray) -> tuple[str, ...]:
    """Read a cell array of texts, of which each is an array in an array."""
    return tuple(str(np.asarray(one).ravel()[0]) for one in cells.ravel())


def _read_parts(path: Path, content: Mapping[str, Any], samples: int) -> dict[str, np.ndarray]:
    parts = {}
    for name in (*PARTS, "train_loc", "val_loc"):
        if name in PARTS or name in content:
            places = _get(path, content, name).astype(np.int64).ravel() - 1
            if len(places) and not 0 <= places.min() <= places.max() < samples:
                raise ValueError(f"{path}: {name} names samples outside 1 to {samples}")
            parts[name] = places
    return parts


def _check_parts(path: Path, data: ZeroShotData) -> None:
    """Refuse a split by which an unseen class would be learned from."""
    unseen = np.unique(data.classes[data.parts["test_unseen_loc"]])
    if both := sorted(set(unseen.tolist()) & set(data.seen.tolist())):
        raise ValueError(
            f"{path}: {len(both)} classes are both seen and unseen, such as {data.names[both[0]]!r}"
        )
    together = np.concatenate([data.parts[name] for name in PARTS])
    if len(np.unique(together)) != len(together):
        raise ValueError(f"{path}: a sample is in two of {', '.join(PARTS)}")


def _compare_sizes(data: ZeroShotData, entry: ZeroShotEntry) -> tuple[str, ...]:
    unseen = np.unique(data.classes[data.parts["test_unseen_loc"]])
    found = {
        "images": len(data.classes),
        "seen classes": len(data.seen),
        "unseen classes": len(unseen),
        "attributes": data.attributes.shape[1],
    }
    reported = (entry.images, entry.seen, entry.unseen, entry.attributes)
    return tuple(
        f"{data.name}: {count} {what}, where {other} are reported"
        for (what, count), other in zip(found.items(), reported, strict=True)
        if count != other
    )

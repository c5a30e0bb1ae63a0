"""Groups of queries about the same pictures: a video is read and watched once for all of them."""

from collections.abc import Hashable, Sequence

from probe.datasets import DataSet

LARGEST_GROUP = 32
"""Queries that are handed to one worker together. A benchmark asks 4 or 5 of each part of a video;
of hundreds, other workers should answer some, although each then reads the video."""


def group_queries(dataset: DataSet, indices: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Group queries whose recordings are equal, wherever they are in the file.

    Groups are in the order of their first queries, and so are the queries in each of them.

    Args:
        dataset: The data set.
        indices: Places of the queries in it.
    """
    groups: dict[Hashable, list[int]] = {}
    for index in indices:
        groups.setdefault(_identify_pictures(dataset, index), []).append(index)
    return tuple(map(tuple, groups.values()))


def split_groups(
    groups: Sequence[Sequence[int]], largest: int = LARGEST_GROUP
) -> tuple[tuple[int, ...], ...]:
    """Divide groups into parts of at most so many queries, in order."""
    return tuple(
        tuple(group[start : start + largest])
        for group in groups
        for start in range(0, len(group), largest)
    )


def _identify_pictures(dataset: DataSet, index: int) -> Hashable:
    """Return what is equal for queries about the same pictures."""
    if dataset.pictures is not None:
        return dataset.pictures(index)
    try:
        return dataset[index].recording
    except Exception:  # noqa: BLE001  the query fails with this when it is asked, and is recorded
        return (index,)

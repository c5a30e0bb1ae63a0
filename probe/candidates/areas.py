"""Areas of a picture: connected pixels, pixels of like colour, and the overlap of boxes."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def label_components(mask: Bool[np.ndarray, "*axes"]) -> Int[np.ndarray, "*axes"]:
    """Number the parts of a mask that touch along an axis, from 1; 0 is outside the mask."""
    labels = np.zeros(mask.shape, dtype=np.int32)
    ndimage.label(mask, output=labels)
    return labels


def label_colours(
    picture: Float[np.ndarray, "row column 3"], found: Bool[np.ndarray, "row column"], step: float
) -> Int[np.ndarray, "row column"]:
    """Number the areas of found pixels within which neighbours are of like colour.

    Args:
        picture: Colours in levels.
        found: The pixels to number; each of the others has a number of its own.
        step: Distance of two neighbouring colours, in levels, at which they are not alike.
    """
    # Pixels are the nodes of a graph, and neighbours of like colour are joined in it.
    number = np.arange(found.size).reshape(found.shape)
    pairs = []
    for here, there in (np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]):
        near = np.linalg.norm(picture[here] - picture[there], axis=-1) < step
        joined = near & found[here] & found[there]
        pairs.append(np.stack([number[here][joined], number[there][joined]]))
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(number.size, number.size))
    return connected_components(graph, directed=False)[1].reshape(number.shape)


def box_areas(boxes: Float[np.ndarray, "box 4"]) -> Float[np.ndarray, " box"]:
    """Compute the area of each box."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def pairwise_iou(
    one: Float[np.ndarray, "one 4"], other: Float[np.ndarray, "other 4"]
) -> Float[np.ndarray, "one other"]:
    """Compute the IoU of every pair of boxes."""
    starts = np.maximum(one[:, None, :2], other[:, :2])
    stops = np.minimum(one[:, None, 2:], other[:, 2:])
    shared = np.clip(stops - starts, 0, None).prod(axis=-1)
    return shared / (box_areas(one)[:, None] + box_areas(other) - shared)

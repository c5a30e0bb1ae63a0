"""The losses of paired contrastive learning: pairs, prototypes, prototypes of one's own space.

Two encoders learn from pairs of a picture and a sentence. InfoNCE (van den Oord et al. 2018, as in
CLIP) draws the two of a pair together. ProtoCLIP (arXiv 2206.10996) clusters each side, and has
each side guess the other's clusters. All functions here are pure.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot

BLOCK = 100_000
"""Rows of a teacher's features that are worked on at once."""


def compute_info_nce(
    images: Float[Tensor, "pair width"], texts: Float[Tensor, "pair width"], scale: Tensor
) -> Float[Tensor, ""]:
    """Compute the loss of telling each picture's sentence from all others, and the reverse.

    Args:
        images: Embeddings of the pictures, of unit length.
        texts: Embeddings of their sentences, of unit length, in the same order.
        scale: Factor of the cosines before the softmax.

    Returns:
        Mean cross-entropy of both directions; log of the number of pairs if nothing is told apart.
    """
    logits = scale * images @ texts.T
    own = torch.arange(len(images), device=images.device)
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def compute_prototype_loss(
    students: Float[Tensor, "pair width"],
    prototypes: Float[Tensor, "cluster width"],
    targets: Float[Tensor, "pair cluster"],
    scale: Tensor,
) -> Float[Tensor, ""]:
    """Compute the cross-entropy between targets and the students' choice of a prototype.

    Args:
        students: Outputs of a side's head, of unit length.
        prototypes: One vector for each cluster of the other side.
        targets: A distribution over clusters for each student.
        scale: Factor of the products before the softmax.

    Returns:
        The mean over students; never below the mean entropy of the targets.
    """
    return cross_entropy(scale * students @ prototypes.T, targets)


def compute_targets(
    labels: Int[Tensor, " pair"], centroids: Float[Tensor, "cluster width"], temperature: float
) -> Float[Tensor, "pair cluster"]:
    """Compute the distribution over clusters that a student of each cluster should guess.

    Args:
        labels: Cluster of each pair.
        centroids: Centroids of these clusters, in the space in which they were found.
        temperature: Temperature of the softmax over the products of the pair's own centroid with
            all; at 0 or below, the own cluster has all of the probability.
    """
    if temperature <= 0:
        return one_hot(labels, len(centroids)).to(centroids.dtype)
    # Clusters that lie near each other say nearly the same: naming one for the other costs little.
    return (centroids[labels] @ centroids.T / temperature).softmax(dim=-1)


def translate_back(
    features: Float[Tensor, "pair width"], labels: Int[Tensor, " pair"], clusters: int
) -> Float[Tensor, "cluster width"]:
    """Average one side's features over the members of each cluster of the other side.

    The means lie in the space of the features, so that a student is compared with prototypes of its
    own space, and a gap between the two sides does not enter. They are not normalised, as in the
    released code. A cluster without members has a vector of zeros.
    """
    sums = features.new_zeros(clusters, features.shape[1]).index_add(0, labels, features)
    counts = torch.bincount(labels, minlength=clusters)[:, None]
    return sums / counts.clamp_min(1)


def reduce_teacher(
    features: Float[Tensor, "pair wide"], width: int
) -> Float[Tensor, "pair narrow"]:
    """Reduce an external teacher's features to their strongest directions (PCA).

    Args:
        features: The teacher's vector of each sentence; brought to unit length first.
        width: Number of directions to keep; fewer if the features have fewer.

    Raises:
        ValueError: if the number of directions is below 1.
    """
    if width < 1:
        raise ValueError(f"{width} directions of the teacher's features; give 1 or more")
    # Block by block, and of the small matrix of covariances: features of millions of sentences
    # would not fit in memory a second time in the precision that sums of them need.
    wide = features.shape[1]
    total, squares = torch.zeros(wide).double(), torch.zeros(wide, wide).double()
    for block in features.split(BLOCK):
        unit = normalize(block.double(), dim=-1)
        total, squares = total + unit.sum(0), squares + unit.T @ unit
    mean = total / len(features)
    _, directions = torch.linalg.eigh(squares - len(features) * torch.outer(mean, mean))
    kept = directions.flip(-1)[:, :width]
    parts = [(normalize(one.double(), dim=-1) - mean) @ kept for one in features.split(BLOCK)]
    return torch.cat([part.to(features.dtype) for part in parts])


def compute_gap(
    images: Float[Tensor, "image width"], texts: Float[Tensor, "text width"]
) -> Float[Tensor, ""]:
    """Compute the modality gap: the distance between the two mean unit vectors, from 0 to 2.

    Source: Liang et al. 2022 (arXiv 2203.02053), section 3.
    """
    return (normalize(images, dim=-1).mean(0) - normalize(texts, dim=-1).mean(0)).norm()
